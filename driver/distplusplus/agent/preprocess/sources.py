"""What is known of this machine's sources and headers. Each is looked at once, for as long as it does not change."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import TypeVar

from distplusplus.agent.preprocess.markers import entered_files, lines_agree
from distplusplus.agent.preprocess.preprocessed import changes_options
from distplusplus.agent.preprocess.unexpanded import macro_pragmas_matter, may_be_taken
from distplusplus.compiler.source_scan import OPTIONS_PRAGMA, Scanned, SourceKind, examine, reads_comments

_MAX_FILES, _MAX_DIRECTORIES = 200_000, 10_000
# GCC has 0x50000000 source locations before it saves on them, 4096 a line: enough for 327,000 lines, at some 30 bytes
# each, with those that are left out of the text. Only above this size is it worth to look.
_LARGE_BYTES = 4 << 20
# Device, inode, size, times in ns.
_Key = tuple[int, int, int, int, int]
T = TypeVar("T")


class Sources:
    """May be used by several threads."""

    def __init__(self) -> None:
        self._scanned: dict[_Key, Scanned] = {}
        # By level of -Wimplicit-fallthrough.
        self._comments: dict[int, dict[_Key, bool]] = {}
        self._own = _view("self")
        # By directory: above 0 if the last texts there were of suspect files. From -2 to 2.
        self._suspicion: dict[str, int] = {}

    def sees(self, pid: int) -> bool:
        """Whether a process has our files below the same names: no other root directory, no mounts of its own."""
        return self._own is not None and _view(str(pid)) == self._own

    def expects_suspects(self, directory: str) -> bool:
        """Whether the next text of this directory will probably be of suspect files, as the last ones were."""
        return self._suspicion.get(directory, 0) > 0

    def suspect(self, text: bytes, source: str, directory: str) -> str | None:
        """Of a text, whichever way it was made: the file that is suspect in itself, and why; None if there is none.

        `source` and other names are relative to `directory`.
        """
        return self._first_suspect(self._files_of(text, source, directory), directory)

    def why_in_full(self, text: bytes, source: str, directory: str) -> str | None:
        """Why a server cannot expand the macros of a text, with the file's name; None if it can: nothing that went into
        it is suspect, and all of it can be read.
        """
        files = dict(self._files_of(text, source, directory))
        if suspect := self._first_suspect(iter(files.items()), directory):
            return suspect
        if len(text) >= _LARGE_BYTES and not lines_agree(text):
            return f"{source}: GCC numbers the lines of its text wrongly"
        for name, file in files.items():
            if file.macro_pragmas and macro_pragmas_matter(file.macro_pragmas, name, text):
                return f"{os.fsdecode(name)} saves or restores a macro that the text has"
            if any(may_be_taken(alternatives, text) for alternatives in file.guarded):
                return f"{os.fsdecode(name)} holds a #pragma message that may be carried out"
        options = (name for name, file in files.items() if file.kind == SourceKind.OPTIONS)
        if (first := next(options, None)) and changes_options(text, OPTIONS_PRAGMA):
            return f"{os.fsdecode(first)} holds a pragma that changes the compiler's options"
        return None

    def fall_through_comment(self, level: int, text: bytes, source: str, directory: str) -> str | None:
        """Of a text in full: the file that holds a comment that -Wimplicit-fallthrough=`level` reads; None if there is
        none. System headers do not count, as GCC does not warn of them.
        """
        cache = self._comments.setdefault(level, {})
        scan = partial(reads_comments, level)
        names = chain([os.fsencode(source)], entered_files(text, system=False))
        found = (name for name in dict.fromkeys(names) if _look(_path(directory, name), cache, scan, True))
        return next(map(os.fsdecode, found), None)

    def _first_suspect(self, files: Iterator[tuple[bytes, Scanned]], directory: str) -> str | None:
        suspects = (f"{os.fsdecode(name)} {file.why}" for name, file in files if file.kind == SourceKind.SUSPECT)
        suspect = next(suspects, None)
        if len(self._suspicion) >= _MAX_DIRECTORIES:
            self._suspicion.clear()
        suspicion = self._suspicion.get(directory, 0) + (1 if suspect else -1)
        self._suspicion[directory] = max(min(suspicion, 2), -2)
        return suspect

    def _files_of(self, text: bytes, source: str, directory: str) -> Iterator[tuple[bytes, Scanned]]:
        for name in dict.fromkeys(chain([os.fsencode(source)], entered_files(text))):
            unreadable = Scanned(SourceKind.SUSPECT, why="cannot be read")
            yield name, _look(_path(directory, name), self._scanned, examine, unreadable)


def _path(directory: str, name: bytes) -> bytes:
    return os.path.join(os.fsencode(directory), name)


def _look(path: bytes, cache: dict[_Key, T], scan: Callable[[bytes], T], unreadable: T) -> T:
    """What `scan` finds in a file, or found in it before."""
    if b"\\" in path:
        return unreadable  # what is quoted in a marker is not worth the trouble
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            return unreadable  # it may be there to be read once
        key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        known = cache.get(key)
        if known is None:
            with open(path, "rb") as file:
                known = scan(file.read())
            if len(cache) >= _MAX_FILES:
                cache.clear()
            cache[key] = known
    except OSError:
        return unreadable
    return known


def _view(process: str) -> tuple[int, int, int] | None:
    """Which files a process sees; None if that cannot be told."""
    try:
        root = os.stat(f"/proc/{process}/root")
        return root.st_dev, root.st_ino, os.stat(f"/proc/{process}/ns/mnt").st_ino
    except OSError:
        return None
