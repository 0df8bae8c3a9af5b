"""`distplusplus --explain COMMAND`: what would happen to a command, and why."""

from __future__ import annotations

import shlex
import struct
from collections.abc import Iterator

from distplusplus.agent import remote_compile as job
from distplusplus.agent.agent_settings import Settings
from distplusplus.agent.launcher_link import MAX_PACKET_BYTES, Connection, Request
from distplusplus.agent.local_compilers import LocalCompiler
from distplusplus.agent.servers.remote_server import Mismatch, ServerLostError
from distplusplus.agent.servers.reservations import Scheduler
from distplusplus.compiler.classify import Compile, Local


async def run(connection: Connection, request: Request, settings: Settings, shared: job.Shared) -> None:
    """Tells the launcher, and ends it. Raises LauncherGoneError."""
    found = await job.classify(request, shared)
    if isinstance(found, Local):
        lines = [f"here: {found.reason}", f"command: {shlex.join((request.compiler, *request.arguments))}"]
    else:
        lines = await _explain(*found, request, settings, shared.scheduler)
    data = "".join(f"{line}\n" for line in lines).encode(errors="replace")
    for start in range(0, len(data), MAX_PACKET_BYTES - 1):
        await connection.send(b"O" + data[start : start + MAX_PACKET_BYTES - 1])
    await connection.send(b"X" + struct.pack("=i", 0))


async def _explain(
    command: Compile, compiler: LocalCompiler, request: Request, settings: Settings, scheduler: Scheduler
) -> list[str]:
    answers = []
    usable = 0
    for server in scheduler.servers(settings):
        try:
            found = await server.compiler(compiler, settings)
        except ServerLostError as error:
            answers.append(f"server {server.name}: {error}")
            continue
        if isinstance(found, Mismatch):
            answers.append(f"server {server.name}: {found.reason}")
            continue
        usable += 1
        load = f"{server.active + server.others_load} of {server.slots} slots taken"
        answers.append(f"server {server.name}: as {found}; {load}; {server.jobs_done} jobs of ours done")
    where = "on a server" if usable else f"no server can take it now; fallback = {settings.fallback}"
    if not settings.servers:
        where = "here: no servers are configured"
    return [where, *_command_lines(command, compiler, request, settings), *answers]


def _command_lines(command: Compile, compiler: LocalCompiler, request: Request, settings: Settings) -> Iterator[str]:
    yield f"compiler: {compiler.path} {compiler.version} for {compiler.target} ({compiler.digest[:12]})"
    if command.directives and settings.expand_macros == "server":
        yield f"preprocess: {shlex.join((request.compiler, *command.directives))}"
        yield "and, where the server cannot expand the macros or might expand them otherwise:"
    yield f"preprocess: {shlex.join((request.compiler, *command.preprocess))}"
    yield f"compile: {shlex.join((compiler.names[0], *command.remote))}"
    yield f"output: {command.output}" + (", and further files" if command.further_outputs else "")
