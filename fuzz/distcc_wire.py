"""Atheris target: what could come to the bridge in place of a distcc client's job.

    python -m fuzz.distcc_wire -max_total_time=60      (pip install atheris)

The properties: for any bytes there is a request, "more is needed" or WireError, never another exception; the pieces in
which the bytes come make no difference; and what this package compresses it can decompress.
"""

from __future__ import annotations

import contextlib
import sys

import atheris

with atheris.instrument_imports(include=["distplusplus"]):
    from distplusplus.bridge import lzo
    from distplusplus.bridge.distcc_wire import Request, RequestParser, WireError

_TOKENS = [b"DIST", b"ARGC", b"ARGV", b"DOTI"]
_NUMBERS = [0, 1, 2, 3, 10, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
_MAX_CONTENT_BYTES = 1 << 20


def main() -> None:
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


def test_one_input(data: bytes) -> None:
    """What atheris calls."""
    provider = atheris.FuzzedDataProvider(data)
    stream = _stream(provider)
    whole = _read([stream] if stream else [])
    cuts = sorted(provider.ConsumeIntInRange(0, len(stream)) for _ in range(provider.ConsumeIntInRange(0, 4)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    in_pieces = _read([piece for piece in pieces if piece])
    # Whether more bytes follow a request is seen only if they come along with it.
    assert whole == in_pieces or isinstance(in_pieces, Request), (stream, cuts)
    _decompress(provider.ConsumeBytes(100))
    content = provider.ConsumeBytes(600)
    assert lzo.decompress(lzo.compress(content), len(content)) == content


def _stream(provider: atheris.FuzzedDataProvider) -> bytes:
    """A job of a client, of which any part may be another one."""
    parts: list[bytes] = []
    if provider.ConsumeBool():
        words = [provider.ConsumeBytes(5) for _ in range(provider.ConsumeIntInRange(0, 3))]
        parts += [b"DIST%08x" % provider.ConsumeIntInRange(1, 2), b"ARGC%08x" % len(words)]
        parts += [b"ARGV%08x%s" % (len(word), word) for word in words]
        body = provider.ConsumeBytes(30)
        parts.append(b"DOTI%08x%s" % (len(body), body))
    for _ in range(provider.ConsumeIntInRange(0, 6)):
        token = _TOKENS[provider.ConsumeIntInRange(0, 3)]
        number = _NUMBERS[provider.ConsumeIntInRange(0, len(_NUMBERS) - 1)]
        part = token + b"%08x" % number + provider.ConsumeBytes(provider.ConsumeIntInRange(0, 12))
        parts.insert(provider.ConsumeIntInRange(0, len(parts)), part)
    return b"".join(parts)


def _read(pieces: list[bytes]) -> Request | str | None:
    """The request, the reason for there being none, or None where the bytes are not enough."""
    parser = RequestParser()
    try:
        for piece in pieces:
            if request := parser.feed(piece):
                return request
    except WireError as error:
        return str(error)
    return None


def _decompress(data: bytes) -> None:
    with contextlib.suppress(lzo.LzoError):
        assert len(lzo.decompress(data, _MAX_CONTENT_BYTES)) <= _MAX_CONTENT_BYTES


if __name__ == "__main__":
    main()
