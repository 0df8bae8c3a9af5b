"""Real `distccd --stats` workers on loopback, for the demo, the tests and the benchmarks."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from distcc_auto.answers import Ready
from distcc_auto.hosts import TcpHost
from distcc_auto.probe import probe
from distcc_common.errors import ConfigurationError

_START_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 5.0
_ATTEMPTS = 5


class LoopbackWorker:
    """One distccd on `address`, which must be of 127.0.0.0/8, with free ports; a context manager that stops it."""

    def __init__(
        self, slots: int, address: str = "127.0.0.1", options: Sequence[str] = (), path: str | None = None
    ) -> None:
        self.slots = slots
        self.address = address
        self.distcc_port = 0
        self.stats_port = 0
        self._options = tuple(options)
        self._path = path
        self._process: subprocess.Popen[bytes] | None = None
        self._directory = tempfile.TemporaryDirectory(prefix="distcc-auto-worker-")
        os.chmod(self._directory.name, 0o755)  # noqa: S103  (the worker runs as another user)

    @property
    def spec(self) -> str:
        """This worker's entry in DISTCC_AUTO_HOSTS."""
        return f"{self.address}:{self.distcc_port}:{self.stats_port}"

    @property
    def pid(self) -> int:
        assert self._process is not None  # noqa: S101  (it is started)
        return self._process.pid

    def log(self) -> str:
        """What the daemon has logged so far."""
        with open(self._log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def jobs_done(self) -> int:
        """How many jobs it has completed. Raises ConfigurationError when it does not answer."""
        answer = self._ask()
        if answer is None or answer.stats.compile_ok is None:
            raise ConfigurationError(f"worker {self.spec} does not answer any more:\n{self.log()}")
        return answer.stats.compile_ok

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        self._directory.cleanup()

    def start(self) -> None:
        """Starts it and waits until it answers. Raises ConfigurationError with its log when it does not."""
        for _ in range(_ATTEMPTS):
            # Another process may take a port before distccd does, which then ends at once. The next pair is tried.
            self.distcc_port, self.stats_port = free_ports(self.address, 2)
            self._spawn()
            if self._wait_until_ready():
                return
            self.stop()
        raise ConfigurationError(f"distccd does not start on {self.address}:\n{self.log()}")

    def stop(self) -> None:
        """Stops the daemon and returns when everything that it started has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_TIMEOUT_S)
        deadline_s = time.monotonic() + _STOP_TIMEOUT_S
        while (left := _session_members(process.pid)) and time.monotonic() < deadline_s:
            for member in left:
                member.end()
            time.sleep(0.005)
        process.wait()

    @property
    def _log_path(self) -> str:
        return os.path.join(self._directory.name, "distccd.log")

    def _spawn(self) -> None:
        command = ["distccd", "--no-detach", "--daemon", "--stats"]
        command += ["--port", str(self.distcc_port), "--stats-port", str(self.stats_port)]
        command += ["--listen", self.address, "--allow", "127.0.0.0/8", "--jobs", str(self.slots)]
        command += ["--log-file", self._log_path, "--log-level", "info", *self._options]
        if os.getuid() == 0:
            user = _unprivileged_user()
            with open(self._log_path, "ab"):
                os.chown(self._log_path, user.pw_uid, user.pw_gid)
            command += ["--user", user.pw_name]
        environ = os.environ | ({"PATH": self._path} if self._path else {})
        try:
            # Its own session: its children, compilers included, can be ended with it.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environ,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise ConfigurationError(
                "distccd is not in PATH; install it (apt-get install distcc) or add its directory to PATH"
            ) from None

    def _wait_until_ready(self) -> bool:
        assert self._process is not None  # noqa: S101  (it has just been started)
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while self._process.poll() is None and time.monotonic() < deadline_s:
            if self._ask() is not None:
                return True
            time.sleep(0.01)
        return False

    def _ask(self) -> Ready | None:
        host = TcpHost(self.address, self.distcc_port, self.stats_port, self.spec)
        (answer,) = probe([host], 2, 2)
        return answer if isinstance(answer, Ready) else None


def free_ports(address: str, count: int) -> list[int]:
    """Ports of `address` that were free a moment ago, all different."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sockets = [socket.socket(family) for _ in range(count)]
    try:
        for sock in sockets:
            sock.bind((address, 0))
        return [int(sock.getsockname()[1]) for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


def _unprivileged_user() -> pwd.struct_passwd:
    for name in ("distccd", "distcc", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ConfigurationError("distccd must not run as root, and there is no user distccd, distcc or nobody")


@dataclass(frozen=True)
class _Member:
    """A process of a daemon's session. Compilers have process groups of their own, but not sessions."""

    pid: int
    is_zombie: bool

    def end(self) -> None:
        if not self.is_zombie:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        else:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, os.WNOHANG)


def _session_members(session: int) -> list[_Member]:
    """The processes of a session that still run, or that have ended and wait for us as their parent."""
    members = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                # What follows the program's name, which may hold anything: state, parent, group, session (proc(5)).
                state, parent, _, found, *_ = file.read().rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        is_zombie = state in (b"Z", b"X")
        if int(found) == session and (not is_zombie or int(parent) == os.getpid()):
            members.append(_Member(int(name), is_zombie))
    return members
