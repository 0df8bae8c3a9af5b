"""What tools/install-docker says where Docker cannot be had. tests/cluster is the proof that it can be."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from images.build import ROOT

TOOLS = ("cat", "grep", "head", "id", "printf", "sed", "setsid", "sh", "sleep", "sort", "tail")
ALL_WELL = 'case "$*" in info) exit 0 ;; "compose version --short") echo 2.26.1 ;; "buildx version") exit 0 ;; esac'


class Machine:
    """A PATH with nothing but what a test puts there."""

    def __init__(self, directory: str) -> None:
        self.bin = os.path.join(directory, "bin")
        self.log = os.path.join(directory, "dockerd.log")
        os.makedirs(self.bin)
        for name in TOOLS:
            os.symlink(shutil.which(name) or "", os.path.join(self.bin, name))

    def add(self, name: str, script: str) -> None:
        path = os.path.join(self.bin, name)
        if os.path.lexists(path):
            os.unlink(path)
        with open(path, "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\n{script}\n")
        os.chmod(path, 0o700)

    def install_docker(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [os.path.join(ROOT, "tools", "install-docker")],
            env={"PATH": self.bin, "DOCKERD_LOG": self.log},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: object) -> Machine:
    machine = Machine(str(tmp_path))
    machine.add("id", "[ $1 = -u ] && echo 0 || echo root")
    return machine


def test_nothing_is_done_where_everything_works(machine: Machine) -> None:
    machine.add("docker", ALL_WELL)
    done = machine.install_docker()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_machine_without_apt_is_told_so(machine: Machine) -> None:
    done = machine.install_docker()
    assert done.returncode == 96
    assert done.stderr == (
        "distcc-auto: no Docker here: this machine has no apt-get; "
        "install Docker's engine, Compose and Buildx yourself\n"
    )


def test_a_user_without_root_and_sudo_is_told_so(machine: Machine) -> None:
    machine.add("id", "[ $1 = -u ] && echo 1000 || echo user")
    done = machine.install_docker()
    assert done.returncode == 96
    assert done.stderr == "distcc-auto: no Docker here: run this as root, or install sudo\n"


@pytest.mark.skipif(os.path.isdir("/run/systemd/system"), reason="systemd starts the engine on this machine")
def test_an_engine_that_cannot_start_says_its_last_words(machine: Machine) -> None:
    machine.add("docker", f'[ "$1" = info ] && exit 1; {ALL_WELL}')
    machine.add("dockerd", "echo starting; echo 'failed to start daemon: operation not permitted'; exit 1")
    done = machine.install_docker()
    assert done.returncode == 96
    assert done.stderr == (
        "distcc-auto: no Docker here: the engine does not start; its last words: "
        "failed to start daemon: operation not permitted\n"
    )


def test_a_user_who_may_not_use_the_engine_is_told_how(machine: Machine) -> None:
    machine.add("id", "[ $1 = -u ] && echo 1000 || echo user")
    machine.add("docker", f'[ "$1" = info ] && [ -z "$AS_ROOT" ] && exit 1; {ALL_WELL}')
    machine.add("dockerd", "exit 1")
    machine.add("sudo", 'AS_ROOT=1 exec "$@"')
    done = machine.install_docker()
    assert done.returncode == 96
    assert "user may not use it" in done.stderr
    assert "usermod -aG docker user" in done.stderr
