"""What the survey tells of its hosts."""

from __future__ import annotations

from distcc_auto.answers import Phase, Ready, Refused
from distcc_auto.hosts import TcpHost
from distcc_auto.plan import WorkerSlots
from distcc_auto.stats import WorkerStats
from distcc_auto.survey import Survey


def refused(name: str, cause: str) -> Refused:
    return Refused(TcpHost(name, text=name), Phase.TUNNEL, cause, "install it")


def test_hosts_that_lack_the_same_share_a_line() -> None:
    survey = Survey((), (refused("a", "no ssh"), refused("b", "down"), refused("c", "no ssh")))
    assert list(survey.refusals()) == [
        "a, c: tunnel: no ssh (install it); building without them",
        "b: tunnel: down (install it); building without it",
    ]


def test_the_launcher_uses_the_workers_that_have_a_server_for_it() -> None:
    hosts = [TcpHost("a", text="a"), TcpHost("127.81.0.1", text="grpc://b", launcher_server="grpc://b")]
    workers = tuple(WorkerSlots(Ready(host, WorkerStats(4), 0.0), 4, "") for host in hosts)
    survey = Survey(workers, ()).for_launcher()
    assert [entry.worker.host.text for entry in survey.workers] == ["grpc://b"]
    assert [(entry.host.text, entry.phase) for entry in survey.refused] == [("a", Phase.LAUNCHER)]


def test_a_hosts_words_cannot_steer_the_terminal() -> None:
    answer = Refused(TcpHost("a", text="a"), Phase.ANSWER, "\x1b[2Jno\nnews", "\r?")
    assert (answer.cause, answer.remedy) == (r"\x1b[2Jno\nnews", r"\r?")
