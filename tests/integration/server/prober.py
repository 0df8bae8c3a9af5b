"""A polite client beside hostile ones: how long the server lets it wait."""

from __future__ import annotations

import subprocess
import sys

from tests.integration.server.harness import Server

PROBE = """
import sys, threading, time
from distplusplus.protocol import distplusplus_pb2 as pb
from tests.integration.server.harness import Client
client, stop, longest_s = Client(sys.argv[1]), threading.Event(), 0.0
threading.Thread(target=lambda: (sys.stdin.read(), stop.set())).start()
client.query(pb.ServerQuery(compiler="gcc"), timeout=60)
print("ready", flush=True)
while not stop.wait(0.02):
    begun_s = time.monotonic()
    client.query(pb.ServerQuery(compiler="gcc"), timeout=60)
    longest_s = max(longest_s, time.monotonic() - begun_s)
print(longest_s)
"""


class Prober:
    """Another client, a process of its own, that asks every 20 ms and measures the longest answer."""

    def __init__(self, server: Server) -> None:
        command = [sys.executable, "-c", PROBE, server.addresses[0]]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        assert self._process.stdout.readline() == "ready\n"
        self.longest_s = float("inf")

    def __enter__(self) -> Prober:
        return self

    def __exit__(self, *_: object) -> None:
        self.longest_s = float(self._process.communicate(timeout=60)[0])
