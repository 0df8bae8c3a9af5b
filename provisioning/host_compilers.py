"""sync-compilers: make each compiler name mean the same compiler on the worker as on this machine.

The worker may have the right compiler under another name: its gcc is gcc-14, and gcc-12 is installed or can be. Then a
link in a directory that only the service searches makes `gcc` mean gcc-12 to the daemon, and to nothing else.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from provisioning import packages, render, service
from provisioning.facts import gather
from provisioning.families import SystemFamily
from provisioning.provision import ensure_links
from provisioning.record import Record
from provisioning.remote import PACKAGES_S
from provisioning.steps import Host

_NAME = re.compile(r"((?P<triplet>[a-z0-9_]+-[a-z0-9_-]+)-)?(?P<tool>gcc|g\+\+|clang|clang\+\+)(?P<version>-[0-9]+)?")
_VERSION = re.compile(r"\b(\d+)\.\d+(\.\d+)?\b")
_ASK_S = 20
_HOST_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True)
class NamedCompiler:
    """A command, and the first line of its --version without the command's own name; "" when the command is absent."""

    name: str
    identity: str

    @property
    def version(self) -> str:
        # The last number is the compiler's; the one in parentheses before it is the distribution's.
        found = [match[0] for match in _VERSION.finditer(self.identity)]
        return found[-1] if found else ""

    @property
    def major(self) -> str:
        return self.version.partition(".")[0]


@dataclass(frozen=True)
class Difference:
    """A name that means another compiler on the worker. `is_other_version`: more than another build of one version."""

    name: str
    here: str
    there: str

    @property
    def is_other_version(self) -> bool:
        return NamedCompiler("", self.here).version != NamedCompiler("", self.there).version

    def __str__(self) -> str:
        return f"{self.name}: here {self.here}; there {self.there or 'missing'}"


def local_compilers(path: str, machine: str) -> tuple[NamedCompiler, ...]:
    """This machine's native compilers in `path`, without those whose names lead to distcc or ccache."""
    found: dict[str, str] = {}
    for directory in path.split(os.pathsep):
        try:
            names = os.listdir(directory)
        except OSError:
            continue
        for name in names:
            parts = _NAME.fullmatch(name)
            if parts and name not in found and (parts["triplet"] or machine).startswith(f"{machine}"):
                full = os.path.join(directory, name)
                if os.path.basename(os.path.realpath(full)) not in ("distcc", "ccache") and os.access(full, os.X_OK):
                    found[name] = full
    return tuple(NamedCompiler(name, identity) for name in sorted(found) if (identity := _identity(name, found[name])))


def _identity(name: str, path: str) -> str:
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=_ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return identity_in(name, done.stdout)


def identity_in(name: str, output: str) -> str:
    """The first line of `name --version` without the name: "(Debian 12.2.0-14+deb12u1) 12.2.0"."""
    first = output.partition("\n")[0].strip()
    return first.removeprefix(name).strip()


def sync(host: Host, here: Sequence[NamedCompiler]) -> tuple[Difference, ...]:
    """Makes the worker's compilers match those `here`, as far as its archive allows. Returns what still differs."""
    known = service.known_record(host)
    family = gather(host.remote).family
    there = _ask(host, here)
    if wanted := _installable([one for one in here if _twin(one, there) is None], there, family, host):
        known = packages.ensure(host, known, family, wanted)
        there = _ask(host, here)
    names = {one.name: twin for one in here if (twin := _twin(one, there)) not in (None, one.name)}
    _ensure_names(host, known, {name: twin for name, twin in names.items() if twin})
    ensure_links(host, known)
    if host.dry_run:
        return ()
    there = _ask(host, here, f"{render.COMPILERS_DIR}:{_HOST_PATH}")
    found = (Difference(one.name, one.identity, there.get(one.name, "")) for one in here)
    return tuple(one for one in found if one.here != one.there)


def versioned_name(compiler: NamedCompiler) -> str:
    """gcc 12.2.0 -> "gcc-12": Debian's name for a version that is not the default."""
    parts = _NAME.fullmatch(compiler.name)
    return compiler.name if not parts or parts["version"] else f"{compiler.name}-{compiler.major}"


def _twin(one: NamedCompiler, there: Mapping[str, str]) -> str | None:
    """The name of the same compiler in the worker's own PATH, or None."""
    return next((name for name in (one.name, versioned_name(one)) if there.get(name) == one.identity), None)


def _ask(host: Host, here: Iterable[NamedCompiler], path: str = _HOST_PATH) -> dict[str, str]:
    """Name -> identity, for the compilers that the worker has in `path`."""
    names = {name for one in here for name in (one.name, versioned_name(one))}
    script = (
        f"PATH={path}; for name in {shlex.join(sorted(names))}; do "
        'if path=$(command -v "$name"); then echo "$name=$("$path" --version 2>/dev/null | head -n 1)"; fi; done'
    )
    lines = host.remote.run("compilers", script).stdout.splitlines()
    return {name: identity_in(name, text) for name, _, text in (line.partition("=") for line in lines)}


def _installable(
    lacking: Sequence[NamedCompiler], there: Mapping[str, str], family: SystemFamily, host: Host
) -> list[str]:
    """The packages with the missing versions, as far as the host's archive has them."""
    candidates: dict[tuple[str, ...], None] = {}
    for one in lacking:
        parts = _NAME.fullmatch(one.name)
        tool = "clang" if parts and parts["tool"].startswith("clang") else "gcc"
        try:
            candidates[family.compiler_packages(f"{tool}-{one.major}")] = None
        except ValueError:
            # The archive has only one version: it helps only where the worker has none.
            if one.name not in there:
                candidates[family.compiler_packages(tool)] = None
    if candidates and not host.dry_run:
        host.remote.run("package list", family.refresh, PACKAGES_S)
    present = packages.installed(host, family)
    wanted = [names for names in candidates if host.ask("archive", family.available(names), PACKAGES_S).ok]
    return packages.missing([name for names in wanted for name in names], present)


def _ensure_names(host: Host, known: Record, names: Mapping[str, str]) -> None:
    """Makes the directory that only the service searches hold exactly these names."""
    present = host.ask("compilers", f"ls {render.COMPILERS_DIR} 2>/dev/null").words
    for name in present:
        if name not in names:
            host.ensure_absent(f"{render.COMPILERS_DIR}/{name}")
    for name, twin in names.items():
        link, quoted = shlex.quote(f"{render.COMPILERS_DIR}/{name}"), shlex.quote(twin)
        host.ensure(
            f"for {known.daemon}, {name} is {twin}",
            f'[ "$(readlink {link})" = "$(command -v {quoted})" ]',
            f'mkdir -p {render.COMPILERS_DIR} && ln -sfn "$(command -v {quoted})" {link}',
        )
