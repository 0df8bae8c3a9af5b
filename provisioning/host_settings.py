"""A worker's settings: task options over the inventory's values, checked. Pure except that it reads key files."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from distcc_common.errors import ConfigurationError
from provisioning.safe_text import client_network

THIS_MACHINE = "this-machine"

# About the peak memory of a g++ job; the worker images use the same number.
_JOB_MEMORY_MIB = 512
_KEYS = ("ssh", "allow", "tunnel_keys", "compilers", "jobs", "nice")
_PUBLIC_KEY = re.compile(
    r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-\S+|sk-\S+@openssh\.com) [A-Za-z0-9+/=]+( [^\x00-\x1f\x7f]*)?"
)
_COMPILER = re.compile(r"(gcc|clang)(-[0-9]+)?")


@dataclass(frozen=True)
class HostSettings:
    """`allow` holds networks and the word "this-machine". Jobs and nice of None depend on the host's size."""

    allow: tuple[str, ...] = ()
    tunnel_keys: tuple[str, ...] = ()
    compilers: tuple[str, ...] = ("gcc",)
    jobs: int | None = None
    nice: int | None = None
    ssh: str | None = None


def checked_settings(table: Mapping[str, object], where: str) -> HostSettings:
    """The settings in `table`, which messages call `where`. Raises ConfigurationError."""
    for key in table:
        if key not in _KEYS:
            raise ConfigurationError(f"{where}: {key}: unknown setting (known: host, {', '.join(_KEYS)})")
    return HostSettings(
        allow=tuple(_network(text, where) for text in _texts(table, "allow", where)),
        tunnel_keys=tuple(_keys(_texts(table, "tunnel_keys", where), where)),
        compilers=tuple(_compiler(text, where) for text in _texts(table, "compilers", where)) or ("gcc",),
        jobs=_number(table, "jobs", 1, 4096, where),
        nice=_number(table, "nice", 0, 19, where),
        ssh=_ssh(table.get("ssh"), where),
    )


def default_jobs(cpus: int, memory_mib: int) -> int:
    """One job per CPU, fewer when memory is short, at least one."""
    return max(min(cpus, memory_mib // _JOB_MEMORY_MIB), 1)


def default_nice(cpus: int, memory_mib: int) -> int:
    """5 from 16 CPUs and 30 GiB, 15 below 4 CPUs, else 10: somebody is more likely to work at a small machine."""
    if cpus >= 16 and memory_mib >= 30 * 1024:
        return 5
    return 15 if cpus < 4 else 10


def _texts(table: Mapping[str, object], key: str, where: str) -> list[str]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ConfigurationError(f"{where}: {key}: expected an array of strings, got {value!r}")
    return value


def _network(text: str, where: str) -> str:
    if text == THIS_MACHINE:
        return text
    try:
        network = ipaddress.ip_network(client_network(text))
    except ValueError as error:
        raise ConfigurationError(
            f"{where}: allow: {error} (an address, a network such as 192.0.2.0/24, or the word {THIS_MACHINE})"
        ) from None
    if network.prefixlen == 0:
        raise ConfigurationError(f"{where}: allow: {text} lets everybody in: name the clients' networks")
    return str(network)


def _keys(paths: Iterable[str], where: str) -> list[str]:
    keys = []
    for path in paths:
        try:
            with open(os.path.expanduser(path), encoding="utf-8") as file:
                lines = [line.strip() for line in file if line.strip() and not line.startswith("#")]
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{where}: tunnel_keys: {path}: {error}") from None
        for line in lines:
            if not _PUBLIC_KEY.fullmatch(line):
                what = "a private key" if "PRIVATE KEY" in line else "a line that is not a public key"
                raise ConfigurationError(f"{where}: tunnel_keys: {path}: has {what} (use the file that ends in .pub)")
        keys += lines
    return list(dict.fromkeys(keys))


def _compiler(text: str, where: str) -> str:
    if not _COMPILER.fullmatch(text):
        raise ConfigurationError(f"{where}: compilers: '{text}' is none of gcc, gcc-N, clang, clang-N")
    return text


def _number(table: Mapping[str, object], key: str, least: int, most: int, where: str) -> int | None:
    value = table.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ConfigurationError(f"{where}: {key}: expected a whole number from {least} to {most}, got {value!r}")
    return value


def _ssh(value: object, where: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(r"[^\s-]\S*", value):
        raise ConfigurationError(f"{where}: ssh: expected [user@]host[:port], got {value!r}")
    return value
