"""What a source file holds that may be lost when its macros are left to a server. Pure.

What `g++ -E -fdirectives-only` may lose was found by experiment with GCC 11, 12 and 14 and by comparing what comes of
some thousand headers: some pragmas are missing from its text without a trace.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

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
    """What was found in a file. `macro_pragmas`: of `#pragma push_macro` and the like, the line, from 1, and the macro.
    They make it suspect if they matter in a text.
    """

    kind: SourceKind
    macro_pragmas: tuple[tuple[int, bytes], ...] = ()


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
    renumbered = bool(macro_pragmas) and _RENUMBERS.search(source) is not None
    if hidden or renumbered or any(part in source for part in _SUSPECT) or any(_lost_pragmas(source)):
        return Scanned(SourceKind.SUSPECT)
    return Scanned(SourceKind.OPTIONS if OPTIONS_PRAGMA.search(source) else SourceKind.PLAIN, tuple(macro_pragmas))


def _lost_pragmas(source: bytes) -> Iterator[bool]:
    for found in re.finditer(rb"\bpragma\b", source):
        line = source.rfind(b"\n", 0, found.start()) + 1
        if _DIRECTIVE.fullmatch(source, line, found.start()) or source[max(line - 4, 0) : line].endswith(_CONTINUED):
            yield _KEPT_PRAGMA.match(source, found.end()) is None


@lru_cache(maxsize=4096)  # most arguments are the same for all sources
def is_plain_argument(argument: str) -> bool:
    """Whether an argument holds nothing that would be suspect in a file: `-DWHEN=__DATE__` does."""
    return examine(os.fsencode(argument)) == Scanned(SourceKind.PLAIN)
