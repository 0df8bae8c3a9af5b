"""The host's firewall, when one is active: opened for the allowed clients, closed for those removed from the list."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Iterable

from provisioning.host_errors import HostError
from provisioning.record import Record
from provisioning.safe_text import client_network
from provisioning.steps import Host

_COMMENT = "distcc-worker"


def rules(manager: str, networks: Iterable[str], ports: Iterable[int]) -> tuple[str, ...]:
    """The rules that are to be open, as "ufw 192.0.2.0/24 3632"; none without an active firewall."""
    return tuple(f"{manager} {network} {port}" for network in networks for port in ports) if manager else ()


def check(rule: str) -> str:
    manager, network, port = _parts(rule)
    if manager == "ufw":
        source = network.removesuffix("/32").removesuffix("/128")
        return (
            f"ufw show added | grep -qxF \"ufw allow from {source} to any port {port} proto tcp comment '{_COMMENT}'\""
        )
    return _firewalld("query", network, port)


def open_command(rule: str) -> str:
    manager, network, port = _parts(rule)
    if manager == "ufw":
        return f"ufw allow proto tcp from {network} to any port {port} comment {_COMMENT}"
    return _firewalld("add", network, port)


def close_command(rule: str) -> str:
    manager, network, port = _parts(rule)
    if manager == "ufw":
        return f"ufw delete allow proto tcp from {network} to any port {port}"
    return _firewalld("remove", network, port)


def _parts(rule: str) -> tuple[str, str, int]:
    """Manager, network and port of a rule, which may come from a record. Raises HostError."""
    parts = re.fullmatch(r"(ufw|firewalld) (\S+) ([0-9]{1,5})", rule)
    if not parts:
        raise HostError(f"its record has a firewall rule of another form: {rule!r}")
    return parts[1], client_network(parts[2]), int(parts[3])


def _firewalld(verb: str, network: str, port: int) -> str:
    """The firewall-cmd(1) commands for the running firewall and for the next boot."""
    version = ipaddress.ip_network(network).version
    rule = f'rule family="ipv{version}" source address="{network}" port port="{port}" protocol="tcp" accept'
    command = f"firewall-cmd -q --{verb}-rich-rule='{rule}'"
    return f"{command} && {command.replace(' -q ', ' -q --permanent ')}"


def ensure(host: Host, record: Record, wanted: tuple[str, ...]) -> Record:
    """Closes the rules that only the record has, opens those that are missing. Returns the new record."""
    for rule in record.firewall:
        if rule not in wanted:
            host.ensure(f"firewall closed: {rule}", f"! {{ {check(rule)}; }}", close_command(rule))
    # The record comes first: a rule that it does not have would stay open after `remove`.
    ours = {rule for rule in record.firewall if rule in wanted}
    for rule in wanted:
        if rule not in ours and not host.ask("firewall", check(rule)).ok:
            ours.add(rule)
    record = dataclasses.replace(record, firewall=tuple(rule for rule in wanted if rule in ours))
    host.save(record)
    for rule in wanted:
        host.ensure(f"firewall open: {rule}", check(rule), open_command(rule))
    return record
