"""The answer of the status script."""

from __future__ import annotations

import pytest

from provisioning.host_errors import HostError
from provisioning.status import Status, documents, parse, print_table

RUNNING = """active=active
enabled=enabled
jobs=8
daemon=distccd 3.4
compiler=gcc 12.2.0
compiler=clang 14.0.6
load=1.25
cpus=8
disk_free_mib=51200
"""


def test_a_running_worker() -> None:
    expected = Status("running", "distccd 3.4", ("gcc 12.2.0", "clang 14.0.6"), 8, 1.25, 8, 51200)
    assert parse(RUNNING) == expected
    (document,) = documents([("worker-1", expected)])
    assert set(document) == {"host", "service", "daemon", "compilers", "jobs", "load", "cpus", "disk_free_mib"}


HOSTILE = "1\x1b[2J[/][red]\r2"


def test_what_a_host_says_is_text_to_the_terminal_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    row = parse(f"{RUNNING}daemon={HOSTILE}\ncompiler={HOSTILE}\ncontainer={HOSTILE}\n")
    print_table([("[b]worker-1", row)])
    shown = capsys.readouterr().out
    assert all(letter.isprintable() or letter == "\n" for letter in shown)
    assert shown.count("1\\x1b[2J[/][red]\\r2") == 3
    assert "[b]worker-1" in shown


def test_an_answer_without_its_numbers_is_a_fault_of_that_host() -> None:
    for text in ("", RUNNING.replace("load=1.25", "load=high"), RUNNING.replace("jobs=8", "jobs=x")):
        with pytest.raises(HostError, match="its status cannot be read"):
            parse(text)


@pytest.mark.parametrize(
    ("old", "new", "service"),
    [
        ("active=active\nenabled=enabled", "active=inactive\nenabled=disabled", "drained"),
        ("active=active\nenabled=enabled", "active=failed\nenabled=enabled", "failed"),
        ("active=active\nenabled=enabled", "active=activating\nenabled=enabled", "failed"),
        ("active=active\nenabled=enabled", "active=inactive\nenabled=enabled", "stopped"),
        ("active=active\nenabled=enabled\njobs=8\n", "", "none"),
        ("active=active\nenabled=enabled\njobs=8\n", "container=running\n", "container running"),
        ("active=active\nenabled=enabled\njobs=8\n", "container=exited\n", "container drained"),
        ("active=active\nenabled=enabled\njobs=8\n", "container=\n", "container missing"),
    ],
)
def test_what_the_service_is(old: str, new: str, service: str) -> None:
    assert parse(RUNNING.replace(old, new)).service == service
