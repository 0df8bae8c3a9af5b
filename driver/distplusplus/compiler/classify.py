"""What a compiler command is: one compile that another machine can do (`Compile`), or not (`Local`). Pure.

Only the command line is looked at. Whether the arguments may be sent is the server's rule
(`distplusplus.compiler.allowed`), asked here so that the answer is known before anything is sent.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from distplusplus.agent.preprocess import unexpanded
from distplusplus.compiler import allowed as server_arguments
from distplusplus.compiler import client_rules as rules
from distplusplus.compiler.allowed import Extra
from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused as Refused
from distplusplus.server import command_line as server_plan


@dataclass(frozen=True)
class Local:
    """Why this command runs here. `bounded`: it is work, of which only so much may run at once."""

    reason: str
    bounded: bool = True


@dataclass(frozen=True)
class Compile:
    """One compile of one source to one output, names as the user wrote them."""

    source: str
    output: str
    language: pb.Language
    # Arguments for `COMPILER -E`, whose output is what is compiled.
    preprocess: tuple[str, ...]
    # The same with the macros left to the server; empty where they must be expanded here.
    directives: tuple[str, ...]
    # For the server: without input and output, and without what preprocessing used up.
    remote: tuple[str, ...]
    clang: bool
    further_outputs: bool
    # Whether the names that __builtin_FILE gives must be mapped, which only clang here can do.
    maps_names: bool = False


@dataclass
class _Command:
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
    home: str = ""
    writes_dependencies: bool = False
    names_dependencies: bool = False
    names_target: bool = False
    # Of how messages are shown: what the user says himself.
    shown: set[str] = field(default_factory=set)
    # GCC reads /* fall through */ where it warns of such; clang does not.
    fallthrough: bool = False


def compiler_name(path: str) -> str | None:
    """`gcc`, `clang++` ... if the program is called like a compiler, whatever its target and version; else None."""
    found = rules.COMPILER.fullmatch(os.path.basename(path))
    return found["name"] if found else None


def is_changed_by_preprocessing(messages: str) -> bool:
    """Whether a compiler that had not been given preprocessed text might not have said this."""
    return rules.CHANGED_BY_PREPROCESSING.search(messages) is not None


def classify(
    compiler: str,
    arguments: Sequence[str],
    environ: Mapping[str, str],
    *,
    clang: bool,
    version: str = "",
    for_terminal: Sequence[str] = (),
) -> Compile | Local:
    """What the command is. `version`: of the compiler. `for_terminal`: arguments for messages as they would be on the
    user's terminal.
    """
    command = _take_apart(arguments)
    if local := _at_home(command, environ):
        return local
    source = command.inputs[0]
    language = _language(command, source, compiler)
    if isinstance(language, str):
        return Local(language)
    output = command.output or _default_output(source, command.stop)
    shown = [argument for argument in for_terminal if argument.partition("=")[0] not in command.shown]
    remote = (*command.remote, *shown, command.stop)
    try:
        for text in (*remote, source, output):
            text.encode()
    except UnicodeEncodeError:
        return Local("a name or an argument is not UTF-8, which the protocol needs")
    try:
        extras = _further_outputs(remote, clang)
        server_plan.check_name(os.path.basename(source))
        server_plan.check_output(output, extras)
    except Refused as refused:
        return Local(str(refused))
    first_half = (*command.kept, *_dependency_arguments(command, source, output), *shown)
    # Comments stay in a text with unexpanded macros.
    preprocess = (*first_half, *(["-C"] if command.fallthrough and not clang else []), "-E")
    leaves_macros = (
        language == pb.CXX
        and not clang
        and server_plan.is_gcc_11(version)
        and not any(unexpanded.is_suspect_argument(argument) for argument in command.kept)
    )
    directives = (*first_half, "-fdirectives-only", "-E") if leaves_macros else ()
    maps_names = clang and any(rules.NAMES_MAPPED.fullmatch(argument) for argument in command.kept)
    return Compile(source, output, language, preprocess, directives, remote, clang, bool(extras), maps_names)


def _at_home(command: _Command, environ: Mapping[str, str]) -> Local | None:
    """Why the command is not one compile, None if it is."""
    if not command.inputs:
        return Local("no input file: a question to the compiler, or an error", bounded=False)
    if command.home:
        return Local(command.home)
    if not command.stop:
        return Local("it links (neither -c nor -S)")
    if len(command.inputs) > 1:
        return Local(f"{len(command.inputs)} input files")
    source = command.inputs[0]
    base = os.path.basename(source)
    if source == "-" or source.startswith(("/dev/", "/proc/")):
        return Local("the source comes from standard input or a pipe, which can be read only once")
    if base.startswith("conftest.") or "/CMakeFiles/CMake" in source or base == "testfile.c":
        return Local("a test of configure: here it is faster")
    if command.output == "-":
        return Local("the output goes to standard output")
    if command.output == "":
        return Local("the output has no name")
    if command.output and os.path.basename(command.output) == base:
        return Local("the output has the source's name")
    if not _is_for_preprocessor(command.passed):
        return Local("-Wp or -Xpreprocessor passes on what is more than the preprocessor's")
    for name in rules.ENVIRONMENT_AT_HOME:
        if environ.get(name):
            return Local(f"{name} is set")
    return None


def _take_apart(arguments: Sequence[str]) -> _Command:
    command = _Command()
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        value = None
        if argument in rules.WITH_VALUE:
            if position + 1 == len(arguments):
                command.home = f"{argument} lacks its value"
                break
            value = arguments[position + 1]
            position += 1
        position += 1
        if argument == "--":
            command.inputs += arguments[position:]
            command.kept += arguments[position - 1 :]
            break
        _take(command, argument, value)
    return command


def _take(command: _Command, argument: str, value: str | None) -> None:
    if argument == "-" or not argument.startswith("-"):
        command.inputs.append(argument)
        command.kept.append(argument)
        return
    if argument in ("-c", "-S", "--compile", "--assemble"):
        stop = {"--compile": "-c", "--assemble": "-S"}.get(argument, argument)
        if command.stop not in ("", stop):
            command.home = "-c and -S together"
        command.stop = stop
        return
    if argument in ("-o", "--output") or (argument.startswith("-o") and not argument.startswith("-object")):
        command.output = value if value is not None else argument[2:]
        return
    if argument.startswith("--output="):
        command.output = argument.partition("=")[2]
        return
    if argument in ("-x", "--language") or argument.startswith(("-x", "--language=")):
        _take_language(command, argument, value)
    else:
        _note(command, argument, value)
        if not (argument in rules.HOME_WITH_VALUE if value is not None else rules.HOME.fullmatch(argument)):
            command.remote += [argument] if value is None else [argument, value]
    command.kept += [argument] if value is None else [argument, value]


def _take_language(command: _Command, argument: str, value: str | None) -> None:
    if command.inputs:
        command.home = "-x behind the input file"
    command.language = value if value is not None else re.sub(r"-x|--language=", "", argument, count=1)


def _is_for_preprocessor(passed: Sequence[str]) -> bool:
    words = iter(passed)
    for word in words:
        if word in rules.PASSED_WITH_VALUE:
            if next(words, "-").startswith("-"):
                return False
        elif not rules.PASSED.fullmatch(word):
            return False
    return True


def _note(command: _Command, argument: str, value: str | None) -> None:
    """Remembers what an argument means for us."""
    command.home = command.home or _why_at_home(argument)
    if argument.startswith("-Wp,"):
        command.passed += argument.split(",")[1:]
    elif argument == "-Xpreprocessor" and value is not None:
        command.passed.append(value)
    elif argument in ("-MD", "-MMD", "--write-dependencies", "--write-user-dependencies"):
        command.writes_dependencies = True
    elif argument.startswith("-MF"):
        command.names_dependencies = True
    elif argument.startswith(("-MT", "-MQ")):
        command.names_target = True
    elif found := rules.SHOWN.fullmatch(argument):
        # Whoever has no colours has no links.
        command.shown |= {f"-f{found[1]}"} if found[1] else {"-fdiagnostics-color", "-fdiagnostics-urls"}
    elif re.fullmatch(r"-W(extra|implicit-fallthrough(=.*)?)?", argument):
        command.fallthrough = True


@lru_cache(maxsize=4096)  # most arguments are the same for all sources
def _why_at_home(argument: str) -> str:
    for pattern, reason in rules.AT_HOME:
        if pattern.fullmatch(argument):
            return f"{argument} {reason}"
    return ""


def _language(command: _Command, source: str, compiler: str) -> pb.Language | str:
    """The language of the source, or why it cannot be preprocessed here and compiled there."""
    name = os.path.basename(source)
    if command.language == "none":
        return "-x none: what C is to g++ then, only g++ knows"
    if command.language:
        by_option = rules.LANGUAGE_OF_OPTION.get(command.language)
        return by_option or f"{name} is {command.language}, which is compiled here"
    ending = os.path.splitext(source)[1]
    if ending in rules.PREPROCESSED_ENDINGS:
        return f"{name} is preprocessed already"
    language = rules.LANGUAGE_OF_ENDING.get(ending)
    # g++ compiles C sources as C++ (g++(1)).
    if language == pb.C and "++" in os.path.basename(compiler):
        return pb.CXX
    return language or f"{name} is not C, C++ or Objective-C"


def _default_output(source: str, stop: str) -> str:
    return os.path.splitext(os.path.basename(source))[0] + (".s" if stop == "-S" else ".o")


def _dependency_arguments(command: _Command, source: str, output: str) -> list[str]:
    """With -E, the file and target of -MD would be others than with -c: they are named as -c would have them."""
    if not command.writes_dependencies:
        return []
    added = []
    if not command.names_dependencies:
        of = output if command.output else os.path.basename(source)
        added += ["-MF", os.path.splitext(of)[0] + ".d"]
    if not command.names_target:
        added += ["-MQ", output if command.output else _default_output(source, "-c")]
    return added


@lru_cache(maxsize=4096)  # the arguments of a target's sources are the same
def _further_outputs(remote: tuple[str, ...], clang: bool) -> frozenset[Extra]:
    """Raises Refused for arguments that a server would not take."""
    return server_arguments.check(remote, clang=clang).extras
