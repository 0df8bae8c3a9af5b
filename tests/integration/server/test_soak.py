"""2,000 compiles beside hostile clients: all are done, others are answered, and afterwards all is as before."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import grpc
import psutil
import pytest

from distplusplus.protocol import compression, refusals
from distplusplus.protocol import distplusplus_pb2 as pb
from tests.integration.server.harness import Client, Server, until
from tests.integration.server.hostile_clients import ATTACKS, Attack, neighbour
from tests.integration.server.prober import Prober

_JOBS, _WARM_UP_JOBS = 2000, 200
_POLITE_CLIENTS = 4
# The warm-up fills caches (a compressor for each thread, gRPC's arenas); growth is looked for after it.
_GROWTH_BYTES = 30 << 20
_ANSWER_S = 1.0
# Between two tries of each attack. Without it the attackers' own CPU time would be most of the test's.
_PAUSE_S = 2.0


class Clients:
    """Some that compile, and one for each attack."""

    def __init__(self, server: Server, jobs: int) -> None:
        self.server = server
        self.left = jobs
        self.lock = threading.Lock()
        self.compiled = 0
        self.attacks: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.stop = threading.Event()

    def run(self) -> None:
        polite = [threading.Thread(target=self.compile, args=(number,)) for number in range(_POLITE_CLIENTS)]
        hostile = [threading.Thread(target=self.attack, args=(attack,)) for attack in ATTACKS]
        for thread in (*polite, *hostile):
            thread.start()
        for thread in polite:
            thread.join()
        self.stop.set()
        for thread in hostile:
            thread.join()

    def compile(self, number: int) -> None:
        client = self.server.client()
        while True:
            with self.lock:
                if not self.left:
                    return
                self.left -= 1
                name = f"symbol_{number}_{self.left}"
            try:
                answer = self.compile_one(client, f'# 1 "a.c"\nint {name};\n'.encode())
            except grpc.RpcError as error:
                self.wrong.append(f"{error.code()} {error.details()}")
                continue
            if name.encode() not in compression.unpack(answer.outputFile, 1 << 20):
                self.wrong.append(f"{name} is not in its object")
            with self.lock:
                self.compiled += 1

    def compile_one(self, client: Client, text: bytes) -> pb.CompileAnswer:
        """Reserves again, as a launcher does, if this busy process was too slow for its reservation."""
        while True:
            try:
                return client.compile(text, outputName="obj/a.o")
            except grpc.RpcError as error:
                call: Any = error
                refusal = refusals.from_trailers(call.trailing_metadata())
                if refusal is None or refusal.reason != pb.Refusal.EXPIRED_RESERVATION:
                    raise

    def attack(self, attack: Attack) -> None:
        address = self.server.addresses[0]
        while not self.stop.is_set():
            # It is refused, as it should be.
            with neighbour(address) as client, contextlib.suppress(grpc.RpcError, OSError):
                attack(client, address, self.stop)
            self.attacks[attack.__name__] += 1
            self.stop.wait(_PAUSE_S)


def descriptors(process: psutil.Process) -> int:
    return sum(one.num_fds() for one in (process, *process.children(recursive=True)))


@pytest.mark.serial
@pytest.mark.timeout(600)
def test_soak(start: Callable[..., Server]) -> None:
    options = ("--jobs", "8", "--max-input", "64", "--reservation-timeout", "2", "--log-level", "info")
    server = start(*options)
    process = psutil.Process(server.process.pid)
    Clients(server, _WARM_UP_JOBS).run()
    until(server.idle, "the warm-up's jobs to end")
    server.close_clients()
    before = process.memory_info().rss
    baseline = until(lambda: process.num_fds() and descriptors(process), "the descriptors to be counted")
    clients = Clients(server, _JOBS)
    with Prober(server) as prober:
        clients.run()
    server.close_clients()
    until(server.idle, "all processes and directories of jobs to go")
    assert not clients.wrong, clients.wrong[:5]
    assert clients.compiled == _JOBS
    assert set(clients.attacks) == {attack.__name__ for attack in ATTACKS}
    probe = server.client()
    until(lambda: probe.query(pb.ServerQuery(), timeout=5).currentLoad == 0, "all slots to be free")
    server.close_clients()
    until(lambda: descriptors(process) <= baseline + 2, f"descriptors to be {baseline} again")
    growth = process.memory_info().rss - before
    print(f"{dict(clients.attacks)}; longest answer {prober.longest_s:.3f} s;", end=" ")
    print(f"memory {before >> 20} MiB, then {growth / (1 << 20):+.1f} MiB")
    assert growth < _GROWTH_BYTES
    assert prober.longest_s < _ANSWER_S
    assert "Traceback" not in server.log
