"""Remembers who compilers are, for as long as none of their files changes. Asks in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

from distplusplus.compiler.identity import ENVIRONMENT, Examined, Identity, examine, find_program

_MAX_COMPILERS = 1000


class IdentityCache:
    """The compilers of one process."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        """`environ`: what a compiler that is asked who it is gets besides PATH and LC_ALL."""
        self._environ = dict(environ or {})
        self._examined: dict[tuple[str, str], asyncio.Task[Examined]] = {}

    async def find(self, path: str, search_path: str = ENVIRONMENT["PATH"]) -> Identity:
        """Who the compiler at `path` is. `search_path`: the PATH in which GCC would find `as`.

        Raises NotACompilerError.
        """
        key = (path, find_program("as", search_path) or "")
        task = self._examined.get(key)
        if task is None or (task.done() and not _is_good(task)):
            if len(self._examined) >= _MAX_COMPILERS:
                self._examined.clear()
            work = partial(examine, path, self._environ, key[1])
            task = self._examined[key] = asyncio.create_task(asyncio.to_thread(work))
        # A caller that goes away must not take the answer from the others.
        return (await asyncio.shield(task)).identity


def _is_good(task: asyncio.Task[Examined]) -> bool:
    return not task.cancelled() and task.exception() is None and task.result().is_current()
