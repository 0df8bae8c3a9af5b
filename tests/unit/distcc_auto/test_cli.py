"""The command line: what is ours, what is the build's, and how it exits."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from distcc_auto import cli
from distcc_auto.drive import DriverOptions
from distcc_common.errors import NoCapacityError


@pytest.fixture
def driven(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], DriverOptions]]:
    """Each call of the driver: its command and options."""
    calls: list[tuple[list[str], DriverOptions]] = []

    def drive(command: Sequence[str], options: DriverOptions, _environ: object) -> int:
        calls.append((list(command), options))
        return 7

    monkeypatch.setattr(cli, "drive", drive)
    return calls


def status_of(*arguments: str) -> object:
    with pytest.raises(SystemExit) as exit_:
        cli.main(arguments)
    return exit_.value.code


@pytest.mark.parametrize(
    ("arguments", "command", "options"),
    [
        (["make", "--version"], ["make", "--version"], DriverOptions()),
        (["--dry-run", "make", "--json"], ["make", "--json"], DriverOptions(dry_run=True)),
        (["--report", "--", "make"], ["make"], DriverOptions(report=True)),
        (["--", "hosts"], ["hosts"], DriverOptions()),
        (["--", "--odd"], ["--odd"], DriverOptions()),
        (["make", "--", "hosts"], ["make", "--", "hosts"], DriverOptions()),
        (["--explain", "--json"], [], DriverOptions(explain=True, json=True)),
        (["./hosts"], ["./hosts"], DriverOptions()),
        ([], [], DriverOptions()),
    ],
)
def test_options_end_where_the_command_begins(
    driven: list[tuple[list[str], DriverOptions]], arguments: list[str], command: list[str], options: DriverOptions
) -> None:
    assert status_of(*arguments) == 7
    assert driven == [(command, options)]


@pytest.mark.parametrize("arguments", [["--no-such-option", "make"], ["hosts", "extra"], ["--dry", "make"]])
def test_an_unknown_option_has_status_96_and_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(*arguments) == 96
    assert capsys.readouterr().err.startswith("distcc-auto: ")


def test_an_error_ends_with_its_own_status_and_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def drive(*_: object) -> int:
        raise NoCapacityError("nothing left")

    monkeypatch.setattr(cli, "drive", drive)
    assert status_of("make") == 97
    assert capsys.readouterr().err == "distcc-auto: nothing left\n"


def test_every_subcommand_has_its_module() -> None:
    for name in cli.SUBCOMMANDS:
        path = os.path.join(os.path.dirname(cli.__file__), "commands", name.replace("-", "_") + ".py")
        if name != "shell-init":
            assert os.path.exists(path), name
