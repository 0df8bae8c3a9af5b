"""The host's firewall, where one is active: opened for the allowed clients, closed for those that are no more."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterable

from provisioning.record import Record
from provisioning.steps import Host

_COMMENT = "distcc-worker"


def rules(manager: str, networks: Iterable[str], ports: Iterable[int]) -> tuple[str, ...]:
    """What shall be open, as "ufw 192.0.2.0/24 3632"; nothing without an active firewall."""
    return tuple(f"{manager} {network} {port}" for network in networks for port in ports) if manager else ()


def check(rule: str) -> str:
    manager, network, port = rule.split()
    if manager == "ufw":
        source = network.removesuffix("/32").removesuffix("/128")
        return (
            f"ufw show added | grep -qxF \"ufw allow from {source} to any port {port} proto tcp comment '{_COMMENT}'\""
        )
    return _firewalld("query", network, port)


def open_command(rule: str) -> str:
    manager, network, port = rule.split()
    if manager == "ufw":
        return f"ufw allow proto tcp from {network} to any port {port} comment {_COMMENT}"
    return _firewalld("add", network, port)


def close_command(rule: str) -> str:
    manager, network, port = rule.split()
    if manager == "ufw":
        return f"ufw delete allow proto tcp from {network} to any port {port}"
    return _firewalld("remove", network, port)


def _firewalld(verb: str, network: str, port: str) -> str:
    """firewall-cmd(1), for the running firewall and for the one after the next boot."""
    version = ipaddress.ip_network(network).version
    rule = f'rule family="ipv{version}" source address="{network}" port port="{port}" protocol="tcp" accept'
    command = f"firewall-cmd -q --{verb}-rich-rule='{rule}'"
    return f"{command} && {command.replace(' -q ', ' -q --permanent ')}"


def ensure(host: Host, record: Record, wanted: tuple[str, ...]) -> Record:
    """Closes what only the record has, opens what is not open yet; the record after that."""
    for rule in record.firewall:
        if rule not in wanted:
            host.ensure(f"firewall closed: {rule}", f"! {{ {check(rule)}; }}", close_command(rule))
    # First the record: what is opened and not written down would stay open after `remove`.
    ours = {rule for rule in record.firewall if rule in wanted}
    for rule in wanted:
        if rule not in ours and not host.ask("firewall", check(rule)).ok:
            ours.add(rule)
    record = dataclasses.replace(record, firewall=tuple(rule for rule in wanted if rule in ours))
    host.save(record)
    for rule in wanted:
        host.ensure(f"firewall open: {rule}", check(rule), open_command(rule))
    return record
