"""Steps on a host: they look first, a dry run changes nothing, and the shell text that they make does what it says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from provisioning import record
from provisioning.host_errors import CommandFailed
from provisioning.record import Record
from provisioning.steps import Host
from tests.unit.provisioning.fake_host import FakeRemote, host

TEXT = "line one\n'quoted' $HOME `ls` ü\n"
MISSING = {"is-there": 1}


def test_what_is_there_is_not_made_again() -> None:
    remote = FakeRemote({})
    one, said = host(remote)
    assert not one.ensure("a thing", "is-there", "make-it")
    assert (remote.scripts, one.changes, said) == (["is-there"], [], [])


def test_what_is_missing_is_made_and_told() -> None:
    remote = FakeRemote(MISSING)
    one, said = host(remote)
    assert one.ensure("a thing", "is-there", "make-it")
    assert (remote.scripts, one.changes, said) == (["is-there", "make-it"], ["a thing"], ["changed: a thing"])


def test_a_dry_run_only_looks() -> None:
    remote = FakeRemote(MISSING)
    one, said = host(remote, dry_run=True)
    assert one.ensure("a thing", "is-there", "make-it")
    one.save(Record())
    assert (remote.scripts, one.changes, said) == (["is-there"], ["a thing"], ["would change: a thing"])


def test_a_change_that_fails_is_not_said_to_be_made() -> None:
    one, said = host(FakeRemote(MISSING | {"make-it": 4}))
    with pytest.raises(CommandFailed, match="a thing: exit code 4"):
        one.ensure("a thing", "is-there", "make-it")
    assert said == []


def test_warnings_are_kept_and_said() -> None:
    one, said = host(FakeRemote({}))
    one.warn("no firewall")
    assert (one.warnings, said) == (["no firewall"], ["warning: no firewall"])


def test_saving_the_record_is_no_change() -> None:
    remote = FakeRemote({})
    one, said = host(remote)
    one.save(Record())
    assert (one.changes, said) == ([], [])
    assert record.FILE in remote.scripts[0]


class Shell(FakeRemote):
    """Runs the scripts on this machine."""

    def __init__(self) -> None:
        super().__init__({})

    def run(self, phase: str, script: str, timeout_s: float = 0, check: bool = True):  # type: ignore[no-untyped-def]
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
        self.answers = {script: done.returncode or done.stdout}
        return super().run(phase, script, timeout_s, check)


@pytest.fixture
def here() -> Host:
    if os.getuid():
        pytest.skip("files of root need root")
    return host(Shell())[0]


def test_a_file_is_written_once_as_it_was_given(here: Host, tmp_path: Path) -> None:
    path = tmp_path / "it's a dir" / "file"
    assert here.ensure_file(str(path), TEXT, then=f"touch '{tmp_path}/then'")
    assert path.read_text() == TEXT
    assert (path.stat().st_mode & 0o777, path.stat().st_uid) == (0o644, 0)
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]
    assert (tmp_path / "then").exists()
    assert here.has_file(str(path), TEXT)
    assert not here.ensure_file(str(path), TEXT)


@pytest.mark.parametrize("spoil", ["echo more >>file", "chmod 666 file", "chown 1 file"])
def test_a_file_that_was_changed_is_written_again(here: Host, tmp_path: Path, spoil: str) -> None:
    path = tmp_path / "file"
    here.ensure_file(str(path), TEXT)
    subprocess.run(["sh", "-c", spoil], cwd=tmp_path, check=True)
    assert here.ensure_file(str(path), TEXT)
    assert here.has_file(str(path), TEXT)


def test_removing_takes_directories_and_dangling_links(here: Host, tmp_path: Path) -> None:
    (tmp_path / "directory" / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("directory", "link"):
        assert here.ensure_absent(str(tmp_path / name))
        assert not here.ensure_absent(str(tmp_path / name))
    assert list(tmp_path.iterdir()) == []
