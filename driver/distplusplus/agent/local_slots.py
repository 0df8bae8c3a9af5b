"""How much runs on this machine at once: slots, given out in the order in which they were asked for."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator


class LocalSlots:
    """A semaphore whose limit comes with each request, as settings may differ from job to job."""

    def __init__(self) -> None:
        self.used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @contextlib.asynccontextmanager
    async def taken(self, limit: int) -> AsyncIterator[None]:
        """A slot for the block's duration; waits until fewer than `limit` are used."""
        if self._waiting or self.used >= limit:
            granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((limit, granted))
            try:
                await granted
            except asyncio.CancelledError:
                if granted.done() and not granted.cancelled():
                    self._free()
                raise
        else:
            self.used += 1
        try:
            yield
        finally:
            self._free()

    def _free(self) -> None:
        self.used -= 1
        while self._waiting and (self._waiting[0][1].done() or self.used < self._waiting[0][0]):
            _, granted = self._waiting.popleft()
            if not granted.done():
                self.used += 1
                granted.set_result(None)
