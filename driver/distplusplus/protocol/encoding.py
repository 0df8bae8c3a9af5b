"""Messages with large contents, encoded without copying them: protobuf would copy each one twice. Pure."""

from __future__ import annotations

from distplusplus.protocol import distplusplus_pb2 as pb

_LENGTH_DELIMITED = 2


def file_field(number: int, name: str, compression: pb.CompressionType, content: bytes) -> list[bytes]:
    """A field that holds a `File`, as pieces of the encoded message."""
    return message_field(number, file_pieces(name, compression, content))


def file_pieces(name: str, compression: pb.CompressionType, content: bytes) -> list[bytes]:
    """An encoded `File` in pieces, one of which is `content` itself."""
    head = pb.File(name=name, compressionType=compression).SerializeToString()
    return [head, *bytes_field(pb.File.CONTENT_FIELD_NUMBER, content)]


def message_field(number: int, pieces: list[bytes]) -> list[bytes]:
    """A field that holds the message which `pieces` are together."""
    return [varint(number << 3 | _LENGTH_DELIMITED) + varint(sum(map(len, pieces))), *pieces]


def bytes_field(number: int, content: bytes) -> list[bytes]:
    """A field of type `bytes`."""
    return message_field(number, [content])


def varint(value: int) -> bytes:
    """https://protobuf.dev/programming-guides/encoding/#varints"""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
