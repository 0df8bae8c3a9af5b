"""`fab TASK HOST... [OPTION...]`: invoke takes no list of positional words, so each HOST becomes --host HOST."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence

from fabric import Task
from fabric.main import Fab as Program
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.parser.context import to_flag

from distcc_common.errors import ConfigurationError


def name_hosts(
    words: Sequence[str], value_flags: Mapping[str, Collection[str]], core_value_flags: Collection[str]
) -> list[str]:
    """`words`, which follow fab's own options, with each HOST, and each host of -H, as `--host HOST`.

    `value_flags` maps a task to those of its flags that take a value. A call runs one task: other words are hosts.
    """
    if not words or words[0] not in value_flags:
        return list(words)
    task, *rest = words
    named = [task]
    takes_value = {*value_flags[task], *core_value_flags}
    index = 0
    while index < len(rest):
        word = rest[index]
        flag, equals, value = word.partition("=")
        if flag in ("-H", "--hosts"):
            if not equals:
                index += 1
                value = rest[index] if index < len(rest) else ""
            named += options(value)
        elif word.startswith("-"):
            named.append(word)
            if word in takes_value and index + 1 < len(rest):
                index += 1
                named.append(rest[index])
        else:
            named += ["--host", word]
        index += 1
    return named


def options(hosts: str) -> list[str]:
    """The --host options for the value of fab's -H."""
    return [word for host in hosts.split(",") if host for word in ("--host", host)]


def check_numbers(words: Sequence[str], number_flags: Collection[str]) -> None:
    """Raises Exit when the value of one of these flags is not a whole number; invoke would print a traceback."""
    for index, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag in number_flags and (equals or index + 1 < len(words)):
            value = value if equals else words[index + 1]
            if not (value.isascii() and value.isdigit()):
                raise Exit(f"{flag}: expected a whole number, got '{value}'", code=ConfigurationError.exit_status)


def install(program: Program, tasks: Sequence[Task]) -> None:
    """Makes `program`, which is about to parse its command line, see the words as `name_hosts` returns them."""
    core = getattr(program, "core", None)
    if core is None:  # something other than fab imports the fabfile
        return
    value_flags = {task.name.replace("_", "-"): _value_flags(_arguments(task)) for task in tasks}
    core_value_flags = _value_flags(program.core_args())
    words = name_hosts(core.unparsed, value_flags, core_value_flags)
    for task in tasks:
        if words and words[0] == task.name.replace("_", "-"):
            check_numbers(words, _value_flags(one for one in _arguments(task) if one.kind is int))
    if (given := core[0].args.hosts.value) and words:
        words[1:1] = options(given)
        # fab itself would run the task once for each host, one after another.
        core[0].args.hosts.set_value(None, cast=False)
    core.unparsed[:] = words


def _value_flags(arguments: Iterable[Argument]) -> set[str]:
    return {to_flag(name) for argument in arguments if argument.takes_value for name in argument.names}


def _arguments(task: Task) -> list[Argument]:
    # get_arguments() removes the help texts from the task.
    looked_at = copy.copy(task)
    looked_at.help = dict(task.help)
    return list(looked_at.get_arguments())
