"""Gives memory back to the system after large jobs.

The C library keeps what is freed: blocks of up to 32 MiB once some have been freed, and the many small ones that gRPC
receives a message in. After large jobs that is hundreds of MiB; mallopt(3), malloc_trim(3).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes

_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 1 << 20
_PAUSE_S = 0.5
_libc = ctypes.CDLL(None)


def keep_no_large_blocks() -> None:
    """From now on, blocks of 1 MiB and more go back to the system when they are freed."""
    with contextlib.suppress(AttributeError):  # musl has none of this, and always gives large blocks back
        _libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


class Trimmer:
    """Trims the heap a moment after something large has gone."""

    def __init__(self) -> None:
        self._pending: asyncio.TimerHandle | None = None

    def something_went(self, size_bytes: int) -> None:
        """Something of `size_bytes` is about to be freed."""
        if size_bytes >= _LARGE_BYTES and self._pending is None:
            self._pending = asyncio.get_running_loop().call_later(_PAUSE_S, self._trim)

    def _trim(self) -> None:
        self._pending = None
        with contextlib.suppress(AttributeError):
            asyncio.get_running_loop().run_in_executor(None, _libc.malloc_trim, 0)
