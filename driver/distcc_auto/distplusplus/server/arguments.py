"""Which compiler arguments a job may have, and what becomes of them. Pure.

The source arrives preprocessed, so whatever only the preprocessor or the linker reads is dropped. The rest
must be
known to be harmless: a switch by name, or of a shape (`-fname`, `-mname=value`) in which nothing can name a
file. Everything else is refused with its reason; the client then compiles at home.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from distcc_auto.distplusplus.protocol import distplusplus_pb2 as pb
from distcc_auto.distplusplus.server.errors import Refused

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


_LANGUAGES = {
    "c": pb.C,
    "cpp-output": pb.C,
    "c++": pb.CXX,
    "c++-cpp-output": pb.CXX,
    "objective-c": pb.OBJECTIVE_C,
    "objective-c-cpp-output": pb.OBJECTIVE_C,
    "objc-cpp-output": pb.OBJECTIVE_C,
    "objective-c++": pb.OBJECTIVE_CXX,
    "objective-c++-cpp-output": pb.OBJECTIVE_CXX,
    "objc++-cpp-output": pb.OBJECTIVE_CXX,
    "assembler": pb.ASSEMBLER,
    "assembler-with-cpp": pb.ASSEMBLER,
    "none": pb.UNKNOWN_LANGUAGE,
}

# Read by the preprocessor or the linker alone: no trace of them in the object. Those that take a value in
# the next argument, and those with the value attached.
_DROPPED_WITH_VALUE = frozenset(
    [
        "-I",
        "-D",
        "-U",
        "-include",
        "-imacros",
        "-iquote",
        "-isystem",
        "-idirafter",
        "-iprefix",
        "-iwithprefix",
        "-iwithprefixbefore",
        "-isysroot",
        "-imultilib",
        "-imultiarch",
        "-iframework",
        "-F",
        "-cxx-isystem",
        "-iwithsysroot",
        "-isystem-after",
        "-A",
        "-MF",
        "-MT",
        "-MQ",
        "-MJ",
        "-Xpreprocessor",
        "-L",
        "-l",
        "-u",
        "-z",
        "-T",
        "-Xlinker",
        "-rpath",
        "-framework",
        "--sysroot",
        "--include",
        "--imacros",
        "--include-directory",
        "--define-macro",
        "--undefine-macro",
        "--include-directory-after",
        "--library-directory",
        "-gcc-toolchain",
    ]
)
_DROPPED = re.compile(
    r"""-(?:
        [IDUALlF].+ | include(?!-pch).+ | imacros.+ | i(?:quote|system|dirafter|prefix|withprefix).+
        | i(?:withprefixbefore|sysroot|framework|withsysroot).+ | M[DFGPTQ].* | MMD | Wp,.* | Wl,.*
        | T.+ | u.+ | z.+
        | -(?:sysroot|include|imacros|include-directory|define-macro|undefine-macro)=.*
        | -(?:library-directory|gcc-toolchain)=.*
        | nostdinc(?:\+\+)? | undef | P | CC? | H | remap | trigraphs | d[DIMNU] | -?stdlib=[\w+]+
        | fpreprocessed | f(?:no-)?directives-only | f(?:no-)?working-directory | finput-charset=.*
        | fuse-ld=.* | v | -verbose
    )""",
    re.VERBOSE,
)

# Refused, with the reason that is told. In this order; each must match the whole argument.
_ANY, _CLANG = "", "clang"
_REFUSED: tuple[tuple[str, re.Pattern[str], str], ...] = tuple(
    (kind, re.compile("|".join(patterns.split())), reason)
    for kind, patterns, reason in (
        (_ANY, r"@.*", "reads arguments from a file of the worker"),
        (_ANY, r"-f(plugin|pass-plugin)\b.* -fplugin-arg-.* -load -fuse-linker-plugin=.*", "loads a plugin"),
        (_ANY, r"-wrapper -wrapper,.*", "runs another program"),
        (_ANY, r"-B.* --prefix(=.*)?", "runs programs from another directory"),
        (_ANY, r"-?-specs(=.*)? -no-canonical-prefixes=.*", "changes what the compiler runs"),
        (
            _ANY,
            r"--config.* -ccc-.* -cc1.* -resource-dir.* -working-directory.* -ivfsoverlay.*",
            "reads files of the worker",
        ),
        (_ANY, r"-Xclang(=.*)? -Xarch_.* -Xcuda.* -Xopenmp.* -mllvm", "is passed on without a check"),
        (_ANY, r"-o.* --output(=.*)?", "names an output; the server names it"),
        (
            _ANY,
            r"-dumpbase(=.*)? -dumpdir(=.*)? -dumpbase-ext(=.*)? -aux-info(=.*)? --?save-temps.* -d[a-zA-Z].*"
            r" -fdump-.* -fcompare-debug.* -fada-spec.* -fdeps-.* -fdebug-cpp -fself-test.* -time=.*"
            r" -fcrash-diagnostics.* -gen-reproducer.* -fdiagnostics-format=(sarif|json)-file"
            r" -fdiagnostics-(add|set)-output.*"
            r" -f(opt-info|save-optimization-record|time-trace)[\w-]*=.*[/.].*",
            "names or writes further files",
        ),
        (
            _ANY,
            r"-f(no-)?(implicit-)?modules?\b.* -fmodule.* -fprebuilt.* -fpch.* -include-pch -emit-.*"
            r" -fcxx-modules -fbuild-session.* -fimplicit-.*module.*",
            "reads modules or precompiled headers",
        ),
        (
            _ANY,
            r"-fauto-profile(=.*)?"
            r" -fprofile-(sample-use|list|remapping-file|note|filter-files|exclude-files)(=.*)?"
            r" -fprofile-prefix-.* -fcs-profile.* -fthinlto-index.* -fsanitize-[\w-]*list=.* -fxray-.*"
            r" -fproc-stat-report.* -fopenmp-host-.* -fwpa.* -fltrans.* -fresolution.* -foffload-host.*"
            r" -frandomize-layout-seed-file.*",
            "reads or writes a file besides the source",
        ),
        (_ANY, r"-fprofile-dir(=.*)?", "moves the profile to a directory that only the client has"),
        (_ANY, r"-m(arch|cpu|tune)=native", "means the CPU of the worker here"),
        (_ANY, r"-foffload.* -fopenmp-targets.* --?cuda.* --offload.* -arch", "compiles for a second target"),
        (_CLANG, r"-[gf]record-(gcc-switches|command-line)", "records the worker's command line"),
        (_ANY, r"-fembed-bitcode.*", "records the worker's command line"),
        (
            _ANY,
            r"-E -M -MM -fsyntax-only -### --version --help.* -dump(machine|version|fullversion|specs)"
            r" --?print-.* --analyze.* -r --precompile -V --preprocess --(user-)?dependencies -extract-api",
            "is not a compile of one source to one object",
        ),
    )
)

# Kept. In none of these shapes can a value be a path: no slash, and what takes a bare file name was refused
# above.
_SAFE_VALUE = r"[\w.,:+@=%*\[\]!-]*"
_KEPT = re.compile(
    rf"""
    -O(?:[0-3sgz]|fast|\d+)?
    | -g[\w.=-]*
    | -f[\w+-]+(?:={_SAFE_VALUE})?
    | -m[\w.+-]+(?:={_SAFE_VALUE})?
    | -W(?![apl],)[\w+-]*(?:={_SAFE_VALUE})?
    | -R[\w-]+(?:={_SAFE_VALUE})?
    | -std=[\w+:.-]+ | --std=[\w+:.-]+ | -ansi | -pedantic(?:-errors)? | --pedantic(?:-errors)? | -w
    | -pipe | -pthread | -p | -pg | -Q[ny] | -Qunused-arguments | -time | -no-canonical-prefixes
    | --param=[\w.=-]+ | --target=[\w.+-]+ | -EB | -EL
    | -coverage | --coverage
    | -s | -shared | -static | -static-pie | -pie | -no-pie | -nopie | -rdynamic | -symbolic | -n
    | -nostdlib | -nostdlib\+\+ | -nolibc | -nodefaultlibs | -nostartfiles | -static-lib\w+ | -shared-libgcc
    | -traditional(?:-cpp)? | -no-integrated-cpp | -integrated-as | -no-integrated-as
    """,
    re.VERBOSE,
)
_KEPT_WITH_VALUE = {"--param": re.compile(r"[\w-]+=[\w-]+"), "-target": re.compile(r"[\w.+-]+")}
_PREFIX_MAP = re.compile(r"-f(debug|file|macro|coverage)-prefix-map=([^=]*)=(.*)", re.DOTALL)
_CLANG_DIRECTORY = re.compile(r"-f(debug|coverage|file)-compilation-dir=.*", re.DOTALL)
_CALLGRAPH = re.compile(r"-fcallgraph-info(=(su|da)(,(su|da))?)?")
_ASSEMBLER_OPTION = re.compile(
    r"--(no)?execstack|--fatal-warnings|--no-warn|--warn|-W|-m[\w=.+-]+|-g|--gdwarf-[2-5]|--gen-debug|--gdwarf-sections"
    r"|--(no)?compress-debug-sections(=[\w-]+)?|--elf-stt-common=\w+|--generate-missing-build-notes=\w+|-L|--keep-locals"
    r"|--(32|64|x32)|-n|--divide|-O[0-2]|--strip-local-absolute|--reduce-memory-overheads|--noexecstack|-march=[\w+.,-]+"
)


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
            f"{len(arguments)} arguments: at most {MAX_ARGUMENTS} and {MAX_ARGUMENT_BYTES // 1024} KiB"
            f" are taken",
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
    if argument in _DROPPED_WITH_VALUE:
        _required(argument, following)
        return 2
    if argument in _KEPT_WITH_VALUE:
        value = _required(argument, following)
        if not _KEPT_WITH_VALUE[argument].fullmatch(value):
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
    if name not in _LANGUAGES:
        raise Refused(
            Reason.LANGUAGE_NOT_SUPPORTED, f"-x {_shown(name)}: not a language that is taken here", name
        )
    scan.language = _LANGUAGES[name]
    return used


def _take_single(scan: _Scan, argument: str) -> None:
    if _take_special(scan, argument):
        return
    if _DROPPED.fullmatch(argument):
        return
    for kind, pattern, reason in _REFUSED:
        if (kind == _ANY or scan.clang) and pattern.fullmatch(argument):
            raise _not_allowed(argument, reason)
    if not _KEPT.fullmatch(argument):
        raise _not_allowed(argument, "is not known here to be safe")
    if argument.startswith("-g"):
        scan.debug = argument != "-g0"
    scan.kept.append(argument)


def _take_special(scan: _Scan, argument: str) -> bool:  # noqa: PLR0912  # a table of cases
    """Arguments that are kept and mean something for names, inputs or outputs; False if it is none of
    them."""
    if map_match := _PREFIX_MAP.fullmatch(argument):
        if map_match[1] in ("debug", "file"):
            scan.prefix_maps.append((map_match[2], map_match[3]))
    elif _CLANG_DIRECTORY.fullmatch(argument):
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
    elif argument == "-fstack-usage" or _CALLGRAPH.fullmatch(argument):
        scan.extras.add(Extra.STACK_USAGE if argument == "-fstack-usage" else Extra.CALLGRAPH)
    elif argument == "-ftime-trace":
        scan.extras.add(Extra.TIME_TRACE)
    elif argument in ("-fsave-optimization-record", "-fsave-optimization-record=yaml"):
        scan.extras.add(Extra.OPTIMIZATION_RECORD)
    else:
        return False
    scan.kept.append(argument)
    return True


def _check_assembler_option(argument: str, option: str) -> None:
    if not _ASSEMBLER_OPTION.fullmatch(option):
        raise _not_allowed(
            argument, f"passes {_shown(option)} to the assembler, which is not known here to be safe"
        )


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


_ENDINGS = {
    ".c": pb.C, ".i": pb.C,
    ".cc": pb.CXX, ".cp": pb.CXX, ".cxx": pb.CXX, ".cpp": pb.CXX, ".CPP": pb.CXX, ".c++": pb.CXX,
    ".C": pb.CXX, ".ii": pb.CXX,
    ".m": pb.OBJECTIVE_C, ".mi": pb.OBJECTIVE_C,
    ".mm": pb.OBJECTIVE_CXX, ".M": pb.OBJECTIVE_CXX, ".mii": pb.OBJECTIVE_CXX,
    ".s": pb.ASSEMBLER, ".S": pb.ASSEMBLER, ".sx": pb.ASSEMBLER, ".asm": pb.ASSEMBLER,
}  # fmt: skip


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
    language = _ENDINGS.get(ending)
    if language is None:
        raise Refused(
            Reason.LANGUAGE_NOT_SUPPORTED,
            f"the language of {_shown(name)} cannot be told from its ending",
            name,
        )
    return pb.CXX if language == pb.C and "++" in compiler and ending in (".c", ".i") else language
