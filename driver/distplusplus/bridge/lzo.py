"""LZO1X, the compression of distcc's protocol 2. Pure.

The driver asks for protocol 1, so this is for users who write `,lzo` behind a host: it is complete, not fast.
Format: Documentation/staging/lzo.rst of Linux. We write literals only.
"""

from __future__ import annotations

_END = b"\x11\x00\x00"
_SHORT = 238  # literals that the first byte alone can announce


class LzoError(ValueError):
    """Raised for data that is not LZO1X, or is cut short."""


def compress(data: bytes) -> bytes:
    """`data` as an LZO1X stream. Empty data stays empty, as in distcc."""
    if not data:
        return b""
    if len(data) <= _SHORT:
        return bytes([17 + len(data)]) + data + _END
    zeros, last = divmod(len(data) - 19, 255)
    return bytes(1 + zeros) + bytes([last + 1]) + data + _END


def decompress(data: bytes, max_bytes: int) -> bytes:
    """The content of an LZO1X stream, at most `max_bytes`. Raises LzoError."""
    if not data:
        return b""
    try:
        return _Decoder(data, max_bytes).run()
    except IndexError:
        raise LzoError(f"cut short after {len(data)} bytes") from None


class _Decoder:
    def __init__(self, data: bytes, max_bytes: int) -> None:
        self._data = data
        self._position = 0
        self._out = bytearray()
        self._max_bytes = max_bytes

    def run(self) -> bytes:
        # How many literals the last instruction ended with; 4: it was a run of them.
        state = 0
        if self._data[0] > 17:
            count = self._byte() - 17
            self._literals(count)
            state = min(count, 4)
        while True:
            first = self._byte()
            if first < 16 and state == 0:
                self._literals(3 + self._length(first, 15))
                state = 4
                continue
            if first < 16:
                length, far = (2, 1) if state < 4 else (3, 2049)
                distance = (self._byte() << 2) + (first >> 2 & 3) + far
                state = first & 3
            elif first < 64:
                length = 2 + (self._length(first & 31, 31) if first >= 32 else self._length(first & 7, 7))
                pair = self._byte() | self._byte() << 8
                distance = (pair >> 2) + (1 if first >= 32 else 16384 + ((first & 8) << 11))
                state = pair & 3
                if first < 32 and distance == 16384:
                    return bytes(self._out)
            else:
                length = 3 + (first >> 5 & 1) if first < 128 else 5 + (first >> 5 & 3)
                distance = (self._byte() << 3) + (first >> 2 & 7) + 1
                state = first & 3
            self._match(distance, length)
            self._literals(state)

    def _byte(self) -> int:
        value = self._data[self._position]
        self._position += 1
        return value

    def _length(self, bits: int, most: int) -> int:
        """A length. If its bits are all 0, it continues in further bytes."""
        if bits:
            return bits
        length = most
        while not (byte := self._byte()):
            length += 255
        return length + byte

    def _literals(self, count: int) -> None:
        end = self._position + count
        if end > len(self._data):
            raise IndexError
        self._room(count)
        self._out += self._data[self._position : end]
        self._position = end

    def _match(self, distance: int, length: int) -> None:
        start = len(self._out) - distance
        if start < 0:
            raise LzoError("a match before the beginning")
        self._room(length)
        # It may reach into what it writes: then it repeats the last `distance` bytes.
        pattern = self._out[start : start + length]
        self._out += (pattern * (length // len(pattern) + 1))[:length]

    def _room(self, count: int) -> None:
        if len(self._out) + count > self._max_bytes:
            raise LzoError(f"more than the {self._max_bytes} bytes that are allowed")
