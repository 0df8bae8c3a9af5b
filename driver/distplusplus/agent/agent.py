"""The agent: one process a user, started by the first launcher, gone when idle.

It holds what is worth keeping from one compile to the next: connections to the servers, their load, the compilers'
identities, which headers are plain. It writes none of the user's files and runs none of his commands: that is the
launchers' part.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import struct
from typing import Final

from distcc_common import __version__
from distcc_common.errors import ConfigurationError
from distplusplus.agent import agent_settings as settings
from distplusplus.agent import remote_compile as job
from distplusplus.agent import runtime
from distplusplus.agent.endings import FailedError
from distplusplus.agent.launcher_link import FLAG_EXPLAIN, BadRequestError, Connection, LauncherGoneError, Request
from distplusplus.agent.local_compilers import LocalCompilers
from distplusplus.agent.local_slots import LocalSlots
from distplusplus.agent.notices import Notices
from distplusplus.agent.preprocess.unexpanded import Sources
from distplusplus.agent.servers.reservations import Scheduler
from distplusplus.compiler.classify import Local

_KEEP_ALIVE_S: Final = 5.0
_MAX_LOG_BYTES: Final = 1 << 20


def serve(listener: socket.socket) -> None:
    """Serves the launchers that connect to `listener`, a Unix socket with a path, until idle or told to end."""
    # One launcher's garbage is a few hundred objects, none in cycles that hold much: look for them less often.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    asyncio.run(_Agent(listener).run())


class _Agent:
    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        # The launcher binds it beside its place and moves it there once it listens.
        self._path = os.path.join(os.path.dirname(listener.getsockname()), runtime.SOCKET)
        self._inode = _inode(self._path)
        self._tasks: dict[asyncio.Task[None], Connection] = {}
        self._idle_timeout_s = settings.Settings.idle_timeout_s
        self._notices = Notices()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._used_s = loop.time()
        self._shared = job.Shared(Scheduler(), LocalCompilers(), self._notices, LocalSlots(), LocalSlots(), Sources())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._retire)
        self._listener.setblocking(False)
        loop.add_reader(self._listener.fileno(), self._accept)
        self._notices.log("info", f"agent {__version__} of user {os.getuid()} serves {self._path}")
        watch = loop.create_task(self._watch())
        await self._ended.wait()
        watch.cancel()
        await self._shared.scheduler.close()
        self._notices.log("info", "agent ends")

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        connection = Connection(sock)
        task = loop.create_task(self._serve(connection))
        connection.when_gone(task.cancel)
        self._tasks[task] = connection
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        self._used_s = asyncio.get_running_loop().time()
        if not task.cancelled() and (error := task.exception()):
            self._notices.log("error", f"{type(error).__name__}: {error}")
        if self._listener.fileno() < 0 and not self._tasks:
            self._ended.set()

    async def _serve(self, connection: Connection) -> None:
        try:
            if connection.peer_uid != os.getuid():
                raise BadRequestError(f"a launcher of user {connection.peer_uid}")
            request = await connection.request()
            if request is None:
                self._retire()
                return
            await self._answer(connection, request)
        except LauncherGoneError:
            return
        except BadRequestError as error:
            self._notices.log("warning", str(error))
        except FailedError as error:
            with contextlib.suppress(LauncherGoneError):
                await connection.send(b"X" + struct.pack("=i", error.status))
        finally:
            connection.close()

    async def _answer(self, connection: Connection, request: Request) -> None:
        if request.version != __version__:
            self._notices.log("info", f"a launcher of version {request.version}: this agent, {__version__}, ends")
            self._retire()
            await connection.send(b"V")
            return
        try:
            configured = settings.load(request.environ)
        except ConfigurationError as error:
            # What is done here anyway must not say more than the compiler: configure's tests look at every line.
            least = "fatal" if isinstance(await job.classify(request, self._shared), Local) else "error"
            self._notices.tell("error", f"{error}; compiling here", connection, least)
            await connection.send(b"L")
            return
        self._idle_timeout_s = configured.idle_timeout_s
        self._notices.catch_up(connection)
        if request.flags & FLAG_EXPLAIN:
            from distplusplus.agent import explain  # noqa: PLC0415  (seldom)

            await explain.run(connection, request, configured, self._shared)
            return
        await job.run(connection, request, configured, self._shared)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(_KEEP_ALIVE_S, self._idle_timeout_s))
            for connection in self._tasks.values():
                connection.say_alive()
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
