"""Real workers for the whole run, and a sandbox for each test that must be left clean."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from distcc_auto.demo.loopback import LoopbackWorker
from tests.integration import source_packages
from tests.integration.addresses import loopback
from tests.integration.sandbox import Sandbox, wait_until

# Different sizes, each on an address of its own, so that logs, locks and messages tell them apart.
_WORKERS = {loopback(1): 4, loopback(2): 2, loopback(3): 2}


@pytest.fixture(scope="session")
def workers() -> Iterator[list[LoopbackWorker]]:
    """Three workers with 4, 2 and 2 slots that run as long as the tests do, and leave no file of a job."""
    with tempfile.TemporaryDirectory(prefix="distcc-auto-tests-") as name, contextlib.ExitStack() as stack:
        # The temporary files of their jobs come here; distccd runs as another user.
        directory = Path(name)
        directory.chmod(0o1777)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TMPDIR", name)
            started = [stack.enter_context(LoopbackWorker(slots, address)) for address, slots in _WORKERS.items()]
        yield started
        wait_until(lambda: not os.listdir(directory), lambda: f"distccd to remove {os.listdir(directory)}")


@pytest.fixture(scope="session")
def lua(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of Lua: C, built by make inside its tree."""
    return source_packages.unpack("lua5.4", tmp_path_factory.mktemp("lua") / "source")


@pytest.fixture(scope="session")
def leveldb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of LevelDB: C++, built with CMake outside its tree."""
    return source_packages.unpack("leveldb", tmp_path_factory.mktemp("leveldb") / "source")


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A clean place for one test, which fails when a process or a temporary file is left in it."""
    place = Sandbox(tmp_path)
    yield place
    left = place.kill_leftovers()
    assert not left, "left behind:\n" + "\n".join(left)


@pytest.fixture
def cluster(sandbox: Sandbox, workers: list[LoopbackWorker]) -> Sandbox:
    """A sandbox whose hosts are the three workers."""
    sandbox.use(workers)
    return sandbox
