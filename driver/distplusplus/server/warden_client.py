"""Runs compilers through the warden, each in a directory of its own."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused
from distplusplus.server.privileges import Account

# The directory of the package, which `python -I -S` does not look into.
_PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_WARDEN = "import sys; sys.path.append(sys.argv.pop(1)); from distplusplus.server.warden import main; main()"
# A container has a /dev/shm of 64 MiB by default: too small for a C++ source and its assembly.
_SHM, _SHM_MIN_BYTES = "/dev/shm", 512 * 1024 * 1024  # noqa: S108
_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True)
class Ended:
    """How a compiler ended. `signal` is 0 unless one ended it."""

    return_code: int
    signal: int
    user_cpu_s: float
    system_cpu_s: float
    max_rss_kib: int
    timed_out: bool


class JobDir:
    """The directory of one job: `work` is the compiler's working directory, the rest is beside it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.work = os.path.join(path, "w")
        os.mkdir(path, 0o700)
        os.mkdir(self.work, 0o700)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def open(self, name: str) -> BinaryIO:
        """Opens a file of the job for reading. Raises OSError.

        The compiler made it, so it can be anything: a link is not followed, and only a plain file is taken.
        """
        descriptor = os.open(os.path.join(self.path, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "not a plain file", name)
        return open(descriptor, "rb")

    def size(self, name: str) -> int:
        """The size of a file of the job in bytes, 0 if there is none."""
        try:
            return os.lstat(os.path.join(self.path, name)).st_size
        except OSError:
            return 0


def choose_parent(configured: str | None) -> str:
    """Where the jobs' directories go. Raises OSError if it cannot be written."""
    candidates = [configured] if configured else [_SHM, tempfile.gettempdir()]
    for candidate in candidates:
        if candidate == _SHM and not configured:
            with contextlib.suppress(OSError):
                space = os.statvfs(_SHM)
                if os.access(_SHM, os.W_OK) and space.f_bavail * space.f_frsize >= _SHM_MIN_BYTES:
                    return _SHM
            continue
        if candidate:
            return candidate
    raise OSError("no directory for jobs")


class WardenClient:
    """Starts the warden and talks to it.

    Made before the server has threads, and before it gives up root: the interpreter may be installed where only root
    can start it.
    """

    def __init__(self, parent: str, memory_bytes: int, file_bytes: int, account: Account | None) -> None:
        self.jobs_dir = tempfile.mkdtemp(prefix="distplusplusd-", dir=parent)
        if account is not None:
            os.chown(self.jobs_dir, account.uid, account.gid)
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _WARDEN, _PACKAGES, str(theirs.fileno()), self.jobs_dir,
                 str(memory_bytes), str(file_bytes), *([str(account.uid), str(account.gid)] if account else [])],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={"PATH": _PATH},
                start_new_session=True,
            )  # fmt: skip
        self._socket = ours
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._last = 0
        self.lost = asyncio.Event()

    async def connect(self) -> None:
        """Begins to listen for ended jobs, in the running event loop."""
        reader, self._writer = await asyncio.open_connection(sock=self._socket)
        self._listener = asyncio.create_task(self._listen(reader))

    def new_dir(self) -> JobDir:
        """A new job's directory. Raises CallRefused SERVER_FAULT."""
        self._last += 1
        try:
            return JobDir(os.path.join(self.jobs_dir, str(self._last)))
        except OSError as error:
            raise CallRefused(pb.Refusal.SERVER_FAULT, f"cannot make a directory for the job: {error}") from error

    async def run(
        self,
        argv: Sequence[str],
        job_dir: JobDir,
        readable: Sequence[str],
        timeout_s: float,
        directory: str | None = None,
        recorded_directory: str | None = None,
    ) -> Ended:
        """Runs a compiler in `directory`, by default the job's `work`. Its messages go to `out` and `err` of the job.

        `recorded_directory` is another path of it, which compilers take from PWD. Raises CallRefused SERVER_FAULT.

        When it returns or raises, also if it is cancelled, no process of the job is left.
        """
        self._last += 1
        number = self._last
        done = asyncio.get_running_loop().create_future()
        self._waiting[number] = done
        self._send(
            {
                "run": number,
                "argv": argv,
                "env": {
                    "PATH": _PATH,
                    "TMPDIR": job_dir.path,
                    "LC_ALL": "C.UTF-8",
                    "PWD": recorded_directory or job_dir.work,
                },
                "cwd": directory or job_dir.work,
                "output": job_dir.path,
                "writable": job_dir.path,
                "readable": readable,
                "cpu_s": max(int(timeout_s), 1),
            }
        )
        timed_out = False
        try:
            await asyncio.wait([done], timeout=timeout_s)
            timed_out = not done.done()
        finally:
            if not done.done():
                self._send({"kill": number})
                await settle(done)
        answer = done.result()
        if "error" in answer:
            raise CallRefused(pb.Refusal.SERVER_FAULT, f"cannot start {argv[0]}: {answer['error']}", argv[0])
        code = os.waitstatus_to_exitcode(answer["status"])
        return Ended(
            code if code >= 0 else 128 - code,
            max(-code, 0),
            answer["utime"],
            answer["stime"],
            answer["maxrss"],
            timed_out or code == -signal.SIGXCPU,
        )

    async def close(self) -> None:
        """Kills every job and ends the warden, which removes the jobs' directory."""
        if self._writer is not None:
            self._listener.cancel()
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()
        self._socket.close()
        await asyncio.to_thread(self.process.wait)

    def _send(self, message: dict[str, Any]) -> None:
        if self._writer is None or self.lost.is_set():
            raise CallRefused(pb.Refusal.SERVER_FAULT, "the process that starts compilers has ended")
        body = json.dumps(message).encode()
        self._writer.write(len(body).to_bytes(4, "big") + body)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(4), "big")
                message = json.loads(await reader.readexactly(length))
                waiting = self._waiting.pop(message["done"], None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            # Also when `close` cancels this: the warden kills what runs, and nobody may wait for its word.
            self.lost.set()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_result({"error": "the process that starts compilers has ended"})
            self._waiting.clear()


async def settle(future: asyncio.Future[Any]) -> None:
    """Waits for `future` even if the caller is cancelled meanwhile, and raises the cancellation afterwards.

    Nothing of a job may be left behind because its client is in a hurry.
    """
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
