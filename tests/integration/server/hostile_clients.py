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
from tests.integration.server.harness import ENDLESS, ENDLESS_OPTIONS, HELLO, Client, SlowLink

Attack = Callable[[Client, str, threading.Event], None]

SOURCE = "127.0.0.9"
_MIB = 1 << 20
_FAST_BYTES_PER_S = 1 << 40
_CALL_S = 10
_IDLE_CONNECTIONS, _WAITING_CALLS = 100, 100


@contextlib.contextmanager
def neighbour(address: str, bytes_per_s: int = _FAST_BYTES_PER_S) -> Iterator[Client]:
    """A client at SOURCE."""
    with contextlib.ExitStack() as stack, SlowLink(address, bytes_per_s, SOURCE) as link:
        client = Client(link)
        # When the link has gone: closing a channel waits until what is being sent has left it.
        stack.callback(client.channel.close)
        yield client


def vanish(client: Client, _: str, stop: threading.Event) -> None:
    """Goes away while its job runs."""
    call = client.distribute.future(_job(client, ENDLESS, "endless.cc", "g++", ENDLESS_OPTIONS), timeout=_CALL_S)
    stop.wait(random.uniform(0, 0.3))
    client.channel.close()
    call.cancel()


def send_rubbish(client: Client, _: str, __: threading.Event) -> None:
    good = _job(client).SerializeToString()
    position = random.randrange(len(good))
    bad = good[:position] + os.urandom(random.randrange(1, 8)) + good[position + random.randrange(4) :]
    _raw(client, "CompilationServer/Distribute")(bad, timeout=_CALL_S)


def be_slow(client: Client, address: str, __: threading.Event) -> None:
    """Uploads 30 KB in half a second."""
    job = _job(client, inputFile=pb.File(name="a.c", content=HELLO + b"\n" * 30_000))
    with neighbour(address, 60_000) as slow:
        slow.distribute(job, timeout=_CALL_S)


def stall_an_upload(client: Client, address: str, stop: threading.Event) -> None:
    """Sends the first of 8 MiB, and then nearly nothing."""
    job = _job(client, inputFile=pb.File(name="a.c", content=bytes(8 * _MIB)))
    with neighbour(address, 4_000) as stalled:
        stalled.distribute.future(job, timeout=_CALL_S)
        stop.wait(2)


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
    _compile(client, inputFile=pb.File(name="a.c", compressionType=pb.zstd, content=_bomb()))


def send_empty_blocks(client: Client, _: str, __: threading.Event) -> None:
    content = bytes.fromhex("28b52ffd0058") + bytes(3) * _MIB + bytes.fromhex("010000")
    _compile(client, inputFile=pb.File(name="a.c", compressionType=pb.zstd, content=content))


def name_many_files(client: Client, _: str, __: threading.Event) -> None:
    """A text whose line markers name 100,000 files, which coverage by clang would need."""
    _compile(client, _markers(), "a.c", "clang", ["-c", "--coverage"], furtherOutputs=True, cwd="/x")


def send_gzip(client: Client, _: str, __: threading.Event) -> None:
    """20 KiB that become 20 MiB."""
    _raw(client, "CompilationServer/Query")(bytes(20 * _MIB), timeout=_CALL_S, compression=grpc.Compression.Gzip)


ATTACKS: tuple[Attack, ...] = (
    *(vanish, send_rubbish, be_slow, stall_an_upload, only_reserve, flood_with_waiting_calls, keep_idle_connections),
    *(send_a_bomb, send_empty_blocks, name_many_files, send_gzip),
)


def _job(client: Client, *arguments: Any, **fields: Any) -> pb.CompileRequest:
    """As `Client.request`, but it waits only a second for a slot."""
    fields["uuid"] = client.reserve(pb.Reservation(waitMs=1000), timeout=_CALL_S).uuid
    return client.request(*arguments, **fields)


def _compile(client: Client, *arguments: Any, **fields: Any) -> None:
    client.distribute(_job(client, *arguments, **fields), timeout=_CALL_S)


def _raw(client: Client, method: str) -> Any:
    """A call of `method` that takes bytes."""
    return client.channel.unary_unary(f"/distplusplus.{method}")


@cache
def _bomb() -> bytes:
    return compression.compress(bytes(200 * _MIB), pb.zstd)


@cache
def _markers() -> bytes:
    return b"".join(b'# 1 "d%d/e/f.h"\n' % number for number in range(100_000))
