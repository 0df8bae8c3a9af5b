"""Pipes, devices and descriptors are told from files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from distplusplus.compiler.special_files import first_special, has_special_name, is_special


@pytest.mark.parametrize(
    ("name", "special"),
    [
        ("/dev/stdin", True),
        ("/dev/fd/63", True),
        ("/proc/self/fd/1", True),
        ("//dev/stdout", True),
        ("/x/../dev/stdout", True),
        ("/dev/shm/build/a.c", False),
        ("/dev/null", False),
        ("dev/stdin", False),
        ("/devel/a.c", False),
        ("a.c", False),
    ],
)
def test_names_that_mean_another_file_to_each_process(name: str, special: bool) -> None:
    assert has_special_name(name) is special


def test_what_a_name_leads_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to-pipe").symlink_to("pipe")
    (tmp_path / "to-stdin").symlink_to("/dev/stdin")
    (tmp_path / "to-null").symlink_to("/dev/null")
    (tmp_path / "file").write_text("")
    special = {"pipe", "to-pipe", "to-stdin"}
    for name in (*special, "to-null", "file", "none", "."):
        assert is_special(str(tmp_path / name)) is (name in special)
    assert first_special(["file", "pipe"], str(tmp_path)) == "pipe"
    assert first_special(["file", "x\0y"], str(tmp_path)) is None
