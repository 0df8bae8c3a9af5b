"""The agent: one process for each user, started by the first launcher; it ends when it is idle.

It keeps what is useful from one compile to the next: connections to the workers, their load, the compilers' identities,
which headers are plain. It writes none of the user's files and runs none of the user's commands: launchers do that.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
from typing import Final

from distcc_common import __version__
from distcc_common.errors import ConfigurationError
from distplusplus.agent import agent_settings, remote_compile, runtime
from distplusplus.agent.agent_settings import AgentSettings
from distplusplus.agent.headers.header_jobs import HeaderJobs
from distplusplus.agent.launcher_link import (
    BadRequestError,
    Flag,
    LauncherGoneError,
    LauncherLink,
    LauncherRequest,
    Packet,
)
from distplusplus.agent.local_compilers import LocalCompilers
from distplusplus.agent.local_slots import LocalSlots
from distplusplus.agent.notices import Notices
from distplusplus.agent.preprocess.sources import Sources
from distplusplus.agent.remote_compile import NoFallbackError, Shared
from distplusplus.agent.servers.scheduler import Scheduler
from distplusplus.compiler.classify import Local

_KEEP_ALIVE_S: Final = 5.0
_MAX_LOG_BYTES: Final = 1 << 20
# Of one user. A build that runs each compile in a sandbox of its own has a view, and so an agent, for each.
_MAX_AGENTS: Final = 8


def serve(listener: socket.socket) -> None:
    """Serves the launchers that connect to `listener`, a Unix socket with a path, until idle or told to end."""
    # One launcher's garbage is a few hundred objects, none in cycles that hold much: look for them less often.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    asyncio.run(_Agent(listener).run())


class _Agent:
    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._path = runtime.socket_path(listener.getsockname())
        self._inode = _inode(self._path)
        self._tasks: dict[asyncio.Task[None], LauncherLink] = {}
        self._idle_timeout_s = AgentSettings.idle_timeout_s
        self._notices = Notices()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._used_s = loop.time()
        self._shared = Shared(
            Scheduler(), LocalCompilers(), self._notices, LocalSlots(), LocalSlots(), Sources(), HeaderJobs()
        )
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._retire)
        self._listener.setblocking(False)
        loop.add_reader(self._listener.fileno(), self._accept)
        self._notices.log("info", f"agent {__version__} of user {os.getuid()} serves {self._path}")
        self._make_room()
        watch = loop.create_task(self._watch())
        await self._ended.wait()
        watch.cancel()
        await self._shared.scheduler.close()
        self._notices.log("info", "agent ends")

    def _make_room(self) -> None:
        """Asks the agents that have been unused for longest to end, once their compiles have ended."""
        others = [path for path in runtime.sockets(os.path.dirname(self._path)) if path != self._path]
        for path in others[: max(len(others) + 1 - _MAX_AGENTS, 0)]:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
                sock.setblocking(False)
                sock.connect(path)
                sock.send(Packet.STOP)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        link = LauncherLink(sock)
        task = loop.create_task(self._serve(link))
        link.when_gone(task.cancel)
        self._tasks[task] = link
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        self._used_s = asyncio.get_running_loop().time()
        runtime.mark_as_used(self._path)
        if not task.cancelled() and (error := task.exception()):
            self._notices.log("error", f"{type(error).__name__}: {error}")
        if self._listener.fileno() < 0 and not self._tasks:
            self._ended.set()

    async def _serve(self, link: LauncherLink) -> None:
        try:
            if link.peer_uid != os.getuid():
                raise BadRequestError(f"a launcher of user {link.peer_uid}")
            request = await link.request()
            if request is None:
                self._retire()
                return
            await self._answer(link, request)
        except LauncherGoneError:
            return
        except BadRequestError as error:
            self._notices.log("warning", str(error))
        except NoFallbackError as error:
            with contextlib.suppress(LauncherGoneError):
                await link.exit(error.exit_status)
        finally:
            link.close()

    async def _answer(self, link: LauncherLink, request: LauncherRequest) -> None:
        if request.version != __version__:
            self._notices.log("info", f"a launcher of version {request.version}: this agent, {__version__}, ends")
            self._retire()
            await link.refuse_version()
            return
        try:
            settings = agent_settings.load(request.environ)
        except ConfigurationError as error:
            # A command that would run locally anyway must print only what its compiler prints: configure's tests look
            # at every line.
            is_local = isinstance(await remote_compile.classify(request, self._shared), Local)
            self._notices.tell("error", f"{error}; compiling locally", link, "fatal" if is_local else "error")
            await link.compile_locally()
            return
        self._idle_timeout_s = settings.idle_timeout_s
        self._notices.catch_up(link)
        if request.flags & Flag.EXPLAIN:
            from distplusplus.agent import explain_command as explain  # noqa: PLC0415  (seldom)

            await explain.run(link, request, settings, self._shared)
            return
        await remote_compile.run(link, request, settings, self._shared)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(_KEEP_ALIVE_S, self._idle_timeout_s))
            for link in self._tasks.values():
                link.say_alive()
            if _inode(self._path) != self._inode:
                self._retire()  # somebody removed our socket, and another agent may have taken our place
            if not self._tasks and loop.time() - self._used_s >= self._idle_timeout_s:
                self._retire()

    def _retire(self) -> None:
        """Takes no more launchers; ends when those that are here have ended."""
        if self._listener.fileno() < 0:
            return
        if _inode(self._path) == self._inode:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        asyncio.get_running_loop().remove_reader(self._listener.fileno())
        self._listener.close()
        if not self._tasks:
            self._ended.set()


def shorten_log(fd: int) -> None:
    """Empties the log that a launcher opened for us when it has become long."""
    with contextlib.suppress(OSError):
        if os.fstat(fd).st_size > _MAX_LOG_BYTES:
            os.ftruncate(fd, 0)


def _inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None
