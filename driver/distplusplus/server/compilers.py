"""Which compilers may be used, where they are, and who they are.

A name is allowed by a symbolic link of that name in /usr/lib/distcc or /usr/libexec/distplusplus, which only
root can
make. On Debian the links in /usr/lib/distcc lead to the distcc client, as they also serve as its masquerade
directory: then the program of that name in `PROGRAM_DIRS` is meant, as distccd does it. A name that has no
link is never looked for.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused

ALLOWED_DIRS = ("/usr/lib/distcc", "/usr/libexec/distplusplus")
PROGRAM_DIRS = ("/usr/local/bin", "/usr/bin", "/bin")
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]{0,126}")
# Clients that masquerade as a compiler: what they would do is send the job to another worker.
_WRAPPERS = frozenset({"distcc", "ccache", "sccache", "icecc", "distplusplus", "distcc-auto", "distcc-auto-launcher"})
_PREFIXED = re.compile(
    r"(?P<target>[\w.]+(?:-[\w.]+){1,3})-(?P<rest>(?:gcc|g\+\+|c\+\+|cc|clang|clang\+\+)(?:-[\d.]+)?)"
)
_NATIVE = re.compile(r"(?:gcc|g\+\+|c\+\+|cc)(?:-[\d.]+)?")
_IDENTIFY_TIMEOUT_S = 20
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}


@dataclass(frozen=True)
class Program:
    """An allowed compiler: the name of its link, the path it is started by, and the file behind it."""

    name: str
    path: str
    real_path: str
    # Changes when the compiler is replaced.
    stamp: tuple[int, int, int]


@dataclass(frozen=True)
class Identity:
    """Who a compiler is, as `pb.Compiler` tells it."""

    family: pb.Compiler.Family
    version: str
    target: str
    digest: str

    def message(self, name: str) -> pb.Compiler:
        return pb.Compiler(name=name, family=self.family, version=self.version, target=self.target, digest=self.digest)


class Compilers:
    """Finds compilers on each call, so that new links count at once; remembers who they are."""

    def __init__(
        self,
        allowed_dirs: Sequence[str] = ALLOWED_DIRS,
        program_dirs: Sequence[str] = PROGRAM_DIRS,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment`: what a compiler that is asked who it is gets besides PATH and LC_ALL."""
        self._environment = _ENVIRONMENT | dict(environment or {})
        self._allowed_dirs = tuple(allowed_dirs)
        self._program_dirs = tuple(program_dirs)
        self._identities: dict[tuple[str, tuple[int, int, int]], asyncio.Task[Identity]] = {}

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
        """Asks the compiler who it is, once for each version of the file. Raises CallRefused if it does not
        say."""
        key = (program.real_path + "\0" + program.name, program.stamp)
        task = self._identities.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            for old in [old for old in self._identities if old[0] == key[0]]:
                del self._identities[old]
            task = self._identities[key] = asyncio.create_task(asyncio.to_thread(_identify, program, self._environment))
        try:
            # A caller that goes away must not take the answer from the others.
            return await asyncio.shield(task)
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise CallRefused(
                pb.Refusal.SERVER_FAULT,
                f"compiler {program.name} ({program.path}) does not run: {error}",
                program.name,
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
            if os.path.basename(real) in _WRAPPERS or not os.access(real, os.X_OK):
                return None
            status = os.stat(real)
        except OSError:
            return None
        if not os.path.isfile(real):
            return None
        # clang++ is clang by another name, and a cross compiler finds its parts by its own: keep the link's
        # name.
        return Program(name, path, real, (status.st_ino, status.st_mtime_ns, status.st_size))


def _identify(program: Program, environ: Mapping[str, str]) -> Identity:
    """In a thread: an asyncio subprocess that is cancelled while it starts is waited for without end (CPython 3.11)."""
    banner = _ask(program, "--version", environ)
    lowered = banner.lower()
    if "clang" in lowered:
        family = pb.Compiler.CLANG
    elif "free software foundation" in lowered:
        family = pb.Compiler.GCC
    else:
        raise ValueError(f"neither GCC nor clang: {banner.splitlines()[0] if banner else 'no --version'!r}")
    target = _ask(program, "-dumpmachine", environ).strip()
    version_option = "-dumpversion" if family == pb.Compiler.CLANG else "-dumpfullversion"
    version = _ask(program, version_option, environ).strip()
    if not target or not re.fullmatch(r"\d+(\.\d+)*\S*", version):
        raise ValueError(f"neither GCC nor clang: -dumpmachine says {target!r}, its version is {version!r}")
    parts = [program.real_path]
    if family == pb.Compiler.GCC:
        for part in ("cc1", "cc1plus", "as"):
            found = _ask(program, f"-print-prog-name={part}", environ).strip()
            located = found if os.path.isabs(found) else f"/usr/bin/{found}"
            if os.path.isfile(located):
                parts.append(os.path.realpath(located))
    return Identity(family, version, target, _digest(parts))


def _ask(program: Program, option: str, environ: Mapping[str, str]) -> str:
    done = subprocess.run(
        [program.path, option],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environ,
        start_new_session=True,
        timeout=_IDENTIFY_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise ValueError(f"{option} ends with status {done.returncode}")
    return done.stdout.decode(errors="replace")


def _digest(paths: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
