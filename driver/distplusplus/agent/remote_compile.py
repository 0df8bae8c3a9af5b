"""One compile, from a launcher's request to its end: classify, preprocess, reserve, send, deliver.

A reservation is held only while the job is sent and compiled: everything that takes time on this machine comes before.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass

from distplusplus.agent.agent_settings import AgentSettings
from distplusplus.agent.headers.closure import DoubtError
from distplusplus.agent.headers.header_jobs import HeaderJob, HeaderJobs
from distplusplus.agent.launcher_link import Flag, LauncherLink, LauncherRequest
from distplusplus.agent.local_compile import CompileLocallyError, compile_locally
from distplusplus.agent.local_compilers import LocalCompiler, LocalCompilers, UnknownCompilerError
from distplusplus.agent.local_slots import LocalSlots
from distplusplus.agent.notices import Notices
from distplusplus.agent.preprocess.preprocessor import Preprocessor, Text
from distplusplus.agent.preprocess.sources import Sources
from distplusplus.agent.servers.remote_worker import (
    JobRefusedError,
    PreparedCompile,
    RemoteWorker,
    WorkerFullError,
    WorkerLostError,
)
from distplusplus.agent.servers.reservations import JobNeeds
from distplusplus.agent.servers.scheduler import NoWorkerError, Scheduler
from distplusplus.agent.working_directory import recorded_directory
from distplusplus.compiler import classify as commands
from distplusplus.compiler import response_files, terminal
from distplusplus.compiler.classify import Compile, Local
from distplusplus.compiler.further_outputs import further_output_names
from distplusplus.compiler.names import compiler_name
from distplusplus.compiler.special_files import first_special
from distplusplus.protocol import compression
from distplusplus.protocol import distplusplus_pb2 as pb

_MAX_ATTEMPTS = 4
_MAX_OUTPUT_BYTES = 4 << 30
# They are looked at and sent in the event loop.
_MAX_MESSAGE_CHARACTERS = 4 << 20
# Below it, handing the work to a thread costs more than it saves.
_THREAD_BYTES = 512 * 1024
_EXIT_NO_WORKER = 1


class NoFallbackError(Exception):
    """Raised when no worker can be used and `fallback = fail`: the launcher ends with `exit_status`."""

    exit_status = _EXIT_NO_WORKER


@dataclass(frozen=True)
class Shared:
    """What all compiles of the agent share."""

    scheduler: Scheduler
    compilers: LocalCompilers
    notices: Notices
    local: LocalSlots
    preprocessing: LocalSlots
    sources: Sources
    headers: HeaderJobs


async def run(link: LauncherLink, request: LauncherRequest, settings: AgentSettings, shared: Shared) -> None:
    """Serves one launcher. Raises LauncherGoneError, BadRequestError, NoFallbackError."""

    def notice(level: str, text: str) -> None:
        shared.notices.tell(level, text, link, settings.log_level)

    task = await classify(request, shared)
    bounded = True
    try:
        if isinstance(task, Local):
            bounded = task.bounded
            raise CompileLocallyError(task.reason)
        if not settings.servers:
            notice("warning", "no servers are configured (see distplusplus.toml(5)); compiling locally")
            raise CompileLocallyError("no servers")
        await _RemoteCompile(link, request, settings, shared, *task, notice).run()
    except CompileLocallyError as error:
        shared.notices.log("info", f"local: {error}: {_command_line(request)}")
        await compile_locally(link, request, settings, shared.local, bounded=bounded)


async def classify(request: LauncherRequest, shared: Shared) -> Local | tuple[Compile, LocalCompiler]:
    """What the command is, and by which compiler."""
    if compiler_name(request.compiler) is None:
        return Local(f"{os.path.basename(request.compiler)} is not a known compiler", bounded=False)
    try:
        expanded = response_files.expand(request.arguments, request.directory)
        compiler = await shared.compilers.find(request.compiler, request.environ.get("PATH", os.defpath))
    except response_files.ResponseFileError as error:
        return Local(str(error))
    except UnknownCompilerError as error:
        return Local(str(error), bounded=False)
    environ = request.environ
    clang = compiler.clang
    for_terminal = []
    if request.flags & Flag.TERMINAL:
        for_terminal = terminal.arguments(environ, clang=clang, version=compiler.version)
    found = commands.classify(
        request.compiler,
        expanded,
        environ,
        clang=clang,
        version=compiler.version,
        for_terminal=for_terminal,
        directory=request.directory,
    )
    if isinstance(found, Local):
        return found
    if special := first_special(found.files, request.directory):
        return Local(f"{special} is a pipe or a device, which can be read only once")
    return found, compiler


class _RemoteCompile:
    """A compile that a worker is to do. Raises CompileLocallyError."""

    def __init__(
        self,
        link: LauncherLink,
        request: LauncherRequest,
        settings: AgentSettings,
        shared: Shared,
        command: Compile,
        compiler: LocalCompiler,
        notice: Callable[[str, str], None],
    ) -> None:
        self._link = link
        self._request = request
        self._settings = settings
        self._shared = shared
        self._command = command
        self._compiler = compiler
        self._notice = notice
        self._directory = _recorded_directory(link, request)
        self._preprocessor = Preprocessor(
            link, command, request.directory, settings, shared.preprocessing, shared.sources
        )

    async def run(self) -> None:
        """Raises CompileLocallyError, NoFallbackError, LauncherGoneError, BadRequestError."""
        scheduler = self._shared.scheduler
        job = JobNeeds(self._compiler, self._settings, self._notice, command=self._command)
        workers = await self._wait_for_workers(job)
        if await self._compile_with_headers(workers):
            return
        text = await self._preprocess(workers)
        while True:
            job.unexpanded = text.unexpanded
            try:
                worker, answer = await reserve_and_send(scheduler, job, self._prepared(text))
                break
            except NoWorkerError as error:
                job.unexpanded = False
                if text.unexpanded and scheduler.usable_now(job):
                    text = await self._preprocessor.in_full()  # for those that are left
                else:
                    await self._without_worker(error)
        await self._deliver(worker, answer, text)

    async def _compile_with_headers(self, workers: tuple[RemoteWorker, ...]) -> bool:
        """Whether a worker did the compile from source and headers. Raises CompileLocallyError."""
        if not self._settings.header_jobs or not any(worker.takes_header_jobs for worker in workers):
            return False
        command, directory = self._command, self._request.directory
        headers = self._shared.headers
        try:
            header_job = await headers.make(command, self._compiler, directory, self._directory, self._request.environ)
        except DoubtError as error:
            self._shared.notices.log("info", f"preprocessed: {error}: {command.source}")
            return False
        job = JobNeeds(self._compiler, self._settings, self._notice, with_headers=True)
        prepared = PreparedCompile(command, self._compiler, pb.File(), self._directory, header_job=header_job)
        try:
            worker, answer = await reserve_and_send(self._shared.scheduler, job, prepared)
        except NoWorkerError as error:
            self._shared.notices.log("info", f"preprocessed: {error}: {command.source}")
            return False
        if answer.returnCode != 0 and _lacks_a_file(answer.stderr):
            headers.remember_failure(command.source, directory)
            self._shared.notices.log("info", f"preprocessed: {worker.name} lacked a file: {command.source}")
            return False
        await self._deliver_header_job(worker, answer, header_job)
        return True

    async def _deliver_header_job(self, worker: RemoteWorker, answer: pb.CompileAnswer, job: HeaderJob) -> None:
        self._shared.notices.log("info", f"{worker.name}: status {answer.returnCode}: {job.source} (with headers)")
        if answer.returnCode != 0 and self._settings.fallback == "local":
            raise CompileLocallyError(f"{worker.name}: the compiler ended with status {answer.returnCode}")
        if "\x1b[" in answer.stderr and "GCC_COLORS" in self._request.environ:
            raise CompileLocallyError("messages in colours of the user's own (GCC_COLORS)")
        if answer.returnCode == 0:
            if job.command.dependencies is not None:
                rules = [f.file for f in answer.furtherOutput if f.kind == pb.FurtherOutput.DEPENDENCIES]
                if len(rules) != 1:
                    raise CompileLocallyError(f"{worker.name} sent no dependencies")
                await self._write_file(worker, job.command.dependencies, rules[0])
            if not answer.HasField("outputFile"):
                raise CompileLocallyError(f"{worker.name} sent no object")
            await self._write_file(worker, self._command.output, answer.outputFile)
        await self._link.show(answer.stdout)
        await self._link.show(answer.stderr, errors=True)
        await self._link.exit(answer.returnCode)

    async def _wait_for_workers(self, job: JobNeeds) -> tuple[RemoteWorker, ...]:
        """Before anything is preprocessed: is there a worker at all? Those that are known by now."""
        while True:
            try:
                return await self._shared.scheduler.usable(job)
            except NoWorkerError as error:
                await self._without_worker(error)

    async def _without_worker(self, error: NoWorkerError) -> None:
        """What `fallback` says: returns to try again, or raises CompileLocallyError or NoFallbackError."""
        if error.refused:
            self._notice("info", f"{self._command.source}: {error}; compiling locally")
            raise CompileLocallyError(str(error))
        if self._settings.fallback == "wait":
            self._notice("warning", f"no server can be used ({error}); waiting for one (fallback = wait)")
            await self._shared.scheduler.wait_for_change(self._settings)
            return
        if self._settings.fallback == "fail":
            self._notice("error", f"no server can be used ({error}); fallback = fail")
            raise NoFallbackError
        self._notice("warning", f"no server can be used ({error}); compiling locally")
        raise CompileLocallyError(str(error))

    async def _preprocess(self, workers: tuple[RemoteWorker, ...]) -> Text:
        """In the form that all of these workers take. Raises CompileLocallyError, LauncherGoneError."""
        if self._settings.expand_macros == "server" and all(worker.expands_macros for worker in workers):
            return await self._preprocessor.for_servers()
        return await self._preprocessor.in_full()

    def _prepared(self, text: Text) -> PreparedCompile:
        file = pb.File(compressionType=self._settings.compress, content=text.content)
        return PreparedCompile(self._command, self._compiler, file, self._directory, text.unexpanded)

    async def _deliver(self, worker: RemoteWorker, answer: pb.CompileAnswer, text: Text) -> None:
        """Has the launcher write the outputs and end. Raises CompileLocallyError."""
        how = " (macros expanded there)" if text.unexpanded else ""
        if text.why_in_full:
            how = f" (preprocessed in full: {text.why_in_full})"
        self._shared.notices.log("info", f"{worker.name}: status {answer.returnCode}: {self._command.source}{how}")
        if reason := self._reason_to_compile_locally(answer, text):
            raise CompileLocallyError(f"{worker.name}: {reason}")
        if answer.returnCode == 0:
            await self._write_outputs(worker, answer)
        await self._link.show(answer.stdout)
        await self._link.show(answer.stderr, errors=True)
        await self._link.exit(answer.returnCode)

    def _reason_to_compile_locally(self, answer: pb.CompileAnswer, text: Text) -> str | None:
        """Why the worker's answer is not what a local compile would give."""
        if len(answer.stdout) + len(answer.stderr) > _MAX_MESSAGE_CHARACTERS:
            return "its messages are too long"
        if answer.returnCode != 0:
            # The local compiler shows the lines of the source, which the worker does not have. It also decides where
            # only preprocessing makes a difference, as with -Werror.
            failed = f"the compiler ended with status {answer.returnCode}"
            return failed if self._settings.fallback == "local" else None
        if text.warned and answer.stderr:
            # What each of them would say in one run is in another order, and some of it is said by both.
            return "the preprocessor and the compiler both warn"
        if "\x1b[" in answer.stderr and "GCC_COLORS" in self._request.environ:
            return "messages in colours of the user's own (GCC_COLORS)"
        if not text.unexpanded and commands.is_changed_by_preprocessing(answer.stderr):
            return "a warning that may come from preprocessing"
        return None if answer.HasField("outputFile") else "sent no object"

    async def _write_outputs(self, worker: RemoteWorker, answer: pb.CompileAnswer) -> None:
        """The object last: whoever sees it may look for the others. Raises CompileLocallyError."""
        directory = os.path.dirname(self._command.output)
        expected = further_output_names(self._command.output, self._command.extras)
        for further in answer.furtherOutput:
            # A worker must not choose which file of the user is written.
            extra = expected.pop(further.file.name, None)
            if extra is None or further.kind != pb.FurtherOutput.Kind.Value(extra.name):
                reason = f"{worker.name} sent a file that was not asked for: {further.file.name!r}"
                self._notice("warning", f"{reason}; compiling locally")
                raise CompileLocallyError(reason)
            await self._write_file(worker, os.path.join(directory, further.file.name), further.file)
        await self._write_file(worker, self._command.output, answer.outputFile)

    async def _write_file(self, worker: RemoteWorker, name: str, file: pb.File) -> None:
        fd = os.memfd_create("distplusplus-output", os.MFD_CLOEXEC)
        try:
            if len(file.content) >= _THREAD_BYTES:
                await asyncio.to_thread(_write_content, fd, file)
            else:
                _write_content(fd, file)
            await self._link.write_file(name, fd)
        except compression.CompressionError as error:
            self._notice("warning", f"{worker.name}: the object came damaged: {error}; compiling locally")
            raise CompileLocallyError(str(error)) from None
        finally:
            os.close(fd)


def _recorded_directory(link: LauncherLink, request: LauncherRequest) -> str:
    """Raises CompileLocallyError."""
    directory = recorded_directory(request.directory, request.environ, link.peer_pid)
    try:
        directory.encode()
    except UnicodeEncodeError:
        raise CompileLocallyError("the directory's name is not UTF-8, which the protocol needs") from None
    return directory


async def reserve_and_send(
    scheduler: Scheduler, job: JobNeeds, prepared: PreparedCompile, patience_s: float | None = None
) -> tuple[RemoteWorker, pb.CompileAnswer]:
    """Tries one worker after the other until one answers. Waits at most `patience_s` for each slot.

    Raises NoWorkerError.
    """
    for _ in range(_MAX_ATTEMPTS):
        try:
            async with asyncio.timeout(patience_s) as waiting, scheduler.reservation(job) as reservation:
                waiting.reschedule(None)
                worker = reservation.worker
                try:
                    return worker, await reservation.run(prepared)
                except WorkerFullError:
                    pass  # the reservation had run out
                except WorkerLostError as error:
                    job.tell_loss(worker, error)
                except JobRefusedError as error:
                    job.refused_by[worker] = str(error)
        except TimeoutError:
            raise NoWorkerError(f"no slot became free within {patience_s:g} s", refused=True) from None
    raise NoWorkerError(f"{_MAX_ATTEMPTS} attempts failed, the last on {worker.name}", refused=True)


def _write_content(fd: int, file: pb.File) -> None:
    for chunk in compression.iter_unpacked(file, _MAX_OUTPUT_BYTES):
        view = memoryview(chunk)
        while view:
            view = view[os.write(fd, view) :]


def _lacks_a_file(messages: str) -> bool:
    """As GCC and clang say it of an #include; the file may be there for the local compiler."""
    return "No such file or directory" in messages or "file not found" in messages


def _command_line(request: LauncherRequest) -> str:
    return " ".join((os.path.basename(request.compiler), *request.arguments))[:300]
