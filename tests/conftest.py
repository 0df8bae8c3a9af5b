"""What holds for all tests."""

from __future__ import annotations

import signal

import pytest


def pytest_configure() -> None:
    """Undoes that a shell makes its background jobs ignore these signals: every program of a test would inherit it."""
    for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, default)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps the tests of a module in one process of pytest-xdist if they share a fixture or are very small.

    All other tests are distributed one by one (`--dist loadgroup`) in this order, so the long ones come first.
    """
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        if _is_small(item) or _shares_a_fixture(item):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def _is_small(item: pytest.Item) -> bool:
    return "unit" in item.path.parts and item.get_closest_marker("long") is None


def _shares_a_fixture(item: pytest.Item) -> bool:
    """Whether it uses a fixture that is made once per module."""
    assert isinstance(item, pytest.Function)
    definitions = item._fixtureinfo.name2fixturedefs.values()
    return any(definition.scope == "module" for found in definitions for definition in found)
