"""From a command to the text that is sent: the launcher runs the preprocessor, and the text is looked at here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from distplusplus.agent.agent_settings import Settings
from distplusplus.agent.launcher_link import LauncherLink, PacketTooLongError, Preprocessed
from distplusplus.agent.local_compile import CompileLocallyError
from distplusplus.agent.local_slots import LocalSlots
from distplusplus.agent.preprocess import preprocessed
from distplusplus.agent.preprocess.unexpanded import Sources
from distplusplus.compiler.classify import Compile
from distplusplus.protocol import compression

# Below it, handing the work to a thread costs more than it saves.
_THREAD_BYTES = 512 * 1024
T = TypeVar("T")


@dataclass(frozen=True)
class Text:
    """What is sent, compressed.

    `unexpanded`: its macros are left to the server. `warned`: the preprocessor had something to say.
    """

    content: bytes
    unexpanded: bool = False
    warned: bool = False


class Preprocessor:
    """Of one job."""

    def __init__(
        self, link: LauncherLink, command: Compile, directory: str, settings: Settings, slots: LocalSlots
    ) -> None:
        self._link = link
        self._command = command
        self._directory = directory
        self._settings = settings
        self._slots = slots

    async def for_servers(self, sources: Sources) -> Text:
        """The text for servers that expand macros: with its macros left as they are, unless it might not mean the same
        then. Raises CompileLocallyError, LauncherGoneError.
        """
        if not self._command.directives or not sources.sees(self._link.peer_pid):
            return await self.in_full()
        if sources.expects_suspects(self._directory):
            # What is expected is made first; but what comes of a source must not hang on what was compiled before it.
            made = await self._run(self._command.preprocess)
            if made.failed or await _in_thread_if_large(made.text, partial(self._has_suspects, sources, made.text)):
                return await self._finished(made)
        made = await self._run(self._command.directives)
        if not made.failed and not made.warned:
            text = await _in_thread_if_large(made.text, partial(self._if_plain, sources, made.text))
            if text is not None:
                return text
        return await self.in_full()

    async def in_full(self) -> Text:
        """Raises CompileLocallyError, LauncherGoneError."""
        return await self._finished(await self._run(self._command.preprocess))

    def _has_suspects(self, sources: Sources, data: bytes) -> bool:
        return sources.has_suspects(data, self._command.source, self._directory)

    def _if_plain(self, sources: Sources, data: bytes) -> Text | None:
        if not sources.are_plain(data, self._command.source, self._directory):
            return None
        return Text(self._compress(data), unexpanded=True)

    async def _finished(self, made: Preprocessed) -> Text:
        """Of full preprocessing. Raises CompileLocallyError."""
        if made.failed:
            # It shows the errors again, and any that only the compiler finds.
            raise CompileLocallyError("the preprocessor found an error")
        if made.warned and not self._command.clang and "-Wunused-macros" in self._command.preprocess:
            raise CompileLocallyError("the preprocessor warns, and of unused macros, GCC names other lines with -E")
        reason = preprocessed.reason_to_stay(
            made.text, clang=self._command.clang, warned=made.warned, maps_names=self._command.maps_names
        )
        if reason:
            raise CompileLocallyError(reason)
        content = await _in_thread_if_large(made.text, partial(self._compress, made.text))
        return Text(content, warned=made.warned)

    async def _run(self, arguments: Sequence[str]) -> Preprocessed:
        async with self._slots.taken(self._settings.preprocess_jobs):
            try:
                return await self._link.preprocess(arguments)
            except PacketTooLongError as error:
                raise CompileLocallyError(str(error)) from None

    def _compress(self, data: bytes) -> bytes:
        return compression.compress(data, self._settings.compress, self._settings.compression_level)


async def _in_thread_if_large(data: bytes, work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work) if len(data) >= _THREAD_BYTES else work()
