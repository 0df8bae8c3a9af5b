"""The process beside the driver that brings the tunnels up, keeps them up, and ends them when the driver has ended.

It is a process of its own because then nothing that happens to the driver, SIGKILL included, leaves a tunnel behind:
the end of the connection between the two is what ends it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import termios
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from distcc_auto.hosts import SshHost
from distcc_auto.reach.ssh import client, diagnosis
from distcc_auto.reach.ssh.client import LocalEnd
from distcc_auto.reach.ssh.connection import Connection, Progress
from distcc_auto.reach.ssh.diagnosis import Failure, Kind
from distcc_common import messages

# What the driver sends to be told what the far sides did not open.
REQUEST = b"?"

# ssh does not tell when it has logged in; its control socket appears then. A login takes 50 ms or more.
_LOGIN_POLL_S = 0.01
_CROWD_PAUSE_S = 0.3
# For each prompt: what sshd gives a person (LoginGraceTime of sshd_config(5)).
_PROMPT_TIMEOUT_S = 120.0
_LISTEN_ATTEMPTS = 50

_RETRY_PAUSE_S = 1.0
# One attempt during a build. The kernel repeats a lost SYN after 1 and 3 s: a longer attempt would sleep while the
# network is back. A login that took longer at the start gets three times as long.
_RETRY_LIMIT_S = 5.0
_RETRY_LIMIT_FACTOR = 3
# What stays down for so long is given up.
GIVE_UP_S = 300.0
_CLOSE_S = 2.0

_NO_PROMPT = "it takes no key that needs no prompt, and there is no terminal to ask for a password or passphrase"
_KEY_REMEDY = "load its key into ssh-agent (ssh-add), or use a key without a passphrase; does this log in? {}"


@dataclass(frozen=True)
class Limits:
    """`set_up_s` bounds the tunnels that need no prompt, all together; `give_up_s` how long one may stay down."""

    set_up_s: float
    give_up_s: float = GIVE_UP_S


class InterruptedByUserError(Exception):
    """Raised when the user pressed Ctrl-C at ssh's prompt."""


class DriverGoneError(Exception):
    """Raised when the driver has closed its end of the connection, or died."""


class Tunnel:
    """One ssh:// host: the connection that it has now, and what becomes of it."""

    def __init__(
        self, host: SshHost, local: LocalEnd, start: Callable[[SshHost, LocalEnd, int | None], Connection]
    ) -> None:
        self.host = host
        self.local = local
        self.connection: Connection | None = None
        self.failure: Failure | None = None
        self.retry_at_s = 0.0
        self.down_since_s = 0.0
        self.login_s = 0.0
        self._began_s = 0.0
        self._deadline_s = 0.0
        self._start = start
        self._listen_attempts = 0

    @property
    def is_up(self) -> bool:
        return self.connection is not None and self.connection.progress is Progress.UP

    @property
    def is_over(self) -> bool:
        """Whether it came up or will not."""
        return self.is_up or self.failure is not None

    def start(self, began_s: float, limit_s: float, terminal: int | None = None) -> Failure | None:
        """Begins to log in, for which there are `limit_s` from `began_s` on; returns what failed at once."""
        self._began_s = began_s
        self._deadline_s = began_s + limit_s
        try:
            self.connection = self._start(self.host, self.local, terminal)
        except OSError as error:
            return Failure(Kind.OTHER, f"ssh cannot be started: {error.strerror}", "free memory or raise ulimit -n, -u")
        return None

    def advance(self, may_move: bool) -> Failure | None:
        """The next step of a login under way; returns what failed. A busy local port is left where it `may_move`."""
        connection = self.connection
        if connection is None:
            return None
        progress = connection.advance()
        now_s = time.monotonic()
        if progress is Progress.BUSY and may_move and self._listen_attempts < _LISTEN_ATTEMPTS:
            self._listen_attempts += 1
            self.local = other_ports(self.local)
            connection.listen(self.local)
        elif progress is Progress.BUSY:
            self._drop()
            return diagnosis.of_listening(connection.words, self.local.address)
        elif progress is Progress.UP:
            self.login_s = self.login_s or now_s - connection.started_s
        elif progress is Progress.ENDED:
            self._drop()
            return diagnosis.of_login(connection.words, client.login_command(self.host), connection.status)
        elif now_s >= self._deadline_s:
            self._drop()
            limit_s = self._deadline_s - self._began_s
            said = [line for line in connection.words.strip().splitlines() if line.strip()][-1:]
            cause = f"no login within {limit_s:.0f} s{''.join(f' ({line.strip()})' for line in said)}"
            return Failure(Kind.OTHER, cause, f"is it up and reachable? {client.login_command(self.host)}")
        return None

    def _drop(self) -> None:
        if self.connection is not None:
            self.connection.end()
        self.connection = None


def keep(hosts: Sequence[SshHost], ssh: str, environ: Mapping[str, str], limits: Limits, driver: socket.socket) -> None:
    """The whole life of the keeper. `driver` is the connection to the driver."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        # Not SIG_IGN: ssh would inherit it. The driver gets these, too, and its end is what ends us.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    # Who ignores it never learns how a child ended.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def start(host: SshHost, local: LocalEnd, terminal: int | None) -> Connection:
        return Connection(ssh, host, local, environ, terminal)

    tunnels = [Tunnel(host, local, start) for host, local in zip(hosts, local_ends(hosts), strict=True)]
    try:
        _set_up(tunnels, environ, limits, driver)
        driver.sendall(_encode([_result(tunnel) for tunnel in tunnels]))
        _supervise([tunnel for tunnel in tunnels if tunnel.is_up], tunnels, limits, driver)
    except InterruptedByUserError:
        with contextlib.suppress(OSError):
            driver.sendall(_encode(None))
    except (DriverGoneError, BrokenPipeError, ConnectionResetError):
        pass
    finally:
        _close(tunnels)


def local_ends(hosts: Sequence[SshHost]) -> Iterator[LocalEnd]:
    """A loopback address of its own for each host, the same in every build while no two names fall on one."""
    taken: set[int] = set()
    for host in hosts:
        number = zlib.crc32(host.text.encode())
        while (number := number % (1 << 22)) in taken:
            number += 1
        taken.add(number)
        # 127.64.0.0/10 keeps away from 127.0.0.1 and from the resolvers at 127.0.0.53 and 127.0.1.1.
        address = socket.inet_ntoa(((127 << 24) + (64 << 16) + number).to_bytes(4))
        yield other_ports(LocalEnd(address, 0, 0))


def other_ports(local: LocalEnd) -> LocalEnd:
    """Random ports below those that the kernel gives to outgoing connections (ip_local_port_range)."""
    number = int.from_bytes(os.urandom(2))
    port = 10000 + 2 * (number % 11000)
    return LocalEnd(local.address, port, port + 1)


def _set_up(tunnels: Sequence[Tunnel], environ: Mapping[str, str], limits: Limits, driver: socket.socket) -> None:
    began_s = time.monotonic()
    for tunnel in tunnels:
        tunnel.failure = tunnel.start(began_s, limits.set_up_s)
    while not all(tunnel.is_over for tunnel in tunnels):
        pending = [tunnel for tunnel in tunnels if not tunnel.is_over]
        _wait(pending, driver, _LOGIN_POLL_S)
        for tunnel in pending:
            if tunnel.connection is None:
                if time.monotonic() >= tunnel.retry_at_s:
                    tunnel.failure = tunnel.start(began_s, limits.set_up_s)
                continue
            failure = tunnel.advance(may_move=True)
            # Not all at once again.
            again_at_s = time.monotonic() + _CROWD_PAUSE_S * (0.5 + os.urandom(1)[0] / 256)
            if failure and failure.kind is Kind.CROWD and again_at_s < began_s + limits.set_up_s:
                tunnel.retry_at_s = again_at_s
            else:
                tunnel.failure = failure
    asking = [tunnel for tunnel in tunnels if tunnel.failure and tunnel.failure.kind is Kind.LOGIN]
    if asking:
        _ask(asking, environ, driver)


def _ask(asking: Sequence[Tunnel], environ: Mapping[str, str], driver: socket.socket) -> None:
    """Lets ssh ask for passwords and passphrases, for one host after the other."""
    with _terminal(environ) as terminal:
        for tunnel in asking:
            assert tunnel.failure is not None  # noqa: S101  (that is why it is here)
            if terminal is None:
                cause = f"{_NO_PROMPT}: {tunnel.failure.cause}"
                remedy = _KEY_REMEDY.format(client.login_command(tunnel.host))
                tunnel.failure = Failure(Kind.LOGIN, cause, remedy)
                continue
            messages.say(f"{tunnel.host.text}: logging in for the tunnel")
            with _lent(terminal):
                tunnel.failure = tunnel.start(time.monotonic(), _PROMPT_TIMEOUT_S, terminal)
                while not tunnel.is_over:
                    _wait([tunnel], driver, _LOGIN_POLL_S)
                    connection = tunnel.connection
                    tunnel.failure = tunnel.advance(may_move=True)
                    if tunnel.failure and connection and connection.status == -signal.SIGINT:
                        raise InterruptedByUserError


@contextlib.contextmanager
def _terminal(environ: Mapping[str, str]) -> Iterator[int | None]:
    """The terminal at which a person can be asked, -1 where SSH_ASKPASS does it, None without either."""
    if environ.get("SSH_ASKPASS_REQUIRE") in ("force", "prefer") and environ.get("SSH_ASKPASS"):
        yield -1
        return
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        # A build in the background would be stopped for a prompt that nobody expects.
        yield terminal if os.tcgetpgrp(terminal) == os.getpgrp() else None
    finally:
        os.close(terminal)


@contextlib.contextmanager
def _lent(terminal: int) -> Iterator[None]:
    """Takes the terminal back from ssh in the end, with the settings that it has now."""
    if terminal < 0:
        yield
        return
    attributes = termios.tcgetattr(terminal)
    try:
        yield
    finally:
        with contextlib.suppress(OSError, termios.error):  # it went away
            os.tcsetpgrp(terminal, os.getpgrp())
            termios.tcsetattr(terminal, termios.TCSADRAIN, attributes)


def _supervise(kept: Sequence[Tunnel], tunnels: Sequence[Tunnel], limits: Limits, driver: socket.socket) -> None:
    """Keeps those that are up; returns by DriverGoneError only."""
    while True:
        if _wait(kept, driver, _pause_s(kept)):
            _answer(tunnels, driver)
        now_s = time.monotonic()
        for tunnel in kept:
            if not tunnel.failure:
                _keep_up(tunnel, limits, now_s)


def _pause_s(kept: Sequence[Tunnel]) -> float | None:
    """How long nothing needs to be done unless a descriptor tells otherwise; None is for ever."""
    pauses = []
    for tunnel in kept:
        if tunnel.failure or tunnel.is_up:
            continue
        pauses.append(max(tunnel.retry_at_s - time.monotonic(), 0) if tunnel.connection is None else 2 * _LOGIN_POLL_S)
    return min(pauses, default=None)


def _keep_up(tunnel: Tunnel, limits: Limits, now_s: float) -> None:
    name = tunnel.host.text
    was_up = tunnel.is_up
    if tunnel.connection is not None:
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
        if failure.kind in (Kind.LOGIN, Kind.HOST_KEY) or down_s >= limits.give_up_s:
            tunnel.failure = failure
            remedy = "a running build cannot ask for a password" if failure.kind is Kind.LOGIN else failure.remedy
            messages.say(f"{name}: tunnel given up after {down_s:.0f} s: {failure.cause} ({remedy})")


def _wait(tunnels: Sequence[Tunnel], driver: socket.socket, pause_s: float | None) -> bool:
    """Sleeps until something happens or `pause_s` is over; returns whether the driver asks.

    Raises DriverGoneError.
    """
    poll = select.poll()
    poll.register(driver, select.POLLIN)
    for tunnel in tunnels:
        for descriptor in tunnel.connection.descriptors if tunnel.connection else ():
            poll.register(descriptor, select.POLLIN)
    events = poll.poll(None if pause_s is None else max(pause_s * 1000, 1))
    if all(descriptor != driver.fileno() for descriptor, _ in events):
        return False
    if driver.recv(1) != REQUEST:
        raise DriverGoneError
    return True


def _answer(tunnels: Sequence[Tunnel], driver: socket.socket) -> None:
    """Tells what the far sides did not open so far."""
    for tunnel in tunnels:
        if tunnel.is_up and tunnel.connection:
            tunnel.connection.read_words()
    words = [tunnel.connection.words if tunnel.connection else "" for tunnel in tunnels]
    driver.sendall(_encode([diagnosis.refused_channels(text) for text in words]))


def _result(tunnel: Tunnel) -> dict[str, object]:
    if tunnel.failure:
        return {"cause": tunnel.failure.cause, "remedy": tunnel.failure.remedy}
    local = tunnel.local
    return {"address": local.address, "distcc_port": local.distcc_port, "stats_port": local.stats_port}


def _encode(document: object) -> bytes:
    """One line for the driver."""
    return json.dumps(document).encode() + b"\n"


def _close(tunnels: Sequence[Tunnel]) -> None:
    connections = [tunnel.connection for tunnel in tunnels if tunnel.connection]
    for connection in connections:
        connection.ask_to_end()
    deadline_s = time.monotonic() + _CLOSE_S
    for connection in connections:
        connection.end(deadline_s)
