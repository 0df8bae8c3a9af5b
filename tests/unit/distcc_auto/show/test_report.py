"""What ran where, told from a worker's counters before and after."""

from __future__ import annotations

import pytest

from distcc_auto.answers import Answer, Phase, Ready, Refused
from distcc_auto.hosts import TcpHost
from distcc_auto.plan import WorkerSlots, make_plan
from distcc_auto.settings import DriverSettings
from distcc_auto.show import report
from distcc_auto.stats import WorkerStats
from distcc_common.limits import MemoryLimit

SETTINGS = DriverSettings((), 0, 0, 0, 0, 1, 1)


def ready(name: str, compile_ok: int | None) -> Ready:
    return Ready(TcpHost(name, text=name), WorkerStats(4, compile_ok=compile_ok), 0.0)


def report_of(monkeypatch: pytest.MonkeyPatch, before: list[Ready], after: dict[str, Answer]) -> list[str]:
    monkeypatch.setattr(report, "probe", lambda hosts, *_: [after[host.text] for host in hosts])
    plan = make_plan([WorkerSlots(worker, 4, "") for worker in before], SETTINGS, MemoryLimit(0, ""))
    return list(report.what_ran_where(plan, SETTINGS))


def test_each_worker_has_its_jobs_and_share(monkeypatch: pytest.MonkeyPatch) -> None:
    after: dict[str, Answer] = {"a": ready("a", 40), "b": ready("b", 10)}
    assert report_of(monkeypatch, [ready("a", 10), ready("b", 0)], after) == [
        "a (4 slots): 30 jobs, 75 %",
        "b (4 slots): 10 jobs, 25 %",
    ]


def test_a_worker_that_restarted_or_went_away_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Refused(TcpHost("b", text="b"), Phase.CONNECT, "refused", "start it")
    before = [ready("a", 10), ready("b", 0), ready("c", None), ready("d", 0)]
    lines = report_of(monkeypatch, before, {"a": ready("a", 3), "b": gone, "c": ready("c", 1), "d": ready("d", 1)})
    assert [line.partition(": ")[2].partition(",")[0] for line in lines] == ["unknown"] * 3 + ["1 jobs"]


def test_no_job_on_any_worker_gets_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = report_of(monkeypatch, [ready("a", 10)], {"a": ready("a", 10)})
    assert "does the build call its compiler through distcc?" in lines[-1]


def test_no_hint_where_a_worker_was_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Refused(TcpHost("a", text="a"), Phase.CONNECT, "refused", "start it")
    lines = report_of(monkeypatch, [ready("a", 10), ready("b", 0)], {"a": gone, "b": ready("b", 0)})
    assert len(lines) == 2
    assert "does the build call" not in "".join(lines)
