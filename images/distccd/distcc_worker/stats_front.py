"""distccd's statistics with `dcc_free_mem`: the free memory below the container's limit, not the host's.

distccd 3.4 reports no free memory, and newer versions report the host's. The front asks distccd's own statistics port,
adds or lowers that one line and passes everything else on unchanged. Clients that ask at the same time share one
question. While distccd restarts, the front asks again until `ANSWER_S` has passed.

Clients that connect and say nothing cannot shut others out: when all places are taken, a silent connection makes room,
the oldest one of the address that has the most.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import ipaddress
import re
import socket
from collections.abc import Callable, Sequence

from distcc_worker.worker_settings import Network

ANSWER_S = 3.0
REQUEST_S = 2.0
RETRY_S = 0.1
MAX_REPLY_BYTES = 1 << 20
MAX_CLIENTS = 512

STATS_END = b"</distccstats>"
_FREE_MEMORY = re.compile(rb"^(dcc_free_mem[ \t]+)(\d+)", re.MULTILINE)


class StatsFrontError(Exception):
    """Raised when distccd gives no complete answer."""


def with_free_memory(reply: bytes, free_mib: int) -> bytes:
    """`reply` with `dcc_free_mem` at most `free_mib`, in distccd's own form (`dcc_free_mem N MB`).

    Raises StatsFrontError when `reply` is not one complete answer.
    """
    if b"<distccstats>" not in reply or STATS_END not in reply:
        raise StatsFrontError("distccd sent half an answer")
    reported = _FREE_MEMORY.search(reply)
    if reported is None:
        return reply.replace(STATS_END, b"dcc_free_mem %d MB\n" % free_mib + STATS_END, 1)
    lower = min(int(reported[2]), free_mib)
    return reply[: reported.start()] + reported[1] + b"%d" % lower + reply[reported.end() :]


class StatsFront:
    """Serves the statistics of the distccd at `upstream_port` of the loopback interface."""

    def __init__(self, upstream_port: int, free_memory_mib: Callable[[], int], allow: Sequence[Network]) -> None:
        self._upstream_port = upstream_port
        self._free_memory_mib = free_memory_mib
        self._allow = allow
        self._asking: asyncio.Task[bytes] | None = None
        self._clients = 0
        # Connections without a request so far, the oldest first, each with its address.
        self._idle: dict[asyncio.StreamWriter, str] = {}

    async def start(self, port: int, host: str | None = None) -> asyncio.Server:
        return await asyncio.start_server(self._serve, host, port, backlog=MAX_CLIENTS, limit=1 << 14)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = self._allowed_address(writer)
        if address is None or (self._clients >= MAX_CLIENTS and not self._drop_an_idle_one()):
            writer.transport.abort()
            return
        self._clients += 1
        self._idle[writer] = address
        try:
            async with asyncio.timeout(REQUEST_S):
                await reader.readuntil(b"\n")
            self._idle.pop(writer, None)
            writer.write(await self._answer())
            async with asyncio.timeout(REQUEST_S):
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a client that went away, sent no line or does not read
        finally:
            self._idle.pop(writer, None)
            self._clients -= 1
            writer.close()

    def _drop_an_idle_one(self) -> bool:
        """Ends one silent connection. Returns False when every client has asked already and waits for its answer."""
        if not self._idle:
            return False
        ((address, _),) = collections.Counter(self._idle.values()).most_common(1)
        oldest = next(writer for writer, peer in self._idle.items() if peer == address)
        del self._idle[oldest]
        oldest.transport.abort()
        return True

    def _allowed_address(self, writer: asyncio.StreamWriter) -> str | None:
        """The client's address if it is on the list, else None."""
        peer = writer.get_extra_info("peername")
        if not peer:
            return None
        address = ipaddress.ip_address(peer[0].partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return str(address) if any(address in network for network in self._allow) else None

    async def _answer(self) -> bytes:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_until_answered())
        try:
            # shield: a client that disconnects must not cancel the question that others wait for.
            return with_free_memory(await asyncio.shield(self._asking), self._free_memory_mib())
        except StatsFrontError as error:
            body = f"{error}\n".encode()
            return b"HTTP/1.0 503 Service Unavailable\nContent-Type: text/plain\nConnection: close\n\n" + body

    async def _ask_until_answered(self) -> bytes:
        """distccd's complete reply. Raises StatsFrontError."""
        problem = f"distccd did not answer within {ANSWER_S:g} s"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                while True:
                    try:
                        reply = await self._ask()
                    except OSError as error:
                        problem = f"distccd's statistics port: {error.strerror or error}"
                    else:
                        if STATS_END in reply:
                            return reply
                        problem = "distccd sent half an answer"
                    await asyncio.sleep(RETRY_S)
        raise StatsFrontError(problem)

    async def _ask(self) -> bytes:
        # Not a StreamReader, which discards an answer when a connection reset follows it.
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
            connection.setblocking(False)
            await loop.sock_connect(connection, ("127.0.0.1", self._upstream_port))
            await loop.sock_sendall(connection, b"GET / HTTP/1.0\r\n\r\n")
            reply = b""
            while len(reply) < MAX_REPLY_BYTES and (piece := await loop.sock_recv(connection, 1 << 16)):
                reply += piece
                if STATS_END in reply:
                    return reply[: reply.index(STATS_END)] + STATS_END + b"\n"
            return reply
