"""distcc's protocols 1 and 2 from the server's side (distcc 3.4, doc/protocol-1.txt and protocol-2.txt).

A token is 4 characters and 8 hexadecimal digits. A request is DIST version, ARGC n, n times ARGV length and text, DOTI
length and preprocessed source; the reply is DONE version, STAT wait status, then SERR, SOUT and DOTO with length and
content. Protocol 2 has the contents of DOTI, SERR, SOUT and DOTO compressed, see lzo.py.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from distplusplus.bridge import lzo

_MAX_ARGUMENTS = 10_000
_MAX_ARGUMENT_BYTES = 1 << 20
MAX_SOURCE_BYTES = 1 << 30


class WireError(Exception):
    """Raised for what is not distcc's protocol."""


@dataclass(frozen=True)
class Request:
    """A job of a distcc client. `source` is preprocessed."""

    version: int
    argv: tuple[str, ...]
    source: bytes


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Raises WireError."""
    try:
        version = await _token(reader, b"DIST", 2)
        if version not in (1, 2):
            raise WireError(f"protocol {version} is not known (1 and 2 are)")
        count = await _token(reader, b"ARGC", _MAX_ARGUMENTS)
        argv = []
        for _ in range(count):
            text = await reader.readexactly(await _token(reader, b"ARGV", _MAX_ARGUMENT_BYTES))
            argv.append(text.decode("utf-8", "surrogateescape"))
        source = await reader.readexactly(await _token(reader, b"DOTI", MAX_SOURCE_BYTES))
    except asyncio.IncompleteReadError as error:
        raise WireError("the client went away before its job was whole") from error
    if version == 2:
        try:
            source = await asyncio.to_thread(lzo.decompress, source, MAX_SOURCE_BYTES)
        except lzo.LzoError as error:
            raise WireError(f"the source is damaged: {error}") from None
    return Request(version, tuple(argv), source)


def reply(version: int, return_code: int, stderr: bytes, stdout: bytes, object_file: bytes) -> bytes:
    """The whole reply. `return_code` is a shell's: 128 + N where signal N ended the compiler."""
    status = return_code - 128 if return_code > 128 else return_code << 8
    head = b"DONE%08xSTAT%08x" % (version, status)
    bodies = [lzo.compress(body) if version == 2 else body for body in (stderr, stdout, object_file)]
    return head + b"".join(
        name + b"%08x" % len(body) + body for name, body in zip((b"SERR", b"SOUT", b"DOTO"), bodies, strict=True)
    )


async def _token(reader: asyncio.StreamReader, name: bytes, most: int) -> int:
    token = await reader.readexactly(12)
    try:
        number = int(token[4:], 16)
    except ValueError:
        raise WireError(f"{token!r} where {name.decode()} was due") from None
    if token[:4] != name or number > most:
        raise WireError(f"{token!r} where {name.decode()} was due (at most {most})")
    return number
