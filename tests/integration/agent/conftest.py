"""A server for the whole run, and a home with an agent of its own for each test."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.agent.first_server import FirstServer, running_first_server
from tests.integration.agent.home import Home, running_server
from tests.integration.agent.long_compiles import LongCompiles, begun
from tests.integration.server.harness import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the machine's compilers and 3 slots."""
    with running_server(tmp_path_factory.mktemp("server"), "--jobs", "3") as running:
        yield running


@pytest.fixture
def long_compiles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LongCompiles]:
    """Compiles that have just begun."""
    with begun(tmp_path_factory.mktemp("long")) as compiles:
        yield compiles


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Home]:
    """A home without servers."""
    root = tmp_path / "user"  # beside a sandbox
    root.mkdir()
    home = Home(root)
    yield home
    home.close()


@pytest.fixture
def home(alone: Home, server: Server) -> Home:
    """A home whose server is the one of the whole run."""
    alone.use(server)
    return alone


@pytest.fixture
def first_server(tmp_path: Path) -> Iterator[tuple[FirstServer, str]]:
    """A server of the first implementation, and its address."""
    directory = tmp_path / "jobs"
    directory.mkdir()
    with running_first_server(directory) as running:
        yield running


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user of this machine can enter."""
    with tempfile.TemporaryDirectory(prefix="distplusplus-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)
