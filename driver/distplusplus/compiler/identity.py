"""Who a compiler is: family, version, target, and a digest over the files that make its objects.

Two compilers of one digest make the same object of the same preprocessed text and arguments. docs/protocol.md gives
the input of the digest.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

_ASK_TIMEOUT_S = 20
# Without LD_PRELOAD and the like: a compiler is asked as a server's job would run it.
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}
_GCC_PARTS = ("cc1", "cc1plus", "as")
# What glibc's loader says of a library: `libLLVM-14.so.1 => /lib/x86_64-linux-gnu/libLLVM-14.so.1 (0x...)`.
_LIBRARY = re.compile(r"^\s*(?:\S+ => )?(/\S*/lib(?:LLVM|clang)[^/\s]*) \(", re.MULTILINE)
_CONFIGURATION = re.compile(r"^Configuration file: (.+)$", re.MULTILINE)
# Where clang looks for its files NAME.cfg, besides the directory of the program (clang's UsersManual, "Configuration
# files"). The directories are set when clang is built; these are those of the usual distributions.
_CONFIGURATION_DIRS = ("/etc/clang", "~/.config/clang")


class Family(IntEnum):
    """With the numbers of `Compiler.Family` in the protocol."""

    UNKNOWN_FAMILY = 0
    GCC = 1
    CLANG = 2


class NotACompilerError(Exception):
    """Raised for a program that is neither GCC nor clang, or does not run."""


@dataclass(frozen=True)
class Identity:
    """Who a compiler is.

    digest: lower-case hexadecimal SHA-256
    configured_by: a file of options that the compiler reads whenever it runs; "" if there is none
    """

    family: Family
    version: str
    target: str
    digest: str
    configured_by: str = ""


# Device, inode, size, times of change in ns; None for a file that is not there.
Stamp = tuple[int, int, int, int, int] | None


@dataclass(frozen=True)
class Examined:
    """A compiler, and all the files that its identity hangs on: those of the digest, and those that would count if they
    were there.
    """

    identity: Identity
    stamps: Mapping[str, Stamp]

    def is_current(self) -> bool:
        """Whether none of the files has changed, come or gone."""
        return all(stamp_of(path) == stamp for path, stamp in self.stamps.items())


def stamp_of(path: str) -> Stamp:
    """What changes with a file. Symbolic links are followed."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def find_program(name: str, search_path: str) -> str | None:
    """The first program of that name in a value of PATH. Relative directories are passed over."""
    for directory in search_path.split(os.pathsep):
        path = os.path.join(directory, name)
        if directory.startswith("/") and os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return None


def examine(path: str, environ: Mapping[str, str], assembler: str = "") -> Examined:
    """Asks the compiler at `path` who it is, and reads its files: some 0.1 s, for clang up to 1 s.

    `environ`: what it gets besides `ENVIRONMENT`. `assembler`: what `as` is, where GCC has none of its own. Raises
    NotACompilerError.
    """
    try:
        return _examine(path, ENVIRONMENT | dict(environ), assembler)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise NotACompilerError(f"it does not run as a compiler: {error}") from error


def _examine(path: str, environ: Mapping[str, str], assembler: str) -> Examined:
    banner = _ask(path, "--version", environ)
    family = _family(banner)
    target = _ask(path, "-dumpmachine", environ).strip()
    version = _ask(path, "-dumpversion" if family == Family.CLANG else "-dumpfullversion", environ).strip()
    if not target or not re.fullmatch(r"\d+(\.\d+)*\S*", version):
        raise ValueError(f"neither GCC nor clang: -dumpmachine says {target!r}, its version is {version!r}")
    if family == Family.CLANG:
        files = [path, *_libraries(path, environ)]
        configurations = _CONFIGURATION.findall(banner)
        candidates = set(_clang_configurations(path, target))
    else:
        files = [path, *_gcc_parts(path, environ, assembler)]
        specs = _ask(path, "-print-file-name=specs", environ).strip()
        configurations = [specs] if os.path.isabs(specs) else []
        candidates = {os.path.join(os.path.dirname(_ask(path, "-print-libgcc-file-name", environ).strip()), "specs")}
    files += configurations
    # Before they are read: a file that changes meanwhile is another one the next time.
    stamps = {file: stamp_of(file) for file in {*files, *candidates}}
    digest = hashlib.sha256(b"".join(_digest_of(file, stamps[file]) for file in files)).hexdigest()
    return Examined(Identity(family, version, target, digest, ", ".join(configurations)), stamps)


def _family(banner: str) -> Family:
    lowered = banner.lower()
    if "clang" in lowered:
        return Family.CLANG
    if "free software foundation" in lowered:
        return Family.GCC
    raise ValueError(f"neither GCC nor clang: {banner.splitlines()[0] if banner else 'no --version'!r}")


def _gcc_parts(path: str, environ: Mapping[str, str], assembler: str) -> Iterator[str]:
    for part in _GCC_PARTS:
        found = _ask(path, f"-print-prog-name={part}", environ).strip()
        if not os.path.isabs(found):
            found = assembler if part == "as" and assembler else find_program(found, environ["PATH"]) or ""
        if os.path.isfile(found):
            yield found


def _libraries(path: str, environ: Mapping[str, str]) -> list[str]:
    """The libraries that make the code. glibc's loader names them instead of running the program (ld.so(8))."""
    listed = subprocess.run(
        [path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**environ, "LD_TRACE_LOADED_OBJECTS": "1"},
        start_new_session=True,
        timeout=_ASK_TIMEOUT_S,
        check=False,
    )
    return sorted(_LIBRARY.findall(listed.stdout.decode(errors="replace")), key=os.path.basename)


def _clang_configurations(path: str, target: str) -> Iterator[str]:
    """The files of options that this clang, or a later one, would read if they were there."""
    name = os.path.basename(path)
    names = {name, name.rpartition("-")[0], "clang", "clang++", target, f"{target}-clang", f"{target}-clang++"} - {""}
    home = os.path.expanduser("~")
    directories = {os.path.dirname(path), os.path.dirname(os.path.realpath(path))}
    directories |= {directory.replace("~", home) for directory in _CONFIGURATION_DIRS}
    for directory in directories:
        yield from (os.path.join(directory, f"{name}.cfg") for name in names)


def _ask(path: str, option: str, environ: Mapping[str, str]) -> str:
    """What a compiler says. In a thread: an asyncio subprocess that is cancelled while it starts is waited for without
    end (CPython 3.11).
    """
    done = subprocess.run(
        [path, option],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environ,
        start_new_session=True,
        timeout=_ASK_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise ValueError(f"{option} ends with status {done.returncode}")
    return done.stdout.decode(errors="replace")


@lru_cache(maxsize=64)  # gcc and g++ share `as`; clang and clang++ share 170 MB of libraries
def _digest_of(path: str, stamp: Stamp) -> bytes:  # noqa: ARG001  # with another stamp it is another file
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
