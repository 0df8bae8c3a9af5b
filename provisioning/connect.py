"""A fabric Connection as OpenSSH would make it: the user's whole ssh_config counts, unknown host keys are refused.

fabric ignores Include and Match exec in ssh_config, reads no known_hosts file, and accepts every host key. So OpenSSH
itself is asked (`ssh -G`), and the client gets known_hosts and a policy that refuses unknown keys.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
import subprocess
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import paramiko
from fabric import Config, Connection

from provisioning.host_errors import UnreachableError
from provisioning.safe_text import ssh_name

CONNECT_TIMEOUT_S = 20
_ResultT = TypeVar("_ResultT")


class _RefuseUnknown(paramiko.MissingHostKeyPolicy):
    """Refuses a host key that is in no known_hosts file, and says how to accept it."""

    def __init__(self, destination: str, ssh_config: str | None) -> None:
        host, _ = split_port(destination)
        words = ("ssh", *(("-F", ssh_config) if ssh_config else ()), *_port_option(destination), "--", host, "exit")
        self._accept = shlex.join(words)

    def missing_host_key(self, _client: paramiko.SSHClient, _hostname: str, key: paramiko.PKey) -> None:
        digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
        raise UnreachableError(
            f"its host key is not known: {key.get_name()} SHA256:{digest}\n"
            f"  Compare it with the host's own answer (on its console: ssh-keygen -lf "
            f"/etc/ssh/ssh_host_{_key_file(key)}_key.pub).\n"
            f"  This command shows it again and asks whether to accept it:\n"
            f"    {self._accept}"
        )


def _key_file(key: paramiko.PKey) -> str:
    name = str(key.get_name())
    return "ed25519" if "ed25519" in name else "ecdsa" if "ecdsa" in name else "rsa"


def split_port(destination: str) -> tuple[str, int | None]:
    """`[user@]host[:port]` as (`[user@]host`, port or None); an IPv6 address with a port needs brackets."""
    host, colon, port = destination.rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.endswith("]")):
        user, at, name = host.rpartition("@")
        return user + at + name.removeprefix("[").removesuffix("]"), int(port)
    user, at, name = destination.rpartition("@")
    return user + at + name.removeprefix("[").removesuffix("]"), None


def _port_option(destination: str) -> tuple[str, ...]:
    _, port = split_port(destination)
    return ("-p", str(port)) if port else ()


def ssh_settings(destination: str, ssh_config: str | None = None) -> dict[str, list[str]]:
    """OpenSSH's settings for `destination`: lower-case keyword -> values. Raises HostError."""
    host, _ = split_port(destination)
    command = [
        "ssh",
        "-G",
        *(("-F", ssh_config) if ssh_config else ()),
        *_port_option(destination),
        "--",
        ssh_name(host),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CONNECT_TIMEOUT_S, check=False)
    except FileNotFoundError:
        raise UnreachableError(
            "the ssh client is not installed on this machine (apt-get install openssh-client)"
        ) from None
    if done.returncode != 0:
        raise UnreachableError(f"ssh does not understand '{destination}': {done.stderr.strip()}")
    settings: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        keyword, _, value = line.partition(" ")
        settings.setdefault(keyword, []).append(value)
    return settings


def connect(
    destination: str, config: Config, ssh_config: str | None = None, jumps: Sequence[str] | None = None
) -> Connection:
    """A Connection to `destination`, opened at its first use. `config` holds fab's own options (keys, passwords).

    Raises HostError when ssh does not understand the destination.
    """
    found = ssh_settings(destination, ssh_config)
    if jumps is None:
        proxy = found.get("proxyjump", ["none"])[0]
        jumps = [] if proxy == "none" else proxy.split(",")
    gateway: Connection | str | bool = False
    if jumps:
        gateway = connect(jumps[-1], config, ssh_config, jumps[:-1] or None)
    elif (command := found.get("proxycommand", ["none"])[0]) != "none":
        gateway = command
    port = int(found["port"][0])
    connection = Connection(
        # A bare address, also for IPv6. fabric must not look it up in ssh_config a second time.
        host=found["hostname"][0],
        user=found["user"][0],
        port=port,
        config=_without_ssh_config(config),
        gateway=gateway,
        connect_timeout=CONNECT_TIMEOUT_S,
        connect_kwargs=_login(found, config),
    )
    for path in [
        *found.get("globalknownhostsfile", [""])[0].split(),
        *found.get("userknownhostsfile", [""])[0].split(),
    ]:
        expanded = os.path.expanduser(path)
        if os.path.isfile(expanded):
            connection.client.load_system_host_keys(expanded)
    connection.client.set_missing_host_key_policy(_RefuseUnknown(destination, ssh_config))
    return connection


def _without_ssh_config(config: Config) -> Config:
    overrides: dict[str, Any] = {"load_ssh_configs": False}
    if config.sudo.password is not None:
        overrides["sudo"] = {"password": config.sudo.password}
    return Config(overrides=overrides, ssh_config=paramiko.SSHConfig())


def _login(found: dict[str, list[str]], config: Config) -> dict[str, Any]:
    login: dict[str, Any] = dict(config.connect_kwargs)
    keys = [os.path.expanduser(path) for path in found.get("identityfile", [])]
    login.setdefault("key_filename", [path for path in keys if os.path.isfile(path)])
    # ssh has named the keys: paramiko must not search for others.
    login["look_for_keys"] = False
    login["allow_agent"] = (
        found.get("identitiesonly", ["no"])[0] != "yes" and found.get("identityagent", [""])[0] != "none"
    )
    return login


def reaching(connection: Connection, action: Callable[[], _ResultT]) -> _ResultT:
    """`action()`; every ssh failure on the way to the host becomes an UnreachableError."""
    try:
        return action()
    except paramiko.BadHostKeyException as error:
        raise UnreachableError(
            f"its host key has changed: {error}\n  If the host was reinstalled, run ssh-keygen -R "
            f"{shlex.quote(error.hostname)} and accept the new key with ssh"
        ) from None
    except paramiko.AuthenticationException as error:
        raise UnreachableError(
            f"login as {connection.user}{_through(connection)} failed: {error} (does `ssh "
            f"{connection.user}@{connection.host}` work? fab takes -i KEY, --prompt-for-login-password and "
            f"--prompt-for-passphrase)"
        ) from None
    except (paramiko.SSHException, OSError, EOFError) as error:
        text = str(error) or type(error).__name__
        way = f"{connection.host}:{connection.port}{_through(connection)}"
        raise UnreachableError(f"no ssh connection to {way}: {text}") from None


def _through(connection: Connection) -> str:
    gateway = connection.gateway
    return f" through {gateway.user}@{gateway.host}:{gateway.port}" if isinstance(gateway, Connection) else ""
