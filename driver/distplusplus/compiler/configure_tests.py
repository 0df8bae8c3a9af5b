"""Compiles by which a configure script finds out about the machine: small ones, each of them waited for. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterable

# CMake's try_compile and compiler tests; meson's. Both name the source by an absolute path.
_DIRECTORIES = ("/CMakeFiles/CMake", "/meson-private/")


def is_configure_test(source: str, output: str | None, directory: str, temporary: Iterable[str]) -> bool:
    """Whether a compile is one.

    output: as the user named it; None if that, or a file of dependencies, shows that the object is there to stay
    directory: where it is run; "" if that is not known
    temporary: directories for temporary files
    """
    if os.path.basename(source).startswith("conftest.") or any(part in source for part in _DIRECTORIES):
        return True
    # A script like that of ffmpeg (/tmp/ffconf.X/test.c) works in a temporary directory, away from what it is run for.
    if output is None or not directory:
        return False
    own = {_below(name, temporary) for name in (source, output)}
    return len(own) == 1 and None not in own and _below(f"{directory}/", temporary) not in own


def _below(path: str, temporary: Iterable[str]) -> str | None:
    """The directory in a temporary one that an absolute path is below; None if it is not."""
    for top in temporary:
        if top.startswith("/") and path.startswith(f"{top.rstrip('/')}/"):
            name, slash, _ = path[len(top.rstrip("/")) + 1 :].partition("/")
            return f"{top.rstrip('/')}/{name}" if slash else top
    return None
