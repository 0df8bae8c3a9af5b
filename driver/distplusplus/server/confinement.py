"""What keeps a job to itself: Landlock for files, TCP and signals, seccomp for sockets of every kind.

Landlock knows only TCP's bind and connect. UDP, MPTCP and TCP fast open pass it, so jobs may make no socket at all.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from distcc_common import landlock
from distcc_common.landlock import EXECUTE, IOCTL_DEVICE, READ_DIR, READ_FILE, TRUNCATE, WRITE_FILE

_libc = ctypes.CDLL(None, use_errno=True)

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


class Confinement:
    """Lets a job read the machine's programs and use its own directory. No other file, no network, no other process."""

    def __init__(self) -> None:
        self._abi = landlock.abi()
        self._can_filter = has_seccomp()
        self._fs = landlock.all_rights(self._abi)
        self._parents: dict[str, int] = {}

    def enter(self, writable: str, readable: list[str]) -> None:
        """Confines this thread and what it starts, for ever."""
        if self._can_filter:
            deny_sockets()
        if not self._abi:
            return
        ruleset = landlock.create_ruleset(
            self._abi,
            network=landlock.BIND_TCP | landlock.CONNECT_TCP,
            scoped=landlock.SCOPE_ABSTRACT_UNIX_SOCKET | landlock.SCOPE_SIGNAL,
        )
        job = os.open(writable, os.O_PATH | os.O_CLOEXEC)
        try:
            for path in (*_PROGRAMS, *readable):
                self._allow(ruleset, path, EXECUTE | READ_FILE | READ_DIR)
            for path in _FILES:
                self._allow(ruleset, path, READ_FILE)
            self._allow(ruleset, _CPU_TOPOLOGY, READ_FILE | READ_DIR)
            self._allow(ruleset, "/dev/null", READ_FILE | WRITE_FILE | TRUNCATE)
            self._add(ruleset, job, self._fs & ~(EXECUTE | IOCTL_DEVICE))
            landlock.restrict_self(ruleset)
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
        landlock.allow_beneath(ruleset, parent, access & self._fs)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


# linux/audit.h and each architecture's table: the numbers of socket(2), socketcall(2) and io_uring_setup(2), which can
# make sockets, too. 32-bit programs run on 64-bit kernels, so those architectures are here as well.
_NO_SOCKETS: dict[int, tuple[int, ...]] = {
    0xC000003E: (41, 425),  # x86_64
    0x40000003: (102, 359, 425),  # i386
    0xC00000B7: (198, 425),  # aarch64
    0x40000028: (281, 425),  # arm
    0xC00000F3: (198, 425),  # riscv64
    0xC0000102: (198, 425),  # loongarch64
    0xC0000015: (102, 326, 425),  # powerpc64le
    0x80000016: (102, 359, 425),  # s390x
}
_X86_64, _X32_BIT = 0xC000003E, 0x40000000
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _DENY = 0x7FFF0000, 0x00050000 | errno.EACCES
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET = 0, 4


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _socket_filter() -> bytes:
    """A seccomp program that denies what makes sockets. On other architectures it allows everything."""
    program = _instruction(_LOAD, _ARCHITECTURE_OFFSET)
    for architecture, numbers in _NO_SOCKETS.items():
        tests = [(_EQUAL, number) for number in numbers]
        if architecture == _X86_64:
            tests.append((_AT_LEAST, _X32_BIT))  # the x32 ABI has numbers of its own
        block = _instruction(_LOAD, _NUMBER_OFFSET)
        for position, (test, number) in enumerate(tests):
            block += _instruction(test, number, if_true=len(tests) - position)
        block += _instruction(_RETURN, _ALLOW) + _instruction(_RETURN, _DENY)
        program += _instruction(_EQUAL, architecture, if_false=len(block) // 8) + block
    return program + _instruction(_RETURN, _ALLOW)


_SOCKET_FILTER = _socket_filter()


def has_seccomp() -> bool:
    """Whether the kernel can filter system calls: then it complains of the missing program, not of the request."""
    _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, None, 0, 0)
    return ctypes.get_errno() == errno.EFAULT


def deny_sockets() -> None:
    """Denies new sockets to this thread and what it starts, for ever. Needs `no_new_privs`; raises OSError."""
    program = _Program(len(_SOCKET_FILTER) // 8, _SOCKET_FILTER)
    _checked(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0))
