"""A compiler's arguments taken apart by the table of options. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from distplusplus.compiler.options import TABLE, Option, Shape


class Word(NamedTuple):
    """One option or operand of a command.

    option: its row; None for an operand, and for what is not in the table
    value: joined to the argument or in the next one; None where there is none
    arguments: as they were written, one or two
    """

    argument: str
    option: Option | None
    value: str | None = None
    arguments: tuple[str, ...] = ()
    is_operand: bool = False
    lacks_value: bool = False

    @property
    def has_good_value(self) -> bool:
        """Whether the compiler of a server may get the value: it has the form of the option's row."""
        return self.value is None or (
            self.option is not None
            and self.option.form is not None
            and re.fullmatch(self.option.form, self.value) is not None
        )


def take_apart(arguments: Sequence[str], *, clang: bool) -> Iterator[Word]:
    """The words of a command. What comes after `--` are operands, and so is the `--`."""
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        position += 1
        if argument == "--":
            yield from (Word(operand, None, None, (operand,), True) for operand in arguments[position - 1 :])
            return
        if not argument.startswith("-") or argument == "-":
            yield Word(argument, None, None, (argument,), True)
            continue
        option, value = find(argument, clang)
        if option is None or value is not None or option.shape & Shape.ALONE:
            yield Word(argument, option, value, (argument,))
        elif position < len(arguments):
            yield Word(argument, option, arguments[position], (argument, arguments[position]))
            position += 1
        else:
            yield Word(argument, option, None, (argument,), lacks_value=True)


@lru_cache(maxsize=4096)  # most arguments are the same for all sources
def find(argument: str, clang: bool) -> tuple[Option | None, str | None]:
    """The row of an argument and the value that is joined to it; None where there is none."""
    rows = _ROWS[clang]
    option = rows.get(argument)
    if option is not None and option.shape & (Shape.ALONE | Shape.SEPARATE):
        return option, None
    if option is not None and option.shape & Shape.JOINED:
        return option, ""
    for length in range(min(len(argument) - 1, _LONGEST), 1, -1):
        option = rows.get(argument[:length])
        if option is None:
            continue
        if option.shape & Shape.JOINED:
            return option, argument[length:]
        if option.shape & Shape.EQUALS and argument[length] == "=":
            return option, argument[length + 1 :]
    return None, None


_ROWS = {clang: {option.name: option for option in TABLE if option.clang in (None, clang)} for clang in (False, True)}
_LONGEST = max(len(option.name) for option in TABLE)
