"""What launchers send: any command line, any environment; and anything else is refused."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.agent.launcher_link import BadRequestError, parse_request

WORDS = st.binary(max_size=20).map(lambda word: word.replace(b"\0", b""))
NAMES = WORDS.map(lambda word: word.replace(b"=", b""))


def packed(arguments: list[bytes], environ: dict[bytes, bytes], compiler: bytes = b"gcc") -> bytes:
    """As the launcher does it (conversation.c)."""
    entries = [name + b"=" + value for name, value in environ.items()]
    fields = [b"1.0", b"5", compiler, b"/work dir", str(len(arguments)).encode(), *arguments, *entries]
    return b"".join(field + b"\0" for field in fields)


@given(st.lists(WORDS, max_size=8), st.dictionaries(NAMES, WORDS, max_size=8))
def test_a_request_is_what_the_launcher_was_called_for(arguments: list[bytes], environ: dict[bytes, bytes]) -> None:
    request = parse_request(packed(arguments, environ))
    assert (request.version, request.flags, request.directory) == ("1.0", 5, "/work dir")
    assert request.compiler == "/work dir/gcc"
    assert [os.fsencode(word) for word in request.arguments] == arguments
    assert {os.fsencode(name): os.fsencode(value) for name, value in request.environ.items()} == environ


def test_an_absolute_compiler_stays_as_it_is() -> None:
    assert parse_request(packed([], {}, b"/usr/bin/gcc")).compiler == "/usr/bin/gcc"


@given(st.binary(max_size=60))
def test_nothing_but_a_request_is_taken(data: bytes) -> None:
    try:
        request = parse_request(data)
    except BadRequestError:
        return
    assert data.endswith(b"\0")
    assert len(data.split(b"\0")) >= 6 + len(request.arguments)


@pytest.mark.parametrize("cut", [1, 5, 12, 25])
def test_a_request_that_was_cut_short_is_refused(cut: int) -> None:
    whole = packed([b"-c", b"a.c"], {})
    with pytest.raises(BadRequestError):
        parse_request(whole[:-cut])
