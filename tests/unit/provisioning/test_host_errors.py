"""What is said of a command that failed on a host."""

from __future__ import annotations

from provisioning.host_errors import CommandFailed


def test_it_shows_the_command_and_the_last_lines_of_its_output() -> None:
    output = "".join(f"line {number}\n" for number in range(30))
    lines = str(CommandFailed("packages", "apt-get update\napt-get install x", 100, output)).splitlines()
    assert lines[:3] == ["packages: exit code 100", "  $ apt-get update", "  $ apt-get install x"]
    assert lines[3:] == [f"  | line {number}" for number in range(18, 30)]


def test_one_that_did_not_end_has_no_exit_code_and_a_remedy_stands_last() -> None:
    text = str(CommandFailed("drain", "sleep 100", None, "", "wait longer"))
    assert text.splitlines() == ["drain: did not end in time", "  $ sleep 100", "  | (no output)", "  (wait longer)"]
