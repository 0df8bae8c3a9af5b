"""Leaving the macros to the server: `g++ -E -fdirectives-only` takes half the time, and its text is nearer the source.

Some pragmas are missing from such a text without a trace (see compiler/source_scan.py). So the files that went into it
are looked at, too, each once for as long as it does not change.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from itertools import chain

from distplusplus.agent.preprocess.find import find
from distplusplus.agent.preprocess.markers import entered_files, lines_agree, sections_of
from distplusplus.agent.preprocess.preprocessed import changes_options
from distplusplus.compiler.source_scan import OPTIONS_PRAGMA, Scanned, SourceKind, examine

_MAX_FILES, _MAX_DIRECTORIES = 200_000, 10_000
# GCC has 0x50000000 source locations before it saves on them, 4096 a line: enough for 327,000 lines, at some 30 bytes
# each, with those that are left out of the text. Only above this size is it worth to look.
_LARGE_BYTES = 4 << 20


def macro_pragmas_matter(pragmas: Sequence[tuple[int, bytes]], name: bytes, text: bytes) -> bool:
    """Whether one of the pragmas in a file saves or restores a macro that the text has: GCC leaves blanks in the place
    of what it carries out, and nothing in that of what it passes over.
    """
    sections = list(sections_of(name, text))
    if not sections:
        return True  # it goes by another name
    carried_out = {
        macro
        for first, shown in sections
        for line, macro in pragmas
        if first <= line < first + len(shown) and shown[line - first] and not shown[line - first].strip()
    }
    return any(macro.startswith(b"_") or _is_defined(macro, text) for macro in carried_out)


def _is_defined(macro: bytes, text: bytes) -> bool:
    directive = b"#define " + macro
    position = find(text, directive)
    while position >= 0:
        if not re.match(rb"\w", text[position + len(directive) : position + len(directive) + 1]):
            return True
        position = find(text, directive, position + len(directive))
    return False


class Sources:
    """What is known of the files of this machine. May be used by several threads."""

    def __init__(self) -> None:
        # By what changes with a file: device, inode, size, times in ns.
        self._files: dict[tuple[int, int, int, int, int], Scanned] = {}
        self._own = _view("self")
        # By directory: above 0 if the last texts there were of suspect files. From -2 to 2.
        self._suspicion: dict[str, int] = {}

    def sees(self, pid: int) -> bool:
        """Whether a process has our files below the same names: no other root directory, no mounts of its own."""
        return self._own is not None and _view(str(pid)) == self._own

    def expects_suspects(self, directory: str) -> bool:
        """Whether the next text of this directory will probably be of suspect files, as the last ones were."""
        return self._suspicion.get(directory, 0) > 0

    def has_suspects(self, text: bytes, source: str, directory: str) -> bool:
        """Whether a text, whichever way it was made, is of files of which one is suspect in itself."""
        files = (file for _, file in self._files_of(text, source, directory))
        return self._learn(any(file.kind == SourceKind.SUSPECT for file in files), directory)

    def are_plain(self, text: bytes, source: str, directory: str) -> bool:
        """Whether a server can expand the macros of a text: nothing that went into it is suspect, and all of it can
        be read. `source` and other names are relative to `directory`.
        """
        files = dict(self._files_of(text, source, directory))
        if self._learn(any(file.kind == SourceKind.SUSPECT for file in files.values()), directory):
            return False
        if len(text) >= _LARGE_BYTES and not lines_agree(text):
            return False
        pragmas = ((file.macro_pragmas, name) for name, file in files.items() if file.macro_pragmas)
        if any(macro_pragmas_matter(found, name, text) for found, name in pragmas):
            return False
        return all(file.kind != SourceKind.OPTIONS for file in files.values()) or not changes_options(
            text, OPTIONS_PRAGMA
        )

    def _learn(self, suspects: bool, directory: str) -> bool:
        if len(self._suspicion) >= _MAX_DIRECTORIES:
            self._suspicion.clear()
        self._suspicion[directory] = max(min(self._suspicion.get(directory, 0) + (1 if suspects else -1), 2), -2)
        return suspects

    def _files_of(self, text: bytes, source: str, directory: str) -> Iterator[tuple[bytes, Scanned]]:
        base = os.fsencode(directory)
        seen = set()
        for name in chain([os.fsencode(source)], entered_files(text)):
            if name not in seen:
                seen.add(name)
                yield name, self._file(os.path.join(base, name))

    def _file(self, path: bytes) -> Scanned:
        if b"\\" in path:
            return Scanned(SourceKind.SUSPECT)  # what is quoted in a marker is not worth the trouble
        try:
            status = os.stat(path)
            if not stat.S_ISREG(status.st_mode):
                return Scanned(SourceKind.SUSPECT)  # it may be there to be read once
            key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            known = self._files.get(key)
            if known is None:
                with open(path, "rb") as file:
                    known = examine(file.read())
                if len(self._files) >= _MAX_FILES:
                    self._files.clear()
                self._files[key] = known
        except OSError:
            return Scanned(SourceKind.SUSPECT)
        return known


def _view(process: str) -> tuple[int, int, int] | None:
    """Which files a process sees; None if that cannot be told."""
    try:
        root = os.stat(f"/proc/{process}/root")
        return root.st_dev, root.st_ino, os.stat(f"/proc/{process}/ns/mnt").st_ino
    except OSError:
        return None
