"""Where tunnels listen on this machine."""

from __future__ import annotations

import os
import socket
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from distcc_auto.hosts import SshHost


@dataclass(frozen=True)
class LocalEnd:
    """The address and ports at which one tunnel listens."""

    address: str
    distcc_port: int
    stats_port: int


def local_ends(hosts: Sequence[SshHost]) -> Iterator[LocalEnd]:
    """A loopback address for each host, the same one in every build unless two names get the same number."""
    taken: set[int] = set()
    for host in hosts:
        number = zlib.crc32(host.text.encode())
        while (number := number % (1 << 22)) in taken:
            number += 1
        taken.add(number)
        # 127.64.0.0/10 stays clear of 127.0.0.1 and of the resolvers at 127.0.0.53 and 127.0.1.1.
        address = socket.inet_ntoa(((127 << 24) + (64 << 16) + number).to_bytes(4))
        yield other_ports(LocalEnd(address, 0, 0))


def other_ports(local: LocalEnd) -> LocalEnd:
    """The same address with random ports, below those that the kernel gives to outgoing connections.

    The kernel's begin at 32768 (ip_local_port_range).
    """
    number = int.from_bytes(os.urandom(2))
    port = 10000 + 2 * (number % 11000)
    return LocalEnd(local.address, port, port + 1)
