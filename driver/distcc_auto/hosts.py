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
    """A worker that a distcc client reaches at an address; `hostname` of an IPv6 address has no brackets.

    Hosts of other kinds become such an address on this machine (reach/). What distcc and the user need to know of
    such an address is data here, so that nothing has to ask which kind the host was. Two values are equal when they
    are one address.
    """

    hostname: str
    distcc_port: int = DISTCC_PORT
    stats_port: int = STATS_PORT
    text: str = field(default="", compare=False)
    # As the user wrote it: tcp, ssh, grpc or grpcs.
    kind: str = field(default="tcp", compare=False)
    # What DISTCC_HOSTS gets after the number of slots.
    distcc_options: str = field(default=",lzo", compare=False)
    # How long a distcc client may wait for a job's result (DISTCC_IO_TIMEOUT); None leaves it at distcc's own 300 s.
    io_timeout_s: int | None = field(default=None, compare=False)
    # How DISTPLUSPLUS_SERVERS names the worker; None where the launcher cannot use it.
    launcher_server: str | None = field(default=None, compare=False)
    # Whether a job brings back its object and nothing else, as from every distccd.
    returns_object_only: bool = field(default=True, compare=False)
    # What of ours listens at this address, None where it is the worker itself.
    stand_in: str | None = field(default=None, compare=False)
    # What the worker's --allow list must include.
    client_name: str = field(default="this machine", compare=False)
    # What messages call the stats port, None for its address.
    stats_name: str | None = field(default=None, compare=False)

    @property
    def distcc_address(self) -> str:
        """HOST:PORT as DISTCC_HOSTS wants it, an IPv6 address in brackets."""
        return addresses.join(self.hostname, self.distcc_port)

    def stats_peer(self, ip_address: str) -> str:
        """What messages call the stats port at one of the host's IP addresses."""
        return self.stats_name or addresses.join(ip_address, self.stats_port)


@dataclass(frozen=True)
class SshHost:
    """A worker behind sshd; `hostname` may be an alias of ssh_config, a port of None is left to ssh."""

    hostname: str
    user: str | None = None
    ssh_port: int | None = None
    distcc_port: int = DISTCC_PORT
    stats_port: int = STATS_PORT
    text: str = field(default="", compare=False)

    kind = "ssh"


@dataclass(frozen=True)
class GrpcHost:
    """A distplusplusd; with `tls` the connection to it is encrypted."""

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


HostSpec = TcpHost | SshHost | GrpcHost


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
