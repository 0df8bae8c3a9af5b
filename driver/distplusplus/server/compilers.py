"""Which compilers may be used, where they are, and who they are.

A name is allowed by a symbolic link of that name in /usr/lib/distcc or /usr/libexec/distplusplus, which only root can
make. On Debian the links in /usr/lib/distcc lead to the distcc client, as they also serve as its masquerade directory:
then the program of that name in `PROGRAM_DIRS` is meant, as distccd does it. A name that has no link is never looked
for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from distplusplus.compiler.identity import Identity, NotACompilerError
from distplusplus.compiler.identity_cache import IdentityCache
from distplusplus.compiler.names import WRAPPERS
from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused

ALLOWED_DIRS = ("/usr/lib/distcc", "/usr/libexec/distplusplus")
PROGRAM_DIRS = ("/usr/local/bin", "/usr/bin", "/bin")
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]{0,126}")
_PREFIXED = re.compile(
    r"(?P<target>[\w.]+(?:-[\w.]+){1,3})-(?P<rest>(?:gcc|g\+\+|c\+\+|cc|clang|clang\+\+)(?:-[\d.]+)?)"
)
_NATIVE = re.compile(r"(?:gcc|g\+\+|c\+\+|cc)(?:-[\d.]+)?")


@dataclass(frozen=True)
class Program:
    """An allowed compiler: the name of its link, the path it is started by, and the file behind it."""

    name: str
    path: str
    real_path: str


def describe(identity: Identity, name: str) -> pb.Compiler:
    """A compiler as the protocol tells it. `name`: of its link."""
    family = cast("pb.Compiler.Family", int(identity.family))
    return pb.Compiler(
        name=name, family=family, version=identity.version, target=identity.target, digest=identity.digest
    )


class Compilers:
    """Finds compilers on each call, so that new links count at once; remembers who they are."""

    def __init__(
        self,
        allowed_dirs: Sequence[str] = ALLOWED_DIRS,
        program_dirs: Sequence[str] = PROGRAM_DIRS,
    ) -> None:
        self._allowed_dirs = tuple(allowed_dirs)
        self._program_dirs = tuple(program_dirs)
        self._identities = IdentityCache()

    def names(self) -> list[str]:
        """The names of all links, in order; also those that lead nowhere."""
        found: set[str] = set()
        for directory in self._allowed_dirs:
            try:
                found.update(entry.name for entry in os.scandir(directory) if entry.is_symlink())
            except OSError:
                continue
        return sorted(name for name in found if _NAME.fullmatch(name))

    def find(self, name: str) -> Program | None:
        """The compiler that has a link of exactly this name, None if there is none or it is no program."""
        if not _NAME.fullmatch(name):
            return None
        for directory in self._allowed_dirs:
            link = os.path.join(directory, name)
            if not os.path.islink(link):
                continue
            for path in (link, *(os.path.join(programs, name) for programs in self._program_dirs)):
                if program := self._program(name, path):
                    return program
        return None

    async def resolve(self, name: str) -> tuple[Program, Identity]:
        """The compiler for a client's name, with or without target prefix. Raises CallRefused."""
        for candidate in self._candidates(name):
            program = self.find(candidate)
            if program is None:
                continue
            identity = await self.identify(program)
            prefixed = _PREFIXED.fullmatch(name)
            if candidate == name or (prefixed and prefixed["target"] == identity.target) or not prefixed:
                return program, identity
        shown = repr(name if len(name) <= 100 else name[:97] + "...")
        if not _NAME.fullmatch(name):
            raise CallRefused(pb.Refusal.COMPILER_NOT_ALLOWED, f"compiler {shown}: not a bare name", name)
        raise CallRefused(
            pb.Refusal.COMPILER_NOT_ALLOWED,
            f"compiler {shown} is not allowed here: no link of that name to a program in"
            f" {' or '.join(self._allowed_dirs)}",
            name,
        )

    async def identify(self, program: Program) -> Identity:
        """Asks the compiler who it is, once for as long as its files do not change. Raises CallRefused."""
        try:
            return await self._identities.find(program.path)
        except NotACompilerError as error:
            raise CallRefused(
                pb.Refusal.SERVER_FAULT, f"compiler {program.name} ({program.path}): {error}", program.name
            ) from error

    def _candidates(self, name: str) -> Iterator[str]:
        yield name
        if prefixed := _PREFIXED.fullmatch(name):
            yield prefixed["rest"]
        elif _NATIVE.fullmatch(name):
            # `gcc` is meant when only x86_64-linux-gnu-gcc has a link, if that is this machine's own.
            for target in (f"{os.uname().machine}-linux-gnu", f"{os.uname().machine}-linux-musl"):
                yield f"{target}-{name}"

    def _program(self, name: str, path: str) -> Program | None:
        try:
            real = os.path.realpath(path, strict=True)
            if os.path.basename(real) in WRAPPERS or not os.access(real, os.X_OK):
                return None
        except OSError:
            return None
        if not os.path.isfile(real):
            return None
        # clang++ is clang by another name, and a cross compiler finds its parts by its own: keep the link's
        # name.
        return Program(name, path, real)
