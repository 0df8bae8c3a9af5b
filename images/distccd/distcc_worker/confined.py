"""`python3 -m distcc_worker.confined DIRECTORY COMMAND...` runs COMMAND without any access to DIRECTORY.

The container runs as one user and never as root, so file permissions cannot protect sshd's host key from compilers,
which run whatever clients send. Landlock can: it also prevents tracing and, since Linux 6.12, signalling the processes
outside.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, Sequence

from distcc_common import landlock

_PR_SET_NO_NEW_PRIVS = 38


def all_but(directory: str) -> Iterator[str]:
    """The paths that together contain every file except `directory`: its siblings, and those of its parents.

    Links are left out: a rule is for the target, which could be one of these parents.
    """
    parent, name = os.path.split(os.path.realpath(directory))
    while name:
        yield from sorted(entry.path for entry in os.scandir(parent) if entry.name != name and not entry.is_symlink())
        parent, name = os.path.split(parent)


def deny(directory: str) -> bool:
    """Denies `directory` to this process and all that it starts, for ever. Returns False without Landlock.

    What is created later beside `directory` or beside one of its parents is denied, too. Raises OSError.
    """
    version = landlock.abi()
    if not version:
        return False
    ruleset = landlock.create_ruleset(version, scoped=landlock.SCOPE_SIGNAL)
    for path in all_but(directory):
        _allow(ruleset, path, landlock.all_rights(version))
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    landlock.restrict_self(ruleset)
    os.close(ruleset)
    return True


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:  # gone since it was listed
        return
    try:
        is_directory = os.path.isdir(f"/proc/self/fd/{parent}")
        landlock.allow_beneath(ruleset, parent, rights if is_directory else rights & landlock.RIGHTS_TO_A_FILE)
    finally:
        os.close(parent)


def main(arguments: Sequence[str]) -> None:
    directory, *command = arguments
    deny(directory)
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
