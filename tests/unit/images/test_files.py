"""The files that describe images and cluster agree with each other."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

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
