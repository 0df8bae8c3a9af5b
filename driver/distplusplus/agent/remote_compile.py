"""One launcher's command, from its request to its end."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from distplusplus.agent.agent_settings import Settings
from distplusplus.agent.endings import FailedError, GoHomeError
from distplusplus.agent.launcher_link import FLAG_NESTED, FLAG_TERMINAL, MAX_PACKET_BYTES, Connection, Request
from distplusplus.agent.local_compilers import LocalCompiler, LocalCompilers, UnknownCompilerError
from distplusplus.agent.local_slots import LocalSlots
from distplusplus.agent.notices import Notices
from distplusplus.agent.preprocess.preprocessor import Preprocessor, Text
from distplusplus.agent.preprocess.unexpanded import Sources
from distplusplus.agent.servers.compile_request import compile_request
from distplusplus.agent.servers.remote_server import Server
from distplusplus.agent.servers.reservations import Job, NoServerError, Scheduler
from distplusplus.compiler import classify as arguments
from distplusplus.compiler import response_files, terminal
from distplusplus.compiler.classify import Compile, Local
from distplusplus.compiler.names import compiler_name
from distplusplus.protocol import compression
from distplusplus.protocol import distplusplus_pb2 as pb

_MAX_OUTPUT_BYTES = 4 << 30
# Below it, handing the work to a thread costs more than it saves.
_THREAD_BYTES = 512 * 1024
_EXIT_NO_SERVER = 1
_TEXT_BYTES = MAX_PACKET_BYTES - 1


@dataclass(frozen=True)
class Shared:
    """What all jobs of the agent share."""

    scheduler: Scheduler
    compilers: LocalCompilers
    notices: Notices
    local: LocalSlots
    preprocessing: LocalSlots
    sources: Sources


async def run(connection: Connection, request: Request, settings: Settings, shared: Shared) -> None:
    """Serves one launcher. Raises LauncherGoneError, BadRequestError; a trouble of ours sends the launcher home."""

    def notice(level: str, text: str) -> None:
        shared.notices.tell(level, text, connection, settings.log_level)

    task = await classify(request, shared)
    if isinstance(task, Local):
        shared.notices.log("info", f"here: {task.reason}: {_command_line(request)}")
        await _go_home(connection, request, settings, shared, bounded=task.bounded)
        return
    command, compiler = task
    try:
        if not settings.servers:
            notice("warning", "no servers are configured (see distplusplus.toml(5)); compiling here")
            raise GoHomeError("no servers")
        job = _Remote(connection, request, settings, shared, command, compiler, notice)
        await job.run()
    except GoHomeError as error:
        shared.notices.log("info", f"here: {error}: {_command_line(request)}")
        await _go_home(connection, request, settings, shared, bounded=True)


async def classify(request: Request, shared: Shared) -> Local | tuple[Compile, LocalCompiler]:
    """What the command is, and by which compiler."""
    if compiler_name(request.compiler) is None:
        return Local(f"{os.path.basename(request.compiler)} is no compiler that is known here", bounded=False)
    try:
        expanded = response_files.expand(request.arguments, request.directory)
        compiler = await shared.compilers.find(request.compiler)
    except response_files.ResponseFileError as error:
        return Local(str(error))
    except UnknownCompilerError as error:
        return Local(str(error), bounded=False)
    environ = request.environ
    clang = compiler.clang
    for_terminal = []
    if request.flags & FLAG_TERMINAL:
        for_terminal = terminal.arguments(environ, clang=clang, version=compiler.version)
    found = arguments.classify(
        request.compiler, expanded, environ, clang=clang, version=compiler.version, for_terminal=for_terminal
    )
    if isinstance(found, Compile):
        try:
            request.directory.encode()
        except UnicodeEncodeError:
            return Local("the directory's name is not UTF-8, which the protocol needs")
        return found, compiler
    return found


async def _go_home(
    connection: Connection, request: Request, settings: Settings, shared: Shared, *, bounded: bool
) -> None:
    """Has the launcher run the compiler. One below another launcher has its slot already."""
    if not bounded or request.flags & FLAG_NESTED:
        connection.keep_alive = False
        await connection.send(b"L")
        return
    async with shared.local.taken(settings.local_jobs):
        connection.keep_alive = False
        await connection.send(b"Lh")
        # It keeps its end open for as long as the compiler runs.
        await connection.receive(b"", 0)


class _Remote:
    """A compile that a server is to do."""

    def __init__(
        self,
        connection: Connection,
        request: Request,
        settings: Settings,
        shared: Shared,
        command: Compile,
        compiler: LocalCompiler,
        notice: Callable[[str, str], None],
    ) -> None:
        self._connection = connection
        self._request = request
        self._settings = settings
        self._shared = shared
        self._command = command
        self._compiler = compiler
        self._notice = notice
        self._preprocessor = Preprocessor(connection, command, request.directory, settings, shared.preprocessing)
        self._text = Text(b"")

    async def run(self) -> None:
        """Raises GoHomeError, LauncherGoneError."""
        job = Job(self._compiler, self._settings, self._message, self._command.further_outputs, self._notice)
        self._text = await self._preprocess(await self._until_usable(job))
        while True:
            try:
                server, answer = await self._shared.scheduler.compile(job)
                break
            except NoServerError as error:
                await self._without_server(error)
        await self._deliver(server, answer)

    async def _until_usable(self, job: Job) -> tuple[Server, ...]:
        """Before anything is preprocessed: is there a server at all? Those that are known by now."""
        while True:
            try:
                return await self._shared.scheduler.usable(job)
            except NoServerError as error:
                await self._without_server(error)

    async def _without_server(self, error: NoServerError) -> None:
        """What `fallback` says: returns to try again, or raises GoHomeError or FailedError."""
        if error.refused:
            self._notice("info", f"{self._command.source}: {error}; compiling here")
            raise GoHomeError(str(error))
        if self._settings.fallback == "wait":
            self._notice("warning", f"no server can be used ({error}); waiting for one (fallback = wait)")
            await self._shared.scheduler.wait_for_change(self._settings)
            return
        if self._settings.fallback == "fail":
            self._notice("error", f"no server can be used ({error}); fallback = fail")
            raise FailedError(_EXIT_NO_SERVER)
        self._notice("warning", f"no server can be used ({error}); compiling here")
        raise GoHomeError(str(error))

    async def _preprocess(self, servers: Iterable[Server]) -> Text:
        """Raises GoHomeError, LauncherGoneError."""
        if self._settings.expand_macros == "server" and all(server.expands_macros for server in servers):
            return await self._preprocessor.for_servers(self._shared.sources)
        return await self._preprocessor.in_full()

    async def _message(self, server: Server, name: str) -> pb.CompileRequest:
        if self._text.unexpanded and not server.expands_macros:
            self._text = await self._preprocessor.in_full()
        request = compile_request(
            self._command,
            self._compiler,
            server,
            name,
            pb.File(compressionType=self._settings.compress, content=self._text.content),
            self._request.directory,
        )
        request.directivesOnly = self._text.unexpanded
        return request

    async def _deliver(self, server: Server, answer: pb.CompileAnswer) -> None:
        """Has the launcher write the outputs and end. Raises GoHomeError."""
        how = " (macros expanded there)" if self._text.unexpanded else ""
        self._shared.notices.log("info", f"{server.name}: status {answer.returnCode}: {self._command.source}{how}")
        if answer.returnCode != 0:
            if self._settings.fallback == "local":
                # The compiler here shows the lines of the source, which the server does not have; and it decides where
                # only preprocessing makes a difference, as with -Werror.
                raise GoHomeError(f"{server.name}: the compiler ended with status {answer.returnCode}")
        elif self._text.warned and answer.stderr:
            # What each of them would say in one run is in another order, and some of it is said by both.
            raise GoHomeError(f"{server.name}: the preprocessor and the compiler both warn")
        elif "\x1b[" in answer.stderr and "GCC_COLORS" in self._request.environ:
            raise GoHomeError(f"{server.name}: messages in colours of the user's own (GCC_COLORS)")
        elif not self._text.unexpanded and arguments.is_changed_by_preprocessing(answer.stderr):
            raise GoHomeError(f"{server.name}: a warning that may come from preprocessing")
        elif not answer.HasField("outputFile"):
            raise GoHomeError(f"{server.name} sent no object")
        else:
            directory = os.path.dirname(self._command.output)
            for further in answer.furtherOutput:
                if "/" in further.file.name or further.file.name in ("", ".", ".."):
                    raise GoHomeError(f"{server.name} sent a file named {further.file.name!r}")
                await self._send_file(server, os.path.join(directory, further.file.name), further.file)
            await self._send_file(server, self._command.output, answer.outputFile)
        await self._send_text(b"O", answer.stdout)
        await self._send_text(b"E", answer.stderr)
        await self._connection.send(b"X" + struct.pack("=i", answer.returnCode))

    async def _send_file(self, server: Server, name: str, file: pb.File) -> None:
        fd = os.memfd_create("distplusplus-output", os.MFD_CLOEXEC)
        try:
            if len(file.content) >= _THREAD_BYTES:
                await asyncio.to_thread(_write_content, fd, file)
            else:
                _write_content(fd, file)
            await self._connection.send(b"F" + os.fsencode(name), (fd,))
        except compression.CompressionError as error:
            self._notice("warning", f"{server.name}: the object came damaged: {error}; compiling here")
            raise GoHomeError(str(error)) from None
        finally:
            os.close(fd)

    async def _send_text(self, kind: bytes, text: str) -> None:
        data = text.encode()
        for start in range(0, len(data), _TEXT_BYTES):
            await self._connection.send(kind + data[start : start + _TEXT_BYTES])


def _write_content(fd: int, file: pb.File) -> None:
    for chunk in compression.iter_unpacked(file, _MAX_OUTPUT_BYTES):
        view = memoryview(chunk)
        while view:
            view = view[os.write(fd, view) :]


def _command_line(request: Request) -> str:
    return " ".join((os.path.basename(request.compiler), *request.arguments))[:300]
