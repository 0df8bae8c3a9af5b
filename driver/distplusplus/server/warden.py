"""Starts, confines, reaps and kills the compilers, in a process of its own that the server talks to.

It is separate for three reasons. A program inherits limits and confinement from the process that starts it, and the
server cannot put them on itself. The warden outlives a server that was killed, so that compilers and their directories
never do. And it is small: starting a program from a process with gRPC's threads and memory costs more.

It is started without site-packages (`python -I -S`) and imports only the standard library, `confinement` and
`landlock`. Its arguments are FD JOBS_DIR MEMORY_BYTES FILE_BYTES [UID GID]. FD is a Unix stream socket; each message is
a 4-byte big-endian length and JSON. From the server:

    {"run": ID, "argv": [...], "env": {...}, "cwd": DIR, "output": DIR, "writable": DIR, "readable": [DIR...],
     "cpu_s": SECONDS}
    {"kill": ID}

To the server, once for each ID: {"done": ID, "status": WAIT_STATUS, "utime": S, "stime": S, "maxrss": KIB} or
{"done": ID, "error": TEXT} if the program could not be started. Then no process of the job is left. When the socket
ends, everything is killed and JOBS_DIR is removed.

A job may start a process that leaves its process group (a compiler wrapper that starts a daemon). The warden is the
subreaper: such a process becomes its child once its own parents have ended. A child that is not a compiler started here
is such a process, and is killed when the next job ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import shutil
import signal
import socket
import sys
import threading
import time
from typing import Any

from distplusplus.server.confinement import Confinement

_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the server decides when jobs end
_libc = ctypes.CDLL(None, use_errno=True)
# How long to wait for processes that a job left behind to end: after each job, and at the end.
_ORPHANS_S, _LAST_S = 2.0, 10.0


class Warden:
    """Serves one server's requests over `connection`."""

    def __init__(self, connection: socket.socket, jobs_dir: str) -> None:
        self._connection = connection
        self._jobs_dir = jobs_dir
        self._confinement = Confinement()
        self._job_of: dict[int, int] = {}
        self._pid_of: dict[int, int] = {}

    def serve(self) -> None:
        """Runs until the server closes the connection or ends."""
        # A signal that comes while select waits only has to wake it up.
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        received = bytearray()
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        poll.register(wake_read, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if wake_read in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake_read, 4096)
                self._reap()
            if self._connection.fileno() in ready:
                data = self._connection.recv(1 << 18)
                if not data:
                    return
                received += data
                while len(received) >= 4 and len(received) >= (end := 4 + int.from_bytes(received[:4], "big")):
                    message = json.loads(received[4:end])
                    del received[:end]
                    self._handle(message)

    def end(self) -> None:
        """Kills every job and removes their directories."""
        for pid in self._job_of:
            _kill_group(pid)
        self._job_of.clear()
        self._end_orphans(_LAST_S)
        shutil.rmtree(self._jobs_dir, ignore_errors=True)

    def _handle(self, message: dict[str, Any]) -> None:
        if "kill" in message:
            pid = self._pid_of.get(message["kill"])
            if pid is not None:
                _kill_group(pid)
            return
        job: int = message["run"]
        self._confinement.prepare(message["readable"])
        try:
            pid = self._spawn(message)
        except Exception as error:
            self._send({"done": job, "error": str(error)})
            return
        self._job_of[pid] = job
        self._pid_of[job] = pid

    def _spawn(self, message: dict[str, Any]) -> int:
        """The pid of the started program.

        Confinement belongs to a thread, so a thread takes it on, starts the program and ends: posix_spawn
        (vfork) then needs no code between fork and exec, 2 ms less than a fork of this process.
        """
        started: list[int | Exception] = []

        def start() -> None:
            try:
                started.append(self._spawn_confined(message))
            except Exception as error:  # one job's trouble is not the others'
                started.append(error)

        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
        result = started[0]
        if isinstance(result, Exception):
            raise result
        cpu_s = message["cpu_s"]
        with contextlib.suppress(OSError):
            # SIGXCPU at the soft limit can be told from a kill; the hard one is a second later.
            resource.prlimit(result, resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
        return result

    def _spawn_confined(self, message: dict[str, Any]) -> int:
        os.chdir(message["cwd"])
        self._confinement.enter(message["writable"], message["readable"])
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return os.posix_spawn(
            message["argv"][0],
            message["argv"],
            message["env"],
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 1, os.path.join(message["output"], "out"), flags, 0o600),
                (os.POSIX_SPAWN_OPEN, 2, os.path.join(message["output"], "err"), flags, 0o600),
            ],
            setsid=True,
            setsigdef=(*_IGNORED, signal.SIGXFSZ, signal.SIGPIPE),
        )

    def _reap(self) -> None:
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            job = self._job_of.pop(ended.si_pid, None)
            if job is not None:
                # While the leader is unreaped its number cannot be another process group's.
                _kill_group(ended.si_pid)
                del self._pid_of[job]
            _, status, usage = os.wait4(ended.si_pid, 0)
            if job is not None:
                self._end_orphans(_ORPHANS_S)
                self._send(
                    {
                        "done": job,
                        "status": status,
                        "utime": usage.ru_utime,
                        "stime": usage.ru_stime,
                        "maxrss": usage.ru_maxrss,
                    }
                )

    def _end_orphans(self, timeout_s: float) -> None:
        """Kills and reaps every child that is not a job's compiler, and what becomes a child meanwhile."""
        deadline_s = time.monotonic() + timeout_s
        while orphans := [pid for pid in _children() if pid not in self._job_of]:
            for pid in orphans:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            ended = [pid for pid in orphans if _has_ended(pid)]
            if time.monotonic() > deadline_s:
                return  # a process that the kernel cannot end now: the next job's end tries again
            if not ended:
                time.sleep(0.001)

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps(message).encode()
        self._connection.sendall(len(body).to_bytes(4, "big") + body)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _children() -> list[int]:
    """The pids of this process's children, those that it has adopted among them; proc(5)."""
    try:
        # A thread's children become the first thread's when it ends, and only that one lives here.
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(word) for word in file.read().split()]
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        return [int(name) for name in os.listdir("/proc") if name.isdecimal() and _parent_of(name) == os.getpid()]


def _parent_of(pid: str) -> int:
    """0 for a process that has ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _has_ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


def main() -> None:
    """Serves until the server closes the connection or ends."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.set_inheritable(False)
    for number in (*_IGNORED, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)
    for limited, text in ((resource.RLIMIT_AS, sys.argv[3]), (resource.RLIMIT_FSIZE, sys.argv[4])):
        hard = resource.getrlimit(limited)[1]
        limit = int(text) if hard == resource.RLIM_INFINITY else min(int(text), hard)
        resource.setrlimit(limited, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # When memory runs out, a compiler is to end and not the server.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")
    if len(sys.argv) > 5:
        uid, gid = int(sys.argv[5]), int(sys.argv[6])
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    with open(os.devnull, "r+") as null:
        os.dup2(null.fileno(), 0)
    os.umask(0o077)
    warden = Warden(connection, sys.argv[2])
    try:
        warden.serve()
    except (ConnectionError, BrokenPipeError):
        pass
    finally:
        warden.end()
