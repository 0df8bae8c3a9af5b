"""The headers that belong to a compiler: libstdc++'s, GCC's `include`, clang's resource directory."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from distplusplus.compiler import search_path
from distplusplus.compiler.identity import ENVIRONMENT
from distplusplus.compiler.search_path import NoSearchPathError

_ASK_TIMEOUT_S: Final = 20
_Times = tuple[int, int, int]


@dataclass(frozen=True)
class OwnHeaders:
    """A compiler's own directories, and SHA-256 over their paths and the names and contents of the files in them.

    The paths count as the compiler writes them, since they stand in debug information.
    """

    directories: tuple[str, ...]
    digest: bytes


class OwnHeadersCache:
    """Remembers each compiler's own headers for as long as its directories do not change."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        """`environ`: what a compiler that is asked gets besides `identity.ENVIRONMENT`."""
        self._environ = dict(environ or {})
        # With the times of the compiler and of every directory.
        self._known: dict[tuple[str, str, tuple[str, ...]], tuple[dict[str, _Times], OwnHeaders]] = {}

    def find(self, compiler: str, language: str, arguments: Sequence[str] = (), *, clang: bool) -> OwnHeaders:
        """The headers for `language`, a value of -x. `arguments`: those of the command that choose other directories.

        Blocks for some 50 ms the first time. Raises NoSearchPathError.
        """
        key = compiler, language, tuple(arguments)
        kept = self._known.get(key)
        # A package manager, or whoever replaces files by renaming, changes the time of a directory.
        if kept is not None and all(_times(path) == times for path, times in kept[0].items()):
            return kept[1]
        question = (*arguments, *search_path.question(language, clang=clang, own=True))
        directories = search_path.own_directories(ask(compiler, question, self._environ))
        paths = [compiler, *(directory for top in directories for directory, _, _ in os.walk(top))]
        stamp = {path: _times(path) for path in paths}
        try:
            found = OwnHeaders(directories, _digest(directories))
        except OSError as error:
            raise NoSearchPathError(f"{error.filename}: {error.strerror}") from None
        self._known[key] = stamp, found
        return found


def ask(compiler: str, arguments: Sequence[str], environ: Mapping[str, str], directory: str | None = None) -> str:
    """What the compiler says on standard error. Raises NoSearchPathError."""
    try:
        done = subprocess.run(
            [compiler, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT | dict(environ),
            cwd=directory,
            timeout=_ASK_TIMEOUT_S,
            check=True,
        )
        return done.stderr.decode()
    except (OSError, UnicodeDecodeError, subprocess.SubprocessError) as error:
        raise NoSearchPathError(f"{compiler} does not say where it looks for headers: {error}") from None


def _times(path: str) -> _Times:
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0, 0
    return status.st_mtime_ns, status.st_ino, status.st_size


def _digest(directories: Sequence[str]) -> bytes:
    total = hashlib.sha256()
    for top in directories:
        total.update(f"{top}\0\0".encode(errors="surrogateescape"))
        for directory, subdirectories, names in os.walk(top):
            subdirectories.sort()
            for name in sorted(names):
                path = os.path.join(directory, name)
                with open(path, "rb") as file:
                    content = hashlib.file_digest(file, "sha256").digest()
                total.update(f"{os.path.relpath(path, top)}\0".encode(errors="surrogateescape") + content)
    return total.digest()
