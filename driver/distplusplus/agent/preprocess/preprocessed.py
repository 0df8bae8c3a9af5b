"""What a preprocessed text shows that its command did not: reasons to compile here after all. Pure."""

from __future__ import annotations

import re

from distplusplus.agent.preprocess.find import find
from distplusplus.agent.preprocess.markers import is_in_system_header

_OPTIONS_PRAGMAS = (b"#pragma GCC target", b"#pragma GCC optimize")
_OPTIONS_PRAGMA = re.compile(b"|".join(_OPTIONS_PRAGMAS))
_DIAGNOSTIC_PRAGMA = re.compile(rb"^#pragma (?:GCC|clang) (?:diagnostic|system_header)", re.MULTILINE)


def reason_to_stay(text: bytes, *, clang: bool, warned: bool = False, maps_names: bool = False) -> str | None:
    """Why it must be compiled here; None if a server can do it. `warned`: the preprocessor had something to say."""
    if _has(text, b".incbin"):
        return "the source includes a file at compile time (.incbin)"
    if not clang and any(_has(text, pragma) for pragma in _OPTIONS_PRAGMAS) and changes_options(text, _OPTIONS_PRAGMA):
        return "a pragma changes the compiler's options, and with -E, GCC does not change the macros that go with them"
    if maps_names and _has(text, b"__builtin_FILE"):
        return "a prefix map changes what __builtin_FILE gives, which clang does only with the source"
    if warned and _DIAGNOSTIC_PRAGMA.search(text):
        return "the preprocessor warns, and with -E, GCC does not heed the pragmas that say of what to warn"
    return None


def _has(text: bytes, part: bytes) -> bool:
    return find(text, part) >= 0


def changes_options(text: bytes, pragma: re.Pattern[bytes]) -> bool:
    """Whether a pragma in it changes the compiler's options. The compiler's own headers do so, but ask for no macro
    that goes with them.
    """
    return any(not is_in_system_header(text, found.start()) for found in pragma.finditer(text))
