"""Which compiler arguments a job may have, and what becomes of them: the server's query of the option table. Pure.

The source arrives preprocessed, so whatever only the preprocessor or the linker reads is dropped. The rest must be
known to be harmless. Everything else is refused with its reason; the client then compiles locally.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from distplusplus.compiler.languages import ENDINGS, X_OPTIONS, Language
from distplusplus.compiler.names import compiles_as_cxx
from distplusplus.compiler.not_allowed import NotAllowedError, Reason, shown
from distplusplus.compiler.options import Extra, Server, Value
from distplusplus.compiler.words import Word, take_apart

MAX_ARGUMENTS = 10_000
MAX_ARGUMENT_BYTES = 256 * 1024

_STOPS = {"-c": "-c", "-S": "-S", "--compile": "-c", "--assemble": "-S"}
_COVERAGE = frozenset({"-coverage", "--coverage", "-ftest-coverage", "-fprofile-arcs"})
_ASSEMBLER_OPTION = re.compile(
    r"--(no)?execstack|--fatal-warnings|--no-warn|--warn|-W|-m[\w=.+-]+|--gdwarf-sections"
    r"|--(no)?compress-debug-sections(=[\w-]+)?|--elf-stt-common=\w+|--generate-missing-build-notes=\w+|-L|--keep-locals"
    r"|--(32|64|x32)|-n|--divide|-O[0-2]|--strip-local-absolute|--reduce-memory-overheads|--noexecstack|-march=[\w+.,-]+"
)


@dataclass(frozen=True)
class Arguments:
    """What the client's arguments ask for."""

    kept: tuple[str, ...]
    language: Language = Language.UNKNOWN_LANGUAGE
    assembly_output: bool = False
    debug: bool = False
    coverage: bool = False
    profile_generate: bool = False
    profile_use: bool = False
    profile_use_option: str = ""
    extras: frozenset[Extra] = frozenset()
    prefix_maps: tuple[tuple[str, str], ...] = ()

    def mapped_directory(self, directory: str) -> str:
        """`directory` as the user's -fdebug-prefix-map and -ffile-prefix-map make it: the last that fits wins."""
        for old, new in reversed(self.prefix_maps):
            if directory.startswith(old):
                return new + directory[len(old) :]
        return directory


@dataclass
class _Found:
    """What is gathered while the arguments are gone through."""

    kept: list[str] = field(default_factory=list)
    stops: set[str] = field(default_factory=set)
    language: Language = Language.UNKNOWN_LANGUAGE
    debug: bool = False
    coverage: bool = False
    profile_generate: bool = False
    profile_use_option: str = ""
    extras: set[Extra] = field(default_factory=set)
    prefix_maps: list[tuple[str, str]] = field(default_factory=list)


def check(arguments: Sequence[str], *, clang: bool) -> Arguments:
    """The arguments of one compile, checked. `clang`: clang's meaning where it differs from GCC's.

    Raises NotAllowedError.
    """
    if len(arguments) > MAX_ARGUMENTS or sum(map(len, arguments)) > MAX_ARGUMENT_BYTES:
        raise NotAllowedError(
            Reason.ARGUMENT_NOT_ALLOWED,
            f"{len(arguments)} arguments: at most {MAX_ARGUMENTS} and {MAX_ARGUMENT_BYTES // 1024} KiB are taken",
        )
    found = _Found()
    for word in take_apart(arguments, clang=clang):
        _take(found, word, clang)
    if not found.stops:
        raise NotAllowedError(Reason.NOT_A_COMPILE, "neither -c nor -S: only single compiles are taken, no links")
    if len(found.stops) > 1:
        raise NotAllowedError(Reason.NOT_A_COMPILE, "-c and -S together")
    return Arguments(
        tuple(found.kept),
        found.language,
        found.stops == {"-S"},
        found.debug,
        found.coverage,
        found.profile_generate,
        bool(found.profile_use_option),
        found.profile_use_option,
        frozenset(found.extras),
        tuple(found.prefix_maps),
    )


def _take(found: _Found, word: Word, clang: bool) -> None:  # noqa: PLR0912  # one case after the other
    """Deals with one word. Raises NotAllowedError."""
    if "\0" in word.argument:
        raise _not_allowed(word.argument, "holds a NUL")
    if word.is_operand:
        if word.argument.startswith("@"):
            raise _not_allowed(word.argument, "reads arguments from a file of the worker")
        raise NotAllowedError(
            Reason.NOT_A_COMPILE,
            f"unexpected operand {shown(word.argument)}: the input does not belong here",
            word.argument,
        )
    option = word.option
    if option is None:
        raise _not_allowed(word.argument, "is not known here to be safe")
    if option.server == Server.REFUSED:
        raise _not_allowed(word.argument, option.why)
    if word.lacks_value:
        raise _not_allowed(word.argument, "lacks its value")
    if "\0" in (word.value or ""):
        raise _not_allowed(word.argument, "has a value that holds a NUL")
    if len(word.arguments) == 2 and word.arguments[1].startswith("@") and option.server == Server.ALLOWED:
        raise _not_allowed(word.argument, "has a value that the compiler reads as a file of arguments")
    if option.server == Server.DROPPED:
        return
    if option.name in _STOPS:
        found.stops.add(_STOPS[option.name])
    elif option.name in ("-x", "--language"):
        found.language = _language_of_option(word.value or "")
    elif option.value == Value.OPTIONS:
        _check_assembler_options(word)
        found.kept += word.arguments
    elif not word.has_good_value:
        if len(word.arguments) == 2:
            raise _not_allowed(" ".join(word.arguments), "has a value that is not understood")
        raise _not_allowed(word.argument, option.why)
    else:
        _keep(found, word, clang)


def _keep(found: _Found, word: Word, clang: bool) -> None:
    """Keeps an argument, and remembers what it means for names, inputs or outputs."""
    assert word.option is not None  # noqa: S101  # as the caller found out
    name = word.option.name
    if word.option.extra is not None:
        found.extras.add(word.option.extra)
    if name in ("-fdebug-prefix-map=", "-ffile-prefix-map="):
        old, _, new = (word.value or "").partition("=")
        found.prefix_maps.append((old, new))
    elif name in _COVERAGE:
        found.coverage = True
    elif name == "-fprofile-generate":
        found.profile_generate = True
    elif name in ("-fprofile-use", "-fprofile-instr-use"):
        found.profile_use_option = word.argument.partition("=")[0]
        if clang:
            return  # the server says where the profile is
    elif word.argument.startswith("-g"):
        found.debug = word.argument != "-g0"
    found.kept += word.arguments


def _language_of_option(name: str) -> Language:
    if name not in X_OPTIONS:
        raise NotAllowedError(
            Reason.LANGUAGE_NOT_SUPPORTED, f"-x {shown(name)}: not a language that is taken here", name
        )
    return X_OPTIONS[name]


def _check_assembler_options(word: Word) -> None:
    value = word.value or ""
    for option in value.split(",") if word.argument.startswith("-Wa,") else [value]:
        if not _ASSEMBLER_OPTION.fullmatch(option):
            raise _not_allowed(
                word.argument, f"passes {shown(option)} to the assembler, which is not known here to be safe"
            )


def _not_allowed(argument: str, why: str) -> NotAllowedError:
    return NotAllowedError(Reason.ARGUMENT_NOT_ALLOWED, f"argument {shown(argument)} {why}", argument)


def language_of(requested: int, by_option: Language, name: str, compiler: str) -> Language:
    """The language of a source: the request's own word, then -x, then the name's ending. A C source that a C++ compiler
    compiles is C++. Raises NotAllowedError.
    """
    if requested:
        try:
            return Language(requested)
        except ValueError:
            raise NotAllowedError(
                Reason.LANGUAGE_NOT_SUPPORTED, f"unknown language {requested}", str(requested)
            ) from None
    if by_option:
        return by_option
    ending = os.path.splitext(name)[1]
    language = ENDINGS.get(ending)
    if language is None:
        raise NotAllowedError(
            Reason.LANGUAGE_NOT_SUPPORTED, f"the language of {shown(name)} cannot be told from its ending", name
        )
    return Language.CXX if language == Language.C and compiles_as_cxx(compiler) else language
