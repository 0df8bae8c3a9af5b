"""Which directory a compile records."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from distplusplus.agent.working_directory import recorded_directory


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """A directory with a link to it, and with another one."""
    for name in ("real", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("real")
    return tmp_path / "real"


def test_a_link_to_the_current_directory_is_taken(real: Path) -> None:
    for pwd in (real.parent / "link", real.parent / "other" / ".." / "real"):
        assert recorded_directory(str(real), {"PWD": str(pwd)}, os.getpid()) == str(pwd)


@pytest.mark.parametrize("pwd", ["", "other", ".", "/", "link", "/no/such/directory", "/\0", "{other}"])
def test_anything_else_is_not(real: Path, pwd: str) -> None:
    environ = {"PWD": pwd.replace("{other}", str(real.parent / "other"))}
    assert recorded_directory(str(real), environ, os.getpid()) == str(real)
    assert recorded_directory(str(real), {}, os.getpid()) == str(real)


def test_proc_self_is_the_launcher_not_the_agent(real: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(real)
    for pwd in ("/proc/self/cwd", "/proc/thread-self/cwd"):
        assert recorded_directory(str(real), {"PWD": pwd}, os.getpid()) == pwd
    # Process 1 is in another directory.
    assert recorded_directory(str(real), {"PWD": "/proc/self/cwd"}, 1) == str(real)
