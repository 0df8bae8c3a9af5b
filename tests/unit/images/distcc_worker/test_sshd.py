"""The sshd of a worker: what a real sshd makes of its configuration."""

from __future__ import annotations

import os
import subprocess

from distcc_worker.sshd import config, prepare


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
