"""A launcher's connection: packets with descriptors, one packet a message (launcher.c lists them)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

MAX_PACKET_BYTES = 64 * 1024
_MAX_REQUEST_BYTES = 16 << 20

FLAG_TERMINAL, FLAG_EXPLAIN, FLAG_NESTED = 1, 2, 4


class LauncherGoneError(Exception):
    """Raised when the launcher has ended: nobody waits for the job any more."""


class BadRequestError(Exception):
    """Raised for a request that no launcher of ours makes."""


@dataclass(frozen=True)
class Request:
    """What a launcher was called for. `compiler` is a path; arguments are without argv[0]."""

    version: str
    flags: int
    compiler: str
    directory: str
    arguments: tuple[str, ...]
    environ: dict[str, str]


class Connection:
    """One launcher. To be used in one task."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._packets: deque[tuple[bytes, list[int]]] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._gone: Callable[[], object] = lambda: None
        self._ended = False
        self.keep_alive = True
        self._loop.add_reader(sock.fileno(), self._readable)

    @property
    def peer_uid(self) -> int:
        """Who is at the other end, by the kernel's word."""
        return self._peer()[1]

    @property
    def peer_pid(self) -> int:
        """The process at the other end; 0 if it is in another PID namespace."""
        return self._peer()[0]

    def _peer(self) -> tuple[int, int, int]:
        """Process, user and group (struct ucred, unix(7))."""
        ucred = struct.Struct("=iII")
        return ucred.unpack(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, ucred.size))

    def when_gone(self, call: Callable[[], object]) -> None:
        """Calls `call` when the launcher ends."""
        self._gone = call

    async def receive(self, kind: bytes, descriptors: int) -> tuple[bytes, list[int]]:
        """The next packet without its kind, and its descriptors, which the caller closes.

        Raises LauncherGoneError, BadRequestError.
        """
        await self._wait_for_packet()
        packet, fds = self._packets.popleft()
        if packet[:1] != kind or len(fds) != descriptors:
            _close_all(fds)
            raise BadRequestError(f"packet {packet[:1]!r} with {len(fds)} descriptors where {kind!r} was due")
        return packet[1:], fds

    async def request(self) -> Request | None:
        """What the launcher was called for; None: to stop the agent. Raises LauncherGoneError, BadRequestError."""
        await self._wait_for_packet()
        if self._packets[0] == (b"S", []):
            return None
        _, (fd,) = await self.receive(b"C", 1)
        try:
            size = os.fstat(fd).st_size
            if size > _MAX_REQUEST_BYTES:
                raise BadRequestError(f"a request of {size} bytes")
            data = os.pread(fd, size, 0)
        finally:
            os.close(fd)
        return parse_request(data)

    async def send(self, packet: bytes, fds: tuple[int, ...] = ()) -> None:
        """Raises LauncherGoneError."""
        while True:
            try:
                if fds:
                    socket.send_fds(self._socket, [packet], fds)
                else:
                    self._socket.send(packet)
            except BlockingIOError:
                await self._writable()
            except OSError:
                raise LauncherGoneError from None
            else:
                return

    def say(self, text: str) -> bool:
        """Has the launcher write a line to the user's standard error. False if it is not there any more."""
        try:
            self._socket.send(b"M" + text.encode(errors="replace"))
        except OSError:
            return False
        return True

    def say_alive(self) -> None:
        """Tells a launcher that waits that its agent lives."""
        if self.keep_alive:
            with contextlib.suppress(OSError):
                self._socket.send(b"K")

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
        for _, fds in self._packets:
            _close_all(fds)
        self._packets.clear()

    async def _wait_for_packet(self) -> None:
        while not self._packets:
            if self._ended:
                raise LauncherGoneError
            self._waiting = self._loop.create_future()
            await self._waiting

    def _readable(self) -> None:
        try:
            packet, fds, _, _ = socket.recv_fds(self._socket, MAX_PACKET_BYTES, 4)
        except BlockingIOError:
            return
        except OSError:
            packet, fds = b"", []
        if packet:
            self._packets.append((packet, fds))
        else:
            self._loop.remove_reader(self._socket.fileno())
            self._ended = True
            self._gone()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def _writable(self) -> None:
        ready = asyncio.Event()
        self._loop.add_writer(self._socket.fileno(), ready.set)
        try:
            await ready.wait()
        finally:
            self._loop.remove_writer(self._socket.fileno())


def parse_request(data: bytes) -> Request:
    """Raises BadRequestError."""
    # One decode for all of it: an environment alone has dozens of entries.
    fields = os.fsdecode(data).split("\0")
    try:
        version, flags, compiler, directory, count = fields[:5]
        end = 5 + int(count)
        arguments = tuple(fields[5:end])
        if len(arguments) != int(count) or fields[-1] != "":
            raise ValueError("cut short")
        environ = dict(entry.partition("=")[::2] for entry in fields[end:-1])
        compiler = os.path.join(directory, compiler)
        return Request(version, int(flags), compiler, directory, arguments, environ)
    except ValueError as error:
        raise BadRequestError(f"not a request: {error}") from None


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
