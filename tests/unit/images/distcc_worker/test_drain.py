from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest

from distcc_worker.drain import drain

# Like distccd: a parent, and two processes that each take one connection after the other. A job is done when its
# client has sent a byte; meanwhile a "compiler" runs.
DISTCCD = """
import os, socket, subprocess, time
server = socket.create_server(("127.0.0.1", 0))
for _ in range(2):
    if os.fork() == 0:
        while True:
            client, _ = server.accept()
            compiler = subprocess.Popen(["sleep", "60"])
            client.sendall(b"working")
            client.recv(1)
            compiler.kill()
            compiler.wait()
            client.sendall(b"done")
            client.close()
print(server.getsockname()[1], flush=True)
time.sleep(60)
"""


@dataclass(frozen=True)
class Distccd:
    pid: int
    port: int

    def send_job(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 20)

    def start_job(self) -> socket.socket:
        """A job that a process has taken."""
        job = self.send_job()
        assert job.recv(7) == b"working"
        return job


@pytest.fixture
def distccd() -> Iterator[Distccd]:
    process = subprocess.Popen([sys.executable, "-c", DISTCCD], stdout=subprocess.PIPE)
    assert process.stdout
    distccd = Distccd(process.pid, int(process.stdout.readline()))
    members = psutil.Process(process.pid).children()
    yield distccd
    process.stdout.close()
    process.wait()
    assert psutil.wait_procs(members, timeout=10)[1] == []


def test_idle_processes_end_at_once(distccd: Distccd) -> None:
    assert asyncio.run(drain(distccd.pid, 30)) == 0


def test_a_running_job_is_waited_for_and_no_other_is_begun(distccd: Distccd) -> None:
    async def body() -> int:
        with distccd.start_job() as job:
            draining = asyncio.create_task(drain(distccd.pid, 30))
            await asyncio.sleep(0)
            with distccd.send_job() as late:
                job.sendall(b"x")
                cut_off = await draining
                assert job.recv(4) == b"done"
                with contextlib.suppress(ConnectionResetError):
                    assert b"done" not in late.recv(100) + late.recv(100)
        return cut_off

    assert asyncio.run(body()) == 0


def test_a_job_that_outlasts_the_limit_is_cut_off_with_its_compiler(distccd: Distccd) -> None:
    with distccd.start_job() as job:
        compilers = psutil.Process(distccd.pid).children(recursive=True)
        assert asyncio.run(drain(distccd.pid, 0.1)) == 1
        assert psutil.wait_procs(compilers, timeout=10)[1] == []
        with contextlib.suppress(ConnectionResetError):
            assert job.recv(4) == b""


def test_a_distccd_that_is_gone_is_no_error() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert asyncio.run(drain(gone.pid, 1)) == 0
