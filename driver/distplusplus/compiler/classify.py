"""What a compiler command is: one compile that another machine can do (`Compile`), or not (`Local`). Pure.

Only the command line is looked at. Whether the arguments may be sent is the server's rule
(`distplusplus.compiler.allowed`), asked here so that the answer is known before anything is sent.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from distplusplus.compiler import allowed
from distplusplus.compiler.configure_tests import is_configure_test
from distplusplus.compiler.file_names import check_name, check_output
from distplusplus.compiler.languages import PREPROCESSED_ENDINGS, SOURCE_ENDINGS, SOURCE_OPTIONS, Language
from distplusplus.compiler.names import compiles_as_cxx, is_gcc_11
from distplusplus.compiler.not_allowed import NotAllowedError
from distplusplus.compiler.options import Extra
from distplusplus.compiler.parsed_command import Command, fallthrough_level, parse, take_passed
from distplusplus.compiler.special_files import has_special_name

# The environment of GCC and clang that changes more than preprocessing (gcc(1), ENVIRONMENT; clang's Driver.cpp).
_LOCAL_ENVIRONMENT = (
    "COMPILER_PATH", "GCC_EXEC_PREFIX", "DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES", "GCC_COMPARE_DEBUG",
    "GCC_EXTRA_DIAGNOSTIC_OUTPUT", "CCC_OVERRIDE_OPTIONS", "CC_PRINT_OPTIONS", "CC_PRINT_HEADERS",
    "CC_LOG_DIAGNOSTICS", "CC_PRINT_PROC_STAT",
)  # fmt: skip
# Warnings that a compiler gives or not by what a macro hides, which preprocessed text does not tell:
# -Wparentheses-equality of clang, for one, on every `if ((a == b))` that a macro made.
_CHANGED_BY_PREPROCESSING = re.compile(
    r"\[-W(?:error[=,])*,?(?:-W)?(?:parentheses-equality|tautological[\w-]*|self-assign[\w-]*|implicit-fallthrough=?"
    r"|misleading-indentation|duplicated-branches|logical-op|extra-semi[\w-]*|constant-logical-operand"
    r"|unreachable-code[\w-]*|null-conversion|unused-value|empty-body|compare-distinct-pointer-types|address"
    r"|unevaluated-expression|pointer-bool-conversion|old-style-cast|zero-as-null-pointer-constant"
    r"|analyzer-[\w-]+)\b"
)


@dataclass(frozen=True)
class Local:
    """Why this command runs locally. `bounded`: it is work, of which only so much may run at once."""

    reason: str
    bounded: bool = True


@dataclass(frozen=True)
class Compile:
    """One compile of one source to one output, names as the user wrote them."""

    source: str
    output: str
    language: Language
    # Arguments for `COMPILER -E`, whose output is what is compiled.
    preprocess: tuple[str, ...]
    # The same with the macros left to the server; empty where they must be expanded locally.
    directives: tuple[str, ...]
    # Whether that is tried first: for C++ it costs half. For C it is only for the comments, which stay in such a text.
    leaves_macros: bool
    # For the server: without input and output, and without what preprocessing used up.
    remote: tuple[str, ...]
    clang: bool
    # The further files that it writes.
    extras: frozenset[Extra]
    # Whether the names that __builtin_FILE gives must be mapped, which only the local clang can do.
    maps_names: bool = False
    # The level of -Wimplicit-fallthrough at which comments count, which only a text with unexpanded macros has; or 0.
    fallthrough: int = 0
    # The files that the command names. One that is a pipe or a device can only be used locally.
    files: tuple[str, ...] = ()

    @property
    def further_outputs(self) -> bool:
        """Whether it writes more than the output."""
        return bool(self.extras)


def is_changed_by_preprocessing(messages: str) -> bool:
    """Whether a compiler that had not been given preprocessed text might not have said this."""
    return _CHANGED_BY_PREPROCESSING.search(messages) is not None


def classify(
    compiler: str,
    arguments: Sequence[str],
    environ: Mapping[str, str],
    *,
    clang: bool,
    version: str = "",
    for_terminal: Sequence[str] = (),
    directory: str = "",
) -> Compile | Local:
    """What the command is.

    version: of the compiler
    for_terminal: arguments for messages as they would be on the user's terminal
    directory: where the command is run; "" if that is not known
    """
    command = parse(arguments, clang=clang)
    if local := _why_local(command, environ, directory):
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
        check_name(os.path.basename(source))
        check_output(output, extras)
    except NotAllowedError as refused:
        return Local(str(refused))
    first_half = (*command.kept, *_dependency_arguments(command, source, output), *shown)
    preprocess = (*first_half, "-E")
    fallthrough = 0 if clang else fallthrough_level(command.warnings)
    leaves_macros = language == Language.CXX and not clang and is_gcc_11(version) and not command.in_full
    for_comments = fallthrough > 0 and is_gcc_11(version) and not command.in_full
    directives = (*first_half, "-fdirectives-only", "-E") if leaves_macros or for_comments else ()
    maps_names = clang and command.maps_names
    return Compile(
        source=source,
        output=output,
        language=language,
        preprocess=preprocess,
        directives=directives,
        leaves_macros=leaves_macros,
        remote=remote,
        clang=clang,
        extras=extras,
        maps_names=maps_names,
        fallthrough=fallthrough,
        files=(source, output, *command.files),
    )


def _why_local(command: Command, environ: Mapping[str, str], directory: str) -> Local | None:
    """Why the command is not one compile, None if it is."""
    if not command.inputs:
        return Local("no input file: a question to the compiler, or an error", bounded=False)
    if command.local:
        return Local(command.local)
    if not command.stop:
        return Local("it links (neither -c nor -S)")
    if len(command.inputs) > 1:
        return Local(f"{len(command.inputs)} input files")
    source = command.inputs[0]
    base = os.path.basename(source)
    if source in ("-", "/dev/null") or has_special_name(source):
        return Local("the source comes from standard input or a pipe, which can be read only once")
    temporary = (environ.get("TMPDIR", ""), "/tmp", "/var/tmp")  # noqa: S108  # nothing is made there
    output = None if command.writes_dependencies else command.output
    if is_configure_test(source, output, directory, temporary):
        return Local("a test of configure: compiled locally, it is faster")
    if command.output is not None and (reason := _wrong_output(command.output, base)):
        return Local(reason)
    if not take_passed(command):
        return Local("-Wp or -Xpreprocessor passes on what is more than the preprocessor's")
    if special := next(filter(has_special_name, command.files), None):
        return Local(f"{special} is another file to each process")
    for name in _LOCAL_ENVIRONMENT:
        if environ.get(name):
            return Local(f"{name} is set")
    return None


def _wrong_output(output: str, source_base: str) -> str:
    """Why an output as the user named it cannot be what a server sends; "" if it can."""
    if output == "-":
        return "the output goes to standard output"
    if output == "/dev/null" or has_special_name(output):
        return "the output is a device"
    if output == "":
        return "the output has no name"
    return "the output has the source's name" if os.path.basename(output) == source_base else ""


def _language(command: Command, source: str, compiler: str) -> Language | str:
    """The language of the source, or why it cannot be preprocessed locally and compiled elsewhere."""
    name = os.path.basename(source)
    if command.language == "none":
        return "-x none: what C is to g++ then, only g++ knows"
    if command.language:
        by_option = SOURCE_OPTIONS.get(command.language)
        return by_option or f"{name} is {command.language}, which is compiled locally"
    ending = os.path.splitext(source)[1]
    if ending in PREPROCESSED_ENDINGS:
        return f"{name} is preprocessed already"
    language = SOURCE_ENDINGS.get(ending)
    if language == Language.C and compiles_as_cxx(compiler):
        return Language.CXX
    return language or f"{name} is not C, C++ or Objective-C"


def _default_output(source: str, stop: str) -> str:
    return os.path.splitext(os.path.basename(source))[0] + (".s" if stop == "-S" else ".o")


def _dependency_arguments(command: Command, source: str, output: str) -> list[str]:
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
    """Raises NotAllowedError for arguments that a server would not take."""
    return allowed.check(remote, clang=clang).extras
