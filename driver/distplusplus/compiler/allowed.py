"""Which compiler arguments a job may have, and what becomes of them. Pure.

The source arrives preprocessed, so whatever only the preprocessor or the linker reads is dropped. The rest
must be
known to be harmless: a switch by name, or of a shape (`-fname`, `-mname=value`) in which nothing can name a
file. Everything else is refused with its reason; the client then compiles at home.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from distplusplus.compiler import server_rules as rules
from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused as Refused

MAX_ARGUMENTS = 10_000
MAX_ARGUMENT_BYTES = 256 * 1024
MAX_PATH_BYTES = 4096

Reason = pb.Refusal


class Extra(Enum):
    """A further file that a job writes, and the ending of its name."""

    DWO = ".dwo"
    GCNO = ".gcno"
    STACK_USAGE = ".su"
    CALLGRAPH = ".ci"
    OPTIMIZATION_RECORD = ".opt"
    TIME_TRACE = ".json"


@dataclass(frozen=True)
class Arguments:
    """What the client's arguments ask for."""

    kept: tuple[str, ...]
    language: pb.Language = pb.UNKNOWN_LANGUAGE
    assembly_output: bool = False
    debug: bool = False
    coverage: bool = False
    profile_generate: bool = False
    profile_use: bool = False
    profile_use_option: str = ""
    extras: frozenset[Extra] = frozenset()
    prefix_maps: tuple[tuple[str, str], ...] = ()

    def mapped_directory(self, directory: str) -> str:
        """`directory` as the user's -fdebug-prefix-map and -ffile-prefix-map make it: the last that fits
        wins."""
        for old, new in reversed(self.prefix_maps):
            if directory.startswith(old):
                return new + directory[len(old) :]
        return directory


@dataclass
class _Scan:
    """What is gathered while the arguments are gone through."""

    clang: bool
    kept: list[str] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)
    language: pb.Language = pb.UNKNOWN_LANGUAGE
    debug: bool = False
    coverage: bool = False
    profile_generate: bool = False
    profile_use: bool = False
    profile_use_option: str = ""
    extras: set[Extra] = field(default_factory=set)
    prefix_maps: list[tuple[str, str]] = field(default_factory=list)


def check(arguments: Sequence[str], *, clang: bool) -> Arguments:
    """The arguments of one compile, checked. `clang`: clang's meaning where it differs from GCC's. Raises
    Refused."""
    if len(arguments) > MAX_ARGUMENTS or sum(map(len, arguments)) > MAX_ARGUMENT_BYTES:
        raise Refused(
            Reason.ARGUMENT_NOT_ALLOWED,
            f"{len(arguments)} arguments: at most {MAX_ARGUMENTS} and {MAX_ARGUMENT_BYTES // 1024} KiB are taken",
        )
    scan = _Scan(clang)
    position = 0
    while position < len(arguments):
        following = arguments[position + 1] if position + 1 < len(arguments) else None
        position += _take(scan, arguments[position], following)
    if not scan.stops:
        raise Refused(Reason.NOT_A_COMPILE, "neither -c nor -S: only single compiles are taken, no links")
    if len(set(scan.stops)) > 1:
        raise Refused(Reason.NOT_A_COMPILE, "-c and -S together")
    return Arguments(
        tuple(scan.kept),
        scan.language,
        scan.stops[0] == "-S",
        scan.debug,
        scan.coverage,
        scan.profile_generate,
        scan.profile_use,
        scan.profile_use_option,
        frozenset(scan.extras),
        tuple(scan.prefix_maps),
    )


def _take(scan: _Scan, argument: str, following: str | None) -> int:
    """Deals with one argument; returns how many were used up. Raises Refused."""
    if "\0" in argument:
        raise _not_allowed(argument, "holds a NUL")
    if argument in ("-c", "-S", "--compile", "--assemble"):
        scan.stops.append({"--compile": "-c", "--assemble": "-S"}.get(argument, argument))
        return 1
    if not argument.startswith("-") or argument in ("-", "--"):
        if argument.startswith("@"):
            raise _not_allowed(argument, "reads arguments from a file of the worker")
        raise Refused(
            Reason.NOT_A_COMPILE,
            f"unexpected operand {_shown(argument)}: the input does not belong here",
            argument,
        )
    if argument in ("-x", "--language") or argument.startswith(("-x", "--language=")):
        return _take_language(scan, argument, following)
    if argument in rules.DROPPED_WITH_VALUE:
        _required(argument, following)
        return 2
    if argument in rules.KEPT_WITH_VALUE:
        value = _required(argument, following)
        if not rules.KEPT_WITH_VALUE[argument].fullmatch(value):
            raise _not_allowed(f"{argument} {value}", "has a value that is not understood")
        scan.kept += [argument, value]
        return 2
    if argument == "-Xassembler":
        _check_assembler_option(argument, _required(argument, following))
        scan.kept += [argument, _required(argument, following)]
        return 2
    _take_single(scan, argument)
    return 1


def _take_language(scan: _Scan, argument: str, following: str | None) -> int:
    used = 2 if argument in ("-x", "--language") else 1
    prefix = "-x" if argument.startswith("-x") else "--language="
    name = _required(argument, following) if used == 2 else argument.removeprefix(prefix)
    if name not in rules.LANGUAGES:
        raise Refused(Reason.LANGUAGE_NOT_SUPPORTED, f"-x {_shown(name)}: not a language that is taken here", name)
    scan.language = rules.LANGUAGES[name]
    return used


def _take_single(scan: _Scan, argument: str) -> None:
    if _take_special(scan, argument):
        return
    if rules.DROPPED.fullmatch(argument):
        return
    for kind, pattern, reason in rules.REFUSED:
        if (kind == rules.ANY or scan.clang) and pattern.fullmatch(argument):
            raise _not_allowed(argument, reason)
    if not rules.KEPT.fullmatch(argument):
        raise _not_allowed(argument, "is not known here to be safe")
    if argument.startswith("-g"):
        scan.debug = argument != "-g0"
    scan.kept.append(argument)


def _take_special(scan: _Scan, argument: str) -> bool:  # noqa: PLR0912  # a table of cases
    """Arguments that are kept and mean something for names, inputs or outputs; False if it is none of
    them."""
    if map_match := rules.PREFIX_MAP.fullmatch(argument):
        if map_match[1] in ("debug", "file"):
            scan.prefix_maps.append((map_match[2], map_match[3]))
        elif scan.clang and map_match[1] == "macro":
            return True  # it warns that what is preprocessed has no use for it
    elif rules.CLANG_DIRECTORY.fullmatch(argument):
        if not scan.clang:
            raise _not_allowed(argument, "is an argument of clang")
    elif argument.startswith("-Wa,"):
        for option in argument.split(",")[1:]:
            _check_assembler_option(argument, option)
    elif argument in ("-coverage", "--coverage", "-ftest-coverage", "-fprofile-arcs"):
        scan.coverage = True
        if argument != "-fprofile-arcs":  # which alone writes no notes
            scan.extras.add(Extra.GCNO)
    elif argument.startswith("-fprofile-generate"):
        if not scan.clang and argument != "-fprofile-generate":
            raise _not_allowed(argument, "moves the profile to a directory that only the client has")
        scan.profile_generate = True
    elif argument.startswith(("-fprofile-use", "-fprofile-instr-use")):
        if not scan.clang and argument != "-fprofile-use":
            raise _not_allowed(argument, "names a profile of the client; -fprofile-use alone is taken")
        scan.profile_use = True
        scan.profile_use_option = argument.partition("=")[0]
        if scan.clang:
            return True
    elif argument.startswith("-gsplit-dwarf"):
        scan.extras.add(Extra.DWO)
        scan.debug = True
    elif argument == "-fstack-usage" or rules.CALLGRAPH.fullmatch(argument):
        scan.extras.add(Extra.STACK_USAGE if argument == "-fstack-usage" else Extra.CALLGRAPH)
    elif argument == "-ftime-trace":
        scan.extras.add(Extra.TIME_TRACE)
    elif argument in ("-fsave-optimization-record", "-fsave-optimization-record=yaml"):
        if not scan.clang:
            raise _not_allowed(argument, "makes a file that names the worker's own files")
        scan.extras.add(Extra.OPTIMIZATION_RECORD)
    else:
        return False
    scan.kept.append(argument)
    return True


def _check_assembler_option(argument: str, option: str) -> None:
    if not rules.ASSEMBLER_OPTION.fullmatch(option):
        raise _not_allowed(argument, f"passes {_shown(option)} to the assembler, which is not known here to be safe")


def _required(argument: str, following: str | None) -> str:
    if following is None:
        raise _not_allowed(argument, "lacks its value")
    if "\0" in following:
        raise _not_allowed(argument, "has a value that holds a NUL")
    return following


def _not_allowed(argument: str, why: str) -> Refused:
    return Refused(Reason.ARGUMENT_NOT_ALLOWED, f"argument {_shown(argument)} {why}", argument)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 100 else text[:97] + "...")


def language_of(requested: pb.Language, by_option: pb.Language, name: str, compiler: str) -> pb.Language:
    """The language of a source: the request's own word, then -x, then the name's ending. A C source that a
    C++
    compiler compiles is C++. Raises Refused."""
    if requested:
        if requested not in pb.Language.values():
            raise Refused(Reason.LANGUAGE_NOT_SUPPORTED, f"unknown language {requested}", str(requested))
        return requested
    if by_option:
        return by_option
    ending = os.path.splitext(name)[1]
    language = rules.ENDINGS.get(ending)
    if language is None:
        raise Refused(
            Reason.LANGUAGE_NOT_SUPPORTED,
            f"the language of {_shown(name)} cannot be told from its ending",
            name,
        )
    return pb.CXX if language == pb.C and "++" in compiler and ending in (".c", ".i") else language
