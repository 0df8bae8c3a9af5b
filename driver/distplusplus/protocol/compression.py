"""What is inside `File.content`: bytes as they are, or one raw zstd frame.

The first implementation writes frames without content size and without checksum, so a frame that was cut short decodes
without complaint to a part of the file. `_check_frames` therefore walks the frame's blocks (RFC 8878, 3.1.1), and only
a complete frame is decompressed. The first implementation often appends one or two empty frames
(`28 b5 2f fd 20 00 01 00 00`); nothing else may follow.

The size of the result and the number of blocks are bounded before and while it is made, never after.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import zstandard

from distplusplus.protocol import distplusplus_pb2 as pb

MIN_LEVEL, MAX_LEVEL = -(1 << 17), zstandard.MAX_COMPRESSION_LEVEL
DEFAULT_LEVEL = 1

# What a decoder must be ready for is the sender's choice; 128 MiB is what the zstd library takes unasked.
_MAX_WINDOW_BYTES = 1 << 27
_CHUNK_BYTES = 1 << 20
_MAGIC = b"\x28\xb5\x2f\xfd"
_RAW_BLOCK, _RLE_BLOCK, _RESERVED_BLOCK = 0, 1, 3
_MAX_HEADER_BYTES = 18
# The first implementation appends at most two.
_MAX_EMPTY_FRAMES = 8
# A block decodes to at most 128 KiB, and a writer fills it unless it is told to flush. A frame of empty blocks would
# cost 60 ns of CPU for each byte of it; with this limit 512 MiB cost at most 0.3 s.
_MAX_BLOCKS, _BYTES_PER_FURTHER_BLOCK = 16_384, 512

_thread = threading.local()


class CompressionError(ValueError):
    """Raised for content that is not what its compression type says."""


class UnknownCompressionError(CompressionError):
    """Raised for a compression type that is not in the protocol."""


class FrameError(CompressionError):
    """Raised for a zstd frame that is cut short, damaged, made of too many blocks, or followed by something else."""


class TooLargeError(CompressionError):
    """Raised when the content is larger than the caller allows, before more than that is decompressed."""


def pack(name: str, data: bytes, compression: pb.CompressionType, level: int = DEFAULT_LEVEL) -> pb.File:
    """A `File` of `data`. Raises UnknownCompressionError."""
    return pb.File(name=name, compressionType=compression, content=compress(data, compression, level))


def compress(data: bytes, compression: pb.CompressionType, level: int = DEFAULT_LEVEL) -> bytes:
    """`data` as `File.content`. Raises UnknownCompressionError."""
    if compression == pb.NONE:
        return data
    if compression != pb.zstd:
        raise UnknownCompressionError(f"unknown compression type {compression}")
    return _compressor(level).compress(data)


def compress_pieces(pieces: Iterable[bytes], level: int = DEFAULT_LEVEL) -> bytes:
    """A zstd frame of all `pieces` together, made a piece at a time."""
    compressor = _compressor(level).compressobj()
    compressed = [compressor.compress(piece) for piece in pieces]
    compressed.append(compressor.flush())
    return b"".join(compressed)


def unpack(file: pb.File, max_bytes: int) -> bytes:
    """The content of `file`, decompressed; at most `max_bytes`. Raises CompressionError."""
    return b"".join(iter_unpacked(file, max_bytes))


def iter_unpacked(file: pb.File, max_bytes: int) -> Iterator[bytes]:
    """The content of `file` in pieces of up to 1 MiB (NONE: in one piece).

    Raises CompressionError; after the first piece only for a damaged frame, or one larger than `max_bytes`.
    """
    content = file.content
    if file.compressionType == pb.NONE:
        if len(content) > max_bytes:
            raise TooLargeError(f"{len(content)} bytes, {max_bytes} are allowed")
        yield content
        return
    if file.compressionType != pb.zstd:
        raise UnknownCompressionError(f"unknown compression type {file.compressionType}")
    _check_frames(content)
    total = 0
    try:
        with _decompressor().stream_reader(content, read_across_frames=False) as reader:
            while chunk := reader.read(_CHUNK_BYTES):
                total += len(chunk)
                if total > max_bytes:
                    raise TooLargeError(f"more than the {max_bytes} bytes that are allowed")
                yield chunk
    except zstandard.ZstdError as error:
        raise FrameError(f"damaged zstd frame: {error}") from error


@dataclass(frozen=True)
class _Frame:
    """One whole frame: where it ends, and whether it decodes to nothing for certain."""

    end: int
    is_empty: bool


def _check_frames(content: bytes) -> None:
    """Raises FrameError unless `content` is one whole zstd frame, and after it at most a few empty ones."""
    max_blocks = _MAX_BLOCKS + len(content) // _BYTES_PER_FURTHER_BLOCK
    frame = _frame_at(content, 0, max_blocks)
    end = frame.end
    for _ in range(_MAX_EMPTY_FRAMES):
        if not content.startswith(_MAGIC, frame.end):
            break
        try:
            frame = _frame_at(content, frame.end, max_blocks=1)
        except FrameError:
            break
        if not frame.is_empty:
            break
        end = frame.end
    if end != len(content):
        raise FrameError(f"the zstd frame ends after {end} bytes, but {len(content) - end} more follow")


def _frame_at(content: bytes, start: int, max_blocks: int) -> _Frame:
    """The zstd frame at `start`. Raises FrameError for anything but a whole one of at most `max_blocks` blocks."""
    if not content.startswith(_MAGIC, start):
        raise FrameError("not a zstd frame")
    header = content[start : start + _MAX_HEADER_BYTES]
    try:
        position = start + zstandard.frame_header_size(header)
        has_checksum = zstandard.get_frame_parameters(header).has_checksum
    except zstandard.ZstdError as error:
        raise FrameError(f"damaged zstd frame header: {error}") from error
    last, is_empty, blocks = False, True, 0
    while not last:
        block = int.from_bytes(content[position : position + 3], "little")
        if position + 3 > len(content):
            raise FrameError(f"the zstd frame is cut short after {len(content)} bytes")
        last = bool(block & 1)
        block_type, size = block >> 1 & 3, block >> 3
        if block_type == _RESERVED_BLOCK:
            raise FrameError("damaged zstd frame: reserved block type")
        position += 3 + (1 if block_type == _RLE_BLOCK else size)
        is_empty = is_empty and block_type == _RAW_BLOCK and size == 0
        blocks += 1
        if blocks > max_blocks:
            raise FrameError(f"the zstd frame has more than {max_blocks} blocks")
    position += 4 if has_checksum else 0
    if position > len(content):
        raise FrameError(f"the zstd frame is cut short after {len(content)} bytes")
    return _Frame(position, is_empty)


def _compressor(level: int) -> zstandard.ZstdCompressor:
    """One for each thread and level: they keep their tables, and must not be shared between threads."""
    compressors: dict[int, zstandard.ZstdCompressor] = _thread.__dict__.setdefault("compressors", {})
    if level not in compressors:
        compressors[level] = zstandard.ZstdCompressor(level, write_content_size=False, write_checksum=False)
    return compressors[level]


def _decompressor() -> zstandard.ZstdDecompressor:
    if not hasattr(_thread, "decompressor"):
        _thread.decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
    decompressor: zstandard.ZstdDecompressor = _thread.decompressor
    return decompressor
