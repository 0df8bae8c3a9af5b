"""sshd for tunnels: no shell, no terminal, no password; forwarding only to named addresses."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from distcc_worker.worker_settings import SSH_PORT

SSHD = "/usr/sbin/sshd"


def config(state_dir: str, user: str, permit_open: Sequence[str]) -> str:
    """sshd_config(5) for one unprivileged user, who may only forward to `permit_open` ("host:port").

    MaxSessions 0 refuses shells, commands and subsystems and still permits forwarding.
    """
    return f"""\
Port {SSH_PORT}
HostKey {state_dir}/ssh_host_ed25519_key
PidFile none
UsePAM no
AllowUsers {user}
AuthenticationMethods publickey
AuthorizedKeysFile {state_dir}/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
MaxSessions 0
ForceCommand /usr/sbin/nologin
PermitTTY no
PermitUserRC no
PermitUserEnvironment no
AllowTcpForwarding local
PermitOpen {" ".join(permit_open)}
PermitListen none
GatewayPorts no
AllowStreamLocalForwarding no
AllowAgentForwarding no
X11Forwarding no
PermitTunnel no
ClientAliveInterval 15
ClientAliveCountMax 3
LoginGraceTime 20
"""


def prepare(state_dir: str, keys: str, text: str) -> list[str]:
    """Writes keys and configuration, makes the host key at the first start, and returns the command for sshd.

    Raises OSError and subprocess.CalledProcessError.
    """
    host_key = os.path.join(state_dir, "ssh_host_ed25519_key")
    if not os.path.exists(host_key):
        # In two steps: a container that is killed in between must not leave half a key.
        fresh = f"{host_key}.new"
        for path in (fresh, f"{fresh}.pub"):
            if os.path.exists(path):
                os.unlink(path)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", fresh], check=True)
        os.replace(f"{fresh}.pub", f"{host_key}.pub")
        os.replace(fresh, host_key)
    _write(os.path.join(state_dir, "authorized_keys"), keys + "\n")
    path = os.path.join(state_dir, "sshd_config")
    _write(path, text)
    return [SSHD, "-D", "-e", "-f", path]


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
