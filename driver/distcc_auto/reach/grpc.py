"""The driver's side of the bridge: grpc:// hosts become local addresses that stock distcc clients can use.

The work is done by a process of its own (distplusplus/bridge): importing gRPC takes longer than the driver's own start.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence

from distcc_auto.hosts import BridgedHost, GrpcHost
from distcc_auto.probe import Refused
from distcc_common import messages

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing costs 3 ms to import
    from typing import Any

_MODULE = "distplusplus.bridge"


class Bridge:
    """The bridge of one run; each grpc:// host has an address on it, or the reason why it has none."""

    def __init__(self, places: Mapping[GrpcHost, BridgedHost | Refused], pid: int) -> None:
        self._places = places
        self.pid = pid

    def place(self, host: GrpcHost) -> BridgedHost | Refused:
        """Where the host is to be found, or why it is not."""
        return self._places[host]


@contextlib.contextmanager
def open_bridge(hosts: Sequence[GrpcHost], environ: Mapping[str, str], connect_timeout_s: float) -> Iterator[Bridge]:
    """Connects to all hosts at once; the bridge ends when the block ends."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            os.set_inheritable(theirs.fileno(), True)
            nowhere = [
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            ]
            command = [sys.executable, "-m", _MODULE, str(theirs.fileno())]
            pid = os.posix_spawn(sys.executable, command, dict(environ), file_actions=nowhere)
        try:
            results = _ask(ours, hosts, connect_timeout_s)
            yield Bridge({host: _place(host, result) for host, result in zip(hosts, results, strict=True)}, pid)
        finally:
            ours.close()
            with contextlib.suppress(ChildProcessError):  # an interrupted build collects every child that has ended
                os.waitpid(pid, 0)


def _ask(control: socket.socket, hosts: Sequence[GrpcHost], connect_timeout_s: float) -> list[Mapping[str, Any]]:
    order = {
        "hosts": [{"target": host.target, "tls": host.tls, "text": host.text} for host in hosts],
        "connect_timeout_s": connect_timeout_s,
        "trace": messages.is_tracing(),
    }
    with contextlib.suppress(OSError), control.makefile("rwb") as stream:
        stream.write(json.dumps(order).encode() + b"\n")
        stream.flush()
        if line := stream.readline():
            return list(json.loads(line))
    return [{}] * len(hosts)


def _place(host: GrpcHost, result: Mapping[str, Any]) -> BridgedHost | Refused:
    if "address" in result:
        return BridgedHost(result["address"], result["distcc_port"], result["stats_port"], host.text, origin=host)
    cause = result.get("cause", "the process of the bridge did not start")
    remedy = result.get("remedy", "is distcc-auto installed with its extra 'distplusplus'?")
    return Refused(host, result.get("phase", "bridge"), cause, remedy)
