"""The process beside the driver that brings the tunnels up, keeps them up, and ends them when the driver has ended.

It is a separate process so that no tunnel survives the driver, whatever happens to that one, SIGKILL included: the end
of the connection between the two ends the tunnels.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distcc_auto.hosts import SshHost
from distcc_auto.reach.ssh import failures, prompts
from distcc_auto.reach.ssh.failures import FailureKind
from distcc_auto.reach.ssh.local_ends import LocalEnd, local_ends
from distcc_auto.reach.ssh.ssh_process import SshProcess
from distcc_auto.reach.ssh.tunnel import Tunnel
from distcc_common import messages

# The driver sends this to be told which connections the far sides refused.
REQUEST = b"?"

# ssh does not tell when it has logged in; its control socket appears then. A login takes 50 ms or more.
_LOGIN_POLL_S = 0.01
_CROWD_PAUSE_S = 0.3

_RETRY_PAUSE_S = 1.0
# One attempt during a build. The kernel repeats a lost SYN after 1 and 3 s: a longer attempt would sleep while the
# network is back. A login that took longer at the start gets three times as long.
_RETRY_LIMIT_S = 5.0
_RETRY_LIMIT_FACTOR = 3
_CLOSE_S = 2.0


@dataclass(frozen=True)
class TunnelTimes:
    """`set_up_s` bounds the tunnels that need no prompt, all together; `give_up_s` how long one may stay down."""

    set_up_s: float
    give_up_s: float = 300.0


class DriverGoneError(Exception):
    """Raised when the driver has closed its end of the connection, or died."""


def keep(
    hosts: Sequence[SshHost], ssh: str, environ: Mapping[str, str], times: TunnelTimes, driver: socket.socket
) -> None:
    """The whole life of the keeper. `driver` is the connection to the driver."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        # Not SIG_IGN, which ssh would inherit. The driver gets these signals, too, and its end is what ends us.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    # A process that ignores it never learns how a child ended.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def start(host: SshHost, local: LocalEnd, terminal: int | None) -> SshProcess:
        return SshProcess(ssh, host, local, environ, terminal)

    tunnels = [Tunnel(host, local, start) for host, local in zip(hosts, local_ends(hosts), strict=True)]
    try:
        _set_up(tunnels, environ, times.set_up_s, driver)
        driver.sendall(_encode([_result(tunnel) for tunnel in tunnels]))
        _supervise([tunnel for tunnel in tunnels if tunnel.is_up], tunnels, times, driver)
    except prompts.InterruptedByUserError:
        with contextlib.suppress(OSError):
            driver.sendall(_encode(None))
    except (DriverGoneError, BrokenPipeError, ConnectionResetError):
        pass
    finally:
        _close(tunnels)


def _set_up(tunnels: Sequence[Tunnel], environ: Mapping[str, str], set_up_s: float, driver: socket.socket) -> None:
    began_s = time.monotonic()
    for tunnel in tunnels:
        tunnel.failure = tunnel.start(began_s, set_up_s)
    while not all(tunnel.is_over for tunnel in tunnels):
        pending = [tunnel for tunnel in tunnels if not tunnel.is_over]
        _wait(pending, driver, _LOGIN_POLL_S)
        for tunnel in pending:
            if tunnel.ssh is None:
                if time.monotonic() >= tunnel.retry_at_s:
                    tunnel.failure = tunnel.start(began_s, set_up_s)
                continue
            failure = tunnel.advance(may_move=True)
            # Each one after a different pause, so that they do not collide again.
            again_at_s = time.monotonic() + _CROWD_PAUSE_S * (0.5 + os.urandom(1)[0] / 256)
            if failure and failure.kind is FailureKind.CROWD and again_at_s < began_s + set_up_s:
                tunnel.retry_at_s = again_at_s
            else:
                tunnel.failure = failure
    asking = [tunnel for tunnel in tunnels if tunnel.failure and tunnel.failure.kind is FailureKind.LOGIN]
    if asking:
        prompts.ask(asking, environ, lambda tunnel: _wait([tunnel], driver, _LOGIN_POLL_S))


def _supervise(kept: Sequence[Tunnel], tunnels: Sequence[Tunnel], times: TunnelTimes, driver: socket.socket) -> None:
    """Keeps those that are up. Ends by raising DriverGoneError only."""
    while True:
        if _wait(kept, driver, _pause_s(kept)):
            _answer(tunnels, driver)
        now_s = time.monotonic()
        for tunnel in kept:
            if not tunnel.failure:
                _keep_up(tunnel, times, now_s)


def _pause_s(kept: Sequence[Tunnel]) -> float | None:
    """How long there is nothing to do unless a descriptor becomes readable; None is for ever."""
    pauses = []
    for tunnel in kept:
        if tunnel.failure or tunnel.is_up:
            continue
        pauses.append(max(tunnel.retry_at_s - time.monotonic(), 0) if tunnel.ssh is None else 2 * _LOGIN_POLL_S)
    return min(pauses, default=None)


def _keep_up(tunnel: Tunnel, times: TunnelTimes, now_s: float) -> None:
    name = tunnel.host.text
    was_up = tunnel.is_up
    if tunnel.ssh is not None:
        failure = tunnel.advance(may_move=False)
    elif now_s >= tunnel.retry_at_s:
        failure = tunnel.start(now_s, max(_RETRY_LIMIT_S, _RETRY_LIMIT_FACTOR * tunnel.login_s))
    else:
        return
    if failure and was_up:
        messages.say(f"{name}: tunnel lost: {failure.cause}; its jobs go elsewhere until it is back")
        tunnel.down_since_s = now_s
        tunnel.retry_at_s = now_s + _RETRY_PAUSE_S
    elif not was_up and tunnel.is_up:
        messages.say(f"{name}: the tunnel is back after {now_s - tunnel.down_since_s:.0f} s")
    elif failure:
        down_s = now_s - tunnel.down_since_s
        messages.trace(f"{name}: {failure.cause}")
        tunnel.retry_at_s = now_s + _RETRY_PAUSE_S
        if failure.kind in (FailureKind.LOGIN, FailureKind.HOST_KEY) or down_s >= times.give_up_s:
            tunnel.failure = failure
            cannot_ask = failure.kind is FailureKind.LOGIN
            remedy = "a running build cannot ask for a password" if cannot_ask else failure.remedy
            messages.say(f"{name}: tunnel given up after {down_s:.0f} s: {failure.cause} ({remedy})")


def _wait(tunnels: Sequence[Tunnel], driver: socket.socket, pause_s: float | None) -> bool:
    """Sleeps until something happens or `pause_s` is over; returns whether the driver asks.

    Raises DriverGoneError.
    """
    poll = select.poll()
    poll.register(driver, select.POLLIN)
    for tunnel in tunnels:
        for descriptor in tunnel.ssh.descriptors if tunnel.ssh else ():
            poll.register(descriptor, select.POLLIN)
    events = poll.poll(None if pause_s is None else max(pause_s * 1000, 1))
    if all(descriptor != driver.fileno() for descriptor, _ in events):
        return False
    if driver.recv(1) != REQUEST:
        raise DriverGoneError
    return True


def _answer(tunnels: Sequence[Tunnel], driver: socket.socket) -> None:
    """Tells the driver which connections the far sides have refused so far."""
    for tunnel in tunnels:
        if tunnel.is_up and tunnel.ssh:
            tunnel.ssh.read_words()
    words = [tunnel.ssh.words if tunnel.ssh else "" for tunnel in tunnels]
    driver.sendall(_encode([failures.refused_channels(text) for text in words]))


def _result(tunnel: Tunnel) -> dict[str, object]:
    if tunnel.failure:
        return {"cause": tunnel.failure.cause, "remedy": tunnel.failure.remedy}
    local = tunnel.local
    return {"address": local.address, "distcc_port": local.distcc_port, "stats_port": local.stats_port}


def _encode(document: object) -> bytes:
    """One line for the driver."""
    return json.dumps(document).encode() + b"\n"


def _close(tunnels: Sequence[Tunnel]) -> None:
    sshs = [tunnel.ssh for tunnel in tunnels if tunnel.ssh]
    for ssh in sshs:
        ssh.ask_to_end()
    deadline_s = time.monotonic() + _CLOSE_S
    for ssh in sshs:
        ssh.end(deadline_s)
