"""Many real compiles with clients of every kind at once; afterwards all is as before.

DISTPLUSPLUSD_SOAK_JOBS=2000 makes it the long one; in an ordinary run it is short.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Callable

import grpc
import psutil
import pytest

from distplusplus.protocol import compression
from distplusplus.protocol import distplusplus_pb2 as pb
from tests.integration.server.harness import HELLO, Client, Server, SlowLink, endless, until

JOBS = int(os.environ.get("DISTPLUSPLUSD_SOAK_JOBS", "160"))
GOOD_CLIENTS = 4
# The warm-up fills caches (a compressor for each thread, gRPC's arenas); growth is looked for after it.
_GROWTH_BYTES = 30 << 20


class Clients:
    """Four that compile, one that vanishes, one that sends rubbish, a slow one, one that only reserves."""

    def __init__(self, server: Server, jobs: int) -> None:
        self.server = server
        self.left = jobs
        self.lock = threading.Lock()
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.stop = threading.Event()

    def run(self) -> None:
        good = [threading.Thread(target=self.compile, args=(number,)) for number in range(GOOD_CLIENTS)]
        others = (self.vanish, self.send_rubbish, self.be_slow, self.only_reserve)
        bad = [threading.Thread(target=self.until_stopped, args=(step,)) for step in others]
        for thread in (*good, *bad):
            thread.start()
        for thread in good:
            thread.join()
        self.stop.set()
        for thread in bad:
            thread.join()

    def compile(self, number: int) -> None:
        client = self.server.client()
        while True:
            with self.lock:
                if not self.left:
                    return
                self.left -= 1
                step = self.left
            name = f"symbol_{number}_{step}"
            try:
                answer = client.compile(f'# 1 "a.c"\nint {name};\n'.encode(), outputName="obj/a.o")
            except grpc.RpcError as error:
                self.wrong.append(f"{error.code()} {error.details()}")
                continue
            if name.encode() not in compression.unpack(answer.outputFile, 1 << 20):
                self.wrong.append(f"{name} is not in its object")
            self.done["compiled"] += 1

    def until_stopped(self, step: Callable[[Client], None]) -> None:
        while not self.stop.is_set():
            client = self.server.client()
            try:
                step(client)
            except grpc.RpcError:
                pass
            finally:
                client.channel.close()
            self.done[step.__name__] += 1
            self.stop.wait(0.05)

    def vanish(self, client: Client) -> None:
        call = client.distribute.future(endless(client), timeout=60)
        self.stop.wait(random.uniform(0, 0.3))
        client.channel.close()
        call.cancel()

    def send_rubbish(self, client: Client) -> None:
        good = client.request(HELLO).SerializeToString()
        position = random.randrange(len(good))
        bad = good[:position] + os.urandom(random.randrange(1, 8)) + good[position + random.randrange(4) :]
        client.channel.unary_unary("/distplusplus.CompilationServer/Distribute")(bad, timeout=20)  # type: ignore[arg-type]

    def be_slow(self, _client: Client) -> None:
        with SlowLink(self.server.addresses[0], bytes_per_s=60_000) as address:
            slow = Client(address)
            try:
                file = pb.File(name="a.c", content=HELLO + b"\n" * 30_000)
                slow.distribute(slow.request(inputFile=file), timeout=30)
            finally:
                slow.channel.close()

    def only_reserve(self, client: Client) -> None:
        client.reserve(pb.Reservation(waitMs=1000), timeout=10)


def descriptors(process: psutil.Process) -> int:
    return sum(one.num_fds() for one in (process, *process.children(recursive=True)))


@pytest.mark.serial
@pytest.mark.timeout(1200)
def test_soak(start: Callable[..., Server]) -> None:
    server = start("--jobs", "8", "--reservation-timeout", "0.5", "--log-level", "info")
    process = psutil.Process(server.process.pid)
    Clients(server, 60).run()
    until(server.idle, "the warm-up's jobs to end")
    server.close_clients()
    before = process.memory_info().rss
    baseline = until(lambda: process.num_fds() and descriptors(process), "the descriptors to be counted")
    clients = Clients(server, JOBS)
    clients.run()
    server.close_clients()
    until(server.idle, "all processes and directories of jobs to go")
    assert not clients.wrong, clients.wrong[:5]
    assert clients.done["compiled"] == JOBS
    assert all(clients.done[kind] for kind in ("vanish", "send_rubbish", "be_slow", "only_reserve"))
    probe = server.client()
    until(lambda: probe.query(pb.ServerQuery(), timeout=5).currentLoad == 0, "all slots to be free")
    server.close_clients()
    until(lambda: descriptors(process) <= baseline + 2, f"descriptors to be {baseline} again")
    growth = process.memory_info().rss - before
    print(f"{dict(clients.done)}; memory {before >> 20} MiB, then {growth / (1 << 20):+.1f} MiB")
    assert growth < _GROWTH_BYTES
    assert "Traceback" not in server.log
