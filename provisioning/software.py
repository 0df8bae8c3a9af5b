"""distplusplusd for a host: this clone's server and the packages that it needs, as one directory sent over ssh.

The host needs Python but no package index: this machine fetches the packages for the host's Python and architecture.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import io
import os
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

from distcc_common import __version__
from distcc_common.errors import ConfigurationError
from provisioning import render, service
from provisioning.host_errors import HostError
from provisioning.steps import Host

OLDEST_PYTHON = (3, 11)
_PROJECT_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_DRIVER_DIR = os.path.join(_PROJECT_DIR, "driver")
_PROJECT = os.path.join(_PROJECT_DIR, "pyproject.toml")
# The project's packages that the server imports.
_PACKAGES = (
    "distcc_common",
    "distplusplus",
    "distplusplus/cas",
    "distplusplus/compiler",
    "distplusplus/protocol",
    "distplusplus/server",
)
# What lets a unit of the release before start the server, should an upgrade be cut off before it renders the unit.
_OLD_NAME = (
    "distcc_auto/__init__.py",
    "distcc_auto/distplusplus/__init__.py",
    "distcc_auto/distplusplus/server/__init__.py",
    "distcc_auto/distplusplus/server/main.py",
)
_FETCH_S = 600
_SEND_S = 600
_CHUNK_BYTES = 1 << 20
_fetching = threading.Lock()

# Prints a line for each interpreter that was built for glibc.
_ASK_PYTHON = r"""
for name in python3 python3.14 python3.13 python3.12 python3.11; do
    path=$(command -v $name) || continue
    "$path" -c 'import os, sys
print(sys.executable, "%d.%d" % sys.version_info[:2], os.uname().machine, os.confstr("CS_GNU_LIBC_VERSION"))'
done"""


_PYTHON = re.compile(
    r"(?P<path>/\S+) (?P<version>\d+\.\d+) (?P<machine>[A-Za-z0-9_]+) glibc (?P<glibc>\d+\.\d+)[.\d]*", re.ASCII
)


@dataclass(frozen=True)
class Python:
    """An interpreter on the host, with what decides which wheels fit it."""

    path: str
    version: tuple[int, int]
    machine: str
    glibc: tuple[int, int]

    def platforms(self) -> list[str]:
        """The platform tags of wheels that run there, best first (PEP 600; the oldest manylinux is 2.5)."""
        major, newest = self.glibc
        return [f"manylinux_{major}_{minor}_{self.machine}" for minor in range(newest, 4, -1)] + [
            f"manylinux2014_{self.machine}"
        ]


def requirements() -> tuple[str, ...]:
    """The packages of the extra `distplusplus`, in the versions that are installed on this machine.

    Raises ConfigurationError when one is not installed.
    """
    with open(_PROJECT, "rb") as file:
        extra: list[str] = tomllib.load(file)["project"]["optional-dependencies"]["distplusplus"]
    names = [requirement.partition(">")[0] for requirement in extra]
    try:
        return tuple(f"{name}=={importlib.metadata.version(name)}" for name in names)
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigurationError(
            f"{error.name} is not installed on this machine, and grpc:// workers need it on both sides: "
            "pip install -e '.[provision,distplusplus]'"
        ) from None


def find_python(host: Host) -> Python | None:
    """The host's first Python that is new enough, or None without any Python. Raises HostError when all are too old."""
    found = []
    for line in host.ask("Python", _ASK_PYTHON).stdout.splitlines():
        if parts := _PYTHON.fullmatch(line):
            found.append(Python(parts["path"], _pair(parts["version"]), parts["machine"], _pair(parts["glibc"])))
    if found and all(python.version < OLDEST_PYTHON for python in found):
        raise HostError(
            f"its Python is {'.'.join(map(str, found[0].version))}, and distplusplusd needs 3.11 or later: install "
            "python3.11, python3.12 ... there, or use the image: `fab deploy`"
        )
    return next((python for python in found if python.version >= OLDEST_PYTHON), None)


def _pair(text: str) -> tuple[int, int]:
    first, second = text.split(".")
    return int(first), int(second)


def version_text(python: Python) -> str:
    """The text of SOFTWARE_FILE: the version, and a digest over everything that is sent."""
    digest = hashlib.sha256(repr((python.version, python.machine, requirements())).encode())
    for name, path in _sources():
        with open(path, "rb") as file:
            digest.update(f"\0{name}\0".encode() + file.read())
    return f"{__version__} {digest.hexdigest()[:16]}"


def _sources() -> Iterator[tuple[str, str]]:
    """The name below SOFTWARE_DIR, and the path on this machine, of each of the project's own files."""
    for package in _PACKAGES:
        for name in sorted(os.listdir(os.path.join(_DRIVER_DIR, package))):
            if name.endswith(".py"):
                yield f"{package}/{name}", os.path.join(_DRIVER_DIR, package, name)
    for file in _OLD_NAME:
        yield file, os.path.join(_DRIVER_DIR, file)


def is_current(host: Host, python: Python) -> bool:
    """Whether the host has this version."""
    wanted = shlex.quote(version_text(python))
    return host.ask("distplusplusd", f'[ "$(cat {render.SOFTWARE_FILE})" = {wanted} ]').ok


def ensure(host: Host, python: Python) -> None:
    """Sends the software unless the host has it. A running server first finishes its jobs."""
    if is_current(host, python):
        return
    what = f"distplusplusd {__version__} for Python {'.'.join(map(str, python.version))}"
    if host.dry_run:
        host.change(f"{what}, sent over ssh", ":")
        return
    archive = _archive(python)
    fresh = render.FRESH_SOFTWARE_DIR
    script = (
        f"rm -rf {fresh} && mkdir -p -m 0755 {fresh} && tar -C {fresh} --no-same-owner -xzf - && sync -f {fresh}"
        f" || {{ rm -rf {fresh}; exit 1; }}"
    )
    chunks = (archive[start : start + _CHUNK_BYTES] for start in range(0, len(archive), _CHUNK_BYTES))
    host.remote.feed(what, script, chunks, _SEND_S)
    host.change(
        f"{what}, sent over ssh ({len(archive) / 1e6:.0f} MB)",
        f"systemctl stop {render.UNIT} 2>/dev/null; rm -rf {render.SOFTWARE_DIR} && mv {fresh} {render.SOFTWARE_DIR}",
        render.STOP_S + service.START_S,
    )


def _archive(python: Python) -> bytes:
    """A compressed tar archive of SOFTWARE_DIR, made once for all hosts of one kind."""
    with _fetching:
        return _make_archive(python)


@functools.cache
def _make_archive(python: Python) -> bytes:
    with tempfile.TemporaryDirectory(prefix="distplusplusd-") as directory:
        _fetch(python, directory)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=6) as archive:
            for name in sorted(os.listdir(directory)):
                archive.add(os.path.join(directory, name), name, filter=_as_root)
            for name, path in _sources():
                archive.add(path, name, filter=_as_root)
            text = f"{version_text(python)}\n".encode()
            entry = tarfile.TarInfo(os.path.basename(render.SOFTWARE_FILE))
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
        return packed.getvalue()


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode = 0o755 if entry.isdir() else 0o644
    return entry


def _fetch(python: Python, directory: str) -> None:
    """Installs the packages and their dependencies into `directory`. Raises HostError."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--target", directory, "--only-binary", ":all:", "--implementation", "cp"]
    command += ["--python-version", ".".join(map(str, python.version))]
    command += [word for platform in python.platforms() for word in ("--platform", platform)]
    try:
        done = subprocess.run(
            [*command, *requirements()], capture_output=True, text=True, timeout=_FETCH_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise HostError(f"pip could not fetch distplusplusd's packages within {_FETCH_S} s") from None
    if done.returncode != 0:
        lines = "".join(f"\n  | {line}" for line in done.stderr.strip().splitlines()[-6:])
        raise HostError(
            f"pip on this machine cannot fetch distplusplusd's packages for {python.machine} and Python "
            f"{'.'.join(map(str, python.version))} (exit code {done.returncode}):{lines}"
        )
