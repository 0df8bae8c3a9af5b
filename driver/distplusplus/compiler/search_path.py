"""Where a compiler looks for headers, from what it says with `-E -v`. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_QUOTE: Final = '#include "..." search starts here:'
_ANGLE: Final = "#include <...> search starts here:"
_END: Final = "End of search list."
# A system root without anything in it.
_NOWHERE: Final = "/nonexistent"


@dataclass(frozen=True)
class SearchPath:
    """Directories in the order in which they are searched, as the compiler writes them.

    `quote` comes before `angle` for names in quotes. `own` are the compiler's own directories, which a worker has as
    well and which belong to the compiler's identity; all others come from the user's machine.
    """

    quote: tuple[str, ...]
    angle: tuple[str, ...]
    own: tuple[str, ...]


class NoSearchPathError(Exception):
    """Raised when a compiler does not say where it looks, or says it in a way that is not known."""


def system_root(root: str, *, clang: bool) -> tuple[str, ...]:
    """The arguments with which a compiler takes the system's headers from below `root`.

    Neither is recorded in an object's DW_AT_producer.
    """
    return (f"--sysroot={root}",) if clang else ("-isysroot", root)


def question(language: str, *, clang: bool, own: bool) -> tuple[str, ...]:
    """Arguments that make a compiler say where it looks. `own`: for its own directories only."""
    return (*(system_root(_NOWHERE, clang=clang) if own else ()), "-x", language, "-E", "-v", "/dev/null")


def own_directories(own_messages: str) -> tuple[str, ...]:
    """The compiler's own directories. Raises NoSearchPathError."""
    return lists(own_messages)[1]


def lists(messages: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The directories for names in quotes, and those for all names. Raises NoSearchPathError."""
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
            if line.endswith((" (framework directory)", " (headermap)")):
                raise NoSearchPathError("it looks for headers in frameworks or header maps")
            current.append(line.removeprefix(" "))
    raise NoSearchPathError("the compiler does not say where it looks for headers")
