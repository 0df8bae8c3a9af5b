"""images/build.py: its rows, the commands it gives to Docker, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest

from images import build

ROW = build.Combination("jammy", "ubuntu:22.04", ("11", "12"), ("14",))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["build.py", *arguments])
    return build.main()


class Docker:
    """Takes the place of subprocess.run. `known` are the base images that are here or in the registry."""

    def __init__(self, known: Sequence[str] = (), fails: str = "") -> None:
        self.known = known
        self.fails = fails
        self.commands: list[list[str]] = []

    def run(self, command: Sequence[str], check: bool, **_: object) -> subprocess.CompletedProcess[bytes]:
        self.commands.append(list(command))
        failed = (
            self.fails in command if self.fails else command[1] in ("image", "pull") and command[-1] not in self.known
        )
        if failed and check:
            raise subprocess.CalledProcessError(5, list(command))
        return subprocess.CompletedProcess(list(command), int(failed))


def test_a_worker_s_tag_is_another_than_its_target() -> None:
    assert ROW.tag("distccd") == "distcc-auto-worker:jammy"
    assert ROW.tag("client") == "distcc-auto-client:jammy"


def test_a_row_becomes_arguments_of_the_dockerfile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    command = build.build_command(ROW, "client")
    given = [command[index + 1] for index, word in enumerate(command) if word == "--build-arg"]
    assert given == ["BASE=ubuntu:22.04", "GCC=11 12", "CLANG=14"]
    assert command[command.index("--target") + 1] == "client"
    assert command[-1] == build.ROOT


def test_the_package_index_of_this_machine_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example.org/simple")
    assert "PIP_INDEX_URL=https://packages.example.org/simple" in build.build_command(ROW, "distccd")


def test_the_list_names_every_row(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--list") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(build.combinations())


def test_an_unknown_row_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "bookworm", "sarge") == 96
    assert capsys.readouterr().err == "images/build.py: no such row: sarge (see --list)\n"


def test_a_base_that_no_registry_has_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    docker = Docker()
    monkeypatch.setattr(subprocess, "run", docker.run)
    assert run(monkeypatch, "--client") == 0
    verbs = [command[0].rpartition("/")[2] if "make-base" in command[0] else command[1] for command in docker.commands]
    assert verbs == ["image", "pull", "make-base", "buildx", "buildx"]
    assert docker.commands[2][1] == build.combinations()["bookworm"].base


def test_a_base_that_is_there_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    docker = Docker(known=[build.combinations()["bookworm"].base])
    monkeypatch.setattr(subprocess, "run", docker.run)
    assert run(monkeypatch) == 0
    assert [command[1] for command in docker.commands] == ["image", "buildx"]


def test_a_build_that_fails_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(subprocess, "run", Docker(fails="buildx").run)
    assert run(monkeypatch) == 1
    assert capsys.readouterr().err == "images/build.py: docker failed with status 5\n"


def test_without_docker_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert run(monkeypatch) == 96
    assert "tools/install-docker" in capsys.readouterr().err
