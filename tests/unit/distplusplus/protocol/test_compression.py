"""zstd frames as both implementations write them, and what must be refused."""

from __future__ import annotations

import contextlib
import time
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


EMPTY_FRAME = bytes.fromhex("28b52ffd2000010000")


@pytest.mark.parametrize("data", [b"", TEXT])
@pytest.mark.parametrize("count", [1, 2])
def test_empty_frames_behind_the_first_are_taken(data: bytes, count: int) -> None:
    """As the first implementation's compression filter writes them, and with a checksum."""
    frame = compression.compress(data, pb.zstd)
    assert compression.unpack(zstd_file(frame + EMPTY_FRAME * count), BIG) == data
    checked = zstandard.ZstdCompressor(write_checksum=True).compress(b"")
    assert compression.unpack(zstd_file(frame + checked * count), BIG) == data


@pytest.mark.parametrize(
    "behind",
    [
        EMPTY_FRAME[:-1],
        EMPTY_FRAME + b"x",
        EMPTY_FRAME * 9,
        zstandard.ZstdCompressor().compress(b"x"),
        EMPTY_FRAME + zstandard.ZstdCompressor().compress(b"x"),
        bytes.fromhex("502a4d1800000000"),  # a skippable frame
        bytes.fromhex("28b52ffd2001030078"),  # one byte, as an RLE block
    ],
)
def test_anything_else_behind_the_first_frame_is_refused(behind: bytes) -> None:
    with pytest.raises(compression.FrameError, match="more follow"):
        compression.unpack(zstd_file(compression.compress(TEXT, pb.zstd) + behind), BIG)


def test_a_frame_of_empty_blocks_costs_little() -> None:
    """64 MiB of them cost 4 s of CPU when they were all walked through."""
    frame = bytes.fromhex("28b52ffd0058") + bytes(3) * (64 << 20) + bytes.fromhex("010000")
    begun_s = time.thread_time()
    with pytest.raises(compression.FrameError, match="blocks"):
        compression.unpack(zstd_file(frame), BIG)
    assert time.thread_time() - begun_s < 2


def test_a_frame_that_was_flushed_often_is_taken() -> None:
    """A block for each 4 KiB of text."""
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    frame = b""
    for position in range(0, len(TEXT), 4096):
        frame += compressor.compress(TEXT[position : position + 4096])
        frame += compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    frame += compressor.flush()
    assert compression.unpack(zstd_file(frame), BIG) == TEXT


@given(st.binary(min_size=1, max_size=50).filter(lambda extra: not extra.startswith(EMPTY_FRAME)))
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
