"""The compilers of this machine: their identities, so that only the same compilers are used on workers."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused as Refused
from distplusplus.server.compilers import Compilers, Program

_WRAPPERS = frozenset({"ccache", "distcc", "sccache", "icecc", "distplusplus"})


class UnknownCompilerError(Exception):
    """Raised for a program that is not a known compiler, or does not run."""


@dataclass(frozen=True)
class LocalCompiler:
    """A compiler of this machine. `names`: what servers may call it, likeliest first."""

    path: str
    key: str
    names: tuple[str, ...]
    clang: bool
    version: str
    target: str
    digest: str


class LocalCompilers:
    """Remembers each compiler for as long as its file does not change."""

    def __init__(self) -> None:
        # A wrapper that calls the launcher must not be asked by way of us: there the launcher ends at once.
        self._identify = Compilers((), environment={"DISTPLUSPLUS_DEPTH": "99"})
        self._known: dict[tuple[str, int, int, int], LocalCompiler] = {}

    async def find(self, path: str) -> LocalCompiler:
        """The compiler at `path`, absolute. Raises UnknownCompilerError."""
        try:
            status = os.stat(path)
        except OSError as error:
            raise UnknownCompilerError(f"{path}: {error.strerror}") from None
        stamp = (path, status.st_ino, status.st_mtime_ns, status.st_size)
        if (known := self._known.get(stamp)) is None:
            known = self._known[stamp] = await self._ask(path, stamp)
        return known

    async def _ask(self, path: str, stamp: tuple[str, int, int, int]) -> LocalCompiler:
        real = await asyncio.to_thread(os.path.realpath, path)
        if os.path.basename(real) in _WRAPPERS:
            raise UnknownCompilerError(
                f"{path} is {os.path.basename(real)}, not a compiler; put it in front: CCACHE_PREFIX=distplusplus"
            )
        try:
            identity = await self._identify.identify(Program(os.path.basename(path), path, real, stamp[1:]))
        except Refused as refused:
            raise UnknownCompilerError(str(refused)) from None
        clang = identity.family == pb.Compiler.CLANG
        names = _names(os.path.basename(path), os.path.basename(real), identity.target, clang)
        return LocalCompiler(
            path, f"{names[0]} {identity.digest}", names, clang, identity.version, identity.target, identity.digest
        )


def find_in_path(name: str, path: str) -> str | None:
    """The program `name` in `path`, a value of PATH, passing over what only masquerades as a compiler."""
    for entry in path.split(os.pathsep):
        candidate = os.path.join(entry or ".", name)
        if os.access(candidate, os.X_OK) and os.path.basename(os.path.realpath(candidate)) not in _WRAPPERS:
            return os.path.abspath(candidate)
    return None


def _names(name: str, real_name: str, target: str, clang: bool) -> tuple[str, ...]:
    """The first implementation's client puts the target in front of gcc and g++, so its servers have that name."""
    names = [name]
    if not clang:
        # cc and c++ are links, but not to other compilers: gcc and g++ mean the same here only by the digest.
        names += [real_name, f"{target}-{name}"]
    elif ("++" in name) == ("++" in real_name):
        # clang++ is clang by another name: only a name of the same kind makes it do the same.
        names.append(real_name)
    return tuple(dict.fromkeys(names))
