"""Compiles that run on this machine: by the launcher itself, at most `local-jobs` at once."""

from __future__ import annotations

from distplusplus.agent.agent_settings import AgentSettings
from distplusplus.agent.launcher_link import Flag, LauncherLink, LauncherRequest
from distplusplus.agent.local_slots import LocalSlots


class CompileLocallyError(Exception):
    """Raised when a compile that was to run on a worker runs locally after all; its text tells why."""


async def compile_locally(
    link: LauncherLink, request: LauncherRequest, settings: AgentSettings, slots: LocalSlots, *, bounded: bool
) -> None:
    """Has the launcher run the compiler; waits for a slot if it is `bounded`. Raises LauncherGoneError."""
    # A launcher below another one has the slot of that one.
    if not bounded or request.flags & Flag.NESTED:
        await link.compile_locally()
        return
    async with slots.taken(settings.local_jobs):
        await link.compile_locally(hold=True)
