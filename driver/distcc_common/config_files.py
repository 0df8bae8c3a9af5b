"""Settings from TOML files and from the environment, with errors that name the file or the variable, and the key.

A reader is a function from a value, which is text where it came from the environment, to what the setting holds.
It raises ValueError with a message that completes "FILE: KEY: ...".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from distcc_common.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing costs 3 ms to import
    from typing import Any, TypeVar

    T = TypeVar("T")


def user_file(environ: Mapping[str, str], program: str, name: str) -> str | None:
    """The user's configuration file (XDG base directory specification), None without a home directory."""
    base = environ.get("XDG_CONFIG_HOME") or ""
    if not os.path.isabs(base):
        if not (home := environ.get("HOME")):
            return None
        base = os.path.join(home, ".config")
    return os.path.join(base, program, name)


def read_toml(path: str) -> dict[str, Any] | None:
    """The table in the file, None where there is no such file. Raises ConfigurationError that names the file."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    import tomllib  # noqa: PLC0415  (10 ms, needed by those who have a file)

    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is not TOML: {error}") from None


def read_value(reader: Callable[[object], T], value: object, source: str) -> T:
    """What the reader makes of the value. Raises ConfigurationError that names `source`: the file and key."""
    try:
        return reader(value)
    except ValueError as error:
        raise ConfigurationError(f"{source}: {error}") from None


def whole_number(low: int, high: int) -> Callable[[object], int]:
    """Reads a whole number from `low` to `high`."""

    def read(value: object) -> int:
        number = value
        if isinstance(value, str):
            digits = value.strip().removeprefix("-")
            is_number = digits.isascii() and digits.isdigit() and len(digits) <= 18
            number = int(value) if is_number else None
        if type(number) is not int or not low <= number <= high:
            raise ValueError(f"{value!r} is not a whole number from {low} to {high}")
        return number

    return read


def seconds(most_s: float) -> Callable[[object], float]:
    """Reads a time above 0, in seconds."""

    def read(value: object) -> float:
        number = value
        if isinstance(value, str):
            try:
                number = float(value)
            except ValueError:
                number = None
        if not isinstance(number, int | float) or isinstance(number, bool) or not 0 < number <= most_s:
            raise ValueError(f"{value!r} is not a number of seconds (above 0, at most {most_s:g})")
        return float(number)

    return read


def choice(*choices: str) -> Callable[[object], str]:
    """Reads one of the words, in any case, and returns it as it is written in `choices`."""

    def read(value: object) -> str:
        for word in choices:
            if isinstance(value, str) and value.strip().lower() == word.lower():
                return word
        raise ValueError(f"{value!r} is none of {', '.join(choices)}")

    return read
