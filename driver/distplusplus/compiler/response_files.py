"""Arguments from files: `@FILE` on a compiler's command line, by the rules of libiberty's expandargv."""

from __future__ import annotations

import os
from collections.abc import Sequence

from distplusplus.compiler.special_files import is_special

_MAX_FILES = 200
_MAX_BYTES = 16 << 20
_SPACE = frozenset(" \t\n\r\v\f")


class ResponseFileError(Exception):
    """Raised for files that include each other without end, that are too large, and for pipes: what is read from one is
    lost to the compiler.
    """


def expand(arguments: Sequence[str], directory: str) -> list[str]:
    """`arguments` with each `@FILE` replaced by the words in it; what cannot be read stays, as the compiler has it.

    Raises ResponseFileError.
    """
    if not any(argument.startswith("@") for argument in arguments):
        return list(arguments)
    waiting, expanded, files = list(reversed(arguments)), [], 0
    while waiting:
        argument = waiting.pop()
        text = _read(argument, os.path.join(directory, argument[1:])) if argument.startswith("@") else None
        if text is None:
            expanded.append(argument)
            continue
        files += 1
        if files > _MAX_FILES:
            raise ResponseFileError(f"more than {_MAX_FILES} response files: does one include itself?")
        waiting += reversed(split(text))
    return expanded


def split(text: str) -> list[str]:
    """The words of a response file: white space separates, quotes and backslashes keep characters together."""
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    characters = iter(text)
    for character in characters:
        if character == "\\":
            word = [] if word is None else word
            word.append(next(characters, ""))
        elif quote:
            if character == quote:
                quote = ""
            elif word is not None:
                word.append(character)
        elif character in "'\"":
            quote = character
            word = [] if word is None else word
        elif character in _SPACE:
            if word is not None:
                words.append("".join(word))
                word = None
        else:
            word = [] if word is None else word
            word.append(character)
    if word is not None:
        words.append("".join(word))
    return words


def _read(argument: str, path: str) -> str | None:
    """None for what is no file. Raises ResponseFileError."""
    if is_special(path):
        raise ResponseFileError(f"{argument} is a pipe or a device, which can be read only once")
    try:
        if os.path.getsize(path) > _MAX_BYTES:
            raise ResponseFileError(f"{argument} is larger than {_MAX_BYTES >> 20} MiB")
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except (OSError, ValueError):
        return None
