"""distcc's protocols 1 and 2 from the server's side (distcc 3.4, doc/protocol-1.txt and protocol-2.txt). No I/O.

A token is 4 characters and 8 hexadecimal digits. A request is DIST version, ARGC n, n times ARGV length and text, DOTI
length and preprocessed source. The reply is DONE version, STAT wait status, then SERR, SOUT and DOTO with length and
content. In protocol 2 the contents of DOTI, SERR, SOUT and DOTO are compressed (lzo.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from distplusplus.bridge import lzo

MAX_SOURCE_BYTES = 1 << 30
_MAX_ARGUMENTS = 10_000
# Linux takes at most 6 MiB of arguments and environment (execve(2), "Limits on size of arguments and environment").
_MAX_ARGUMENTS_BYTES = 6 << 20
_TOKEN_BYTES = 12
_HEX = re.compile(rb"[0-9a-fA-F]{8}")


class WireError(Exception):
    """Raised for what is not distcc's protocol."""


@dataclass(frozen=True)
class Request:
    """A job of a distcc client. `body` is the preprocessed source, compressed in protocol 2."""

    version: int
    argv: tuple[str, ...]
    body: bytes

    def source(self) -> bytes:
        """The preprocessed source. Takes long if it is large. Raises WireError."""
        if self.version == 1:
            return self.body
        try:
            return lzo.decompress(self.body, MAX_SOURCE_BYTES)
        except lzo.LzoError as error:
            raise WireError(f"the source is damaged: {error}") from None


class RequestParser:
    """Bytes in, one request out. It holds no more than the largest request that is allowed."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._version = 0
        self._count: int | None = None
        self._argv: list[str] = []
        self._argv_bytes = 0
        self._text_bytes: int | None = None  # of the argument that comes next
        self._body_bytes: int | None = None

    def feed(self, data: bytes) -> Request | None:
        """The request, once it is whole. No data means that nothing more comes. Raises WireError."""
        if not data:
            raise WireError("the client went away before its job was whole")
        self._buffer += data
        while self._step():
            pass
        if self._body_bytes is None or len(self._buffer) < self._body_bytes:
            return None
        if len(self._buffer) > self._body_bytes:
            raise WireError("more bytes follow the request")
        return Request(self._version, tuple(self._argv), bytes(self._buffer))

    def _step(self) -> bool:
        """Takes the next part of the head; False if it is not all there, or the head is at its end."""
        if self._body_bytes is not None:
            return False
        if self._text_bytes is not None:
            if len(self._buffer) < self._text_bytes:
                return False
            self._argv.append(self._take(self._text_bytes).decode("utf-8", "surrogateescape"))
            self._text_bytes = None
            return True
        if len(self._buffer) < _TOKEN_BYTES:
            return False
        if not self._version:
            self._version = self._token(b"DIST", 2)
            if self._version == 0:
                raise WireError("protocol 0 is not known (1 and 2 are)")
        elif self._count is None:
            self._count = self._token(b"ARGC", _MAX_ARGUMENTS)
        elif len(self._argv) < self._count:
            self._text_bytes = self._token(b"ARGV", _MAX_ARGUMENTS_BYTES - self._argv_bytes)
            self._argv_bytes += self._text_bytes
        else:
            self._body_bytes = self._token(b"DOTI", MAX_SOURCE_BYTES)
        return True

    def _token(self, name: bytes, most: int) -> int:
        token = self._take(_TOKEN_BYTES)
        # int() alone would take -0000001, 0x000001 and 0_000001 as well.
        if token[:4] != name or not _HEX.fullmatch(token[4:]) or int(token[4:], 16) > most:
            raise WireError(f"{token!r} where {name.decode()} was due (at most {most})")
        return int(token[4:], 16)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


def wait_status(return_code: int) -> int:
    """The wait status (wait(2)) for a return code as a shell has it: 128 + N if signal N ended the compiler."""
    return return_code - 128 if return_code > 128 else return_code << 8


def reply(version: int, status: int, stderr: bytes, stdout: bytes, object_file: bytes) -> bytes:
    """The whole reply. `status` is a wait status. Takes long if the object is large."""
    head = b"DONE%08xSTAT%08x" % (version, status)
    bodies = [lzo.compress(body) if version == 2 else body for body in (stderr, stdout, object_file)]
    return head + b"".join(
        name + b"%08x" % len(body) + body for name, body in zip((b"SERR", b"SOUT", b"DOTO"), bodies, strict=True)
    )
