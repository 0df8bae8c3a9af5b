"""Ports of workers that misbehave, each a thread with a real socket on loopback."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

from tests.integration.addresses import NOBODY

GOOD_REPLY = b"""HTTP/1.0 200 OK
Content-Type: text/plain

<distccstats>
argv /distccd
dcc_max_kids 2
dcc_current_load 0
dcc_load1 0.00
dcc_load2 0.00
dcc_load3 0.00
dcc_compile_ok 0
</distccstats>
"""


class FakePort:
    """Listens on `address` and hands each connection, with the request read, to `behave`; closes it afterwards."""

    def __init__(self, behave: Callable[[socket.socket, threading.Event], None], address: str = NOBODY) -> None:
        self.stopped = threading.Event()
        self._behave = behave
        self._listener = socket.create_server((address, 0))
        self.address = address
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept)]

    def spec(self, distcc_port: int = 1) -> str:
        return f"{self.address}:{distcc_port}:{self.port}"

    def __enter__(self) -> FakePort:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        # Wakes up accept(), which close() alone would not.
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self.stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        # The driver may hang up on us at any time.
        with connection, contextlib.suppress(OSError):
            connection.settimeout(20)
            connection.recv(4096)
            self._behave(connection, self.stopped)


def hang(_: socket.socket, stopped: threading.Event) -> None:
    stopped.wait(20)


def reset(connection: socket.socket, _: threading.Event) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def close(_: socket.socket, __: threading.Event) -> None:
    return


def say(reply: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Sends this reply and closes."""
    return lambda connection, _: connection.sendall(reply)


def say_and_hang(reply: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Sends this reply and keeps the connection open."""

    def behave(connection: socket.socket, stopped: threading.Event) -> None:
        connection.sendall(reply)
        stopped.wait(20)

    return behave


def endless(connection: socket.socket, stopped: threading.Event) -> None:
    while not stopped.is_set():
        connection.sendall(b"dcc_nothing 1\n" * 1000)


def byte_by_byte(connection: socket.socket, _: threading.Event) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in GOOD_REPLY:
        connection.sendall(bytes([byte]))


def after_all_have_come(count: int) -> Callable[[socket.socket, threading.Event], None]:
    """Answers only once `count` connections are open at the same time."""
    barrier = threading.Barrier(count)

    def behave(connection: socket.socket, _: threading.Event) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            barrier.wait(20)
            connection.sendall(GOOD_REPLY)

    return behave


def with_stats(**values: object) -> bytes:
    """The good reply with some values replaced or added."""
    reply = GOOD_REPLY.decode()
    for name, value in values.items():
        kept = [line for line in reply.splitlines() if not line.startswith(f"{name} ")]
        kept.insert(-1, f"{name} {value}")
        reply = "\n".join(kept) + "\n"
    return reply.encode()


@contextlib.contextmanager
def black_hole(address: str = NOBODY) -> Iterator[str]:
    """An address whose connection attempts get no answer at all: a listener whose queue is full drops them."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((address, 0))
        listener.listen(0)
        port = int(listener.getsockname()[1])
        for _ in range(3):
            queued = stack.enter_context(socket.socket())
            queued.setblocking(False)
            queued.connect_ex((address, port))
        yield f"{address}:1:{port}"
