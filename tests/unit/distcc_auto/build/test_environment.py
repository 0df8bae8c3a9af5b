"""The environment that a build gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from distcc_auto.answers import Ready
from distcc_auto.build.command import PlacedCommand
from distcc_auto.build.environment import Environment, for_distcc, for_launcher
from distcc_auto.hosts import TcpHost
from distcc_auto.plan import Plan, WorkerSlots, worker_slots
from distcc_auto.stats import WorkerStats

Make = Callable[[Plan, PlacedCommand | None, Mapping[str, str], Sequence[str]], Environment]
PLAN = Plan((), 2, "2 wanted", 0)


def environment(placed: PlacedCommand | None = None, **environ: str) -> dict[str, str]:
    return for_distcc(PLAN, placed, environ).apply(environ)


def test_the_build_gets_hosts_prefix_and_pause_and_none_of_our_variables() -> None:
    assert environment(HOME="/home", DISTCC_AUTO_HOSTS="a", DISTCC_AUTO_NEW="x", DCCSH_DEBUG="1") == {
        "HOME": "/home",
        "DISTCC_HOSTS": "localhost/2 --localslots=2",
        "CCACHE_PREFIX": "distcc",
        "DISTCC_PAUSE_TIME_MSEC": "20",
        "DISTCC_NO_REWRITE_CROSS": "1",
    }


def test_the_users_own_pause_stays() -> None:
    assert environment(DISTCC_PAUSE_TIME_MSEC="300")["DISTCC_PAUSE_TIME_MSEC"] == "300"


def test_what_the_command_needs_is_added() -> None:
    assert environment(PlacedCommand(("sh",), {"MAKEFLAGS": "-j2"}), MAKEFLAGS="k")["MAKEFLAGS"] == "-j2"


@pytest.mark.parametrize(
    ("environ", "said"), [({"DISTCC_HOSTS": "a/4"}, "ignored"), ({"CCACHE_PREFIX": "icecc"}, "replaced by distcc")]
)
def test_what_of_the_user_is_overwritten_is_said(environ: dict[str, str], said: str) -> None:
    assert environment(None, **environ)["CCACHE_PREFIX"] == "distcc"
    (note,) = for_distcc(PLAN, None, environ).notes
    assert said in note


def worker(host: TcpHost) -> WorkerSlots:
    (slots,) = [worker_slots(Ready(host, WorkerStats(4, (0, 0, 0), None), latency_s=0.001), 0)]
    assert isinstance(slots, WorkerSlots)
    return slots


def test_distcc_waits_long_where_the_bridge_knows_who_is_dead() -> None:
    tcp = worker(TcpHost("worker-1", 3632, text="worker-1"))
    bridged = worker(TcpHost("127.81.0.1", 1, 2, "grpc://worker-2", "grpc", io_timeout_s=14400))
    timeouts = {}
    for name, workers in (("tcp", (tcp,)), ("both", (tcp, bridged)), ("bridged", (bridged,))):
        made = for_distcc(Plan(workers, 0, "none wanted", 0), None, {}).apply({})
        timeouts[name] = made.get("DISTCC_IO_TIMEOUT")
    assert timeouts == {"tcp": None, "both": None, "bridged": "14400"}
    environ = {"DISTCC_IO_TIMEOUT": "20"}
    assert for_distcc(Plan((bridged,), 0, "", 0), None, environ).apply(environ)["DISTCC_IO_TIMEOUT"] == "20"


def test_the_launcher_gets_the_servers_as_the_user_wrote_them() -> None:
    bridged = TcpHost("127.81.0.1", 1, 2, "grpcs://Worker-2", "grpcs", launcher_server="grpcs://Worker-2")
    made = for_launcher(Plan((worker(bridged),), 0, "", 0), None, {"DISTCC_AUTO_HOSTS": "x"})
    assert made.changes["DISTPLUSPLUS_SERVERS"] == "grpcs://Worker-2"
    assert made.changes["CMAKE_CXX_COMPILER_LAUNCHER"] == "distplusplus"
    assert made.removed == ("DISTCC_AUTO_HOSTS",)


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("1", "1"), ("", ""), ("0", None)])
def test_distcc_keeps_the_compilers_name_unless_the_user_wants_it_rewritten(
    given: str | None, expected: str | None
) -> None:
    """distcc takes any value for yes, so that 0 has to be taken away."""
    environ = {} if given is None else {"DISTCC_NO_REWRITE_CROSS": given}
    assert environment(None, **environ).get("DISTCC_NO_REWRITE_CROSS") == expected


@pytest.mark.parametrize("period", ["0", "", "-5", "0.5", "none", " 00 "])
def test_a_pause_that_distcc_reads_as_none_is_replaced_and_said(period: str) -> None:
    made = for_distcc(PLAN, None, {"DISTCC_BACKOFF_PERIOD": period})
    assert made.changes["DISTCC_BACKOFF_PERIOD"] == "1"
    assert [note for note in made.notes if f"DISTCC_BACKOFF_PERIOD={period} is replaced by 1" in note]


@pytest.mark.parametrize("period", ["1", "+60", " 5s", "9" * 30])
def test_any_other_pause_stays(period: str) -> None:
    made = for_distcc(PLAN, None, {"DISTCC_BACKOFF_PERIOD": period})
    assert ("DISTCC_BACKOFF_PERIOD" in made.changes, made.notes) == (False, ())


@pytest.mark.parametrize(("make", "prefix"), [(for_distcc, "distcc"), (for_launcher, "distplusplus")])
def test_ccache_looks_for_compilers_where_no_links_to_the_front_end_are(make: Make, prefix: str) -> None:
    environ = {"PATH": "/usr/lib/distcc:/usr/local/bin:/links:/usr/bin"}
    made = make(PLAN, None, environ, ["/usr/lib/distcc", "/links"]).changes
    assert (made["CCACHE_PREFIX"], made["CCACHE_PATH"]) == (prefix, "/usr/local/bin:/usr/bin")
    assert "CCACHE_PATH" not in make(PLAN, None, environ, []).changes
    assert "CCACHE_PATH" not in make(PLAN, None, environ | {"CCACHE_PATH": "/own"}, ["/links"]).changes
