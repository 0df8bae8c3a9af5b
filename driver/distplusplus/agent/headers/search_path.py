"""Where a compiler looks for headers, from what it says with `-E -v`. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_QUOTE: Final = '#include "..." search starts here:'
_ANGLE: Final = "#include <...> search starts here:"
_END: Final = "End of search list."


@dataclass(frozen=True)
class SearchPath:
    """Directories in the order in which they are searched, as the compiler writes them.

    `quote` comes before `angle` for names in quotes. `own` are the compiler's own directories, which a worker has as
    well and which belong to the compiler's identity; all others come from the user's machine.
    """

    quote: tuple[str, ...]
    angle: tuple[str, ...]
    own: frozenset[str]


class NoSearchPathError(Exception):
    """Raised when a compiler does not say where it looks, or says it in a way that is not known."""


def parse(messages: str, own_messages: str) -> SearchPath:
    """The search path of a command, from what the compiler says with -E -v.

    `own_messages` are from the same compiler and language without any of the user's directories, and with a system root
    that does not exist: the directories that it still has are its own. Raises NoSearchPathError.
    """
    quote, angle = _lists(messages)
    return SearchPath(quote, angle, frozenset(_lists(own_messages)[1]))


def _lists(messages: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    quote: list[str] = []
    angle: list[str] = []
    current: list[str] | None = None
    for line in messages.splitlines():
        if line == _QUOTE:
            current = quote
        elif line == _ANGLE:
            current = angle
        elif line == _END:
            return tuple(quote), tuple(angle)
        elif current is not None:
            if line.endswith(" (framework directory)"):
                raise NoSearchPathError("it has framework directories")
            if line.endswith(" (headermap)"):
                raise NoSearchPathError("it has header maps")
            current.append(line.removeprefix(" "))
    raise NoSearchPathError("the compiler does not say where it looks for headers")
