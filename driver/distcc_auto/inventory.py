"""The inventory: one TOML file that names the workers, their groups, and how each one is provisioned.

    [defaults]                          # settings for every host
    allow = ["192.0.2.0/24"]

    [hosts.worker-1]                    # host = "worker-1", its own name, when not given
    [hosts.worker-2]
    host = "ssh://distcc-tunnel@worker-2"
    jobs = 12

    [groups]
    farm = ["worker-1", "worker-2"]

`host` is of the grammar in hosts.py. Every other key of a host is a setting for `fab provision` and is kept here as it
stands: provisioning/host_settings.py knows what it means.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from distcc_auto import hosts, settings
from distcc_common import config_files
from distcc_common.errors import ConfigurationError

VARIABLE = "DISTCC_AUTO_INVENTORY"


@dataclass(frozen=True)
class Entry:
    """One host: its name in the file, where its distccd is, and its settings over the file's defaults."""

    name: str
    spec: hosts.HostSpec
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Inventory:
    """Every host by name, in the order of the file, and the names of each group's hosts."""

    path: str
    hosts: Mapping[str, Entry]
    groups: Mapping[str, tuple[str, ...]]
    defaults: Mapping[str, object]

    def select(self, group: str | None = None) -> tuple[Entry, ...]:
        """The hosts of `group`, or all. Raises ConfigurationError when there is no such group."""
        if group is None:
            return tuple(self.hosts.values())
        if group not in self.groups:
            known = ", ".join(self.groups) or "none"
            raise ConfigurationError(f"{self.path}: there is no group '{group}' (known: {known})")
        return tuple(self.hosts[name] for name in self.groups[group])


def default_path(environ: Mapping[str, str]) -> str | None:
    """$DISTCC_AUTO_INVENTORY, else inventory.toml beside the user's config.toml; None without a home directory."""
    if path := environ.get(VARIABLE):
        return path
    config = settings.user_file(environ)
    return config and os.path.join(os.path.dirname(config), "inventory.toml")


def load(path: str) -> Inventory:
    """Reads and checks the file. Raises ConfigurationError that names the file and the key."""
    document = config_files.read_toml(path)
    if document is None:
        raise ConfigurationError(f"{path}: the inventory cannot be read: {os.strerror(errno.ENOENT)}")
    for key in document:
        if key not in ("defaults", "hosts", "groups"):
            raise ConfigurationError(f"{path}: {key}: there is no such table (known: defaults, hosts, groups)")
    defaults = _table(document, "defaults", path)
    if "host" in defaults:
        raise ConfigurationError(f"{path}: defaults.host: every host has its own")
    entries = {name: _entry(name, value, defaults, path) for name, value in _table(document, "hosts", path).items()}
    groups = {name: _members(name, value, entries, path) for name, value in _table(document, "groups", path).items()}
    return Inventory(path, entries, groups, defaults)


def _table(document: Mapping[str, object], key: str, path: str) -> dict[str, object]:
    value = document.get(key, {})
    if not isinstance(value, dict):
        raise ConfigurationError(f"{path}: {key}: expected a table, got {value!r}")
    return value


def _entry(name: str, value: object, defaults: Mapping[str, object], path: str) -> Entry:
    where = f"{path}: hosts.{name}"
    if not isinstance(value, dict):
        raise ConfigurationError(f"{where}: expected a table, for example [hosts.{name}]; got {value!r}")
    text = value.get("host", name)
    specs = hosts.parse_hosts(text, f"{where}.host") if isinstance(text, str) else ()
    if len(specs) != 1:
        raise ConfigurationError(f"{where}.host: expected one host, got {text!r}")
    own = {key: setting for key, setting in value.items() if key != "host"}
    return Entry(name, specs[0], {**defaults, **own})


def _members(name: str, value: object, entries: Mapping[str, Entry], path: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(member, str) for member in value):
        raise ConfigurationError(f"{path}: groups.{name}: expected an array of host names, got {value!r}")
    for member in value:
        if member not in entries:
            raise ConfigurationError(f"{path}: groups.{name}: there is no [hosts.{member}]")
    return tuple(dict.fromkeys(value))
