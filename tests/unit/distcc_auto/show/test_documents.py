"""The values in the JSON. Its keys are tested against docs/json.md."""

from __future__ import annotations

import json

import pytest

from distcc_auto.answers import Phase, Ready, Refused
from distcc_auto.hosts import GrpcHost, TcpHost
from distcc_auto.plan import worker_slots
from distcc_auto.show import documents
from distcc_auto.stats import WorkerStats
from distcc_auto.survey import Survey


def survey() -> Survey:
    ready = Ready(TcpHost("worker-1", text="worker-1"), WorkerStats(8, loads=(1.0, 2.0, 3.0)), 0.0123456)
    worker = worker_slots(ready, 1024)
    assert not isinstance(worker, Refused)
    refused = Refused(GrpcHost("worker-2", text="grpc://worker-2"), Phase.QUERY, "no \x1b[2Janswer", "look there")
    return Survey((worker,), (refused,))


def test_a_ready_host_comes_first_and_has_numbers() -> None:
    ready, refused = documents.of_hosts(survey())
    assert (ready["host"], ready["kind"], ready["state"], ready["slots"]) == ("worker-1", "tcp", "ready", 8)
    assert (ready["load"], ready["latency_ms"], ready["phase"]) == (2.0, 12.346, None)
    assert (refused["host"], refused["kind"], refused["state"]) == ("grpc://worker-2", "grpc", "refused")
    assert (refused["slots"], refused["phase"], refused["remedy"]) == (0, "query", "look there")


def test_no_word_of_a_host_steers_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    documents.print_json({"hosts": documents.of_hosts(survey())})
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert json.loads(out)["version"] == documents.JSON_VERSION
