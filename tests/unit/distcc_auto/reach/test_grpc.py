"""grpc:// hosts where the extra that they need is not installed."""

from __future__ import annotations

import sys

import pytest

from distcc_auto.answers import Phase, Refused
from distcc_auto.hosts import GrpcHost
from distcc_auto.reach.grpc import open_bridge
from distcc_common.errors import ConfigurationError

HOST = GrpcHost("worker-1", text="grpc://worker-1")


@pytest.fixture(autouse=True)
def without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python has it: a module that is None in sys.modules cannot be imported."""
    monkeypatch.delitem(sys.modules, "grpc", raising=False)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", sys.meta_path[:3])
    sys.path_importer_cache.clear()


def test_a_build_goes_on_without_these_hosts() -> None:
    with open_bridge([HOST], {}, 1.0) as bridge:
        place = bridge.place(HOST)
    assert isinstance(place, Refused)
    assert (place.phase, bridge.pids) == (Phase.BRIDGE, ())
    assert "extra 'distplusplus' is not installed" in place.cause
    assert "pip install 'distcc-auto[distplusplus]'" in place.remedy


def test_where_all_hosts_need_it_the_set_up_is_refused() -> None:
    with (
        pytest.raises(ConfigurationError, match=r"pip install 'distcc-auto\[distplusplus\]'"),
        open_bridge([HOST], {}, 1.0, is_all=True),
    ):
        pass
