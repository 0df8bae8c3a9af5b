from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distcc_worker import stats_front
from distcc_worker.stats_front import StatsFront, StatsFrontError, with_free_memory
from distcc_worker.worker_settings import LOOPBACK, Network

REPLY = (
    b"HTTP/1.0 200 OK\nContent-Type: text/plain\nConnection: close\n\n"
    b"argv /distccd\n<distccstats>\ndcc_max_kids 4\ndcc_free_space 9 MB\n</distccstats>\n"
)
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def test_free_memory_is_the_last_line_of_the_statistics() -> None:
    assert with_free_memory(REPLY, 753) == REPLY.replace(b"</dist", b"dcc_free_mem 753 MB\n</dist")


@pytest.mark.parametrize(("reported", "limit", "shown"), [(64000, 753, 753), (300, 753, 300)])
def test_what_distccd_reports_itself_is_cut_to_the_limit(reported: int, limit: int, shown: int) -> None:
    own = REPLY.replace(b"dcc_free_space", b"dcc_free_mem %d MB\ndcc_free_space" % reported)
    assert with_free_memory(own, limit) == own.replace(b"_mem %d" % reported, b"_mem %d" % shown)


@given(st.binary(max_size=200), st.integers(min_value=0, max_value=1 << 20))
def test_everything_else_is_passed_on_byte_for_byte(noise: bytes, free_mib: int) -> None:
    noise = noise.replace(b"dcc_free_mem", b"").replace(b"distccstats", b"")
    reply = b"<distccstats>\n" + noise + b"\n</distccstats>\n"
    assert with_free_memory(reply, free_mib).replace(b"dcc_free_mem %d MB\n" % free_mib, b"") == reply


@pytest.mark.parametrize("half", [b"", b"HTTP/1.0 200 OK\n\n", REPLY[:-20], b"</distccstats>"])
def test_half_an_answer_is_an_error(half: bytes) -> None:
    with pytest.raises(StatsFrontError):
        with_free_memory(half, 1)


class Distccd:
    """A statistics port that does what `handler` does and counts the questions."""

    def __init__(self, handler: Handler) -> None:
        self.questions = 0
        self._handler = handler
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.questions += 1
        await reader.readline()
        try:
            with contextlib.suppress(OSError):
                await self._handler(reader, writer)
        finally:
            writer.close()

    def stop(self) -> None:
        if self._server:
            self._server.close()


async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(REPLY)
    await writer.drain()


@dataclass(frozen=True)
class Front:
    port: int
    distccd: Distccd
    statistics: StatsFront

    async def ask(self) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            return await reader.read()
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def front(handler: Handler | None, allow: tuple[Network, ...] = LOOPBACK) -> AsyncIterator[Front]:
    """A front before a distccd with `handler` (None: one that is not started)."""
    distccd = Distccd(handler or answer)
    await distccd.start()
    if handler is None:
        distccd.stop()
    statistics = StatsFront(distccd.port, lambda: 753, allow)
    server = await statistics.start(0, "127.0.0.1")
    try:
        yield Front(server.sockets[0].getsockname()[1], distccd, statistics)
    finally:
        server.close()
        distccd.stop()


@pytest.fixture
def _short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats_front, "ANSWER_S", 0.4)
    monkeypatch.setattr(stats_front, "REQUEST_S", 0.4)


def test_a_client_gets_the_statistics() -> None:
    async def body() -> None:
        async with front(answer) as it:
            assert await it.ask() == with_free_memory(REPLY, 753)

    asyncio.run(body())


def test_an_answer_in_small_pieces_is_put_together() -> None:
    async def in_pieces(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in REPLY:
            writer.write(bytes([byte]))
            await writer.drain()

    async def body() -> None:
        async with front(in_pieces) as it:
            assert await it.ask() == with_free_memory(REPLY, 753)

    asyncio.run(body())


async def _silence(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def _half(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(REPLY[:-20])


async def _reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


@pytest.mark.usefixtures("_short_limits")
@pytest.mark.parametrize(
    ("handler", "cause"),
    [(None, b"statistics port"), (_silence, b"within 0.4 s"), (_half, b"half an answer"), (_reset, b"")],
)
def test_a_distccd_that_gives_no_answer_is_a_503_with_the_cause(handler: Handler | None, cause: bytes) -> None:
    async def body() -> None:
        async with front(handler) as it:
            reply = await it.ask()
            assert reply.startswith(b"HTTP/1.0 503 ")
            assert cause in reply
            assert b"<distccstats>" not in reply

    asyncio.run(body())


def test_a_restart_of_distccd_is_waited_for() -> None:
    async def body() -> None:
        async with front(None) as it:
            asked = asyncio.ensure_future(it.ask())
            await asyncio.sleep(0)
            await it.distccd.start(it.distccd.port)
            assert b"dcc_free_mem 753 MB" in await asked

    asyncio.run(body())


def test_many_clients_at_once_are_one_question() -> None:
    async def body() -> None:
        asked = asyncio.Event()

        async def when_all_have_asked(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asked.wait()
            writer.write(REPLY)

        async with front(when_all_have_asked) as it:
            clients = [asyncio.ensure_future(it.ask()) for _ in range(200)]
            while not it.distccd.questions:
                await asyncio.sleep(0)
            clients[0].cancel()  # one that goes away takes nothing from the others
            asked.set()
            replies = await asyncio.gather(*clients[1:])
            assert all(reply == with_free_memory(REPLY, 753) for reply in replies)
            assert it.distccd.questions < 10

    asyncio.run(body())


@pytest.mark.usefixtures("_short_limits")
def test_a_client_that_says_nothing_does_not_hold_up_others() -> None:
    async def body() -> None:
        async with front(answer) as it:
            reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
            assert b"dcc_max_kids" in await it.ask()
            assert await reader.read() == b""  # and is shown the door
            writer.close()

    asyncio.run(body())


async def connect_from(source: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))


def test_silent_connections_of_one_client_take_no_place_from_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats_front, "MAX_CLIENTS", 32)

    async def body() -> None:
        async with front(answer) as it:
            first, first_writer = await connect_from("127.0.0.3", it.port)
            silent = [await connect_from("127.0.0.2", it.port) for _ in range(100)]
            # Nobody waits for a silent connection to be given up.
            async with asyncio.timeout(stats_front.REQUEST_S / 2):
                assert b"dcc_max_kids" in await it.ask()
                # And the place of one that is slow was not the one that was taken.
                first_writer.write(b"GET / HTTP/1.0\r\n\r\n")
                assert b"dcc_max_kids" in await first.read()
                assert await silent[0][0].read() == b""
            for _, writer in (*silent, (first, first_writer)):
                writer.close()

    asyncio.run(body())


def test_clients_that_have_asked_are_not_dropped_for_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats_front, "MAX_CLIENTS", 4)

    async def body() -> None:
        asked = asyncio.Event()

        async def when_told(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asked.wait()
            writer.write(REPLY)

        async with front(when_told) as it:
            waiting = [asyncio.ensure_future(it.ask()) for _ in range(4)]
            async with asyncio.timeout(10):
                while it.statistics._idle or it.statistics._clients < 4:
                    await asyncio.sleep(0)
            with contextlib.suppress(ConnectionResetError):
                assert await it.ask() == b""
            asked.set()
            assert all(b"dcc_max_kids" in reply for reply in await asyncio.gather(*waiting))

    asyncio.run(body())


def test_a_client_that_is_not_allowed_gets_no_byte() -> None:
    async def body() -> None:
        async with front(answer, allow=(ipaddress.ip_network("192.0.2.0/24"),)) as it:
            with contextlib.suppress(ConnectionResetError):
                assert await it.ask() == b""
            assert it.distccd.questions == 0

    asyncio.run(body())


def test_the_front_listens_on_both_families() -> None:
    async def body() -> None:
        server = await StatsFront(1, lambda: 1, LOOPBACK).start(0)
        try:
            assert socket.AF_INET in {listener.family for listener in server.sockets}
        finally:
            server.close()

    asyncio.run(body())
