"""What can be known of a build before it starts: a look at the files that its tools wrote, bounded in size.

Only reads; advice.py draws the conclusions.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from distcc_auto.build.command import BuildPlace

# Enough for the rules of every generator, which come first.
_MAX_BYTES = 256 * 1024
# OpenSSL's Makefile, which a script writes, has 1.5 MB: 10 ms to read and search.
_MAX_MAKEFILE_BYTES = 4 * 1024 * 1024
_MAX_INCLUDES = 20
_INCLUDE = re.compile(r"include[ \t]+([^$#\n]+)")
# What advice.py asks for.
_OPTIONS_WITH_VALUE = ("-MF", "-MT", "-MQ")
_OPTIONS = ("-MD", "-MMD", "-gsplit-dwarf", "-fstack-usage")
# Of CMake's Makefile generator: each target has a file of its own.
_MAX_TARGETS = 20
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")


@dataclass(frozen=True)
class BuildTree:
    """A build directory. `compiles` are commands that compile, as far as rules for them were found.

    `makefile_options` are those of a few options that advice.py knows which are in a Makefile.
    """

    directory: str
    is_cmake: bool = False
    compiles: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    makefile_options: frozenset[str] = frozenset()


def look(place: BuildPlace) -> BuildTree:
    """What is in the build directory of a command, as far as it can be read."""
    directory = place.directory
    cache = _read(directory, "CMakeCache.txt")
    flags = [
        word
        for line in cache.splitlines()
        if line.startswith("CMAKE_C") and "_FLAGS" in line
        for word in line.partition("=")[2].split()
    ]
    options = _makefile_options(place) if place.reads_makefile and not cache else frozenset()
    return BuildTree(directory, bool(cache), tuple(_compiles(directory, bool(cache))), tuple(flags), options)


def _makefile_options(place: BuildPlace) -> frozenset[str]:
    """The options of interest in the Makefile, and in the files that it includes by a plain name."""
    names = place.makefiles or [name for name in _MAKEFILES if os.path.isfile(os.path.join(place.directory, name))][:1]
    text = "".join(_read(place.directory, name, _MAX_MAKEFILE_BYTES) for name in names)
    text += "".join(_read(place.directory, name) for name in list(_included(text))[:_MAX_INCLUDES])
    return frozenset(option for option in (*_OPTIONS, *_OPTIONS_WITH_VALUE) if _has_option(text, option))


def _included(makefile: str) -> Iterator[str]:
    """The files named by `include`, `-include` and `sinclude` without a variable."""
    for found in _INCLUDE.finditer(makefile):
        line_start = makefile.rfind("\n", 0, found.start()) + 1
        if makefile[line_start : found.start()] in ("", "-", "s"):
            yield from found[1].split()


def _has_option(text: str, option: str) -> bool:
    """Whether the option is a word; not so in -Wp,-MMD,x. The option first: 10 times as fast in a text of 1 MB."""
    begins = rf"(?<![^\s=\"']{option})"
    ends = "" if option in _OPTIONS_WITH_VALUE else r"(?![^\s\"'$])"
    return re.search(f"{option}{begins}{ends}", text) is not None


def links_to(environ: Mapping[str, str], *programs: str) -> Iterator[str]:
    """The directories in PATH whose compilers are links to one of the programs, such as /usr/lib/distcc."""
    for directory in environ.get("PATH", os.defpath).split(os.pathsep):
        if any(is_link_to(os.path.join(directory, compiler), *programs) for compiler in ("cc", "gcc", "g++", "clang")):
            yield directory


def is_link_to(path: str, *programs: str) -> bool:
    """Whether the file is a symbolic link to a program of one of these names."""
    return os.path.islink(path) and os.path.basename(os.path.realpath(path)) in programs


def _compiles(directory: str, is_cmake: bool) -> Iterator[str]:
    """Commands of rules that compile; those that CMake and Meson write for ninja, and CMake for make."""
    for path in (os.path.join("CMakeFiles", "rules.ninja"), "build.ninja"):
        rule = ""
        for line in _read(directory, path).splitlines():
            if line.startswith("rule "):
                rule = line
            elif "_COMPILER" in rule and line.lstrip().startswith("command = "):
                yield line.partition("=")[2].strip()
                rule = ""
    if not is_cmake:
        return
    targets = _read(directory, os.path.join("CMakeFiles", "TargetDirectories.txt")).splitlines()
    for target in targets[:_MAX_TARGETS]:
        for line in _read(target, "build.make").splitlines():
            if line.startswith("\t") and " -o CMakeFiles/" in line and " -c " in line:
                yield line.strip()
                break


def _read(directory: str, name: str, max_bytes: int = _MAX_BYTES) -> str:
    """The beginning of a file; nothing of what cannot be read or is no regular file."""
    path = os.path.join(directory, name)
    try:
        if not os.path.isfile(path):
            return ""
        with open(path, "rb") as file:
            return file.read(max_bytes).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""
