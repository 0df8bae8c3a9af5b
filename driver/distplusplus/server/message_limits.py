"""Looks at a job's message before it is parsed: how many fields it has. Pure.

A field of two bytes takes sixteen or more once it is parsed, so a message that is full of them would take many times
its size. A large message is large because of its source, which is one field.
"""

from __future__ import annotations

from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused

# A message up to this size is parsed without a look: it takes at most about 150 MiB.
_SMALL_BYTES = 8 << 20
# A header job's inputs and contents; the largest sources of Boost and LLVM may include some 3,000 files.
_MAX_HEADER_FIELDS = 100_000
_MAX_FIELDS = 20_000
# Wire types of protobuf: https://protobuf.dev/programming-guides/encoding/
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def check_fields(data: bytes, small_bytes: int = _SMALL_BYTES, max_fields: int = _MAX_FIELDS) -> None:
    """Raises CallRefused for a message of more than `small_bytes` with more than `max_fields`, or that is damaged."""
    if len(data) <= small_bytes:
        return
    position = fields = 0
    while position < len(data):
        fields += 1
        if fields > max_fields:
            raise CallRefused(
                pb.Refusal.ARGUMENT_NOT_ALLOWED, f"the job has more than {max_fields} arguments and other fields"
            )
        tag, position = _varint(data, position)
        kind = tag & 7
        if kind == _VARINT:
            _, position = _varint(data, position)
        elif kind == _BYTES:
            size, position = _varint(data, position)
            if tag >> 3 == pb.CompileRequest.HEADERJOB_FIELD_NUMBER and max_fields == _MAX_FIELDS:
                check_fields(data[position : position + size], small_bytes, _MAX_HEADER_FIELDS)
            position += size
        elif kind in (_FIXED64, _FIXED32):
            position += 8 if kind == _FIXED64 else 4
        else:
            raise _damaged(data)
    if position != len(data):
        raise _damaged(data)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """The number at `position`, and where the next one begins."""
    value = 0
    for number, byte in enumerate(data[position : position + 10]):
        value |= (byte & 0x7F) << 7 * number
        if byte < 0x80:
            return value, position + number + 1
    raise _damaged(data)


def _damaged(data: bytes) -> CallRefused:
    return CallRefused(
        pb.Refusal.MALFORMED_MESSAGE, f"the call's {len(data)} bytes are no CompileRequest", "CompileRequest"
    )
