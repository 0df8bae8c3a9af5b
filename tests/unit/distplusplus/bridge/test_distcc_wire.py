"""distcc's framing from the server's side."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.bridge import lzo
from distplusplus.bridge.distcc_wire import Request, WireError, read_request, reply


def read(data: bytes) -> Request:
    async def run() -> Request:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await read_request(reader)

    return asyncio.run(run())


def written(version: int, argv: list[bytes], source: bytes) -> bytes:
    body = lzo.compress(source) if version == 2 else source
    words = b"".join(b"ARGV%08x" % len(word) + word for word in argv)
    return b"DIST%08xARGC%08x" % (version, len(argv)) + words + b"DOTI%08x" % len(body) + body


@pytest.mark.parametrize("version", [1, 2])
def test_a_request_is_read(version: int) -> None:
    assert read(written(version, [b"gcc", b"-c", b"a b.c"], b"int x;")) == Request(
        version, ("gcc", "-c", "a b.c"), b"int x;"
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "went away"),
        (b"GET / HTTP/1.0\r\n", "where DIST was due"),
        (b"DIST00000003", "DIST00000003"),
        (b"DIST00000001ARGCffffffff", "at most 10000"),
        (b"DIST00000001ARGC00000001ARGV7fffffff", "ARGV was due"),
        (b"DIST00000001ARGC00000001ARGV00000003gc", "went away"),
        (b"DIST00000002ARGC00000000DOTI00000003xyz", "damaged"),
    ],
)
def test_what_is_no_request(data: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        read(data)


@given(st.binary(max_size=100))
def test_rubbish_ends_in_one_kind_of_error(data: bytes) -> None:
    with pytest.raises(WireError):
        read(data)


def test_replies() -> None:
    assert reply(1, 0, b"", b"o", b"OBJ") == (b"DONE00000001STAT00000000SERR00000000SOUT00000001oDOTO00000003OBJ")
    assert b"STAT00000100" in reply(1, 1, b"e", b"", b"")
    assert b"STAT0000000b" in reply(1, 139, b"", b"", b"")
    assert reply(2, 0, b"", b"", b"abc").endswith(b"DOTO%08x" % len(lzo.compress(b"abc")) + lzo.compress(b"abc"))
