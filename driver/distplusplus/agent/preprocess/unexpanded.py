"""Leaving the macros to the server: `g++ -E -fdirectives-only` takes half the time, and its text is nearer the source.

What such a text may lack was found by experiment with GCC 11, 12 and 14 and by comparing what comes of some thousand
headers: some pragmas are missing from it without a trace. So the files that went into it are looked at, too, each
once for as long as it does not change.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from itertools import chain

from distplusplus.agent.preprocess.find import find
from distplusplus.agent.preprocess.markers import entered_files, lines_agree, sections_of
from distplusplus.agent.preprocess.preprocessed import changes_options

_MAX_FILES, _MAX_DIRECTORIES = 200_000, 10_000
# GCC has 0x50000000 source locations before it saves on them, 4096 a line: enough for 327,000 lines, at some 30 bytes
# each, with those that are left out of the text. Only above this size is it worth to look.
_LARGE_BYTES = 4 << 20

# GCC leaves out the pragmas that it has carried out, as with -E, and by mistake those in which macros are to be
# expanded: redefine_extname, message, omp with -fopenmp (c_register_pragma_with_expansion). All but these may be
# such ones.
_KEPT_PRAGMA = re.compile(
    rb"[ \t]+(?:once|pack|weak|unroll|STDC|clang|ident|interface|implementation|omp|acc|push_macro|pop_macro"
    rb"|GCC[ \t]+(?:system_header|diagnostic|visibility|ivdep|unroll|push_options|pop_options|reset_options"
    rb"|target|optimize)"
    # Of Visual C++, other compilers and tools; GCC does not know them.
    rb"|warning|warn|comment|intrinsic|region|endregion|optimize|section|\w+_seg|inline_\w+|auto_inline|vtordisp"
    rb"|runtime_checks|float_control|fp_contract|detect_mismatch|deprecated|function|loop|managed|unmanaged|hdrstop"
    rb"|nounroll|ivdep|simd|vector|diag_\w+|nv_\w+|set|reset|option|wave|parse_\w+|nopushoptwarn|nopackwarning|qt_\w+"
    rb")\b|[ \t]*(?:\r?\n|\Z)"
)
# What stands before the word in its line if it is a directive. In a text or comment it is none, and _Pragma is left
# to the server as it is.
_DIRECTIVE = re.compile(rb"\s*(?:.*\*/\s*)?(?:#|%:|\?\?=)\s*(?:/\*.*\*/\s*)?")
_CONTINUED = (b"\\\n", b"\\\r\n", b"??/\n")
# Where one is carried out there are other macros from there on, of which the text tells nothing.
_MACRO_PRAGMA = re.compile(rb'[ \t]*#[ \t]*pragma[ \t]+(?:push|pop)_macro[ \t]*\([ \t]*"(\w+)"[ \t]*\)')
_RENUMBERS = re.compile(rb"^[ \t]*#[ \t]*(?:line\b|\d)", re.MULTILINE)
_SUSPECT = (
    # Errors that only a full preprocessor finds.
    b"GCC poison",
    # The server's clock, files and names.
    b"__DATE__", b"__TIME__", b"__TIMESTAMP__", b"__BASE_FILE__", b".incbin",
)  # fmt: skip
_OPTIONS = re.compile(rb"GCC[ \t]+(?:target|optimize)\b")
_SUSPECT_ARGUMENT = re.compile(
    r"-Wp,.*imacros.*|--?imacros.*|-finput-charset=.*|-f(?:openmp|openacc|cilkplus).*|-frecord-gcc-switches"
    r"|-Wunused-macros|-Wdate-time",
    re.DOTALL,
)


class Kind(Enum):
    """Of a file: what it means for a text that it went into."""

    PLAIN = auto()
    # It may change the compiler's options, which does not change the macros that go with them: see preprocessed.py.
    OPTIONS = auto()
    # Such a text may lack something of it, or it would mean another thing on a server.
    SUSPECT = auto()


@dataclass(frozen=True)
class File:
    """What was found in a file. `macro_pragmas`: of `#pragma push_macro` and the like, the line, from 1, and the macro.
    They make it suspect if they matter in a text.
    """

    kind: Kind
    macro_pragmas: tuple[tuple[int, bytes], ...] = ()


@lru_cache(maxsize=4096)  # most arguments are the same for all sources
def is_suspect_argument(argument: str) -> bool:
    """Whether a compile with this argument must be preprocessed in full."""
    return _SUSPECT_ARGUMENT.fullmatch(argument) is not None or examine(os.fsencode(argument)) != File(Kind.PLAIN)


def examine(source: bytes) -> File:
    """What a file, or an argument, holds that matters here."""
    macro_pragmas = []
    hidden = False
    if b"push_macro" in source or b"pop_macro" in source:
        for number, line in enumerate(source.split(b"\n"), 1):
            if pragma := _MACRO_PRAGMA.match(line):
                macro_pragmas.append((number, pragma[1]))
            elif (b"push_macro" in line or b"pop_macro" in line) and not line.lstrip().startswith(b"//"):
                hidden = True
    renumbered = bool(macro_pragmas) and _RENUMBERS.search(source) is not None
    if hidden or renumbered or any(part in source for part in _SUSPECT) or any(_lost_pragmas(source)):
        return File(Kind.SUSPECT)
    return File(Kind.OPTIONS if _OPTIONS.search(source) else Kind.PLAIN, tuple(macro_pragmas))


def _lost_pragmas(source: bytes) -> Iterator[bool]:
    for found in re.finditer(rb"\bpragma\b", source):
        line = source.rfind(b"\n", 0, found.start()) + 1
        if _DIRECTIVE.fullmatch(source, line, found.start()) or source[max(line - 4, 0) : line].endswith(_CONTINUED):
            yield _KEPT_PRAGMA.match(source, found.end()) is None


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
        self._files: dict[tuple[int, int, int, int, int], File] = {}
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
        return self._learn(any(file.kind == Kind.SUSPECT for file in files), directory)

    def are_plain(self, text: bytes, source: str, directory: str) -> bool:
        """Whether a server can expand the macros of a text: nothing that went into it is suspect, and all of it can
        be read. `source` and other names are relative to `directory`.
        """
        files = dict(self._files_of(text, source, directory))
        if self._learn(any(file.kind == Kind.SUSPECT for file in files.values()), directory):
            return False
        if len(text) >= _LARGE_BYTES and not lines_agree(text):
            return False
        pragmas = ((file.macro_pragmas, name) for name, file in files.items() if file.macro_pragmas)
        if any(macro_pragmas_matter(found, name, text) for found, name in pragmas):
            return False
        return all(file.kind != Kind.OPTIONS for file in files.values()) or not changes_options(text, _OPTIONS)

    def _learn(self, suspects: bool, directory: str) -> bool:
        if len(self._suspicion) >= _MAX_DIRECTORIES:
            self._suspicion.clear()
        self._suspicion[directory] = max(min(self._suspicion.get(directory, 0) + (1 if suspects else -1), 2), -2)
        return suspects

    def _files_of(self, text: bytes, source: str, directory: str) -> Iterator[tuple[bytes, File]]:
        base = os.fsencode(directory)
        seen = set()
        for name in chain([os.fsencode(source)], entered_files(text)):
            if name not in seen:
                seen.add(name)
                yield name, self._file(os.path.join(base, name))

    def _file(self, path: bytes) -> File:
        if b"\\" in path:
            return File(Kind.SUSPECT)  # what is quoted in a marker is not worth the trouble
        try:
            status = os.stat(path)
            if not stat.S_ISREG(status.st_mode):
                return File(Kind.SUSPECT)  # it may be there to be read once
            key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            known = self._files.get(key)
            if known is None:
                with open(path, "rb") as file:
                    known = examine(file.read())
                if len(self._files) >= _MAX_FILES:
                    self._files.clear()
                self._files[key] = known
        except OSError:
            return File(Kind.SUSPECT)
        return known


def _view(process: str) -> tuple[int, int, int] | None:
    """Which files a process sees; None if that cannot be told."""
    try:
        root = os.stat(f"/proc/{process}/root")
        return root.st_dev, root.st_ino, os.stat(f"/proc/{process}/ns/mnt").st_ino
    except OSError:
        return None
