"""The compilers of this machine: their identities, so that only the same compilers are used on workers."""

from __future__ import annotations

import os
from dataclasses import dataclass

from distplusplus.compiler.identity import Family, NotACompilerError
from distplusplus.compiler.identity_cache import IdentityCache
from distplusplus.compiler.names import WRAPPERS


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
    """Remembers each compiler for as long as its files do not change."""

    def __init__(self) -> None:
        # A wrapper that calls the launcher must not be asked by way of us: there the launcher ends at once.
        self._identities = IdentityCache({"DISTPLUSPLUS_DEPTH": "99"})

    async def find(self, path: str, search_path: str = os.defpath) -> LocalCompiler:
        """The compiler at `path`, absolute. `search_path`: the user's PATH, where GCC finds its assembler.

        Raises UnknownCompilerError.
        """
        real_name = os.path.basename(os.path.realpath(path))
        if real_name in WRAPPERS:
            raise UnknownCompilerError(
                f"{path} is {real_name}, not a compiler; put it in front: CCACHE_PREFIX=distplusplus"
            )
        try:
            identity = await self._identities.find(path, search_path)
        except NotACompilerError as error:
            raise UnknownCompilerError(f"{path}: {error}") from None
        if identity.configured_by:
            raise UnknownCompilerError(f"{path} reads options from {identity.configured_by}, which no server has")
        clang = identity.family == Family.CLANG
        names = _names(os.path.basename(path), real_name, identity.target, clang)
        return LocalCompiler(
            path, f"{names[0]} {identity.digest}", names, clang, identity.version, identity.target, identity.digest
        )


def find_in_path(name: str, path: str) -> str | None:
    """The program `name` in `path`, a value of PATH, passing over what only masquerades as a compiler."""
    for entry in path.split(os.pathsep):
        candidate = os.path.join(entry or ".", name)
        if os.access(candidate, os.X_OK) and os.path.basename(os.path.realpath(candidate)) not in WRAPPERS:
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
