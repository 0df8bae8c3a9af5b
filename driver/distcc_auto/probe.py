"""Asks the `--stats` port of all workers at once; each one becomes a value, `Ready` or `Refused`.

The exchange with a worker is a generator that yields what it waits for. One selector loop runs all of them, so the
whole takes as long as the slowest answer. It uses `selectors` because the build waits for it: importing asyncio alone
takes longer than asking 64 workers. Only host names need threads, because getaddrinfo blocks.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

from distcc_auto import stats
from distcc_auto.answers import Answer, Phase, Ready, Refused
from distcc_auto.hosts import TcpHost

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing costs 3 ms to import
    from typing import Any

    _Address = tuple[socket.AddressFamily, tuple[Any, ...]]
    _Exchange = Generator["_Wait", None, "Answer"]

# Descriptors left to the rest of the process when the limit on open files bounds how many hosts are asked at once.
_RESERVED_DESCRIPTORS = 64


def probe(hosts: Sequence[TcpHost], connect_timeout_s: float, answer_timeout_s: float) -> list[Answer]:
    """The answer of each host, in the order given.

    Name resolution and connecting together get `connect_timeout_s`, the answer after that `answer_timeout_s`.
    """
    return _run_all([_ask(host, connect_timeout_s, answer_timeout_s) for host in hosts])


class _RefusedError(Exception):
    """Raised inside one exchange when its worker cannot be used; its arguments are phase, cause and remedy."""


class _Lookup:
    """One name's addresses, found by a thread; `wake` is called when they are there."""

    def __init__(self, hostname: str, port: int) -> None:
        self.done = False
        self.addresses: list[_Address] = []
        self.error = ""
        self._query = (hostname, port)

    def start(self, wake: socket.socket) -> None:
        threading.Thread(target=self._look_up, args=(wake,), daemon=True).start()

    def _look_up(self, wake: socket.socket) -> None:
        try:
            self.addresses = _addresses(*self._query)
        except OSError as error:
            self.error = error.strerror or str(error)
        self.done = True
        try:
            wake.send(b"x")
        except OSError:
            return  # either a wake-up is already pending, or nobody waits any more


@dataclass(frozen=True)
class _Wait:
    """What an exchange waits for: a socket to be readable or writable, or a look-up; and until when."""

    on: socket.socket | _Lookup
    events: int
    deadline_s: float


def _ask(host: TcpHost, connect_timeout_s: float, answer_timeout_s: float) -> _Exchange:
    try:
        started_s = time.monotonic()
        addresses = yield from _resolve(host, started_s + connect_timeout_s, connect_timeout_s)
        sock, peer = yield from _connect(host, addresses, started_s + connect_timeout_s, connect_timeout_s)
        with sock:
            reply = yield from _read_reply(sock, peer, host, answer_timeout_s)
        return Ready(host, _parse(reply, peer), time.monotonic() - started_s)
    except _RefusedError as refused:
        return Refused(host, *refused.args)


def _resolve(host: TcpHost, deadline_s: float, timeout_s: float) -> Generator[_Wait, None, list[_Address]]:
    try:
        return _addresses(host.hostname, host.stats_port, socket.AI_NUMERICHOST)
    except OSError:
        lookup = _Lookup(host.hostname, host.stats_port)
    try:
        yield _Wait(lookup, 0, deadline_s)
    except TimeoutError:
        lookup.error = f"the name server did not answer within {timeout_s:g} s"
    if lookup.error:
        remedy = "is the name right, and the name server reachable?"
        raise _RefusedError(Phase.RESOLVE, f"no address for '{host.hostname}': {lookup.error}", remedy)
    return lookup.addresses


def _addresses(hostname: str, port: int, flags: int = 0) -> list[_Address]:
    # As bytes: for text Python imports its idna codec (1.3 ms), and fails for a label of more than 63 letters.
    found = socket.getaddrinfo(hostname.encode(), port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, sockaddr) for family, _, _, _, sockaddr in found]


def _connect(
    host: TcpHost, addresses: list[_Address], deadline_s: float, timeout_s: float
) -> Generator[_Wait, None, tuple[socket.socket, str]]:
    """A connection to the first address that takes it, and that address; they share the time that is left."""
    causes = []
    for tried, (family, sockaddr) in enumerate(addresses):
        peer = host.stats_peer(str(sockaddr[0]))
        now_s = time.monotonic()
        sock = None
        try:
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            code = sock.connect_ex(sockaddr)
            if code == errno.EINPROGRESS:
                share_s = (deadline_s - now_s) / (len(addresses) - tried)
                yield _Wait(sock, selectors.EVENT_WRITE, now_s + share_s)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
            connected, sock = sock, None
            return connected, peer
        except TimeoutError:
            causes.append(f"no connection to {peer} within {timeout_s:g} s")
        except OSError as error:
            causes.append(f"{_reason(error)} at {peer}")
        finally:
            if sock is not None:
                sock.close()
    remedy = "is distccd running there with --stats, and does every firewall let us through?"
    raise _RefusedError(Phase.CONNECT, ", ".join(causes), remedy)


def _read_reply(sock: socket.socket, peer: str, host: TcpHost, timeout_s: float) -> Generator[_Wait, None, bytes]:
    """The whole reply, up to its end mark or the end of the stream."""
    deadline_s = time.monotonic() + timeout_s
    reply = bytearray()
    try:
        sock.send(stats.REQUEST)
        while stats.END not in reply:
            yield _Wait(sock, selectors.EVENT_READ, deadline_s)
            data = sock.recv(stats.MAX_REPLY_BYTES)
            if not data:
                break
            reply += data
            if len(reply) > stats.MAX_REPLY_BYTES:
                cause = f"more than {stats.MAX_REPLY_BYTES // 1024} KiB from {peer} and no end of it"
                raise _RefusedError(Phase.ANSWER, cause, f"is {host.stats_port} the stats port of a distccd?")
    except TimeoutError:
        cause = f"connected to {peer} but it did not answer within {timeout_s:g} s ({len(reply)} bytes came)"
        raise _RefusedError(Phase.ANSWER, cause, "does distccd hang there?") from None
    except OSError as error:
        cause = f"connected to {peer}, then {_reason(error)}"
        raise _RefusedError(Phase.ANSWER, cause, _not_allowed(host)) from None
    if not reply:
        cause = f"connected to {peer} but it closed without an answer"
        raise _RefusedError(Phase.ANSWER, cause, _not_allowed(host))
    return bytes(reply)


def _not_allowed(host: TcpHost) -> str:
    return f"does the worker's --allow list include {host.client_name}?"


def _parse(reply: bytes, peer: str) -> stats.WorkerStats:
    try:
        return stats.parse(reply)
    except stats.StatsError as error:
        cause = f"{peer} answered, but {error}"
        raise _RefusedError(Phase.ANSWER, cause, "is it the stats port of distccd --stats?") from None


def _reason(error: OSError) -> str:
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


def _run_all(exchanges: Iterable[_Exchange]) -> list[Answer]:
    """Runs all exchanges to their answers, as many at once as the limit on open files allows."""
    queue = deque(enumerate(exchanges))
    answers: dict[int, Answer] = {}
    waiting: dict[int, tuple[_Exchange, _Wait]] = {}
    most_active = max(os.sysconf("SC_OPEN_MAX") - _RESERVED_DESCRIPTORS, 1)
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    with woken, wake, selectors.DefaultSelector() as selector:
        selector.register(woken, selectors.EVENT_READ, None)

        def resume(index: int, exchange: _Exchange, timed_out: bool) -> None:
            try:
                wait = exchange.throw(TimeoutError()) if timed_out else next(exchange)
            except StopIteration as stop:
                answers[index] = stop.value
                return
            waiting[index] = (exchange, wait)
            if isinstance(wait.on, _Lookup):
                wait.on.start(wake)
            else:
                selector.register(wait.on, wait.events, index)

        def wake_up(index: int, timed_out: bool) -> None:
            exchange, wait = waiting.pop(index)
            if isinstance(wait.on, socket.socket):
                selector.unregister(wait.on)
            resume(index, exchange, timed_out)

        while queue or waiting:
            while queue and len(waiting) < most_active:
                resume(*queue.popleft(), timed_out=False)
            if not waiting:
                continue
            next_deadline_s = min(wait.deadline_s for _, wait in waiting.values())
            events = selector.select(max(next_deadline_s - time.monotonic(), 0))
            for key, _ in events:
                if key.data is not None:
                    wake_up(key.data, timed_out=False)
                    continue
                woken.recv(4096)
                looked_up = [i for i, (_, w) in waiting.items() if isinstance(w.on, _Lookup) and w.on.done]
                for index in looked_up:
                    wake_up(index, timed_out=False)
            now_s = time.monotonic()
            if now_s >= next_deadline_s:
                for index in [i for i, (_, wait) in waiting.items() if wait.deadline_s <= now_s]:
                    wake_up(index, timed_out=True)
    return [answers[index] for index in sorted(answers)]
