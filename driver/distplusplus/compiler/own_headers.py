"""The digest of the headers that belong to a compiler: libstdc++'s, GCC's `include`, clang's resource directory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence


def digest_of(directories: Sequence[str]) -> bytes:
    """SHA-256 over every file in these directories, by place in the list, name and content. Raises OSError.

    A directory's own path does not count: machines may have the same compiler in different places.
    """
    total = hashlib.sha256()
    for number, top in enumerate(directories):
        for directory, subdirectories, names in os.walk(top):
            subdirectories.sort()
            for name in sorted(names):
                path = os.path.join(directory, name)
                with open(path, "rb") as file:
                    content = hashlib.file_digest(file, "sha256").digest()
                total.update(f"{number}\0{os.path.relpath(path, top)}\0".encode(errors="surrogateescape") + content)
    return total.digest()


def stamp_of(directories: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Changes when a package manager, or whoever replaces files by renaming, changes the headers."""
    return tuple(
        (status.st_mtime_ns, status.st_ino)
        for top in directories
        for directory, _, _ in os.walk(top)
        if (status := os.stat(directory))
    )
