"""The host grammar of DISTCC_AUTO_HOSTS: text in, `TcpHost`, `SshHost` and `GrpcHost` values out. Pure.

DISTCC_AUTO_HOSTS = AUTO_HOST_SPEC ...                 separated by any white space
AUTO_HOST_SPEC    = TCP_HOST | SSH_HOST | GRPC_HOST
TCP_HOST          = [tcp://]HOSTNAME[:DISTCC_PORT[:STATS_PORT]]
SSH_HOST          = ssh://[SSH_USER@]HOSTNAME[:SSH_PORT][/DISTCC_PORT[/STATS_PORT]]
GRPC_HOST         = grpc://HOSTNAME[:PORT] | grpcs://HOSTNAME[:PORT]
HOSTNAME, and HOSTNAME[:PORT] of a GRPC_HOST, are those of distcc_common/addresses.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from distcc_common import addresses
from distcc_common.errors import ConfigurationError

DISTCC_PORT = 3632
STATS_PORT = 3633
GRPC_PORT = 3634

# What useradd(8) and directories of companies have (me@corp). No character that is special to a shell: the name
# reaches the command lines that we show to people and those that provisioning runs as root.
_SSH_USER = re.compile(r"\w[\w.+@-]*")


@dataclass(frozen=True)
class TcpHost:
    """A worker whose distccd is reached directly; `hostname` of an IPv6 address has no brackets."""

    hostname: str
    distcc_port: int = DISTCC_PORT
    stats_port: int = STATS_PORT
    text: str = field(default="", compare=False)

    kind = "tcp"
    # What DISTCC_HOSTS gets behind the slots.
    distcc_options = ",lzo"
    # As what the worker's --allow list must include us.
    client_name = "this machine"

    @property
    def distcc_address(self) -> str:
        """HOST:PORT as DISTCC_HOSTS wants it, an IPv6 address in brackets."""
        return addresses.join(self.hostname, self.distcc_port)

    @property
    def stats_address(self) -> str:
        return addresses.join(self.hostname, self.stats_port)

    def stats_peer(self, ip_address: str, /) -> str:
        """How messages call the stats port at one of the host's addresses."""
        return addresses.join(ip_address, self.stats_port)


@dataclass(frozen=True)
class SshHost:
    """A worker behind sshd; `hostname` may be an alias of ssh_config, ports of None are left to ssh."""

    hostname: str
    user: str | None = None
    ssh_port: int | None = None
    distcc_port: int = DISTCC_PORT
    stats_port: int = STATS_PORT
    text: str = field(default="", compare=False)

    kind = "ssh"


@dataclass(frozen=True)
class TunnelledHost(TcpHost):
    """An SshHost whose tunnel is up: `hostname` and the ports are those of the tunnel's end on this machine."""

    origin: SshHost = field(kw_only=True)

    kind = "ssh"
    client_name = "127.0.0.1 and ::1, from where its sshd connects"

    def stats_peer(self, _: str, /) -> str:
        return f"port {self.origin.stats_port} there"


@dataclass(frozen=True)
class GrpcHost:
    """A distplusplusd; with `tls` what it is sent is encrypted."""

    hostname: str
    port: int = GRPC_PORT
    tls: bool = False
    text: str = field(default="", compare=False)

    @property
    def kind(self) -> str:
        return "grpcs" if self.tls else "grpc"

    @property
    def target(self) -> str:
        return addresses.join(self.hostname, self.port)


@dataclass(frozen=True)
class BridgedHost(TcpHost):
    """A GrpcHost behind the bridge: `hostname` and the ports are those of the bridge on this machine."""

    origin: GrpcHost = field(kw_only=True)

    # Between two processes of one machine, compressing costs more than it saves.
    distcc_options = ""

    @property
    def kind(self) -> str:  # type: ignore[override]
        return self.origin.kind


# Hosts that run distccd.
DistccdHost = TcpHost | SshHost
HostSpec = DistccdHost | GrpcHost


def parse_hosts(text: str, source: str = "DISTCC_AUTO_HOSTS") -> tuple[HostSpec, ...]:
    """The hosts that `text` names, in order, each once.

    Raises ConfigurationError that names `source` and the entry when an entry is not of the grammar.
    """
    hosts: dict[HostSpec, None] = {}
    for entry in text.split():
        try:
            hosts.setdefault(_parse_host(entry))
        except ValueError as error:
            raise ConfigurationError(f"{source}: host '{entry}': {error}") from None
    return tuple(hosts)


def _parse_host(entry: str) -> HostSpec:
    scheme, separator, rest = entry.partition("://")
    if not separator:
        return _parse_tcp(entry, entry)
    if scheme == "tcp":
        return _parse_tcp(rest, entry)
    if scheme == "ssh":
        return _parse_ssh(rest, entry)
    if scheme in ("grpc", "grpcs"):
        return _parse_grpc(rest, entry, tls=scheme == "grpcs")
    raise ValueError(f"unknown scheme '{scheme}://' (use tcp://, ssh://, grpc:// or grpcs://)")


def _parse_tcp(text: str, entry: str) -> TcpHost:
    hostname, rest = addresses.split_hostname(text)
    before, *ports = rest.split(":")
    if before:
        raise ValueError(f"'{before}' after the host name (expected :DISTCC_PORT[:STATS_PORT])")
    distcc_port, stats_port = _worker_ports(ports, "an IPv6 address needs brackets: [::1]")
    # To distcc the word localhost means "do not distribute".
    hostname = "127.0.0.1" if hostname.lower() == "localhost" else addresses.normalized(hostname)
    return TcpHost(hostname, distcc_port, stats_port, entry)


def _parse_ssh(text: str, entry: str) -> SshHost:
    destination, *ports = text.split("/")
    distcc_port, stats_port = _worker_ports(ports, "expected /DISTCC_PORT[/STATS_PORT]")
    user, at, host = destination.rpartition("@")
    if at and not _SSH_USER.fullmatch(user):
        raise ValueError(f"'{user}' is not a user name (set any other one as User in ~/.ssh/config)")
    # Not in lower case: ssh_config's Host patterns tell upper from lower case.
    hostname, rest = addresses.split_hostname(host)
    before, colon, ssh_port = rest.partition(":")
    if before:
        raise ValueError(f"'{before}' after the host name (expected :SSH_PORT)")
    return SshHost(
        hostname,
        user if at else None,
        addresses.parse_port(ssh_port) if colon else None,
        distcc_port,
        stats_port,
        entry,
    )


def _parse_grpc(text: str, entry: str, *, tls: bool) -> GrpcHost:
    hostname, port = addresses.parse(text, GRPC_PORT)
    return GrpcHost(hostname, port, tls, entry)


def _worker_ports(texts: list[str], hint: str) -> tuple[int, int]:
    """The ports of distccd's jobs and of its statistics."""
    if len(texts) > 2:
        raise ValueError(f"more than two ports after the host ({hint})")
    ports = [addresses.parse_port(text) for text in texts]
    return ports[0] if ports else DISTCC_PORT, ports[1] if len(ports) > 1 else STATS_PORT
