from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from distcc_auto.demo.loopback import LoopbackWorker
from tests.integration.tunnels.lab import Lab, Sshd


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab; what the test's drivers leave behind fails the test."""
    if os.getuid():
        pytest.skip("real sshd logins need root")
    made = Lab(tmp_path)
    yield made
    made.assert_nothing_left()


@pytest.fixture
def worker() -> Iterator[LoopbackWorker]:
    """A real distccd, on a loopback address where nothing else listens."""
    with LoopbackWorker(2, "127.0.0.1") as started:
        yield started


@pytest.fixture
def server(lab: Lab) -> Iterator[Sshd]:
    """A real sshd that takes the lab's key."""
    with Sshd(lab) as started:
        yield started
