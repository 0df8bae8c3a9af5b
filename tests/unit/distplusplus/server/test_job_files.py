"""The files of a job: what is written for it, and what is taken of what its compiler left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.protocol.refusals import CallRefused
from distplusplus.server import job_files
from distplusplus.server.job_files import Budget, Stop, StoppedError
from distplusplus.server.warden_client import JobDir


@pytest.fixture
def job_dir(tmp_path: Path) -> JobDir:
    return JobDir(str(tmp_path / "1"))


def put(job_dir: JobDir, name: str, content: bytes) -> None:
    Path(job_dir.path, name).write_bytes(content)


def test_a_budget_is_for_all_together() -> None:
    budget = Budget(10, 7)
    budget.take(6)
    budget.take(4)
    with pytest.raises(CallRefused, match="7 MiB"):
        budget.take(1)


def test_sources_that_markers_name_are_made_below_the_directory_only(job_dir: JobDir) -> None:
    put(job_dir, "w/a.i", b'# 1 "inc/a.h"\n# 1 "b.h"\n# 1 "/etc/x.h"\n# 1 "../up.h"\n# 1 "<built-in>"\n')
    job_files.make_named_sources(job_dir.work, "a.i", Stop())
    found = {str(path.relative_to(job_dir.work)) for path in Path(job_dir.work).rglob("*")}
    assert found == {"a.i", "inc", "inc/a.h", "b.h"}
    assert os.listdir(job_dir.path) == ["w"]


def test_markers_are_found_across_pieces(job_dir: JobDir) -> None:
    line = b'# 1 "name%07d.h"\n'
    put(job_dir, "w/a.i", b"".join(line % number for number in range(9000)) + b"x" * (3 << 20) + b'\n# 1 "last.h"\n')
    job_files.make_named_sources(job_dir.work, "a.i", Stop())
    assert len(os.listdir(job_dir.work)) == 9002


def test_too_many_sources_are_refused(job_dir: JobDir) -> None:
    """Directories count, too."""
    put(job_dir, "w/a.i", b"".join(b'# 1 "%d/a/b/c.h"\n' % number for number in range(2600)))
    with pytest.raises(CallRefused, match="10000"):
        job_files.make_named_sources(job_dir.work, "a.i", Stop())


def test_a_step_stops_when_nobody_waits(job_dir: JobDir) -> None:
    put(job_dir, "w/a.i", b'# 1 "a.h"\n')
    stop = Stop()
    stop.set()
    with pytest.raises(StoppedError):
        job_files.make_named_sources(job_dir.work, "a.i", stop)
    assert os.listdir(job_dir.work) == ["a.i"]


def test_messages_name_nothing_of_the_worker(job_dir: JobDir) -> None:
    put(job_dir, "err", f"{job_dir.work}/a.c:1: \x1b[31merror\x1b[m in {job_dir.path}/x.s\n".encode() + b"\xff")
    budget = Budget(1000, 1)
    assert job_files.messages(job_dir, "err", budget, plain=False) == "a.c:1: \x1b[31merror\x1b[m in /tmp/x.s\n\ufffd"
    assert budget.left_bytes < 1000
    assert job_files.messages(job_dir, "err", budget, plain=True) == "a.c:1: error in /tmp/x.s\n\ufffd"
    assert job_files.messages(job_dir, "out", budget, plain=True) == ""
    assert job_files.last_messages(job_dir, 4) == b".s\n\xff"


def test_messages_that_are_too_long_are_left_out(job_dir: JobDir) -> None:
    put(job_dir, "err", bytes(9 << 20))
    assert "left out" in job_files.messages(job_dir, "err", Budget(1 << 30, 1), plain=True)


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    shown = job_files.without_control_characters(text)
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in shown if char not in "\n\t")
    assert "\n" not in text or "\n" in shown or "\x1b]" in text


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_only_plain_files_are_opened(job_dir: JobDir, kind: str) -> None:
    path = Path(job_dir.path, "w/a.o")
    if kind == "link":
        path.symlink_to("/etc/passwd")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError):  # noqa: PT011  (which one depends on the kind)
        job_dir.open("w/a.o")
    assert os.listdir("/proc/self/fd") == before
