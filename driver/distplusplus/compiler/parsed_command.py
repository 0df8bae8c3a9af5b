"""A compiler's command taken apart: what the preprocessor gets, what a server gets, which files it names. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from distplusplus.compiler.options import Reader, Server, Value
from distplusplus.compiler.source_scan import is_plain_argument
from distplusplus.compiler.words import Word, take_apart

# GCC's compiler reads all that -Wp and -Xpreprocessor pass on. These it reads for the preprocessor alone.
_PASSED_WITH_VALUE = frozenset(
    {"-MD", "-MMD", "-I", "-D", "-U", "-include", "-imacros", "-iquote", "-isystem", "-idirafter"}
)
_PASSED_FILE = frozenset({"-MD", "-MMD", "-include", "-imacros"})
_PASSED = re.compile(r"-[IDU].+|-i(?:nclude|macros|quote|system|dirafter).+|-MP|-undef|-nostdinc", re.DOTALL)
# Clang heeds it for __builtin_FILE only while it preprocesses.
_MAPS_NAMES = frozenset({"-fmacro-prefix-map=", "-ffile-prefix-map="})
# What says how messages are shown; `auto` says nothing.
_SHOWN = re.compile(
    r"-f(?:no-)?(?:diagnostics-color|color-diagnostics)(?:=(?!auto$).*)?|-f(message-length|diagnostics-urls)=(?!auto$).*"
    r"|-fdiagnostics-plain-output"
)
_FALLTHROUGH = re.compile(r"-W(?:error=)?(no-)?implicit-fallthrough(?:=(\d+))?")


@dataclass
class Command:
    """A command taken apart."""

    inputs: list[str] = field(default_factory=list)
    # All arguments but -c, -S, -o and its value: what the preprocessor gets.
    kept: list[str] = field(default_factory=list)
    remote: list[str] = field(default_factory=list)
    stop: str = ""
    output: str | None = None
    language: str = ""
    # What -Wp and -Xpreprocessor pass on.
    passed: list[str] = field(default_factory=list)
    # Why it is compiled locally.
    local: str = ""
    writes_dependencies: bool = False
    names_dependencies: bool = False
    names_target: bool = False
    maps_names: bool = False
    # Its source must be preprocessed in full.
    in_full: bool = False
    # Of how messages are shown: what the user says himself.
    shown: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)
    # Named by options.
    files: list[str] = field(default_factory=list)


def parse(arguments: Sequence[str], *, clang: bool) -> Command:
    """The command with these arguments, which are without the compiler's name."""
    command = Command()
    for word in take_apart(arguments, clang=clang):
        if word.lacks_value:
            command.local = f"{word.argument} lacks its value"
        elif not word.is_operand:
            _take_option(command, word)
        else:
            command.kept.append(word.argument)
            if word.argument != "--":
                command.inputs.append(word.argument)
    return command


def _take_option(command: Command, word: Word) -> None:  # noqa: PLR0912  # a table of cases
    name = word.option.name if word.option else ""
    value = word.value or ""
    if name in ("-c", "-S", "--compile", "--assemble"):
        stop = {"--compile": "-c", "--assemble": "-S"}.get(name, name)
        if command.stop not in ("", stop):
            command.local = "-c and -S together"
        command.stop = stop
        return
    if name in ("-o", "--output"):
        command.output = value
        return
    command.kept += word.arguments
    if name in ("-x", "--language"):
        if command.inputs:
            command.local = "-x behind the input file"
        command.language = value
        return
    if word.option is None or word.option.server != Server.DROPPED:
        command.remote += word.arguments
    if (
        word.option
        and word.option.value in (Value.FILE_READ, Value.FILE_WRITTEN)
        and word.option.reader != Reader.LINKER
    ):
        command.files.append(value)
    if word.option and word.option.local:
        command.local = command.local or f"{word.argument} {word.option.local}"
    command.in_full |= (word.option is not None and word.option.in_full) or not all(
        map(is_plain_argument, word.arguments)
    )
    if name in ("-Wp,", "-Xpreprocessor"):
        command.passed += value.split(",") if name == "-Wp," else [value]
        command.in_full |= "imacros" in value
    elif name in ("-MD", "-MMD", "--write-dependencies", "--write-user-dependencies"):
        command.writes_dependencies = True
    elif name == "-MF":
        command.names_dependencies = True
    elif name in ("-MT", "-MQ"):
        command.names_target = True
    elif name in _MAPS_NAMES:
        command.maps_names = True
    elif found := _SHOWN.fullmatch(word.argument):
        # Whoever has no colours has no links.
        command.shown |= {f"-f{found[1]}"} if found[1] else {"-fdiagnostics-color", "-fdiagnostics-urls"}
    elif name in ("-W", "-w"):
        command.warnings.append(word.argument)


def take_passed(command: Command) -> bool:
    """Remembers the files that -Wp and -Xpreprocessor name; whether all of it is for the preprocessor."""
    words = iter(command.passed)
    for word in words:
        if word in _PASSED_WITH_VALUE:
            value = next(words, "-")
            if value.startswith("-"):
                return False
            if word in _PASSED_FILE:
                command.files.append(value)
        elif not _PASSED.fullmatch(word):
            return False
        elif word.startswith(("-include", "-imacros")):
            command.files.append(word.removeprefix("-include").removeprefix("-imacros"))
    return True


def fallthrough_level(warnings: Sequence[str]) -> int:
    """The level of -Wimplicit-fallthrough if comments count at it, else 0. Clang reads no comments.

    -Wextra means 3, unless the warning is named itself, wherever that stands (gcc(1); GCC's c.opt).
    """
    by_extra, by_name = 0, None
    for warning in warnings:
        if warning == "-w":
            return 0
        if warning in ("-W", "-Wextra", "-Wno-extra"):
            by_extra = 0 if warning == "-Wno-extra" else 3
        elif found := _FALLTHROUGH.fullmatch(warning):
            by_name = 0 if found[1] else int(found[2] or 3)
    level = by_extra if by_name is None else by_name
    return level if level < 5 else 0
