"""SSH tunnels: an ssh:// host becomes a local TCP address that stays the same while the build runs.

The driver's side. The work is done by a process of its own, see keeper.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence

from distcc_auto.build import process as build
from distcc_auto.hosts import HostSpec, SshHost, TcpHost, TunnelledHost
from distcc_auto.probe import Answer, Ready, Refused, probe
from distcc_auto.reach.ssh import diagnosis, keeper
from distcc_common import messages
from distcc_common.errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing costs 3 ms to import
    from typing import Any, NoReturn

_PHASE = "tunnel"


class Tunnels:
    """The tunnels of one run; each ssh:// host has one, or the reason why it has none."""

    def __init__(
        self, places: Mapping[SshHost, TunnelledHost | Refused], driver: socket.socket | None, pid: int | None
    ):
        self._places = places
        self._driver = driver
        self.keeper_pid = pid

    def place(self, host: SshHost) -> TunnelledHost | Refused:
        """Where the host's tunnel is, or why it has none."""
        return self._places[host]

    def probe(self, hosts: Sequence[HostSpec], connect_timeout_s: float, answer_timeout_s: float) -> list[Answer]:
        """As probe.probe, also for ssh:// hosts, of which it asks whether the job port can be reached, too."""
        placed = [self.place(host) if isinstance(host, SshHost) else host for host in hosts]
        asked = [place for place in placed if isinstance(place, TcpHost)]
        with contextlib.ExitStack() as opened:
            # Before the statistics are asked for: what the far side does to these connections is known when it answers.
            job_connections = {
                place: opened.enter_context(_connected(place)) for place in asked if isinstance(place, TunnelledHost)
            }
            answers = iter(probe(asked, connect_timeout_s, answer_timeout_s))
            judged = [place if isinstance(place, Refused) else next(answers) for place in placed]
            reasons = self._refused_channels()
            return [_judge(answer, job_connections, reasons) for answer in judged]

    def _refused_channels(self) -> dict[SshHost, list[str]]:
        """What the far sides said instead of opening a channel, in the order of our connections."""
        if self._driver is None:
            return {}
        with contextlib.suppress(OSError):
            self._driver.sendall(keeper.REQUEST)
            return dict(zip(self._places, _receive(self._driver) or [], strict=False))
        return {}


@contextlib.contextmanager
def open_tunnels(hosts: Sequence[SshHost], environ: Mapping[str, str], limits: keeper.Limits) -> Iterator[Tunnels]:
    """Brings all tunnels up at once, and ends them when the block ends.

    Raises KeyboardInterrupt when the user pressed Ctrl-C at a prompt.
    """
    try:
        ssh = build.find_command("ssh", environ)
    except CommandError:
        yield Tunnels({host: _no_client(host) for host in hosts}, None, None)
        return
    ours, theirs = socket.socketpair()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # closed when we were started
            stream.flush()
    pid = os.fork()
    if not pid:
        ours.close()
        _be_keeper(hosts, ssh, environ, limits, theirs)
    theirs.close()
    try:
        results = _receive(ours)
        if results is None:
            raise KeyboardInterrupt
        places = {host: _place(host, result) for host, result in zip(hosts, results or [{}] * len(hosts), strict=True)}
        for place in places.values():
            if isinstance(place, TunnelledHost):
                messages.trace(f"{place.text}: distcc calls it {place.distcc_address}")
        yield Tunnels(places, ours, pid)
    finally:
        ours.close()
        with contextlib.suppress(ChildProcessError):  # an interrupted build collects every child that has ended
            os.waitpid(pid, 0)


def _be_keeper(
    hosts: Sequence[SshHost], ssh: str, environ: Mapping[str, str], limits: keeper.Limits, driver: socket.socket
) -> NoReturn:
    try:
        # Who reads our output must not wait for the keeper.
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 0)
        os.dup2(nowhere, 1)
        keeper.keep(hosts, ssh, environ, limits, driver)
    except BaseException as error:
        messages.say(f"the SSH tunnels have ended: {error!r}")
    finally:
        os._exit(0)


def _receive(driver: socket.socket) -> Any:
    """The keeper's next document, [] when it has died."""
    line = bytearray()
    while not line.endswith(b"\n"):
        data = driver.recv(65536)
        if not data:
            return []
        line += data
    return json.loads(line)


def _place(host: SshHost, result: Mapping[str, Any]) -> TunnelledHost | Refused:
    if "address" in result:
        return TunnelledHost(result["address"], result["distcc_port"], result["stats_port"], host.text, origin=host)
    cause = result.get("cause", "the process that keeps the tunnels has died")
    return Refused(host, _PHASE, cause, result.get("remedy", "is there enough memory here?"))


def _no_client(host: SshHost) -> Refused:
    return Refused(host, _PHASE, "the ssh client is not in PATH", "install it (apt-get install openssh-client)")


def _connected(place: TunnelledHost) -> socket.socket:
    """A connection through the tunnel to the job port; it fails later or not at all, as ssh accepts it first."""
    connection = socket.socket()
    connection.setblocking(False)
    connection.connect_ex((place.hostname, place.distcc_port))
    return connection


def _judge(
    answer: Answer, job_connections: Mapping[TunnelledHost, socket.socket], reasons: Mapping[SshHost, Sequence[str]]
) -> Answer:
    """The answer, or what the tunnel's far side tells more exactly."""
    host = answer.host
    if not isinstance(host, TunnelledHost):
        return answer
    said = reasons.get(host.origin, [])
    if _is_closed(job_connections[host]):
        failure = diagnosis.of_port(said[0] if said else None, host.origin.distcc_port, is_stats=False)
    elif said and not isinstance(answer, Ready):
        failure = diagnosis.of_port(said[-1], host.origin.stats_port, is_stats=True)
    else:
        return answer
    return Refused(host, "connect", failure.cause, failure.remedy)


def _is_closed(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1)
    except BlockingIOError:
        return False
    except OSError:
        return True
