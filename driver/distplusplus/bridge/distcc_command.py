"""What a distcc client was called for, by its own command line; and what distcc made of it. Pure."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Sequence

# How distcc tells that its first argument is no compiler (distcc 3.4, dcc_find_compiler).
_SOURCE_OR_OBJECT = (
    *(".c", ".cc", ".cpp", ".cxx", ".cp", ".c++", ".C", ".i", ".ii", ".m", ".mm", ".mi", ".mii", ".M"),
    *(".s", ".S", ".o", ".obj"),
)
_READ_ONCE = re.compile(r"/dev/(?:stdin|fd/)|/proc/(?:self|thread-self|\d+)/fd/")
_WRITES_DEPENDENCIES = frozenset({"-MD", "-MMD", "--write-dependencies", "--write-user-dependencies"})


def called_compiler(argv: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The compiler as the user named it, and its arguments. `argv` is the client's own: `distcc gcc ...`, `distcc -c
    a.c`, or `gcc ...` by a link to distcc.
    """
    if not os.path.basename(argv[0]).startswith("distcc"):
        return os.path.basename(argv[0]), tuple(argv[1:])
    if len(argv) < 2 or argv[1].startswith("-") or os.path.splitext(argv[1])[1] in _SOURCE_OR_OBJECT:
        return "cc", tuple(argv[1:])
    return argv[1], tuple(argv[2:])


def absolute_path_list(path: str, directory: str) -> str:
    """A value of PATH whose relative entries are those of `directory`."""
    return os.pathsep.join(os.path.join(directory, entry) for entry in path.split(os.pathsep))


def read_once(arguments: Sequence[str]) -> str | None:
    """An argument that names a pipe of the client, as `-include <(...)` does; None if there is none."""
    return next((argument for argument in arguments if _READ_ONCE.search(argument)), None)


def added_targets(called: Sequence[str], sent: Sequence[str]) -> list[str]:
    """The targets that distcc has added for clang: it does so unless DISTCC_NO_REWRITE_CROSS is set."""
    given = [value for option, value in itertools.pairwise(called) if option == "-target"]
    found = [value for option, value in itertools.pairwise(sent) if option == "-target"]
    return found[len(given) :]


def names_target(arguments: Sequence[str]) -> bool:
    """Whether a command says for which machine to compile."""
    return any(argument.startswith(("-target", "--target")) for argument in arguments)


def misplaces_dependencies(arguments: Sequence[str], source: str, output: str) -> bool:
    """Whether distcc writes another dependency file than the compiler would.

    It takes `-o` away before it preprocesses. So the file is named after the source and lies in the working directory
    if there is no -MF, and so is the target in it if there is neither -MT nor -MQ.
    """
    if not _WRITES_DEPENDENCIES.intersection(arguments):
        return False
    names_file = any(argument.startswith("-MF") for argument in arguments)
    names_rule = any(argument.startswith(("-MT", "-MQ")) for argument in arguments)
    return not (names_file and names_rule) and output != os.path.splitext(os.path.basename(source))[0] + ".o"


def output_of(sent: Sequence[str]) -> str | None:
    """The output file of a command as distcc sends it, which always names one."""
    output = None
    for position, argument in enumerate(sent):
        if argument == "-o":
            output = sent[position + 1] if position + 1 < len(sent) else None
        elif argument.startswith("-o"):
            output = argument[2:]
    return output
