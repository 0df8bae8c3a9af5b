"""What a text with unexpanded macros shows of the pragmas in the files that went into it. Pure.

`g++ -E -fdirectives-only` takes half the time, and its text is nearer the source; but some pragmas are missing from it
without a trace (see compiler/source_scan.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from distplusplus.agent.preprocess.find import find
from distplusplus.agent.preprocess.markers import sections_of
from distplusplus.compiler.conditionals import Alternatives


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


def may_be_taken(alternatives: Alternatives, text: bytes) -> bool:
    """Whether something that is passed over if all macros of an alternative are undefined may be carried out. The text
    has the predefined macros and those of the command, too.
    """
    return not any(all(not _is_defined(macro, text) for macro in macros) for macros in alternatives)


def _is_defined(macro: bytes, text: bytes) -> bool:
    directive = b"#define " + macro
    position = find(text, directive)
    while position >= 0:
        if not re.match(rb"\w", text[position + len(directive) : position + len(directive) + 1]):
            return True
        position = find(text, directive, position + len(directive))
    return False
