"""A host that fails is reported; the others finish."""

from __future__ import annotations

import threading

import pytest

from provisioning.host_errors import CommandFailed, UnreachableError
from provisioning.parallel import on_each, say
from provisioning.targets import Target, find_targets


def targets(*names: str) -> tuple[Target, ...]:
    return find_targets(names, None, None, {}, {})


def test_failures_are_values_with_their_reason(capsys: pytest.CaptureFixture[str]) -> None:
    def work(target: Target) -> str:
        if target.name == "a":
            raise CommandFailed("packages", "apt-get install distcc", 100, "E: no space left\n")
        if target.name == "b":
            raise UnreachableError("no ssh connection to b:22: timed out")
        return target.name.upper()

    done, failed = on_each(targets("a", "b", "c"), work)
    assert [one.value for one in done] == ["C"]
    assert [one.target.name for one in failed] == ["a", "b"]
    assert capsys.readouterr().err == (
        "a: FAILED: packages: exit code 100\n  $ apt-get install distcc\n  | E: no space left\n"
        "b: FAILED: no ssh connection to b:22: timed out\n"
    )


def test_hosts_are_worked_on_at_once() -> None:
    together = threading.Barrier(4, timeout=20)
    done, _ = on_each(targets("a", "b", "c", "d"), lambda _: together.wait())
    assert len(done) == 4


def test_every_line_names_its_host(capsys: pytest.CaptureFixture[str]) -> None:
    say("a", "one\ntwo")
    assert capsys.readouterr().out == "a: one\na: two\n"


def test_a_host_cannot_write_to_the_terminal_under_another_name(capsys: pytest.CaptureFixture[str]) -> None:
    say("a", "one\x1b[1A\rb: unchanged\n")
    assert capsys.readouterr().out == "a: one\\x1b[1A\\rb: unchanged\n"

    def work(_: Target) -> str:
        raise CommandFailed("packages", "apt-get", 1, "\x1b]0;title\x07")

    on_each(targets("a"), work)
    assert "  | \\x1b]0;title\\x07\n" in capsys.readouterr().err
