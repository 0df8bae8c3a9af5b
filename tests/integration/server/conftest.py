"""A real distplusplusd for each test that asks for one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.server.harness import PROGRAM, Client, Server, until

Start = Callable[..., Server]


def _starting(directory: Path) -> Iterator[Start]:
    """Starts servers with the given options; stops them, and checks that they left nothing behind."""
    servers: list[Server] = []

    def start(*options: str, address: str = "127.0.0.1:0", **environment: str) -> Server:
        # Where the user that the server becomes can reach it, which pytest's directories are not.
        jobs_dir = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
        jobs_dir.chmod(0o777)
        log = directory / f"server-{len(servers)}.log"
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

    yield start
    left: list[Path] = []
    for server in servers:
        server.close()
        left += server.jobs_dir.iterdir()
        subprocess.run(["rm", "-rf", str(server.jobs_dir)], check=True)
    assert not left, f"left behind: {left}"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    yield from _starting(tmp_path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests of a module that need nothing special: what one leaves would meet the next."""
    starting = _starting(tmp_path_factory.mktemp("server"))
    yield next(starting)("--jobs", "4")
    next(starting, None)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    made = server.client()
    yield made
    made.channel.close()
