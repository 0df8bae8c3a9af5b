"""LZO1X: what we write can be read, what others write is read, and rubbish is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.bridge.lzo import LzoError, compress, decompress


@given(st.binary(max_size=5000))
def test_what_is_written_can_be_read(data: bytes) -> None:
    assert decompress(compress(data), len(data)) == data


@pytest.mark.parametrize("size", [0, 1, 4, 5, 238, 239, 273, 274, 528, 529, 100_000])
def test_every_length_of_literals(size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    assert decompress(compress(data), size) == data


@pytest.mark.parametrize(
    ("stream", "content"),
    [
        # 4 literals, then "01LDDDSS": 4 bytes from 4 back; 1 literal; end.
        (b"\x15abcd" + bytes([0b01101101, 0]) + b"X" + b"\x11\0\0", b"abcdabcdX"),
        # 5 literals in a run, then "001LLLLL": 10 bytes from 1 back.
        (b"\x16abcde" + bytes([0b00101000, 0, 0]) + b"\x11\0\0", b"abcde" + b"e" * 10),
        # As above, with a length in further bytes: 2 + 31 + 7.
        (b"\x16abcde" + bytes([0b00100000, 7, 0, 0]) + b"\x11\0\0", b"abcde" + b"e" * 40),
        # 2 bytes from 2 back after 1 to 3 literals: "0000DDSS".
        (b"\x13ab" + bytes([0b00000100, 0]) + b"\x11\0\0", b"abab"),
        # "1LLDDDSS": 6 bytes from 3 back.
        (b"\x14abc" + bytes([0b10101000, 0]) + b"\x11\0\0", b"abcabcabc"),
    ],
)
def test_matches_of_every_kind(stream: bytes, content: bytes) -> None:
    assert decompress(stream, 1000) == content


@given(st.binary(max_size=200))
def test_rubbish_is_refused_or_read_but_never_more(data: bytes) -> None:
    with contextlib.suppress(LzoError):
        assert len(decompress(data, 10_000)) <= 10_000


def test_more_than_allowed_is_refused() -> None:
    with pytest.raises(LzoError, match="more than the 99 bytes"):
        decompress(compress(bytes(100)), 99)
