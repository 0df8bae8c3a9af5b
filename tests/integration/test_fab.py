"""`fab` itself, as far as it goes without a host."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FAB = str(Path(sys.executable).with_name("fab"))


def fab(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {"HOME": str(home), "PATH": os.environ["PATH"]}
    return subprocess.run([FAB, *words], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)


def test_every_host_that_fails_is_named_and_the_exit_status_says_so(tmp_path: Path) -> None:
    done = fab(tmp_path, "-H", "a.invalid,b.invalid", "status", "c.invalid")
    assert done.returncode == 1
    for name in ("a.invalid", "b.invalid", "c.invalid"):
        assert f"{name}: FAILED: no ssh connection to {name}:22" in done.stderr
    assert "3 of 3 hosts failed: a.invalid, b.invalid, c.invalid" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("provision", "no hosts: name some"),
        ("provision a", "a: who may compile there?"),
        ("provision a --allow ::/0", "lets everybody in"),
        ("provision a --jobs many", "--jobs: expected a whole number, got 'many'"),
        ("provision grpc://a --allow ::/0", "lets everybody in"),
        ("deploy grpcs://a --allow 192.0.2.1", "deploy makes no TLS keys"),
        ("provision --group farm", "inventory.toml: the inventory cannot be read"),
    ],
)
def test_what_is_wrong_before_any_host_is_touched_ends_with_96(tmp_path: Path, words: str, message: str) -> None:
    done = fab(tmp_path, *words.split())
    assert done.returncode == 96, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_help_tells_of_hosts_and_options(tmp_path: Path) -> None:
    done = fab(tmp_path, "provision", "--help")
    assert done.returncode == 0
    assert "HOST...:" in done.stdout
    assert "show what would change, and change nothing" in done.stdout


def test_ctrl_c_does_not_wait_for_a_host_that_says_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        command = [FAB, "status", f"127.0.0.1:{server.getsockname()[1]}"]
        environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
        with subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True) as process:
            connection, _ = server.accept()
            with connection:
                process.send_signal(signal.SIGINT)
                _, said = process.communicate(timeout=15)
    assert process.returncode == 130
    assert "run the same command again to complete it" in said
