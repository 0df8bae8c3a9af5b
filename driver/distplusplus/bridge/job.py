"""One job of a distcc client, from its connection to the reply: who asks, what for, on a worker or locally."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from distcc_common import messages
from distplusplus.agent.agent_settings import AgentSettings
from distplusplus.agent.local_compilers import LocalCompiler, LocalCompilers, UnknownCompilerError, find_in_path
from distplusplus.agent.local_slots import LocalSlots
from distplusplus.agent.preprocess import preprocessed
from distplusplus.agent.remote_compile import reserve_and_send
from distplusplus.agent.servers.grpc_worker import GrpcWorker
from distplusplus.agent.servers.remote_worker import Mismatch, PreparedCompile, WorkerLostError
from distplusplus.agent.servers.reservations import JobNeeds
from distplusplus.agent.servers.scheduler import NoWorkerError, Scheduler
from distplusplus.bridge import distcc_command, local_run
from distplusplus.bridge import distcc_wire as wire
from distplusplus.bridge.distcc_client import DistccClient, UnknownClientError, find_client
from distplusplus.bridge.local_run import LocalCommand, NoObjectError
from distplusplus.compiler.classify import Compile, Local, classify
from distplusplus.compiler.names import compiler_name
from distplusplus.protocol import compression
from distplusplus.protocol import distplusplus_pb2 as pb

_CHUNK_BYTES = 256 * 1024
_MAX_OBJECT_BYTES = 1 << 30
# A server of the first implementation has no queue. Its own clients ask it again and again without a pause, so beside
# them others may never get a slot; they give up after as long.
_PATIENCE_S = 10.0


class StaysLocalError(Exception):
    """Raised when no worker does a job, so that the bridge compiles locally. `told`: the user should know why."""

    def __init__(self, reason: str, *, told: bool = False) -> None:
        super().__init__(reason)
        self.told = told


class NoAnswerError(Exception):
    """Raised when a job gets no answer: distcc then compiles locally, and leaves the worker alone for a while."""


@dataclass(frozen=True)
class Context:
    """What the jobs that distcc gives to one worker share. `tell` shows the user a message."""

    worker: GrpcWorker
    settings: AgentSettings  # which name this worker alone
    all_workers: AgentSettings
    scheduler: Scheduler
    compilers: LocalCompilers
    slots: LocalSlots
    tell: Callable[[str], None]


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: Context) -> None:
    """Serves one connection of a distcc client, which has one job."""
    try:
        addresses = (writer.get_extra_info(name) for name in ("peername", "sockname"))
        client = await asyncio.to_thread(find_client, *addresses)
        request = await _read(reader)
        reply = await _unless_gone(reader, _BridgeJob(client, request, context).reply())
        if reply is not None:
            writer.write(reply)
            await writer.drain()
    except UnknownClientError as error:
        context.tell(f"a connection was closed: {error}")
    except NoAnswerError as error:
        context.tell(str(error))
    except (wire.WireError, OSError) as error:
        messages.trace(f"{context.worker.name}: {error}")
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader) -> wire.Request:
    """Raises WireError, OSError."""
    parser = wire.RequestParser()
    while True:
        if request := parser.feed(await reader.read(_CHUNK_BYTES)):
            return request


async def _unless_gone(reader: asyncio.StreamReader, job: Coroutine[Any, Any, bytes]) -> bytes | None:
    """What the job returns; None if the client is killed before. Then its compiler is stopped."""
    task = asyncio.ensure_future(job)
    gone = asyncio.ensure_future(_wait_for_end(reader))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait({task})
        return None
    finally:
        for future in (task, gone):
            future.cancel()


async def _wait_for_end(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        await reader.read(1)


class _BridgeJob:
    """A job that was read."""

    def __init__(self, client: DistccClient, request: wire.Request, context: Context) -> None:
        self._client = client
        self._request = request
        self._context = context
        # distcc has taken arguments away and may have exchanged the compiler. What counts is what the user called.
        self._name, self._arguments = distcc_command.called_compiler(client.argv)
        path = client.environ.get("PATH", os.defpath)
        self._path = distcc_command.absolute_path_list(path, client.directory)

    async def reply(self) -> bytes:
        """Raises NoAnswerError, WireError, OSError."""
        program = self._find(self._name)
        if program is None:
            raise NoAnswerError(f"{self._name} is not in the PATH of its distcc client")
        try:
            prepared = await self._prepare(program)
            return await self._deliver(await self._compile(prepared))
        except StaysLocalError as error:
            if pipe := distcc_command.read_once(self._arguments):
                raise NoAnswerError(
                    f"{error}; and {pipe} was read, so the object that distcc makes may be wrong"
                ) from None
            text = f"{error}; compiling locally"
            (self._context.tell if error.told else messages.trace)(text)
        return await self._compile_locally(program)

    async def _prepare(self, program: str) -> PreparedCompile:
        """The compile, ready to be sent. Raises StaysLocalError, WireError."""
        if compiler_name(program) is None:
            raise StaysLocalError(f"{program} is no compiler that is known")
        try:
            compiler = await self._context.compilers.find(program, self._path)
        except UnknownCompilerError as error:
            raise StaysLocalError(str(error), told=True) from None
        # What was read from a pipe is in the text already, and distcc does not send the argument.
        arguments = self._request.argv[1:] if distcc_command.read_once(self._arguments) else self._arguments
        command = classify(program, arguments, self._client.environ, clang=compiler.clang, version=compiler.version)
        if isinstance(command, Local):
            raise StaysLocalError(command.reason)
        self._check(command, compiler, program)
        content = await asyncio.to_thread(self._compressed, command)
        file = pb.File(compressionType=self._context.settings.compress, content=content)
        return PreparedCompile(command, compiler, file, self._client.working_directory)

    def _check(self, command: Compile, compiler: LocalCompiler, program: str) -> None:
        """Whether distcc keeps the meaning of the command. Raises StaysLocalError."""
        if command.further_outputs:
            raise StaysLocalError(f"{command.source}: distcc takes one output file")
        if distcc_command.misplaces_dependencies(self._arguments, command.source, command.output):
            raise StaysLocalError(
                "distcc would write another dependency file than the compiler (-MMD or -MD with -o; name it with -MF"
                " and -MT)",
                told=True,
            )
        sent = self._request.argv
        preprocessed_by = self._find(sent[0]) if sent else None
        if preprocessed_by is None or not _are_same_program(preprocessed_by, program):
            raise StaysLocalError(f"distcc preprocessed with {sent[:1]}, which is not {program}", told=True)
        added = distcc_command.added_targets(self._arguments, sent)
        if added and (distcc_command.names_target(self._arguments) or added != [compiler.target]):
            raise StaysLocalError("distcc changed the target (set DISTCC_NO_REWRITE_CROSS=1)", told=True)
        try:
            self._client.working_directory.encode()
        except UnicodeEncodeError:
            raise StaysLocalError("the directory's name is not UTF-8, which the protocol needs") from None

    def _compressed(self, command: Compile) -> bytes:
        """Raises StaysLocalError, WireError."""
        source = self._request.source()
        if reason := preprocessed.reason_to_stay(source, clang=command.clang, maps_names=command.maps_names):
            raise StaysLocalError(f"{command.source}: {reason}")
        settings = self._context.settings
        return compression.compress(source, settings.compress, settings.compression_level)

    async def _compile(self, prepared: PreparedCompile) -> pb.CompileAnswer:
        """On the worker that distcc chose, or on another one if that one cannot do this job. Waits while it is full.

        Raises StaysLocalError, NoAnswerError.
        """
        context = self._context
        worker, compiler = context.worker, prepared.compiler
        job = JobNeeds(compiler, context.settings, self._notice, command=prepared.command)
        patience_s = None if worker.extended else _PATIENCE_S
        try:
            found = await worker.find_compiler(compiler, context.settings)
            if isinstance(found, Mismatch):
                raise NoWorkerError(f"{worker.name}: {found.reason}", refused=True)
            return (await reserve_and_send(context.scheduler, job, prepared, patience_s))[1]
        except WorkerLostError as error:
            raise NoAnswerError(f"{error}; its jobs go elsewhere") from None
        except NoWorkerError as error:
            if not error.refused:
                raise NoAnswerError(f"{error}; its jobs go elsewhere") from None
            reason = str(error)
        try:
            job = JobNeeds(
                compiler, context.all_workers, self._notice, command=prepared.command, refused_by={worker: reason}
            )
            return (await reserve_and_send(context.scheduler, job, prepared, patience_s))[1]
        except NoWorkerError:
            raise StaysLocalError(reason, told=True) from None

    async def _deliver(self, answer: pb.CompileAnswer) -> bytes:
        """The reply for an answer. Raises StaysLocalError."""
        if answer.returnCode != 0:
            # distcc compiles again what has failed. If it succeeds then, it takes the worker for dead.
            raise StaysLocalError(f"the worker's compiler ended with status {answer.returnCode}")
        if not answer.HasField("outputFile"):
            raise StaysLocalError("no object came back", told=True)
        try:
            return await asyncio.to_thread(self._reply_of, answer)
        except compression.CompressionError as error:
            raise StaysLocalError(f"the object came damaged: {error}", told=True) from None

    def _reply_of(self, answer: pb.CompileAnswer) -> bytes:
        content = compression.unpack(answer.outputFile, _MAX_OBJECT_BYTES)
        return wire.reply(self._request.version, 0, answer.stderr.encode(), answer.stdout.encode(), content)

    async def _compile_locally(self, program: str) -> bytes:
        """Raises NoAnswerError."""
        output = distcc_command.output_of(self._request.argv)
        if output is None:
            raise NoAnswerError(f"a job of {self._name} names no output")
        command = LocalCommand(program, self._name, self._arguments, output)
        context = self._context
        try:
            return await local_run.run(
                self._client, command, self._request.version, context.slots, context.settings.local_jobs
            )
        except (NoObjectError, OSError) as error:
            raise NoAnswerError(f"cannot compile locally: {error}") from None

    def _find(self, name: str) -> str | None:
        """The program that the client calls by this name."""
        if "/" in name:
            return os.path.join(self._client.directory, name)
        return find_in_path(name, self._path)

    def _notice(self, level: str, text: str) -> None:
        if level in ("warning", "error"):
            self._context.tell(text)
        else:
            messages.trace(text)


def _are_same_program(one: str, other: str) -> bool:
    """Whether two names mean the same compiler. A C++ compiler may be the C compiler's file by another name."""
    return os.path.realpath(one) == os.path.realpath(other) and _is_cxx(one) == _is_cxx(other)


def _is_cxx(program: str) -> bool:
    return "++" in os.path.basename(program)
