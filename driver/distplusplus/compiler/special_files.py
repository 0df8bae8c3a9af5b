"""Pipes, devices and descriptors that a command names where files are usual.

What is read from one is gone for the compiler, and what is written to one goes wherever the writer's own leads. A
command that names one is compiled locally.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

# It gives the same to everybody.
_NULL = "/dev/null"
_MAX_LINKS = 40
_DIRECTORIES = ("/dev/", "/proc/")
# A directory like others.
_SHARED_MEMORY = "/dev/shm/"  # noqa: S108  # it is compared with


def has_special_name(path: str) -> bool:
    """Whether a path is below /dev or /proc, where a name means another file to each process. Looks at no file."""
    plain = os.path.normpath(path).replace("//", "/")  # which normpath leaves at the beginning
    return plain.startswith(_DIRECTORIES) and not plain.startswith(_SHARED_MEMORY) and plain != _NULL


def is_special(path: str) -> bool:
    """Whether an absolute path has such a name, leads to one, or is a pipe, a socket or a device. Opens no file."""
    try:
        for _ in range(_MAX_LINKS):
            # One link after the other: /dev/stdin itself leads to whatever it is of this process.
            path = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
            if path == _NULL or has_special_name(path):
                return path != _NULL
            if not os.path.islink(path):
                break
            path = os.path.join(os.path.dirname(path), os.readlink(path))
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False  # it is not there yet, or the compiler will say what is wrong
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def first_special(names: Iterable[str], directory: str) -> str | None:
    """The first of the files, relative to `directory`, that is special; None if there is none."""
    return next((name for name in names if is_special(os.path.join(directory, name))), None)
