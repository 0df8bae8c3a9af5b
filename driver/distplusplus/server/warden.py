"""Starts, confines, reaps and kills the compilers, in a process of its own that the server talks to.

It is separate for three reasons. Limits and confinement are inherited from who starts a program, and the
server
cannot put them on itself. It outlives a server that was killed, so that compilers and their directories
never do. And it is small: starting a program from a process with gRPC's threads and memory costs more.

It is run by path, `python -I -S warden.py FD JOBS_DIR MEMORY_BYTES FILE_BYTES [UID GID]`, and therefore
imports
nothing of this package. FD is a Unix stream socket; each message is a 4-byte big-endian length and JSON.
From the server:

    {"run": ID, "argv": [...], "env": {...}, "cwd": DIR, "output": DIR, "writable": DIR, "readable": [DIR...],
     "cpu_s": SECONDS}
    {"kill": ID}

To the server, once for each ID: {"done": ID, "status": WAIT_STATUS, "utime": S, "stime": S, "maxrss": KIB} or
{"done": ID, "error": TEXT} if the program could not be started. When the socket ends, everything is killed
and JOBS_DIR removed.
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
from typing import Any

_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the server decides when jobs end
_libc = ctypes.CDLL(None, use_errno=True)

# Linux Documentation/userspace-api/landlock.rst; the system call numbers are the same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEVICE = 1 << 14, 1 << 15
_FS_BITS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15}
_FS_BITS_NEWEST = 16
_PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_FILES = (
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/dev/urandom",
    "/dev/zero",
    "/proc/cpuinfo",
    "/proc/meminfo",
)
_CPU_TOPOLOGY = "/sys/devices/system/cpu"


class _RulesetAttr(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("access", ctypes.c_uint64), ("parent", ctypes.c_int32))


def landlock_abi() -> int:
    """The kernel's Landlock version, 0 where there is none (Linux before 5.13, or switched off)."""
    return max(int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))), 0)


class Confinement:
    """Lets a job read the machine's programs and use its own directory: no other file, no TCP, no process."""

    def __init__(self) -> None:
        self._abi = landlock_abi()
        self._fs = (1 << _FS_BITS_BY_ABI.get(self._abi, _FS_BITS_NEWEST)) - 1
        self._parents: dict[str, int] = {}

    def enter(self, writable: str, readable: list[str]) -> None:
        """Confines this thread and what it starts, for ever."""
        if not self._abi:
            return
        attr = _RulesetAttr(self._fs, 3 if self._abi >= 4 else 0, 3 if self._abi >= 6 else 0)
        size = 24 if self._abi >= 6 else 16 if self._abi >= 4 else 8
        ruleset = _checked(_libc.syscall(_CREATE_RULESET, ctypes.byref(attr), ctypes.c_size_t(size), 0))
        job = os.open(writable, os.O_PATH | os.O_CLOEXEC)
        try:
            for path in (*_PROGRAMS, *readable):
                self._allow(ruleset, path, _EXECUTE | _READ_FILE | _READ_DIR)
            for path in _FILES:
                self._allow(ruleset, path, _READ_FILE)
            self._allow(ruleset, _CPU_TOPOLOGY, _READ_FILE | _READ_DIR)
            self._allow(ruleset, "/dev/null", _READ_FILE | _WRITE_FILE | _TRUNCATE)
            self._add(ruleset, job, self._fs & ~(_EXECUTE | _IOCTL_DEVICE))
            _checked(_libc.syscall(_RESTRICT_SELF, ruleset, 0))
        finally:
            os.close(ruleset)
            os.close(job)

    def prepare(self, readable: list[str]) -> None:
        """Opens, once, the directories that every job may read."""
        if self._abi:
            for path in (*_PROGRAMS, *readable, *_FILES, _CPU_TOPOLOGY, "/dev/null"):
                self._parent(path)

    def _parent(self, path: str) -> int:
        if path not in self._parents:
            try:
                self._parents[path] = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                self._parents[path] = -1
        return self._parents[path]

    def _allow(self, ruleset: int, path: str, access: int) -> None:
        parent = self._parent(path)
        if parent >= 0:
            self._add(ruleset, parent, access)

    def _add(self, ruleset: int, parent: int, access: int) -> None:
        attr = _PathBeneathAttr(access & self._fs, parent)
        _checked(_libc.syscall(_ADD_RULE, ruleset, 1, ctypes.byref(attr), 0))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


class Warden:
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
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()
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
                self._send(
                    {
                        "done": job,
                        "status": status,
                        "utime": usage.ru_utime,
                        "stime": usage.ru_stime,
                        "maxrss": usage.ru_maxrss,
                    }
                )

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps(message).encode()
        self._connection.sendall(len(body).to_bytes(4, "big") + body)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def main() -> None:
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


if __name__ == "__main__":
    main()
