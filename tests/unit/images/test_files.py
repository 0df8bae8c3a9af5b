"""The files that describe images and cluster agree with each other."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from distcc_worker.sshd import config, prepare
from distcc_worker.worker_settings import JOB_PORT, SSH_PORT, STATS_PORT
from images.build import HERE, ROOT, build_command, combinations


def dockerfile() -> str:
    with open(os.path.join(HERE, "Dockerfile"), encoding="utf-8") as file:
        return file.read()


def test_every_row_names_a_base_and_a_compiler() -> None:
    for row in combinations().values():
        assert re.fullmatch(r"(debian|ubuntu):[a-z0-9.-]+", row.base)
        assert all(version.isdigit() for version in (*row.gcc, *row.clang))
        assert row.gcc or row.clang


def test_the_dockerfile_knows_every_argument_and_target_that_the_build_gives() -> None:
    command = build_command(combinations()["bookworm-clang-14"], "distccd")
    given = {value.partition("=")[0] for value in command if re.match(r"[A-Z]+=", value)}
    assert given <= set(re.findall(r"^ARG (\w+)", dockerfile(), re.MULTILINE))
    assert {"distccd", "client"} <= set(re.findall(r"^FROM \S+ AS (\w+)", dockerfile(), re.MULTILINE))
    assert f"EXPOSE {JOB_PORT} {STATS_PORT} {SSH_PORT}" in dockerfile()


@pytest.mark.parametrize("script", ["images/make-base", "tools/install-docker"])
def test_shell_scripts_have_no_fault_that_shellcheck_knows(script: str) -> None:
    done = subprocess.run(["shellcheck", os.path.join(ROOT, script)], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0


def test_sshd_accepts_its_configuration_and_permits_forwarding_alone(tmp_path: object) -> None:
    state = str(tmp_path)
    text = config(state, "distcc", ["localhost:3632", "[::1]:3633"])
    command = prepare(state, "ssh-ed25519 AAAA", text)
    key = os.path.join(state, "ssh_host_ed25519_key")
    prepared = os.stat(key)
    assert prepared.st_mode & 0o077 == 0
    os.makedirs("/run/sshd", exist_ok=True)  # sshd -T as root wants it
    shown = subprocess.run([command[0], "-T", *command[3:]], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    for line in (
        "maxsessions 0",
        "passwordauthentication no",
        "permitrootlogin no",
        "allowtcpforwarding local",
        "permitopen localhost:3632 [::1]:3633",
        "permittty no",
        "x11forwarding no",
    ):
        assert line in shown.stdout.splitlines()
    prepare(state, "ssh-ed25519 AAAA", text)
    again = os.stat(key)
    assert (again.st_ino, again.st_mtime_ns) == (prepared.st_ino, prepared.st_mtime_ns)  # made once
