"""GCC's line markers in a preprocessed text: which file a line is of. Pure.

`# LINE "FILE" FLAG...`, where flag 1 is for a file that is entered, 2 for one that is returned to and 3 for a system
header (The C Preprocessor, 9: Preprocessor Output). In a text with unexpanded macros, comments may look like one, and
one may stand behind the blanks of an indented #include.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from distplusplus.agent.preprocess.find import find

# Of a line: its number, the file as it is quoted, the flags.
_MARKER = re.compile(rb'# (\d+) "((?:[^"\\\n]|\\.)*)"((?: \d)*)\n')
_ENTERED = b'# 1 "'
_NEXT = re.compile(rb'\n[ \t]*# \d+ "')


def entered_files(text: bytes, *, system: bool = True) -> Iterator[bytes]:
    """The files that were included, quoted as in the text. `system`: system headers, too."""
    position = find(text, _ENTERED)
    while position >= 0:
        start = position + len(_ENTERED)
        name, _, flags = text[start : text.find(b"\n", start)].rpartition(b'"')
        if flags.startswith(b" 1") and (system or b"3" not in flags):
            yield name
        position = find(text, _ENTERED, start)


def sections_of(name: bytes, text: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """What the text has of a file: the number of the first line, and the lines."""
    quoted = b'"' + name + b'"'
    position = find(text, quoted)
    while position >= 0:
        marker = _marker_at(text, text.rfind(b"# ", 0, position))
        if marker and marker.start(2) == position + 1:
            following = _NEXT.search(text, marker.end() - 1)
            yield int(marker[1]), text[marker.end() : following.start() if following else len(text)].split(b"\n")
        position = find(text, quoted, position + len(quoted))


def is_in_system_header(text: bytes, position: int) -> bool:
    """By the last marker before it."""
    while (position := text.rfind(b"# ", 0, position)) >= 0:
        if marker := _marker_at(text, position):
            return b"3" in marker[3]
    return False


def lines_agree(text: bytes) -> bool:
    """Whether each included file is left on the line after the one that it was entered from.

    Where GCC begins to save on source locations, -fdirectives-only can be wrong by one until the file ends (seen in a
    text of 14 MB, with GCC 12).
    """
    entered_from: list[int] = []
    line, counted_to = 0, 0
    for marker in _MARKER.finditer(text):
        if not _begins_line(text, marker.start()):
            continue
        number, file, flags = marker.groups()
        if flags.startswith(b" 1"):
            entered_from.append(line + text.count(b"\n", counted_to, marker.start()))
        elif flags.startswith(b" 2"):
            expected = entered_from.pop() + 1 if entered_from else None
            if int(number) != expected and not file.startswith(b"<"):
                return False
        line, counted_to = int(number), marker.end()
    return True


def _marker_at(text: bytes, position: int) -> re.Match[bytes] | None:
    return _MARKER.match(text, position) if position >= 0 and _begins_line(text, position) else None


def _begins_line(text: bytes, position: int) -> bool:
    """Whether nothing but blanks stands before it in its line."""
    return not text[text.rfind(b"\n", 0, position) + 1 : position].strip()
