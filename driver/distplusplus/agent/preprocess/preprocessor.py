"""From a command to the text that is sent: the launcher runs the preprocessor, and the text is looked at here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from distplusplus.agent.agent_settings import AgentSettings
from distplusplus.agent.launcher_link import LauncherLink, PacketTooLongError, Preprocessed
from distplusplus.agent.local_compile import CompileLocallyError
from distplusplus.agent.local_slots import LocalSlots
from distplusplus.agent.preprocess import preprocessed
from distplusplus.agent.preprocess.sources import Sources
from distplusplus.compiler.classify import Compile
from distplusplus.protocol import compression

# Below it, handing the work to a thread costs more than it saves.
_THREAD_BYTES = 512 * 1024
T = TypeVar("T")


@dataclass(frozen=True)
class Text:
    """What is sent, compressed.

    unexpanded: its macros are left to the server
    warned: the preprocessor had something to say
    why_in_full: why its macros could not be left to the server, with the file's name; "" where that was no question
    """

    content: bytes
    unexpanded: bool = False
    warned: bool = False
    why_in_full: str = ""


class Preprocessor:
    """Of one job."""

    def __init__(
        self,
        link: LauncherLink,
        command: Compile,
        directory: str,
        settings: AgentSettings,
        slots: LocalSlots,
        sources: Sources,
    ) -> None:
        self._link = link
        self._command = command
        self._directory = directory
        self._settings = settings
        self._slots = slots
        self._sources = sources

    async def for_servers(self) -> Text:
        """The text for servers that expand macros: with its macros left as they are, unless it might not mean the same
        then. Raises CompileLocallyError, LauncherGoneError.
        """
        if not self._command.directives:
            return await self.in_full()
        if not self._sources.sees(self._link.peer_pid):
            return await self.in_full("the launcher has mounts of its own")
        if not self._command.leaves_macros:
            return await self._in_full_without_comments()
        if self._sources.expects_suspects(self._directory):
            # What is expected is made first; but what comes of a source must not hang on what was compiled before it.
            made = await self._run(self._command.preprocess)
            if made.failed:
                return await self._finished(made)
            if suspect := await _in_thread_if_large(made.text, partial(self._suspect, made.text)):
                return await self._finished(made, suspect)
        text = await self._unexpanded()
        return text if text.unexpanded else await self.in_full(text.why_in_full)

    async def in_full(self, why: str = "") -> Text:
        """Raises CompileLocallyError, LauncherGoneError."""
        return await self._finished(await self._run(self._command.preprocess), why)

    async def _in_full_without_comments(self) -> Text:
        """In full, unless the compiler would miss the comments. Raises CompileLocallyError, LauncherGoneError."""
        made = await self._run(self._command.preprocess)
        if self._command.fallthrough and not made.failed and not made.warned:
            comment = await asyncio.to_thread(self._fall_through_comment, made.text)
            if comment and (text := await self._unexpanded()).unexpanded:
                return text
        return await self._finished(made)

    async def _unexpanded(self) -> Text:
        """The text with its macros, or why it cannot be sent."""
        made = await self._run(self._command.directives)
        if made.failed or made.warned:
            return Text(b"", why_in_full="the preprocessor has something to say")
        return await _in_thread_if_large(made.text, partial(self._if_plain, made.text))

    def _fall_through_comment(self, data: bytes) -> str | None:
        """The file that has a comment which the compiler reads, if there is one."""
        command = self._command
        return self._sources.fall_through_comment(command.fallthrough, data, command.source, self._directory)

    def _suspect(self, data: bytes) -> str | None:
        return self._sources.suspect(data, self._command.source, self._directory)

    def _if_plain(self, data: bytes) -> Text:
        """The text, or why it cannot be sent."""
        why = self._sources.why_in_full(data, self._command.source, self._directory)
        return Text(b"", why_in_full=why) if why else Text(self._compress(data), unexpanded=True)

    async def _finished(self, made: Preprocessed, why_in_full: str = "") -> Text:
        """Of full preprocessing. Raises CompileLocallyError."""
        if made.failed:
            # It shows the errors again, and any that only the compiler finds.
            raise CompileLocallyError("the preprocessor found an error")
        if made.warned and not self._command.clang and "-Wunused-macros" in self._command.preprocess:
            raise CompileLocallyError("the preprocessor warns, and of unused macros, GCC names other lines with -E")
        if self._command.fallthrough:  # files may be read
            reason = await asyncio.to_thread(self._reason_to_stay, made)
        else:
            reason = await _in_thread_if_large(made.text, partial(self._reason_to_stay, made))
        if reason:
            raise CompileLocallyError(reason)
        content = await _in_thread_if_large(made.text, partial(self._compress, made.text))
        return Text(content, warned=made.warned, why_in_full=why_in_full)

    def _reason_to_stay(self, made: Preprocessed) -> str | None:
        command = self._command
        reason = preprocessed.reason_to_stay(
            made.text, clang=command.clang, warned=made.warned, maps_names=command.maps_names
        )
        if reason or not command.fallthrough:
            return reason
        if not self._sources.sees(self._link.peer_pid):
            return "the launcher has mounts of its own, so its sources cannot be searched for fall-through comments"
        if name := self._fall_through_comment(made.text):
            return f"{name} holds a comment that -Wimplicit-fallthrough={command.fallthrough} reads"
        return None

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
