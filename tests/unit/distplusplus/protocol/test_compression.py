"""zstd frames as both implementations write them, and what must be refused."""

from __future__ import annotations

import contextlib
import tracemalloc

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.protocol import compression
from distplusplus.protocol import distplusplus_pb2 as pb

TEXT = b"int main(void) { return 0; }\n" * 20_000
BIG = 1 << 30


def zstd_file(content: bytes) -> pb.File:
    return pb.File(name="a.c", compressionType=pb.zstd, content=content)


@given(st.binary(), st.sampled_from([pb.NONE, pb.zstd]), st.integers(-5, 5))
def test_what_is_packed_is_unpacked(data: bytes, kind: pb.CompressionType, level: int) -> None:
    assert compression.unpack(compression.pack("a.c", data, kind, level), BIG) == data


def test_frame_has_neither_size_nor_checksum() -> None:
    parameters = zstandard.get_frame_parameters(compression.compress(TEXT, pb.zstd))
    assert parameters.content_size == zstandard.CONTENTSIZE_UNKNOWN
    assert not parameters.has_checksum


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("data", [b"", b"a", TEXT, b"\0" * 5_000_000])
def test_frames_of_other_writers(data: bytes, checksum: bool) -> None:
    frame = zstandard.ZstdCompressor(3, write_checksum=checksum, write_content_size=True).compress(data)
    assert compression.unpack(zstd_file(frame), BIG) == data


@given(st.integers(min_value=0))
def test_every_truncation_is_noticed(cut: int) -> None:
    frame = compression.compress(TEXT, pb.zstd)
    with pytest.raises(compression.FrameError):
        compression.unpack(zstd_file(frame[: cut % len(frame)]), BIG)


@given(st.binary(min_size=1, max_size=50))
def test_bytes_after_the_frame_are_refused(extra: bytes) -> None:
    with pytest.raises(compression.FrameError, match="more follow"):
        compression.unpack(zstd_file(compression.compress(TEXT, pb.zstd) + extra), BIG)


@given(st.binary(max_size=200), st.booleans())
def test_rubbish_never_gives_another_error(data: bytes, with_magic: bool) -> None:
    content = b"\x28\xb5\x2f\xfd" + data if with_magic else data
    with contextlib.suppress(compression.CompressionError):
        compression.unpack(zstd_file(content), 1 << 20)


def test_bomb_is_stopped_early() -> None:
    bomb = compression.compress(bytes(300_000_000), pb.zstd)
    assert len(bomb) < 100_000
    tracemalloc.start()
    with pytest.raises(compression.TooLargeError):
        for _ in compression.iter_unpacked(zstd_file(bomb), 10_000_000):
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


def test_limit_is_exact() -> None:
    for kind in (pb.NONE, pb.zstd):
        file = compression.pack("a.c", TEXT, kind)
        assert compression.unpack(file, len(TEXT)) == TEXT
        with pytest.raises(compression.TooLargeError):
            compression.unpack(file, len(TEXT) - 1)


def test_unknown_type() -> None:
    file = pb.File.FromString(pb.File(name="a").SerializeToString() + b"\x10\x63")
    with pytest.raises(compression.UnknownCompressionError, match="99"):
        compression.unpack(file, BIG)
    with pytest.raises(compression.UnknownCompressionError):
        compression.compress(b"", file.compressionType)
