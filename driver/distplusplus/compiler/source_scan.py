"""What a source file holds that may be lost when its macros are left to a server. Pure.

What `g++ -E -fdirectives-only` may lose was found by experiment with GCC 11, 12 and 14 and by comparing what comes of
some thousand headers: some pragmas are missing from its text without a trace.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache

from distplusplus.compiler.conditionals import Alternatives, passed_over

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
_MESSAGE_PRAGMA = re.compile(rb"[ \t]*#[ \t]*pragma[ \t]+message\b")
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
OPTIONS_PRAGMA = re.compile(rb"GCC[ \t]+(?:target|optimize)\b")


class SourceKind(Enum):
    """Of a file: what it means for a text that it went into."""

    PLAIN = auto()
    # It may change the compiler's options, which does not change the macros that go with them: see preprocessed.py.
    OPTIONS = auto()
    # Such a text may lack something of it, or it would mean another thing on a server.
    SUSPECT = auto()


@dataclass(frozen=True)
class Scanned:
    """What was found in a file.

    macro_pragmas: of `#pragma push_macro` and the like, the line, from 1, and the macro. They make it suspect if they
        matter in a text
    guarded: of each pragma that would be lost, the sets of macros of which one must be undefined throughout, so that it
        is passed over
    why: why it is suspect
    """

    kind: SourceKind
    macro_pragmas: tuple[tuple[int, bytes], ...] = ()
    guarded: tuple[Alternatives, ...] = ()
    why: str = field(default="", compare=False)


def examine(source: bytes) -> Scanned:
    """What a file, or an argument, holds that matters here."""
    macro_pragmas = []
    hidden = False
    if b"push_macro" in source or b"pop_macro" in source:
        for number, line in enumerate(source.split(b"\n"), 1):
            if pragma := _MACRO_PRAGMA.match(line):
                macro_pragmas.append((number, pragma[1]))
            elif (b"push_macro" in line or b"pop_macro" in line) and not line.lstrip().startswith(b"//"):
                hidden = True
    if hidden or (macro_pragmas and _RENUMBERS.search(source)):
        return Scanned(SourceKind.SUSPECT, why="holds a pragma push_macro or pop_macro that cannot be followed")
    if part := next((part for part in _SUSPECT if part in source), None):
        return Scanned(SourceKind.SUSPECT, why=f"holds {part.decode()}")
    guarded = []
    lines: Mapping[int, Alternatives] | None = None
    for start in _lost_pragmas(source):
        lines = passed_over(source) if lines is None else lines
        number = source.count(b"\n", 0, start) + 1
        if not lines.get(number) or not _MESSAGE_PRAGMA.match(source, start):
            shown = source[start : start + 60].partition(b"\n")[0].decode(errors="replace").strip()
            return Scanned(SourceKind.SUSPECT, why=f"holds {shown!r} in line {number}")
        guarded.append(lines[number])
    kind = SourceKind.OPTIONS if OPTIONS_PRAGMA.search(source) else SourceKind.PLAIN
    return Scanned(kind, tuple(macro_pragmas), tuple(guarded))


def _lost_pragmas(source: bytes) -> Iterator[int]:
    """Where the lines of those begin that -fdirectives-only may lose."""
    for found in re.finditer(rb"\bpragma\b", source):
        line = source.rfind(b"\n", 0, found.start()) + 1
        continued = source[max(line - 4, 0) : line].endswith(_CONTINUED)
        is_directive = continued or _DIRECTIVE.fullmatch(source, line, found.start())
        if is_directive and _KEPT_PRAGMA.match(source, found.end()) is None:
            yield line


@lru_cache(maxsize=4096)  # most arguments are the same for all sources
def is_plain_argument(argument: str) -> bool:
    """Whether an argument holds nothing that would be suspect in a file: `-DWHEN=__DATE__` does."""
    return examine(os.fsencode(argument)) == Scanned(SourceKind.PLAIN)


# A comment that GCC reads by -Wimplicit-fallthrough=3 or 4 (its default is 3), and by 2, which ignores case and takes
# more around the words; gcc(1). What is spelled in another way that GCC takes, with a backslash before the end of a
# line for one, costs a warning, and that a second compile.
_FALLTHROUGH_3 = re.compile(
    rb"(?:/\*|//)(?:-fallthrough|@fallthrough@|lint -fallthrough"
    rb"|[ \t.!]*(?:else,? |intentional(?:ly)? )?fall(?:s | |-)?thr(?:ough|u))",
    re.IGNORECASE,
)
_FALLTHROUGH_2 = re.compile(rb"falls?[ \t-]*thr(?:ough|u)", re.IGNORECASE)


def reads_comments(level: int, source: bytes) -> bool:
    """Whether -Wimplicit-fallthrough=LEVEL may find a comment in a source that keeps it from warning."""
    if level == 1:
        return b"/*" in source or b"//" in source
    return 1 < level < 5 and (_FALLTHROUGH_2 if level == 2 else _FALLTHROUGH_3).search(source) is not None
