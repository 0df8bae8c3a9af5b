"""distcc's framing from the server's side."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.bridge import lzo
from distplusplus.bridge.distcc_wire import Request, RequestParser, WireError, reply, wait_status


def read(data: bytes, piece: int = 1 << 20) -> Request:
    parser = RequestParser()
    for start in itertools.count(0, piece):
        if request := parser.feed(data[start : start + piece]):
            assert start + piece >= len(data)
            return request
    raise AssertionError


def written(version: int, argv: list[bytes], source: bytes) -> bytes:
    body = lzo.compress(source) if version == 2 else source
    words = b"".join(b"ARGV%08x" % len(word) + word for word in argv)
    return b"DIST%08xARGC%08x" % (version, len(argv)) + words + b"DOTI%08x" % len(body) + body


@pytest.mark.parametrize("version", [1, 2])
def test_a_request_is_read(version: int) -> None:
    request = read(written(version, [b"gcc", b"-c", b"a b.c"], b"int x;"))
    assert (request.version, request.argv, request.source()) == (version, ("gcc", "-c", "a b.c"), b"int x;")


@given(
    st.sampled_from([1, 2]),
    st.lists(st.binary(max_size=20), max_size=5),
    st.binary(max_size=200),
    st.integers(min_value=1, max_value=40),
)
def test_a_request_is_read_in_pieces_of_any_size(version: int, argv: list[bytes], source: bytes, piece: int) -> None:
    request = read(written(version, argv, source), piece)
    assert [word.encode("utf-8", "surrogateescape") for word in request.argv] == argv
    assert request.source() == source


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "went away"),
        (b"GET / HTTP/1.0\r\n", "where DIST was due"),
        (b"DIST00000003", "DIST00000003"),
        (b"DIST00000000", "protocol 0"),
        (b"DIST00000001ARGCffffffff", "at most 10000"),
        (b"DIST00000001ARGC00000001ARGV7fffffff", "ARGV was due"),
        (b"DIST00000001ARGC00000002ARGV00600000" + bytes(6 << 20) + b"ARGV00000001", "at most 0"),
        (b"DIST00000001ARGC00000001ARGV00000003gc", "went away"),
        (b"DIST00000001ARGC00000000DOTI00000003xyzabc", "more bytes follow"),
        (b"DIST00000001ARGC00000000DOTI40000001", "DOTI was due"),
        # What int() would take for a number.
        *((b"DIST00000001ARGC" + number, "ARGC was due") for number in (b"-0000001", b"+0000001", b"0x000001")),
        *((b"DIST00000001ARGC" + number, "ARGC was due") for number in (b"0_000001", b" 0000001", b"0000001\n")),
        (b"DIST00000001ARGC00000001ARGV-0000001", "ARGV was due"),
        (b"DIST00000001ARGC00000000DOTI-0000001", "DOTI was due"),
    ],
)
def test_what_is_no_request(data: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        read(data)


def test_a_damaged_source() -> None:
    with pytest.raises(WireError, match="damaged"):
        read(b"DIST00000002ARGC00000000DOTI00000003xyz").source()


@given(st.binary(max_size=100))
def test_rubbish_ends_in_one_kind_of_error(data: bytes) -> None:
    with pytest.raises(WireError):
        read(data)


@given(st.data())
def test_a_damaged_request_is_read_or_ends_in_the_same_kind_of_error(data: st.DataObject) -> None:
    """Where each byte may be another one, and the end may be missing."""
    whole = bytearray(written(data.draw(st.sampled_from([1, 2])), [b"gcc", b"-c", b"a.c"], b"int x;" * 4))
    position = data.draw(st.integers(min_value=0, max_value=len(whole) - 1))
    whole[position : position + 1] = data.draw(st.binary(max_size=9))
    end = data.draw(st.integers(min_value=0, max_value=len(whole)))
    try:
        read(bytes(whole[:end])).source()
    except WireError:
        return


def test_replies() -> None:
    assert reply(1, 0, b"", b"o", b"OBJ") == (b"DONE00000001STAT00000000SERR00000000SOUT00000001oDOTO00000003OBJ")
    assert b"STAT00000100" in reply(1, wait_status(1), b"e", b"", b"")
    assert b"STAT0000000b" in reply(1, wait_status(139), b"", b"", b"")
    assert reply(2, 0, b"", b"", b"abc").endswith(b"DOTO%08x" % len(lzo.compress(b"abc")) + lzo.compress(b"abc"))
