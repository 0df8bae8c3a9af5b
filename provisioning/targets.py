"""From HOST arguments and the inventory to the hosts of a task. Pure except that it reads the files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distcc_auto import inventory
from distcc_auto.hosts import GrpcHost, HostSpec, SshHost, parse_hosts
from distcc_common import addresses
from distcc_common.errors import ConfigurationError
from provisioning.connect import split_port
from provisioning.daemon_kinds import kind_of, ports_of
from provisioning.host_settings import HostSettings, checked_settings
from provisioning.render import TUNNEL_USER


@dataclass(frozen=True)
class Target:
    """One host: its name, where ssh logs in, the entry of its daemon, and its settings.

    `is_listed`: the inventory has it, and its `host` there is the entry for DISTCC_AUTO_HOSTS, unchanged.
    """

    name: str
    destination: str
    spec: HostSpec
    settings: HostSettings
    is_listed: bool

    def entries(self, hostname: str, tunnel: tuple[str, int | None] = (TUNNEL_USER, None)) -> tuple[str, ...]:
        """The possible entries of DISTCC_AUTO_HOSTS for this host, the best first; its address is `hostname`.

        `tunnel` is the account for tunnels, and the port of its sshd if that is not the host's own.
        """
        if self.is_listed:
            return (self.spec.text,)
        own = ports_of(self.spec)
        ports = () if own == kind_of(self.spec).usual_ports else own
        found = []
        if self.settings.allow:
            # distcc does not know the names of ssh_config.
            name = addresses.join(hostname, 0).removesuffix(":0")
            scheme = self.spec.kind if isinstance(self.spec, GrpcHost) else "tcp"
            found.append(f"{scheme}://{name}{''.join(f':{port}' for port in ports)}")
        if isinstance(self.spec, SshHost):
            found.append(self.spec.text)
        elif self.settings.tunnel_keys:
            host, ssh_port = split_port(self.destination)
            name = addresses.join(host.rpartition("@")[2], tunnel[1] or ssh_port or 0).removesuffix(":0")
            found.append(f"ssh://{tunnel[0]}@{name}{''.join(f'/{port}' for port in ports)}")
        return tuple(found)


def find_targets(
    words: Sequence[str],
    group: str | None,
    inventory_path: str | None,
    options: Mapping[str, object],
    environ: Mapping[str, str],
) -> tuple[Target, ...]:
    """The hosts that `words` and `group` name, each once. `options` override the inventory.

    Raises ConfigurationError.
    """
    listed = _inventory(inventory_path, group, environ)
    targets = {}
    if group is not None and listed is not None:
        for entry in listed.select(group):
            targets[entry.name] = _listed(entry, listed.path, options)
    for word in words:
        if listed is not None and word in listed.hosts:
            targets[word] = _listed(listed.hosts[word], listed.path, options)
        else:
            targets[word] = _unlisted(word, {**(listed.defaults if listed else {}), **options})
    if not targets:
        raise ConfigurationError("no hosts: name some (fab TASK HOST...), or a group of the inventory with --group")
    return tuple(targets.values())


def _inventory(path: str | None, group: str | None, environ: Mapping[str, str]) -> inventory.Inventory | None:
    chosen = path or inventory.default_path(environ)
    if chosen and (path or group is not None or environ.get(inventory.VARIABLE) or os.path.exists(chosen)):
        return inventory.load(chosen)
    if group is not None:
        raise ConfigurationError(f"--group {group}: there is no inventory (--inventory FILE, ${inventory.VARIABLE})")
    return None


def _listed(entry: inventory.Entry, path: str, options: Mapping[str, object]) -> Target:
    settings = checked_settings({**entry.settings, **options}, f"{path}: hosts.{entry.name}")
    return Target(entry.name, settings.ssh or _ssh_destination(entry.spec), entry.spec, settings, is_listed=True)


def _unlisted(word: str, table: Mapping[str, object]) -> Target:
    settings = checked_settings({key: value for key, value in table.items() if key != "ssh"}, "options")
    if "://" in word:
        spec = parse_hosts(word, "HOST")[0]
        return Target(word, _ssh_destination(spec), spec, settings, is_listed=False)
    host = split_port(word)[0].rpartition("@")[2]
    specs = parse_hosts(addresses.join(host, 0).removesuffix(":0"), "HOST")
    if len(specs) != 1:
        raise ConfigurationError(f"'{word}' is not a host")
    return Target(word, word, specs[0], settings, is_listed=False)


def _ssh_destination(spec: HostSpec) -> str:
    """Where an administrator logs in. The user in an ssh:// entry is the account for tunnels, and is left out."""
    port = spec.ssh_port if isinstance(spec, SshHost) else None
    return addresses.join(spec.hostname, port) if port else spec.hostname
