"""Where `-j N` belongs in a build command. Pure.

A plain command gets `-j N` at its end. This module knows the commands for which that would be wrong: those with `--`,
shells, wrappers, and tools that spell the option differently or do not have it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

PLACEHOLDER = "{jobs}"

_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "mksh", "fish"})

# Programs that run the command after their own options: which of the options take a separate value, and how many
# operands come before the command.
_WRAPPERS: Mapping[str, tuple[frozenset[str], int]] = {
    "nice": (frozenset({"-n", "--adjustment"}), 0),
    "ionice": (frozenset({"-c", "-n", "--class", "--classdata"}), 0),
    "chrt": (frozenset({"-T", "-P", "-D"}), 1),
    "taskset": (frozenset(), 1),
    "numactl": (frozenset({"-C", "-N", "-m", "-i", "-p", "--physcpubind", "--cpunodebind", "--membind"}), 0),
    "time": (frozenset({"-f", "-o", "--format", "--output"}), 0),
    "timeout": (frozenset({"-k", "-s", "--kill-after", "--signal"}), 1),
    "env": (frozenset({"-u", "-C", "--unset", "--chdir"}), 0),
    "nohup": (frozenset(), 0),
    "setsid": (frozenset(), 0),
    "stdbuf": (frozenset({"-i", "-o", "-e", "--input", "--output", "--error"}), 0),
    "chronic": (frozenset(), 0),
    "unbuffer": (frozenset(), 0),
    "strace": (frozenset({"-e", "-o", "-p", "-s", "-u", "-E", "-a", "-P"}), 0),
    "xvfb-run": (frozenset({"-e", "-f", "-n", "-p", "-s", "-w"}), 0),
    "ccache": (frozenset(), 0),
    "distcc": (frozenset(), 0),
    "bear": (frozenset({"-o", "--output", "--config"}), 0),
    "intercept-build": (frozenset({"--cdb"}), 0),
    "scan-build": (frozenset({"-o"}), 0),
    "compiledb": (frozenset({"-o", "-p", "-d", "--output", "--parse", "--build-dir"}), 0),
}

# make's short options that take a value, so that neither `-Cjunk` nor `-f j.mk` is read as `-j`.
_MAKE_VALUE_LETTERS = "CEIOWflo"
_MAKES = frozenset({"make", "gmake", "remake", "bmake"})
_NINJAS = frozenset({"ninja", "ninja-build", "samu"})


@dataclass(frozen=True)
class PlacedCommand:
    """The command to run, what to add to its environment, and a remark for the user if there is one."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    note: str | None = None


@dataclass(frozen=True)
class BuildPlace:
    """Where a build tool works: its directory, and the makefiles that it was told to read."""

    directory: str
    reads_makefile: bool = False
    makefiles: tuple[str, ...] = ()


def build_place(argv: Sequence[str]) -> BuildPlace | None:
    """Where the build tool of a command works, None for one that we do not know, such as a shell's script."""
    start = _tool_index(argv)
    name, arguments = os.path.basename(argv[start]), list(argv[start + 1 :])
    if name in _MAKES:
        return BuildPlace(
            os.path.join(".", *_option_values(arguments, "C", "--directory")),
            reads_makefile=True,
            makefiles=tuple(_option_values(arguments, "f", "--file", "--makefile")),
        )
    if name in _NINJAS or (name == "meson" and arguments[:1] == ["compile"]):
        return BuildPlace(os.path.join(".", *_option_values(arguments, "C")))
    if name == "cmake" and (directories := _option_values(arguments, "", "--build")):
        return BuildPlace(directories[0])
    return None


def _option_values(arguments: Sequence[str], letter: str, *names: str) -> list[str]:
    """All values of an option: -C DIR, -CDIR, --name DIR or --name=DIR."""
    values: list[str] = []
    for index, word in enumerate(arguments):
        following = arguments[index + 1 : index + 2]
        if word in names or (letter and word == f"-{letter}"):
            values += following
        elif joined := [word.removeprefix(f"{name}=") for name in names if word.startswith(f"{name}=")]:
            values += joined
        elif letter and word.startswith(f"-{letter}"):
            values.append(word[2:])
    return values


def place_jobs(argv: Sequence[str], jobs: int, environ: Mapping[str, str]) -> PlacedCommand:
    """The command with `-j jobs` where its build tool takes it.

    If `{jobs}` is in the command, it is replaced and nothing is added. A number of jobs that the user gave is kept.
    """
    if any(PLACEHOLDER in word for word in argv):
        return PlacedCommand(tuple(word.replace(PLACEHOLDER, str(jobs)) for word in argv))
    start = _tool_index(argv)
    name, arguments = os.path.basename(argv[start]), argv[start + 1 :]
    if name in _SHELLS and (script := _script_text(arguments)) is not None:
        return _place_in_script(argv, script, jobs, environ)
    if given := _given_jobs(name, arguments):
        return _keep_given(argv, given, jobs)
    if not _takes_jobs(name, arguments):
        note = f"'{' '.join((name, *arguments[:1]))}' takes no -j here and is run as it is"
        return PlacedCommand(tuple(argv), note=note)
    end = start + 1 + arguments.index("--") if "--" in arguments else len(argv)
    return PlacedCommand((*argv[:end], "-j", str(jobs), *argv[end:]))


def _tool_index(argv: Sequence[str]) -> int:
    """The index of the build tool, which may come after wrappers."""
    index = 0
    while (wrapper := _WRAPPERS.get(os.path.basename(argv[index]))) is not None:
        inner = _behind_wrapper(argv, index, *wrapper)
        if inner >= len(argv):
            break
        index = inner
    return index


def _behind_wrapper(argv: Sequence[str], index: int, value_options: frozenset[str], operands: int) -> int:
    is_env = os.path.basename(argv[index]) == "env"
    index += 1
    while index < len(argv):
        word = argv[index]
        if word == "--":
            return index + 1 + operands
        if word in value_options:
            index += 2
        elif word.startswith("-") or (is_env and "=" in word):
            index += 1
        else:
            return index + operands
    return index


def _script_text(arguments: Sequence[str]) -> str | None:
    """The script of `sh [OPTIONS] -c SCRIPT`, None if the shell runs a file."""
    has_script = False
    words = iter(arguments)
    for word in words:
        if not word.startswith(("-", "+")) or word == "--":
            return word if has_script else None
        if not word.startswith("--"):
            has_script |= word.startswith("-") and "c" in word
            if word[-1] in "oO":
                next(words, None)
    return None


def _place_in_script(argv: Sequence[str], script: str, jobs: int, environ: Mapping[str, str]) -> PlacedCommand:
    """A script is not changed. make and cmake read the number of jobs from the environment."""
    if given := _given_jobs("make", script.split()):
        return _keep_given(argv, given, jobs)
    makeflags = environ.get("MAKEFLAGS", "")
    environment = {"CMAKE_BUILD_PARALLEL_LEVEL": str(jobs)}
    if not _given_jobs("make", makeflags.split()):
        environment["MAKEFLAGS"] = f"{makeflags} -j{jobs}".strip()
    note = (
        f"the shell's script is run as it is: make and cmake --build in it learn -j {jobs} from the environment, "
        f"for other tools write {PLACEHOLDER} where the number belongs"
    )
    return PlacedCommand(tuple(argv), environment, note)


def _keep_given(argv: Sequence[str], given: str, jobs: int) -> PlacedCommand:
    return PlacedCommand(tuple(argv), note=f"'{given}' is in the command and stays (the plan would have -j {jobs})")


def _takes_jobs(name: str, arguments: Sequence[str]) -> bool:
    if name == "cmake":
        return "--build" in arguments
    if name == "meson":
        return "compile" in arguments[:1]
    if name in _NINJAS:
        return not any(word.startswith("-t") for word in arguments)
    return True


def _given_jobs(name: str, arguments: Sequence[str]) -> str | None:
    """The user's own number of jobs as written in the arguments, None if there is none."""
    is_make = name in _MAKES
    is_value = False
    for index, word in enumerate(arguments):
        if is_value:
            is_value = False
            continue
        if word == "--" and name != "cmake":  # what follows cmake's is for the build tool below
            return None
        if word in ("-j", "--jobs", "--parallel"):
            following = arguments[index + 1 : index + 2]
            return " ".join((word, *(value for value in following if value.isdigit())))
        if word.startswith(("--jobs=", "--parallel=")) or (word.startswith("-j") and word[2:].isdigit()):
            return word
        if is_make and word.startswith("-") and not word.startswith("--"):
            # A cluster of short options: the first that takes a value ends it, as in `-kj8` or `-kC dir`.
            letter = next((letter for letter in word[1:] if letter in "j" + _MAKE_VALUE_LETTERS), "")
            if letter == "j":
                return word
            is_value = letter != "" and word.index(letter) == len(word) - 1
    return None
