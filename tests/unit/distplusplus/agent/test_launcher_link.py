"""What launchers send: any command line, any environment; and anything else is refused."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.agent.launcher_link import BadRequestError, LauncherLink, parse_request

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


def memfd(content: bytes = packed([], {})) -> int:
    fd = os.memfd_create("test")
    os.write(fd, content)
    return fd


def pipe() -> int:
    """One that nobody writes to, and that nobody may wait for."""
    reader, writer = os.pipe()
    os.close(writer)
    return reader


async def sent(*packets: tuple[bytes, list[int]]) -> None:
    """Reads what a launcher sent: a request, and what it answers when it is to preprocess."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    link = LauncherLink(ours)
    with theirs:
        for data, fds in packets:
            socket.send_fds(theirs, [data], fds)
            for fd in fds:
                os.close(fd)
        try:
            await link.request()
            await link.preprocess(["-E"])
        finally:
            link.close()


@pytest.mark.parametrize(
    "make",
    [pipe, lambda: os.open("/dev/null", os.O_WRONLY), lambda: os.open("/", os.O_RDONLY)],
    ids=["pipe", "device", "directory"],
)
def test_a_descriptor_that_is_no_file_is_refused(make: Callable[[], int]) -> None:
    with pytest.raises(BadRequestError):
        asyncio.run(sent((b"C", [make()])))
    with pytest.raises(BadRequestError):
        asyncio.run(sent((b"C", [memfd()]), (b"R" + bytes(4), [make(), memfd()])))


@pytest.mark.parametrize("status", [b"", bytes(3), bytes(5)])
def test_a_wait_status_of_another_size_is_refused(status: bytes) -> None:
    with pytest.raises(BadRequestError):
        asyncio.run(sent((b"C", [memfd()]), (b"R" + status, [memfd(), memfd()])))
