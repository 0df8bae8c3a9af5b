"""A real distplusplusd for each test that asks for one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.distplusplus.harness import PROGRAM, Client, Server, until


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers with the given options; stops them, and checks that they left nothing behind."""
    servers: list[Server] = []

    def start_one(*options: str, address: str = "127.0.0.1:0", **environment: str) -> Server:
        number = len(servers)
        # Where the user that the server becomes can reach it, which tmp_path is not.
        jobs_dir = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
        jobs_dir.chmod(0o777)
        log = tmp_path / f"server-{number}.log"
        addresses = ["--listen-address", address] if address else []
        with log.open("wb") as file:
            process = subprocess.Popen(
                [PROGRAM, *addresses, "--log-level", "trace", "--job-dir", str(jobs_dir), *options],
                stderr=file,
                stdout=file,
                env=os.environ | environment,
            )
        server = Server(process, log, jobs_dir)
        servers.append(server)
        until(lambda: "slots, from" in server.log or process.poll() is not None, "the server to start")
        assert process.poll() is None, server.log
        return server

    yield start_one
    left = []
    for server in servers:
        server.close()
        left += list(server.jobs_dir.iterdir())
        server.jobs_dir.rmdir() if not left else None
    assert not left, f"left behind: {left}"


@pytest.fixture
def server(start: Callable[..., Server]) -> Server:
    return start()


@pytest.fixture
def client(server: Server) -> Client:
    return server.client()
