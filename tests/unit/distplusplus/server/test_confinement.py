"""A confined process and what it starts have no network of any kind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from distcc_common import landlock
from distplusplus.server import confinement

CONFINED = """
import ctypes, os, socket, subprocess, sys
from distplusplus.server.confinement import Confinement
address = ("127.0.0.1", int(sys.argv[3]))
ATTEMPTS = {
    "tcp": lambda: socket.create_connection(address),
    "tcp6": lambda: socket.socket(socket.AF_INET6),
    "mptcp": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).connect(address),
    "fast open": lambda: socket.socket().sendto(b"x", socket.MSG_FASTOPEN, address),
    "udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", address),
    "unix": lambda: socket.socket(socket.AF_UNIX),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "child": lambda: subprocess.run([
        "/usr/bin/env", "bash", "-c", f"exec 3<>/dev/udp/127.0.0.1/{address[1]}"
    ], stderr=subprocess.DEVNULL, check=True),
}
attempt = ATTEMPTS[sys.argv[1]]
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)
Confinement().enter(sys.argv[2], [sys.prefix, sys.base_prefix])
try:
    attempt()
except (PermissionError, subprocess.CalledProcessError):
    print("denied")
"""


@pytest.mark.parametrize("attempt", ["tcp", "tcp6", "mptcp", "fast open", "udp", "unix", "netlink", "child"])
def test_no_socket_of_any_kind(tmp_path: Path, attempt: str) -> None:
    command = [sys.executable, "-c", CONFINED, attempt, str(tmp_path), "9"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "denied\n", done.stderr


def test_what_the_kernel_can_do_is_found_out_without_doing_it() -> None:
    assert confinement.has_seccomp()
    assert landlock.abi() >= 0
    subprocess.run(["/bin/true"], check=True)
