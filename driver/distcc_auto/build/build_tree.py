"""What can be known of a build before it starts: a look at the files that its tools wrote, bounded in size.

Only reads; advice.py draws the conclusions.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from distcc_auto.build.command import BuildPlace

# Enough for the rules of every generator, which come first, and for a Makefile that a person wrote.
_MAX_BYTES = 256 * 1024
# Of CMake's Makefile generator: each target has a file of its own.
_MAX_TARGETS = 20
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")


@dataclass(frozen=True)
class BuildTree:
    """A build directory. `compiles` are commands that compile, as far as rules for them were found."""

    directory: str
    is_cmake: bool = False
    compiles: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    makefile: str = ""


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
    makefile = ""
    if place.reads_makefile and not cache:
        names = place.makefiles or [name for name in _MAKEFILES if os.path.isfile(os.path.join(directory, name))][:1]
        makefile = "\n".join(_read(directory, name) for name in names)
    return BuildTree(directory, bool(cache), tuple(_compiles(directory, bool(cache))), tuple(flags), makefile)


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


def _read(directory: str, name: str) -> str:
    """The beginning of a file; nothing of what cannot be read or is no regular file."""
    path = os.path.join(directory, name)
    try:
        if not os.path.isfile(path):
            return ""
        with open(path, "rb") as file:
            return file.read(_MAX_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""
