"""What --explain, --dry-run and their JSON show. The keys are an interface: docs/json.md."""

from __future__ import annotations

import json
import shlex

import pytest

from distcc_auto.answers import Phase, Ready, Refused
from distcc_auto.build.command import PlacedCommand
from distcc_auto.build.environment import Environment
from distcc_auto.hosts import TcpHost
from distcc_auto.plan import Plan, WorkerSlots
from distcc_auto.show import explain
from distcc_auto.stats import WorkerStats
from distcc_auto.survey import Survey

HOST_KEYS = {
    "host",
    "kind",
    "state",
    "slots",
    "load",
    "free_memory_mib",
    "latency_ms",
    "phase",
    "reason",
    "remedy",
}
READY = WorkerSlots(
    Ready(TcpHost("w1", text="w1"), WorkerStats(8, (0.5, 1.0, 1.5), 4096), latency_s=0.0123), 4, "it offers 8, and ..."
)
REFUSED = Refused(TcpHost("w2", text="tcp://w2"), Phase.CONNECT, "connection refused", "start it")
SURVEY = Survey((READY,), (REFUSED,))
PLAN = Plan((READY,), 1, "1 wanted", 2)
PLACED = PlacedCommand(("make", "a b", "-j", "7"), {}, "a note")
ENVIRONMENT = Environment({"DISTCC_HOSTS": PLAN.distcc_hosts, "CCACHE_PREFIX": "distcc"}, ("DISTCC_AUTO_HOSTS",))


def shown(capsys: pytest.CaptureFixture[str], placed: PlacedCommand | None = PLACED, **options: bool) -> str:
    as_json, with_reasons = options.get("json", False), options.get("explain", False)
    explain.show(SURVEY, PLAN, placed, ENVIRONMENT, as_json=as_json, with_reasons=with_reasons)
    return capsys.readouterr().out


def test_the_json_has_a_version_and_these_keys(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(shown(capsys, dry_run=True, json=True))
    assert document["version"] == 1
    assert set(document) == {"version", "hosts", "plan", "command"}
    assert [set(host) for host in document["hosts"]] == [HOST_KEYS, HOST_KEYS]
    assert set(document["plan"]) == {
        "jobs",
        "remote_slots",
        "local_jobs",
        "local_reason",
        "saturation_jobs",
        "distcc_hosts",
    }
    assert set(document["command"]) == {"argv", "environment", "removed_environment", "note"}


def test_the_json_says_what_the_plan_says(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(shown(capsys, explain=True, json=True))
    ready, refused = document["hosts"]
    assert (ready["host"], ready["state"], ready["slots"], ready["load"]) == ("w1", "ready", 4, 1.0)
    assert (ready["free_memory_mib"], ready["latency_ms"]) == (4096, 12.3)
    assert (refused["host"], refused["state"], refused["phase"]) == ("tcp://w2", "refused", "connect")
    assert document["plan"]["jobs"] == 7
    assert document["command"]["argv"] == ["make", "a b", "-j", "7"]


def test_without_a_command_the_json_says_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(shown(capsys, placed=None, explain=True, json=True))["command"] is None


def test_an_explanation_gives_each_host_its_reason_and_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, explain=True)
    assert "w1: 4 slots: it offers 8, and ..." in text
    assert "tcp://w2: no slots: connect: connection refused (start it)" in text
    assert "-j 7 = 4 remote slots + 1 local jobs + 2 saturation jobs" in text


def test_a_dry_run_is_a_line_that_a_shell_can_run(capsys: pytest.CaptureFixture[str]) -> None:
    *notes, line = shown(capsys, dry_run=True).splitlines()
    assert notes == ["# a note"]
    assert shlex.split(line) == [
        *("env", "-u", "DISTCC_AUTO_HOSTS"),
        f"DISTCC_HOSTS={PLAN.distcc_hosts}",
        "CCACHE_PREFIX=distcc",
        *PLACED.argv,
    ]
