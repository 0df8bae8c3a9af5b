"""What holds for all tests."""

from __future__ import annotations

import signal
from typing import Any

import hypothesis
import pytest

# Modules whose tests share something that is slow to start, or that two processes cannot have at the same time.
# pytest-xdist runs each of them in one process.
_TOGETHER = (
    "tests/unit/",
    "tests/integration/server/",
    "agent/test_secure.py",
    "agent/test_same_outcome.py",
    "agent/test_users.py",
    "integration/test_shells.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # A shell makes its background jobs ignore the first two, and nohup the third. Every program of a test would inherit
    # that.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    # On a busy machine an example takes longer than the 200 ms that hypothesis allows; pytest has a time limit.
    hypothesis.settings.register_profile("busy", deadline=None)
    hypothesis.settings.load_profile("busy")
    # A Unix socket's path holds 107 bytes, and "popen-gw" would take away 8.
    if hasattr(config, "workerinput"):
        directory, _, process = config.option.basetemp.rpartition("popen-gw")
        config.option.basetemp = directory + process


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the long tests first, so that a parallel run does not end with a single one."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.hookimpl(optionalhook=True)  # it is a hook of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Distributes the tests of most integration modules one by one, and those of `_TOGETHER` module by module."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.partition("::")[0]
            return module if any(part in module for part in _TOGETHER) else nodeid

    config.option.loadscopereorder = False
    return Scheduling(config, log)
