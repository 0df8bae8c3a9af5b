"""Keeps idle connections from using up the server's descriptors, and one address from using up the connections.

gRPC bounds their number and ends idle ones, but it knows no share: the first to come would shut everybody out. So once
a second the accepted connections are counted by address, and those above an address's share are shut down.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
from collections import defaultdict
from collections.abc import Collection, Iterator

from distplusplus.server.log import log

_MOST = 10_000
# For jobs' files, the warden, compilers that are asked who they are, the metrics.
_OTHER_DESCRIPTORS = 512
_SHARES = 4
_LOOK_EVERY_S = 1.0


def raise_descriptor_limit() -> int:
    """Raises the soft limit of descriptors as far as it goes. Returns how many connections there may be."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(min(_MOST, hard - _OTHER_DESCRIPTORS), 64)


async def keep_shares(ports: Collection[int], most: int) -> None:
    """Has no address keep more than a quarter of `most` connections to `ports`. Until it is cancelled."""
    share = most // _SHARES
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        # Listing is cheap; looking at each one is not, and needless while there are few.
        if len(os.listdir("/proc/self/fd")) <= share:
            continue
        for host, count in (await asyncio.to_thread(shut_down_excess, ports, share)).items():
            log.warning("%d connections of %s are ended: it had more than %d, a share of all", count, host, share)


def shut_down_excess(ports: Collection[int], share: int) -> dict[str, int]:
    """Shuts down connections to `ports` of addresses that have more than `share`. Returns how many of each."""
    descriptors: dict[str, list[int]] = defaultdict(list)
    for name in os.listdir("/proc/self/fd"):
        if host := _client(int(name), ports):
            descriptors[host].append(int(name))
    ended = {}
    for host, held in descriptors.items():
        # Descriptors are given from the lowest free one up, so the highest are mostly the newest.
        excess = sorted(held)[share:]
        if excess:
            ended[host] = sum(_shut_down(descriptor, host, ports) for descriptor in excess)
    return ended


def _client(descriptor: int, ports: Collection[int]) -> str | None:
    """The address at the other end of an accepted connection, None if the descriptor is something else."""
    try:
        with _connection(descriptor) as connection:
            return _client_of(connection, ports)
    except OSError:
        return None


@contextlib.contextmanager
def _connection(descriptor: int) -> Iterator[socket.socket]:
    """The socket behind a descriptor that is gRPC's. Raises OSError if there is none."""
    own = os.dup(descriptor)
    try:
        connection = socket.socket(fileno=own)
    except OSError:
        os.close(own)
        raise
    with connection:
        yield connection


def _client_of(connection: socket.socket, ports: Collection[int]) -> str | None:
    if connection.family not in (socket.AF_INET, socket.AF_INET6) or connection.getsockname()[1] not in ports:
        return None
    return str(connection.getpeername()[0]).removeprefix("::ffff:")


def _shut_down(descriptor: int, host: str, ports: Collection[int]) -> bool:
    """Looks again: the descriptor may be another connection's by now."""
    try:
        with _connection(descriptor) as connection:
            if _client_of(connection, ports) != host:
                return False
            connection.shutdown(socket.SHUT_RDWR)
            return True
    except OSError:
        return False
