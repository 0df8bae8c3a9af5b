"""Which process has a connection, with real sockets and processes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from distplusplus.bridge import distcc_client
from distplusplus.bridge.distcc_client import DistccClient, UnknownClientError, find_client

CONNECT = "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); s.recv(1)"


@contextmanager
def connected(program: Path | str, directory: Path, **environ: str) -> Iterator[DistccClient]:
    """What is found out about a Python program that is called `program` and connects."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [str(program), "-I", "-S", "-c", CONNECT, str(server.getsockname()[1])]
        process = subprocess.Popen(command, cwd=directory, env=environ, umask=0o027)
        try:
            connection, address = server.accept()
            with connection:
                yield find_client(address, connection.getsockname())
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def distcc(tmp_path: Path) -> Path:
    """A Python interpreter that looks like distcc."""
    (tmp_path / "bin").mkdir()
    return Path(shutil.copy(os.path.realpath(sys.executable), tmp_path / "bin" / "distcc"))


@pytest.mark.parametrize("by", ["sock_diag", "/proc/net/tcp"])
def test_a_distcc_client_is_found(distcc: Path, tmp_path: Path, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError

    if by != "sock_diag":
        monkeypatch.setattr(distcc_client, "_ask_kernel", forbidden)
    with connected(distcc, tmp_path, PATH="/a:/b", ODD="x=y\nz") as client:
        assert client.argv[:2] == (str(distcc), "-I")
        assert client.directory == str(tmp_path)
        assert client.environ == {"PATH": "/a:/b", "ODD": "x=y\nz"}
        assert client.umask == 0o027


def test_any_other_program_is_not_taken_for_one(tmp_path: Path) -> None:
    with pytest.raises(UnknownClientError, match="no distcc process"), connected(sys.executable, tmp_path):
        pass


def test_a_connection_that_is_gone() -> None:
    with pytest.raises(UnknownClientError, match="not on this machine"):
        find_client(("127.0.0.1", 1), ("127.0.0.1", 2))


def test_another_users_process_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distcc_client, "_socket", lambda *_: (os.geteuid() + 1, 1))
    with pytest.raises(UnknownClientError, match="another user"):
        find_client(("127.0.0.1", 1), ("127.0.0.1", 2))


def test_the_directory_is_the_one_that_the_user_sees(distcc: Path, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    link = tmp_path / "link"
    link.symlink_to(real)
    for pwd, expected in (
        (str(link), str(link)),
        (str(tmp_path), str(real)),  # left over from another directory
        ("/proc/self/cwd", "/proc/self/cwd"),
        ("link", str(real)),
        ("/none", str(real)),
    ):
        with connected(distcc, link, PWD=pwd) as client:
            assert client.working_directory == expected
