"""The files that a worker gets, as text. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

UNIT = "distcc-worker.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
LOG_NAMESPACE = "distcc-worker"
JOURNAL_FILE = f"/etc/systemd/journald@{LOG_NAMESPACE}.conf"
STATE_DIR = "/etc/distcc-worker"
KEYS_FILE = f"{STATE_DIR}/authorized_keys"
SSHD_FILE = "/etc/ssh/sshd_config.d/10-distcc-worker.conf"
TUNNEL_USER = "distcc-tunnel"
# Names that mean something else here than in the host's PATH, made by sync-compilers.
COMPILERS_DIR = "/usr/local/lib/distcc-worker"

# journald's namespaces came with systemd 245; before that the log goes to the host's journal.
LOG_NAMESPACE_SYSTEMD = 245

# systemd.exec(5), systemd.resource-control(5). Compilers run what clients send; this is what they cannot do.
HARDENING = (
    "DynamicUser=yes",
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "PrivateUsers=yes",
    "ProtectProc=invisible",
    "ProtectHostname=yes",
    "ProtectClock=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "RemoveIPC=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "UMask=0077",
    "IPAddressDeny=any",
)


@dataclass(frozen=True)
class Daemon:
    """distccd as it shall run. Without `allow` it serves the host's own loopback interface only: tunnels end there."""

    path: str
    distcc_port: int
    stats_port: int
    jobs: int
    nice: int
    allow: tuple[str, ...]


def unit(daemon: Daemon, refused_hardening: Sequence[str], log_namespace: bool) -> str:
    """distcc-worker.service. `refused_hardening` are the entries of HARDENING that systemd there cannot do."""
    clients = ("127.0.0.0/8", "::1/128", *daemon.allow)
    listen = () if daemon.allow else ("--listen", "127.0.0.1")
    command = [
        *(daemon.path, "--daemon", "--no-detach", "--log-stderr", "--log-level", "notice"),
        *("--port", str(daemon.distcc_port), "--stats", "--stats-port", str(daemon.stats_port)),
        *("--jobs", str(daemon.jobs), "--nice", str(daemon.nice), *listen),
        *(word for network in clients for word in ("--allow", network)),
    ]
    kept = [entry for entry in HARDENING if entry not in refused_hardening]
    # Without DynamicUser there is still no root: nobody has no files anywhere.
    user = [] if "DynamicUser=yes" in kept else ["User=nobody"]
    left_out = [f"# {entry} is refused by systemd on this host" for entry in refused_hardening]
    lines = [
        "# Written by distcc-auto's `fab provision`, and again each time it runs.",
        "[Unit]",
        "Description=distcc worker: distccd with statistics",
        "Documentation=man:distccd(1)",
        "Wants=network-online.target",
        "After=network-online.target",
        "",
        "[Service]",
        f"ExecStart={' '.join(command)}",
        f"Environment=PATH={COMPILERS_DIR}:/usr/local/bin:/usr/bin:/bin TMPDIR=/tmp",
        "Restart=on-failure",
        "RestartSec=2",
        # A compiler that runs out of memory ends its own job, and is the first to go.
        "OOMPolicy=continue",
        "OOMScoreAdjust=500",
        *([f"LogNamespace={LOG_NAMESPACE}"] if log_namespace else []),
        *user,
        *kept,
        *([f"IPAddressAllow={' '.join(clients)}"] if "IPAddressDeny=any" in kept else []),
        *left_out,
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def journal() -> str:
    """journald@.conf(5): the worker's own journal, rotated and bounded."""
    return "# Written by distcc-auto's `fab provision`.\n[Journal]\nSystemMaxUse=100M\nMaxRetentionSec=1month\n"


def sshd(user: str, distcc_port: int, stats_port: int) -> str:
    """sshd_config(5): `user` may open tunnels to distccd with a key of ours, and can do nothing else.

    MaxSessions 0 refuses shells, commands and subsystems and still permits forwarding.
    """
    targets = " ".join(f"{name}:{port}" for name in ("localhost", "127.0.0.1") for port in (distcc_port, stats_port))
    return f"""\
# Written by distcc-auto's `fab provision`.
Match User {user}
    AuthorizedKeysFile {KEYS_FILE}
    AuthenticationMethods publickey
    PasswordAuthentication no
    KbdInteractiveAuthentication no
    MaxSessions 0
    ForceCommand /bin/false
    PermitTTY no
    PermitUserRC no
    AllowTcpForwarding local
    PermitOpen {targets}
    PermitListen none
    GatewayPorts no
    AllowStreamLocalForwarding no
    AllowAgentForwarding no
    X11Forwarding no
    PermitTunnel no
"""
