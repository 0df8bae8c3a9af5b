"""Clients that attack a server, each by a function that tries once. They have another address than polite clients.

A function gets a client of its own, the address of the server, and an event that ends its waiting.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import grpc

from distplusplus.protocol import compression
from distplusplus.protocol import distplusplus_pb2 as pb
from tests.integration.server.harness import HELLO, Client, SlowLink, endless

Attack = Callable[[Client, str, threading.Event], None]

SOURCE = "127.0.0.9"
_MIB = 1 << 20
_FAST_BYTES_PER_S = 1 << 40
_CALL_S = 20
_IDLE_CONNECTIONS, _WAITING_CALLS = 100, 100


@contextlib.contextmanager
def neighbour(address: str) -> Iterator[Client]:
    """A client at SOURCE."""
    with SlowLink(address, _FAST_BYTES_PER_S, SOURCE) as link:
        client = Client(link)
        try:
            yield client
        finally:
            client.channel.close()


def vanish(client: Client, _: str, stop: threading.Event) -> None:
    """Goes away while its job runs."""
    call = client.distribute.future(endless(client), timeout=60)
    stop.wait(random.uniform(0, 0.3))
    client.channel.close()
    call.cancel()


def send_rubbish(client: Client, _: str, __: threading.Event) -> None:
    good = client.request(HELLO).SerializeToString()
    position = random.randrange(len(good))
    bad = good[:position] + os.urandom(random.randrange(1, 8)) + good[position + random.randrange(4) :]
    _raw(client, "CompilationServer/Distribute")(bad, timeout=_CALL_S)


def be_slow(_: Client, address: str, __: threading.Event) -> None:
    with SlowLink(address, 60_000, SOURCE) as link:
        slow = Client(link)
        try:
            file = pb.File(name="a.c", content=HELLO + b"\n" * 30_000)
            slow.distribute(slow.request(inputFile=file), timeout=30)
        finally:
            slow.channel.close()


def stall_an_upload(_: Client, address: str, stop: threading.Event) -> None:
    """Sends the first of 8 MiB, and then nearly nothing."""
    with SlowLink(address, 4_000, SOURCE) as link:
        stalled = Client(link)
        try:
            call = stalled.distribute.future(
                stalled.request(inputFile=pb.File(name="a.c", content=bytes(8 * _MIB))), timeout=_CALL_S
            )
            stop.wait(2)
            call.cancel()
        finally:
            stalled.channel.close()


def only_reserve(client: Client, _: str, __: threading.Event) -> None:
    client.reserve(pb.Reservation(waitMs=1000), timeout=_CALL_S)


def flood_with_waiting_calls(client: Client, _: str, stop: threading.Event) -> None:
    calls = [
        client.reserve.future(pb.Reservation(waitMs=60_000, user=f"user-{number}"), timeout=_CALL_S)
        for number in range(_WAITING_CALLS)
    ]
    stop.wait(1)
    for call in calls:
        call.cancel()


def keep_idle_connections(_client: Client, address: str, stop: threading.Event) -> None:
    host, _, port = address.rpartition(":")
    with contextlib.ExitStack() as stack:
        for _ in range(_IDLE_CONNECTIONS):
            stack.enter_context(socket.create_connection((host, int(port)), 5, source_address=(SOURCE, 0)))
        stop.wait(1)


def send_a_bomb(client: Client, _: str, __: threading.Event) -> None:
    client.compile(inputFile=pb.File(name="a.c", compressionType=pb.zstd, content=_bomb()))


def send_empty_blocks(client: Client, _: str, __: threading.Event) -> None:
    content = bytes.fromhex("28b52ffd0058") + bytes(3) * _MIB + bytes.fromhex("010000")
    client.compile(inputFile=pb.File(name="a.c", compressionType=pb.zstd, content=content))


def name_many_files(client: Client, _: str, __: threading.Event) -> None:
    """A text whose line markers name 100,000 files, which coverage by clang would need."""
    client.compile(_markers(), "a.c", "clang", ["-c", "--coverage"], furtherOutputs=True, cwd="/x")


def send_gzip(client: Client, _: str, __: threading.Event) -> None:
    """100 KiB that become 100 MiB."""
    _raw(client, "CompilationServer/Query")(bytes(100 * _MIB), timeout=_CALL_S, compression=grpc.Compression.Gzip)


ATTACKS: tuple[Attack, ...] = (
    *(vanish, send_rubbish, be_slow, stall_an_upload, only_reserve, flood_with_waiting_calls, keep_idle_connections),
    *(send_a_bomb, send_empty_blocks, name_many_files, send_gzip),
)


def _raw(client: Client, method: str) -> Any:
    """A call of `method` that takes bytes."""
    return client.channel.unary_unary(f"/distplusplus.{method}")


@cache
def _bomb() -> bytes:
    return compression.compress(bytes(200 * _MIB), pb.zstd)


@cache
def _markers() -> bytes:
    return b"".join(b'# 1 "d%d/e/f.h"\n' % number for number in range(100_000))
