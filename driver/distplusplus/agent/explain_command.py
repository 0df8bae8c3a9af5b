"""`distplusplus --explain COMMAND`: says what would happen to a command, and why."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from distcc_common.messages import printable
from distplusplus.agent.agent_settings import AgentSettings
from distplusplus.agent.headers.closure import DoubtError
from distplusplus.agent.launcher_link import LauncherLink, LauncherRequest
from distplusplus.agent.local_compilers import LocalCompiler
from distplusplus.agent.remote_compile import Shared, classify
from distplusplus.agent.servers.remote_worker import Mismatch, WorkerLostError
from distplusplus.compiler.classify import Compile, Local


async def run(link: LauncherLink, request: LauncherRequest, settings: AgentSettings, shared: Shared) -> None:
    """Has the launcher print it and end. Raises LauncherGoneError."""
    found = await classify(request, shared)
    if isinstance(found, Local):
        lines = [f"local: {found.reason}", f"command: {shlex.join((request.compiler, *request.arguments))}"]
    else:
        lines = await _explain(*found, request, settings, shared)
    await link.show("".join(f"{printable(line)}\n" for line in lines))
    await link.exit(0)


async def _explain(
    command: Compile, compiler: LocalCompiler, request: LauncherRequest, settings: AgentSettings, shared: Shared
) -> list[str]:
    answers = []
    usable = takes_headers = 0
    for worker in shared.scheduler.workers(settings):
        try:
            found = await worker.find_compiler(compiler, settings)
        except WorkerLostError as error:
            answers.append(f"server {worker.name}: {error}")
            continue
        if isinstance(found, Mismatch):
            answers.append(f"server {worker.name}: {found.reason}")
            continue
        usable += 1
        takes_headers += worker.takes_header_jobs
        load = f"{worker.load * worker.slots:.0f} of {worker.slots} slots taken"
        answers.append(f"server {worker.name}: as {found}; {load}; {worker.jobs_done} of our jobs done")
    where = "on a server" if usable else f"no server can take it now; fallback = {settings.fallback}"
    if not settings.servers:
        where = "local: no servers are configured"
    headers = await _headers_line(command, compiler, request, shared) if settings.header_jobs and takes_headers else []
    return [where, *headers, *_command_lines(command, compiler, request, settings), *answers]


async def _headers_line(
    command: Compile, compiler: LocalCompiler, request: LauncherRequest, shared: Shared
) -> list[str]:
    directory = request.directory
    try:
        job = await shared.headers.make(command, compiler, directory, directory, request.environ)
    except DoubtError as error:
        return [f"preprocessed locally: {error}"]
    sent, own = len(job.inputs.files), len(job.inputs.own)
    return [f"not preprocessed locally: {sent} files are sent, {own} headers are the compiler's own; otherwise:"]


def _command_lines(
    command: Compile, compiler: LocalCompiler, request: LauncherRequest, settings: AgentSettings
) -> Iterator[str]:
    yield f"compiler: {compiler.path} {compiler.version} for {compiler.target} ({compiler.digest[:12]})"
    if command.leaves_macros and settings.expand_macros == "server":
        yield f"preprocess: {shlex.join((request.compiler, *command.directives))}"
        yield "or, if the server cannot expand the macros or might expand them differently:"
    yield f"preprocess: {shlex.join((request.compiler, *command.preprocess))}"
    yield f"compile: {shlex.join((compiler.names[0], *command.remote))}"
    yield f"output: {command.output}" + (", and further files" if command.further_outputs else "")
