"""The table of `distcc-auto hosts`: whatever a host says, it cannot steer the terminal or be taken for markup."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distcc_auto.answers import Phase, Ready, Refused
from distcc_auto.hosts import TcpHost
from distcc_auto.plan import WorkerSlots
from distcc_auto.show import tables
from distcc_auto.stats import WorkerStats
from distcc_auto.survey import Survey

READY = WorkerSlots(Ready(TcpHost("w1", text="w1"), WorkerStats(8), latency_s=0.01), 8, "it offers 8")


def printed(refused: Refused, capsys: pytest.CaptureFixture[str]) -> str:
    tables.print_hosts(Survey((READY,), (refused,)))
    return capsys.readouterr().out


@pytest.mark.parametrize("said", ["[/]", "[/red]", "[bold]x[/bold]", "[link=https://example.org]x[/link]", ":warning:"])
def test_markup_in_a_hosts_words_is_shown_as_it_is(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused = Refused(TcpHost("w2", text="w2"), Phase.ANSWER, f"answered, but {said}", "?")
    assert f"answer: answered, but {said} (?)" in printed(refused, capsys)


@given(said=st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_hosts_words_stay_on_its_line(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused = Refused(TcpHost("w2", text="w2"), Phase.ANSWER, said, said)
    out = printed(refused, capsys)
    assert all(letter.isprintable() or letter == "\n" for letter in out)
    assert [line.split(" ", 1)[0] for line in out.splitlines()[:3]] == ["HOST", "w1", "w2"]
