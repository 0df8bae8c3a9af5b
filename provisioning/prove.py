"""The proof that a worker works: distcc-auto compiles through the same entry that is printed at the end."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from distcc_auto.hosts import GrpcHost, HostSpec
from distcc_common.errors import ConfigurationError
from provisioning.host_errors import HostError
from provisioning.steps import Host

_PROOF_S = 120
_SOURCES = {
    "gcc": ("proof.c", "int proof(int n) { return n + 1; }\n"),
    "g++": ("proof.cc", "#include <string>\nstd::string proof(int n) { return std::to_string(n); }\n"),
}
_SOURCES["clang"], _SOURCES["clang++"] = _SOURCES["gcc"], _SOURCES["g++"]
# What gcc and clang write into the section .comment of an object.
_IDENTITY = re.compile(rb"(?:GCC: \([^)]*\) [0-9.]+|[A-Za-z ]*clang version [0-9.]+[^\0]*)")


@dataclass(frozen=True)
class Compiled:
    """One compiler, as the worker's object names it and as this machine's object names it."""

    compiler: str
    there: str
    here: str


@dataclass(frozen=True)
class Proof:
    entry: str
    compiled: tuple[Compiled, ...]
    duration_s: float


def check_tools(specs: Iterable[HostSpec]) -> None:
    """Raises ConfigurationError when this machine lacks what the proof of such workers needs."""
    if any(isinstance(spec, GrpcHost) for spec in specs) and not importlib.util.find_spec("grpc"):
        raise ConfigurationError(
            "grpc is not installed on this machine, which proves grpc:// workers by compiling through them "
            "(pip install -e '.[provision,distplusplus]', or --no-proof)"
        )
    for tool in ("distcc", "gcc"):
        if not shutil.which(tool):
            raise ConfigurationError(
                f"{tool} is not installed on this machine, which proves every worker by compiling through it "
                f"(apt-get install {tool}, or --no-proof)"
            )


def prove(
    entry: str, compilers_there: Collection[str], ssh_config: str | None = None, certificate: str | None = None
) -> Proof:
    """Compiles on the worker, and nowhere else, with each compiler that both sides have. Raises HostError.

    `ssh_config` replaces the user's own file; `certificate` is the file with the certificate of a grpcs:// host.
    """
    names = [name for name in _SOURCES if name in compilers_there and shutil.which(name)]
    if not names:
        raise HostError(
            f"proof: this machine has none of the worker's compilers ({', '.join(sorted(compilers_there)) or 'none'})"
        )
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="distcc-auto-proof-") as directory:
        for file, text in set(_SOURCES.values()):
            with open(os.path.join(directory, file), "w", encoding="ascii") as source:
                source.write(text)
        script = " && ".join(f"distcc {name} -c {_SOURCES[name][0]} -o {name}.o" for name in names)
        command = [sys.executable, "-m", "distcc_auto", "sh", "-c", script]
        environment = _environment(entry, directory)
        if ssh_config:
            environment["PATH"] = f"{_ssh_with(ssh_config, directory)}{os.pathsep}{environment['PATH']}"
        if certificate:
            environment["XDG_CONFIG_HOME"] = _trusting(entry, certificate, directory)
        done = _run(command, directory, environment)
        if done.returncode != 0:
            raise HostError(f"proof: compiling through {entry} failed{_why(done, directory)}")
        compiled = []
        for name in names:
            # DISTCC_HOSTS: the name may be a masquerade of distcc, and must compile on this machine all the same.
            _run(
                [name, "-c", _SOURCES[name][0], "-o", "here.o"], directory, environment | {"DISTCC_HOSTS": "localhost"}
            )
            compiled.append(
                Compiled(
                    name, _identity(os.path.join(directory, f"{name}.o")), _identity(os.path.join(directory, "here.o"))
                )
            )
    return Proof(entry, tuple(compiled), time.monotonic() - started_s)


def _environment(entry: str, directory: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DISTCC_", "CCACHE_", "MAKEFLAGS"))}
    return kept | {
        "DISTCC_AUTO_HOSTS": entry,
        "DISTCC_AUTO_FALLBACK_LOCAL_JOBS": "0",
        "DISTCC_AUTO_EARLY_LOCAL_JOBS": "0",
        "DISTCC_DIR": directory,
        "DISTCC_FALLBACK": "0",
        "DISTCC_SKIP_LOCAL_RETRY": "1",
        "DISTCC_LOG": os.path.join(directory, "distcc.log"),
    }


def _ssh_with(ssh_config: str, directory: str) -> str:
    """A directory with an `ssh` command that reads `ssh_config`."""
    path = os.path.join(directory, "bin", "ssh")
    os.mkdir(os.path.dirname(path))
    with open(path, "w", encoding="utf-8") as script:
        script.write(
            f"#!/bin/sh\nexec {shlex.quote(shutil.which('ssh') or 'ssh')} "
            f'-F {shlex.quote(os.path.abspath(ssh_config))} "$@"\n'
        )
    os.chmod(path, 0o700)
    return os.path.dirname(path)


def _trusting(entry: str, certificate: str, directory: str) -> str:
    """A configuration directory whose distplusplus.toml names the certificate: the user's own may not name it yet."""
    path = os.path.join(directory, "distplusplus", "distplusplus.toml")
    os.mkdir(os.path.dirname(path))
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"servers = [{server_line(entry, certificate)}]\n")
    return directory


def server_line(entry: str, certificate: str) -> str:
    """The entry for such a server in distplusplus.toml(5)."""
    return f"{{ address = {json.dumps(entry)}, ca = {json.dumps(certificate)} }}"


def _run(command: list[str], directory: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PROOF_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        output = error.stderr.decode(errors="replace") if isinstance(error.stderr, bytes) else error.stderr or ""
        return subprocess.CompletedProcess(command, 124, "", f"{output}still running after {_PROOF_S} s")


def _why(done: subprocess.CompletedProcess[str], directory: str) -> str:
    lines = (done.stdout + done.stderr).strip().splitlines()
    try:
        with open(os.path.join(directory, "distcc.log"), encoding="utf-8", errors="replace") as log:
            lines += [line.strip() for line in log if "ERROR" in line or "Warning" in line]
    except FileNotFoundError:
        pass
    return f" (exit code {done.returncode}):" + "".join(f"\n  | {line}" for line in lines[-8:])


def _identity(path: str) -> str:
    try:
        with open(path, "rb") as file:
            found = _IDENTITY.search(file.read())
    except FileNotFoundError:
        return ""
    return found[0].decode("ascii", "replace").strip() if found else "unknown"


def tell_proof(host: Host, proof: Proof) -> None:
    """Says what was compiled on the worker, and which compilers differ from this machine's."""
    made = ", ".join(f"{one.compiler} ({one.there})" for one in proof.compiled)
    host.say(f"proved: compiled through {proof.entry} in {proof.duration_s:.1f} s by {made}")
    for one in proof.compiled:
        if one.there != one.here:
            host.warn(
                f"{one.compiler} is '{one.there}' there and '{one.here}' on this machine: "
                f"fab sync-compilers {host.remote.name}"
            )
