"""landlock(7): keeping a process, and all that it starts, from files, TCP ports and other processes, without root.

Constants and structures are those of Linux Documentation/userspace-api/landlock.rst; the system call numbers are the
same on every architecture.
"""

from __future__ import annotations

import ctypes
import os

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
TRUNCATE, IOCTL_DEVICE = 1 << 14, 1 << 15
# What a rule for a single file may grant; the other rights are for directories.
RIGHTS_TO_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE
BIND_TCP, CONNECT_TCP = 1 << 0, 1 << 1
SCOPE_ABSTRACT_UNIX_SOCKET, SCOPE_SIGNAL = 1 << 0, 1 << 1

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_FLAG_VERSION, _RULE_PATH_BENEATH = 1, 1
_BITS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15}
_BITS_NEWEST = 16
_NETWORK_ABI, _SCOPE_ABI = 4, 6

_libc = ctypes.CDLL(None, use_errno=True)


class _RulesetAttr(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("access", ctypes.c_uint64), ("parent", ctypes.c_int32))


def abi() -> int:
    """The kernel's Landlock version, 0 where there is none (Linux before 5.13, or switched off, or filtered out)."""
    return max(int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_FLAG_VERSION))), 0)


def all_rights(version: int) -> int:
    """Every right to files that Landlock of this version knows."""
    return (1 << _BITS_BY_ABI.get(version, _BITS_NEWEST)) - 1


def create_ruleset(version: int, *, network: int = 0, scoped: int = 0) -> int:
    """A descriptor of rules that deny all rights to files, and these to the network and to other processes.

    What this version of Landlock does not know is left out. Raises OSError.
    """
    has_network, has_scope = version >= _NETWORK_ABI, version >= _SCOPE_ABI
    attr = _RulesetAttr(all_rights(version), network if has_network else 0, scoped if has_scope else 0)
    size = 24 if has_scope else 16 if has_network else 8
    return _checked(_libc.syscall(_CREATE_RULESET, ctypes.byref(attr), ctypes.c_size_t(size), 0))


def allow_beneath(ruleset: int, parent: int, rights: int) -> None:
    """Grants `rights` to the file or directory that descriptor `parent` is of, and to all below. Raises OSError."""
    attr = _PathBeneathAttr(rights, parent)
    _checked(_libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(attr), 0))


def restrict_self(ruleset: int) -> None:
    """Puts the rules in force for this thread and what it starts, for ever. Needs `no_new_privs`; raises OSError."""
    _checked(_libc.syscall(_RESTRICT_SELF, ruleset, 0))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
