"""A launcher's connection: what the agent asks of it, and what it answers. One packet is one message.

The launcher preprocesses, writes files, shows text and runs compilers, as its user and in its own directory. Its C
sources have the same kinds of packets and the same flags; a test compares them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import struct
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, IntFlag
from typing import Final

MAX_PACKET_BYTES: Final = 64 * 1024
_MAX_REQUEST_BYTES = 16 << 20
_STATUS: Final = struct.Struct("=i")


class Flag(IntFlag):
    """What the launcher says of itself."""

    TERMINAL = 1  # its standard error is a terminal
    EXPLAIN = 2  # --explain
    NESTED = 4  # another launcher runs it


class Packet(bytes, Enum):
    """The first byte of a packet. From the launcher: COMPILE and PREPROCESSED, with descriptors, and STOP."""

    COMPILE = b"C"
    PREPROCESSED = b"R"
    STOP = b"S"
    PREPROCESS = b"P"
    FILE = b"F"
    OUTPUT = b"O"
    ERROR = b"E"
    MESSAGE = b"M"
    EXIT = b"X"
    LOCAL = b"L"
    VERSION = b"V"
    KEEP_ALIVE = b"K"


# After LOCAL: the launcher keeps the socket open for as long as the compiler runs, which counts as a slot.
LOCAL_COUNTED: Final = b"h"


class LauncherGoneError(Exception):
    """Raised when the launcher has ended: nobody waits for the job any more."""


class BadRequestError(Exception):
    """Raised for a packet that no launcher of ours sends."""


class PacketTooLongError(Exception):
    """Raised when what is to be said does not fit into a packet."""


@dataclass(frozen=True)
class LauncherRequest:
    """What a launcher was called for. `compiler` is a path; arguments are without argv[0]."""

    version: str
    flags: Flag
    compiler: str
    directory: str
    arguments: tuple[str, ...]
    environ: dict[str, str]


@dataclass(frozen=True)
class Preprocessed:
    """What a preprocessor wrote, and how it ended. `warned`: it had something to say."""

    text: bytes
    failed: bool
    warned: bool


class LauncherLink:
    """One launcher. To be used in one task. Every verb raises LauncherGoneError when the launcher has ended."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._packets: deque[tuple[bytes, list[int]]] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._gone: Callable[[], object] = lambda: None
        self._ended = False
        self._listens = True
        self._loop.add_reader(sock.fileno(), self._readable)

    @property
    def peer_uid(self) -> int:
        """Who is at the other end, according to the kernel."""
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

    async def request(self) -> LauncherRequest | None:
        """What the launcher was called for; None: to stop the agent. Raises BadRequestError."""
        await self._wait_for_packet()
        if self._packets[0] == (Packet.STOP, []):
            return None
        _, (fd,) = await self._receive(Packet.COMPILE, 1)
        try:
            return parse_request(_content(fd, _MAX_REQUEST_BYTES))
        finally:
            os.close(fd)

    async def preprocess(self, arguments: Iterable[str]) -> Preprocessed:
        """Runs the compiler with these arguments. Raises PacketTooLongError, BadRequestError."""
        packet = Packet.PREPROCESS + b"".join(os.fsencode(word) + b"\0" for word in arguments)
        if len(packet) > MAX_PACKET_BYTES:
            raise PacketTooLongError("the preprocessor's arguments are too long")
        await self._send(packet)
        status, (text, messages) = await self._receive(Packet.PREPROCESSED, 2)
        try:
            warned = os.fstat(messages).st_size > 0
            data = _content(text)
        finally:
            os.close(messages)
            os.close(text)
        if len(status) != _STATUS.size:
            raise BadRequestError(f"a wait status of {len(status)} bytes")
        return Preprocessed(data, failed=_STATUS.unpack(status) != (0,), warned=warned)

    async def write_file(self, name: str, content_fd: int) -> None:
        """Writes a file, whole or not at all; `name` is relative to the launcher's directory."""
        await self._send(Packet.FILE + os.fsencode(name), (content_fd,))

    async def show(self, text: str, *, errors: bool = False) -> None:
        """Writes to its standard output, or its standard error."""
        data = text.encode(errors="replace")
        for start in range(0, len(data), MAX_PACKET_BYTES - 1):
            await self._send((Packet.ERROR if errors else Packet.OUTPUT) + data[start : start + MAX_PACKET_BYTES - 1])

    async def exit(self, status: int) -> None:
        """Ends the launcher."""
        await self._send(Packet.EXIT + _STATUS.pack(status))

    async def compile_locally(self, *, hold: bool = False) -> None:
        """Lets the launcher become the compiler. `hold`: returns, by LauncherGoneError, when the compiler has ended."""
        self._listens = False
        await self._send(Packet.LOCAL + (LOCAL_COUNTED if hold else b""))
        if hold:
            await self._receive(b"", 0)

    async def refuse_version(self) -> None:
        """Tells it to start an agent of its own version."""
        await self._send(Packet.VERSION)

    def say(self, text: str) -> bool:
        """Has the launcher write a line to the user's standard error. False if it is not there any more."""
        return self._send_now(Packet.MESSAGE + text.encode(errors="replace"))

    def say_alive(self) -> None:
        """Tells a launcher that waits that its agent is alive."""
        if self._listens:
            self._send_now(Packet.KEEP_ALIVE)

    def close(self) -> None:
        """Ends the connection; may be called twice."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
        for _, fds in self._packets:
            _close_all(fds)
        self._packets.clear()

    async def _receive(self, kind: bytes, descriptors: int) -> tuple[bytes, list[int]]:
        """The next packet without its kind, and its descriptors, which the caller closes. Raises BadRequestError."""
        await self._wait_for_packet()
        packet, fds = self._packets.popleft()
        if packet[:1] != kind or len(fds) != descriptors:
            _close_all(fds)
            raise BadRequestError(f"packet {packet[:1]!r} with {len(fds)} descriptors where {kind!r} was due")
        return packet[1:], fds

    async def _send(self, packet: bytes, fds: tuple[int, ...] = ()) -> None:
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

    def _send_now(self, packet: bytes) -> bool:
        with contextlib.suppress(OSError):
            self._socket.send(packet)
            return True
        return False

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


def parse_request(data: bytes) -> LauncherRequest:
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
        return LauncherRequest(version, Flag(int(flags)), compiler, directory, arguments, environ)
    except ValueError as error:
        raise BadRequestError(f"not a request: {error}") from None


def _content(fd: int, most_bytes: int | None = None) -> bytes:
    """What a memfd holds. A descriptor of another kind could block whoever reads it. Raises BadRequestError."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or (most_bytes is not None and status.st_size > most_bytes):
        raise BadRequestError(f"a descriptor of mode {status.st_mode:o} with {status.st_size} bytes")
    try:
        return os.pread(fd, status.st_size, 0)
    except OSError as error:
        raise BadRequestError(f"a descriptor that cannot be read: {error.strerror}") from None


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
