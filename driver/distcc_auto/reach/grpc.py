"""Reaches grpc:// hosts: the bridge gives each one an address on this machine that stock distcc clients can use.

The work is done by a process of its own (distplusplus/bridge), because importing gRPC takes longer than the whole
start of the driver.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence

from distcc_auto.answers import Answer, Phase, Refused
from distcc_auto.hosts import GrpcHost, HostSpec, TcpHost
from distcc_common import messages
from distcc_common.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing costs 3 ms to import
    from typing import Any

    from distcc_auto.reach.protocol import Judge

_MODULE = "distplusplus.bridge"
# Of the extra `distplusplus`, what the bridge imports.
_NEEDED = ("grpc", "google.protobuf", "zstandard")
_INSTALL = "pip install 'distcc-auto[distplusplus]'"
# distcc gives a worker up that has not answered for 300 s, whatever it compiles. The bridge notices within 15 s that a
# worker is dead, so its jobs may take as long as the bridge itself allows (compile-timeout's default).
_IO_TIMEOUT_S = 4 * 3600


class Bridge:
    """The bridge of one run; each grpc:// host has an address on it, or the reason why it has none."""

    def __init__(self, places: Mapping[HostSpec, TcpHost | Refused], pids: tuple[int, ...]) -> None:
        self._places = places
        self.pids = pids

    def place(self, host: HostSpec) -> TcpHost | Refused:
        return self._places[host]

    @contextlib.contextmanager
    def watch(self, _: Sequence[TcpHost]) -> Iterator[Judge]:
        """The bridge has asked its servers before; their answers stand."""

        def judge(answers: list[Answer]) -> list[Answer]:
            return answers

        yield judge


@contextlib.contextmanager
def open_bridge(
    hosts: Sequence[GrpcHost], environ: Mapping[str, str], connect_timeout_s: float, *, is_all: bool = False
) -> Iterator[Bridge]:
    """Connects to all hosts at once; the bridge ends when the block ends.

    Raises ConfigurationError when the extra for it is not installed and these `is_all` hosts that there are.
    """
    if missing := _missing_modules():
        if is_all:
            raise ConfigurationError(f"grpc:// hosts need the extra 'distplusplus', which is not installed: {_INSTALL}")
        cause = f"the extra 'distplusplus' is not installed (no module {missing[0]})"
        yield Bridge({host: Refused(host, Phase.BRIDGE, cause, _INSTALL) for host in hosts}, ())
        return
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
            yield Bridge({host: _place(host, result) for host, result in zip(hosts, results, strict=True)}, (pid,))
        finally:
            ours.close()
            with contextlib.suppress(ChildProcessError):  # an interrupted build collects every child that has ended
                os.waitpid(pid, 0)


def _missing_modules() -> list[str]:
    from importlib.util import find_spec  # noqa: PLC0415  (only for those who have grpc:// hosts)

    missing = []
    for name in _NEEDED:
        try:
            is_there = find_spec(name) is not None
        except ImportError:  # not even the package above it
            is_there = False
        if not is_there:
            missing.append(name)
    return missing


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


def _place(host: GrpcHost, result: Mapping[str, Any]) -> TcpHost | Refused:
    if "address" in result:
        return TcpHost(
            result["address"],
            result["distcc_port"],
            result["stats_port"],
            host.text,
            host.kind,
            # Between two processes of one machine, compressing costs more than it saves.
            distcc_options="",
            io_timeout_s=_IO_TIMEOUT_S,
            launcher_server=host.text,
            # The bridge itself runs the jobs that make more files.
            returns_object_only=False,
            stand_in="the bridge",
        )
    cause = result.get("cause", "the process of the bridge has died")
    remedy = result.get("remedy", "what it wrote to standard error says why")
    known = {phase.value: phase for phase in Phase}
    return Refused(host, known.get(result.get("phase", ""), Phase.BRIDGE), cause, remedy)
