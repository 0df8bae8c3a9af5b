"""What a confined command can and cannot do. Needs Landlock, as a worker with tunnels does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from distcc_common import landlock
from distcc_worker.confined import all_but

pytestmark = pytest.mark.skipif(not landlock.abi(), reason="this kernel has no Landlock: nothing here can be confined")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "file").write_text("public")
    directory = tmp_path / "state"
    directory.mkdir()
    (directory / "key").write_text("secret")
    (tmp_path / "link").symlink_to(directory / "key")
    return directory


def confined(state: Path, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "distcc_worker.confined", str(state), "sh", "-c", script],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=state.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "script",
    [
        *("cat state/key", "cat link", "ls state", "echo x >state/key", "echo x >state/new", "rm state/key"),
        *("mv state/key beside/", "mv beside/file state/key", "ln state/key beside/key", "mv state other"),
        *("cat /proc/self/root/$PWD/state/key", "sh -c 'setsid cat state/key'", "cp -r state beside/"),
    ],
)
def test_the_directory_is_neither_read_nor_changed(state: Path, script: str) -> None:
    done = confined(state, script)
    assert "secret" not in done.stdout
    assert done.returncode != 0
    assert (state / "key").read_text() == "secret"
    assert [path.name for path in state.iterdir()] == ["key"]
    assert sorted(path.name for path in (state.parent / "beside").rglob("*")) in (["file"], ["file", "state"])


def test_everything_else_is_as_before(state: Path) -> None:
    script = "cat beside/file && echo new >beside/new && mkdir beside/a && mv beside/new beside/a/ && cat /etc/passwd"
    done = confined(state, f"{script} && gcc --version && echo x >/dev/null")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("public")
    assert (state.parent / "beside" / "a" / "new").read_text() == "new\n"


@pytest.mark.skipif(landlock.abi() < 6, reason="signals are confined since Linux 6.12")
def test_processes_outside_get_no_signal(state: Path) -> None:
    outside = subprocess.Popen(["sleep", "60"])
    try:
        assert confined(state, f"kill -KILL {outside.pid}").returncode != 0
        assert outside.poll() is None
    finally:
        outside.send_signal(signal.SIGKILL)
        outside.wait()


def test_all_paths_but_one(state: Path) -> None:
    found = list(all_but(str(state)))
    assert str(state.parent / "beside") in found
    assert "/usr" in found
    assert not any(str(state).startswith(f"{path}/") or path == str(state) for path in found)
