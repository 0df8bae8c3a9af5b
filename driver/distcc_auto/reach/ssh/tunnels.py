"""Reaches ssh:// hosts: a tunnel gives each one an address on this machine that stays the same during the build.

This is the driver's side. The work is done by a process of its own, see keeper.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence

from distcc_auto.answers import Answer, Phase, Ready, Refused
from distcc_auto.build import process as build
from distcc_auto.hosts import HostSpec, SshHost, TcpHost
from distcc_auto.reach.ssh import failures, keeper
from distcc_common import messages
from distcc_common.errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing costs 3 ms to import
    from typing import Any, NoReturn

    from distcc_auto.reach.protocol import Judge


class Tunnels:
    """The tunnels of one run; each ssh:// host has one, or the reason why it has none."""

    def __init__(self, places: Mapping[HostSpec, TcpHost | Refused], driver: socket.socket | None, pid: int | None):
        self._places = places
        self._origins = {
            place: host
            for host, place in places.items()
            if isinstance(host, SshHost) and not isinstance(place, Refused)
        }
        self._driver = driver
        self.pids: tuple[int, ...] = () if pid is None else (pid,)

    def place(self, host: HostSpec) -> TcpHost | Refused:
        return self._places[host]

    @contextlib.contextmanager
    def watch(self, places: Sequence[TcpHost]) -> Iterator[Judge]:
        """Connects to the job ports as well, since a far side may let us through to the stats port only."""
        with contextlib.ExitStack() as opened:
            # Before the statistics are asked for: what the far side does to these connections is known when it answers.
            jobs = {place: opened.enter_context(_connected(place)) for place in places if place in self._origins}

            def judge(answers: list[Answer]) -> list[Answer]:
                reasons = self._refused_channels()
                return [self._judge(answer, jobs, reasons) for answer in answers]

            yield judge

    def _judge(
        self, answer: Answer, jobs: Mapping[TcpHost, socket.socket], reasons: Mapping[HostSpec, Sequence[str]]
    ) -> Answer:
        """The answer, or what the tunnel's far side tells more exactly."""
        place = answer.host
        if not isinstance(place, TcpHost) or (origin := self._origins.get(place)) is None:
            return answer
        said = reasons.get(origin, [])
        if _is_closed(jobs[place]):
            failure = failures.of_port(said[0] if said else None, origin.distcc_port, is_stats=False)
        elif said and not isinstance(answer, Ready):
            failure = failures.of_port(said[-1], origin.stats_port, is_stats=True)
        else:
            return answer
        return Refused(place, Phase.CONNECT, failure.cause, failure.remedy)

    def _refused_channels(self) -> dict[HostSpec, list[str]]:
        """What the far sides said instead of opening a channel, in the order of our connections."""
        if self._driver is None:
            return {}
        with contextlib.suppress(OSError):
            self._driver.sendall(keeper.REQUEST)
            return dict(zip(self._places, _receive(self._driver) or [], strict=False))
        return {}


@contextlib.contextmanager
def open_tunnels(hosts: Sequence[SshHost], environ: Mapping[str, str], times: keeper.TunnelTimes) -> Iterator[Tunnels]:
    """Brings all tunnels up at once; they end when the block ends.

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
        _be_keeper(hosts, ssh, environ, times, theirs)
    theirs.close()
    try:
        results = _receive(ours)
        if results is None:
            raise KeyboardInterrupt
        places: dict[HostSpec, TcpHost | Refused] = {
            host: _place(host, result) for host, result in zip(hosts, results or [{}] * len(hosts), strict=True)
        }
        for place in places.values():
            if isinstance(place, TcpHost):
                messages.trace(f"{place.text}: distcc calls it {place.distcc_address}")
        yield Tunnels(places, ours, pid)
    finally:
        ours.close()
        with contextlib.suppress(ChildProcessError):  # an interrupted build collects every child that has ended
            os.waitpid(pid, 0)


def _be_keeper(
    hosts: Sequence[SshHost], ssh: str, environ: Mapping[str, str], times: keeper.TunnelTimes, driver: socket.socket
) -> NoReturn:
    try:
        # A reader of our output must not wait for the keeper.
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 0)
        os.dup2(nowhere, 1)
        keeper.keep(hosts, ssh, environ, times, driver)
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


def _place(host: SshHost, result: Mapping[str, Any]) -> TcpHost | Refused:
    if "address" in result:
        return TcpHost(
            result["address"],
            result["distcc_port"],
            result["stats_port"],
            host.text,
            host.kind,
            stand_in="its tunnel",
            client_name=failures.CLIENT_NAME,
            stats_name=f"port {host.stats_port} there",
        )
    cause = result.get("cause", "the process that keeps the tunnels has died")
    return Refused(host, Phase.TUNNEL, cause, result.get("remedy", "is there enough memory here?"))


def _no_client(host: SshHost) -> Refused:
    return Refused(host, Phase.TUNNEL, "the ssh client is not in PATH", "install it (apt-get install openssh-client)")


def _connected(place: TcpHost) -> socket.socket:
    """A connection through the tunnel to the job port. ssh accepts it at once; it may fail later."""
    connection = socket.socket()
    connection.setblocking(False)
    connection.connect_ex((place.hostname, place.distcc_port))
    return connection


def _is_closed(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1)
    except BlockingIOError:
        return False
    except OSError:
        return True
