"""The arguments of a compile that is sent as source and headers, below a root of its own. Pure.

The worker does not know the client's directories, and the client not the worker's: absolute names begin with ROOT_MARK,
for which the worker puts its root.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from distplusplus.compiler.not_allowed import NotAllowedError, Reason, shown
from distplusplus.compiler.options import Option, Reader, Server, Value
from distplusplus.compiler.words import Word, take_apart

# No argument that a person writes holds it, and UTF-8 text can.
ROOT_MARK = "\x01"

_LISTS_DEPENDENCIES = frozenset({"-MD", "-MMD", "--write-dependencies", "--write-user-dependencies"})
_FORCED = frozenset({"-include", "-imacros", "--include", "--imacros"})
_DEFINES = frozenset({"-D", "--define-macro"})
_DIRECTORIES = frozenset(
    {"-I", "-iquote", "-isystem", "-idirafter", "-cxx-isystem", "--include-directory", "--include-directory-after"}
)
_PREPROCESSOR = (
    _LISTS_DEPENDENCIES
    | _FORCED
    | _DEFINES
    | _DIRECTORIES
    | {"-U", "--undefine-macro", "-A", "-MP", "-MT", "-MQ", "-undef", "-nostdinc", "-nostdinc++", "-fmacro-prefix-map="}
)
# What is recorded in the object in a way that no prefix map reaches, names files beside it, or chooses other
# directories of the compiler's own.
_UNMAPPED = re.compile(
    r"-m(?:32|x32|16|31|abi=.*)|--?target.*|--?stdlib.*|-gsplit-dwarf|-(?:-|f)?coverage.*|-ftest-coverage|-fprofile.*|-fbranch-probabilities|-frecord-.*|-grecord-.*"
    r"|-fstack-usage|-fcallgraph-info.*|-fsave-optimization-record.*|-foptimization-record.*|-ftime-trace.*|-fdump-.*"
    r"|-f(?:debug|file|coverage)-compilation-dir.*|-fworking-directory|-fpreprocessed|-fdirectives-only|-fmodule.*"
    r"|-fcanonical-system-headers|-fno-canonical-system-headers|-fsanitize-(?:ignore|black)list.*|-fdiagnostics-.*json.*"
)
_OLD_DWARF = re.compile(r"-gdwarf-[234]|-gstabs.*|-gxcoff.*|-gvms.*")


@dataclass(frozen=True)
class HeaderCommand:
    """A compile as a header job.

    `arguments` are without input, output and -c; `search` those of them that change where headers are looked for;
    `directories` the user's own of these. `forced` are the files of -include and -imacros. `defined` are the macros of
    the command as lines of #define. `dependencies` is the file of -MF, None without -MD.
    """

    arguments: tuple[str, ...]
    search: tuple[str, ...]
    directories: tuple[str, ...]
    forced: tuple[str, ...]
    defined: bytes
    dependencies: str | None


@lru_cache(maxsize=1024)  # the arguments of a target's sources differ by a few words only
def header_command(preprocess: tuple[str, ...], source: str, *, clang: bool) -> HeaderCommand:
    """From the arguments of the same command's preprocessing, with -E. Raises NotAllowedError."""
    arguments: list[str] = []
    search: list[str] = []
    directories: list[str] = []
    forced: list[str] = []
    defined: list[str] = []
    dependencies = None
    for word in take_apart([argument for argument in preprocess if argument not in ("-E", "-C")], clang=clang):
        if word.is_operand:
            if word.argument not in (source, "--"):
                raise _not_possible(word.argument)
            continue
        option = word.option
        if option is None or word.lacks_value:
            raise _not_possible(word.argument)
        value = word.value or ""
        if option.name == "-MF":
            dependencies = value
            continue
        if option.reader == Reader.LINKER and option.server == Server.DROPPED:
            continue
        _check(word, option, source)
        arguments += _rooted(word, option)
        if option.name in _DIRECTORIES:
            directories.append(value)
            search += word.arguments
        elif word.argument.startswith("-nostdinc"):
            search += word.arguments
        elif option.name in _FORCED:
            forced.append(value)
        elif option.name in _DEFINES:
            name, _, text = value.partition("=")
            defined.append(f"#define {name} {text}\n")
    return HeaderCommand(
        tuple(arguments), tuple(search), tuple(directories), tuple(forced), "".join(defined).encode(), dependencies
    )


def check(arguments: Sequence[str], *, clang: bool) -> None:
    """Whether a server may run a header job with these arguments. Raises NotAllowedError."""
    for word in take_apart(arguments, clang=clang):
        if word.is_operand or word.option is None or word.lacks_value or "\0" in "".join(word.arguments):
            raise _not_possible(word.argument)
        _check(word, word.option, "")
        value = word.value or ""
        if word.option.value in (Value.DIRECTORY, Value.FILE_READ) and value.startswith("/"):
            raise NotAllowedError(
                Reason.ARGUMENT_NOT_ALLOWED, f"argument {shown(word.argument)} names a directory of the worker", value
            )


def _check(word: Word, option: Option, source: str) -> None:
    if _UNMAPPED.fullmatch(word.argument):
        raise _not_possible(word.argument)
    if _OLD_DWARF.fullmatch(word.argument) and source.startswith("/"):
        # GCC names an absolute source a second time there, in a way that no map reaches.
        raise _not_possible(word.argument)
    if option.value == Value.PREFIX_MAP and (word.value or "").startswith("="):
        raise _not_possible(word.argument)
    if option.name in _PREPROCESSOR:
        return
    if option.server != Server.ALLOWED or option.local or not word.has_good_value:
        raise _not_possible(word.argument)


def _rooted(word: Word, option: Option) -> tuple[str, ...]:
    value = word.value or ""
    if not value.startswith("/") or option.value not in (Value.DIRECTORY, Value.FILE_READ, Value.PREFIX_MAP):
        return word.arguments
    if len(word.arguments) == 2:
        return word.arguments[0], ROOT_MARK + value
    return (word.argument[: len(word.argument) - len(value)] + ROOT_MARK + value,)


def _not_possible(argument: str) -> NotAllowedError:
    return NotAllowedError(
        Reason.ARGUMENT_NOT_ALLOWED, f"argument {shown(argument)} does not go with source and headers", argument
    )
