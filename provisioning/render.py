"""The files that a worker gets, as text. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from provisioning.safe_text import account_name, client_network, unit_word, unit_words

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

# What distplusplusd is made of, and the file in it that tells which version that is.
SOFTWARE_DIR = "/usr/local/lib/distplusplusd"
SOFTWARE_FILE = f"{SOFTWARE_DIR}/version"
FRESH_SOFTWARE_DIR = f"{SOFTWARE_DIR}.new"
LOOPBACK = ("127.0.0.0/8", "::1/128")
# The compilers that distplusplusd may run; its documentation names this directory.
SERVER_LINKS_DIR = "/usr/libexec/distplusplus"
TLS_DIR = f"{STATE_DIR}/tls"
CERTIFICATE_FILE = f"{TLS_DIR}/server.crt"
KEY_FILE = f"{TLS_DIR}/server.key"
# distplusplusd's --job-timeout, and some more: so long may its jobs take to end.
STOP_S = 620

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
    # The second group is how distplusplusd takes even more from its compilers.
    "SystemCallFilter=@system-service landlock_create_ruleset landlock_add_rule landlock_restrict_self",
    "SystemCallErrorNumber=EPERM",
    "UMask=0077",
    "IPAddressDeny=any",
)


@dataclass(frozen=True)
class UnitSettings:
    """What a unit says about the work of its daemon. `allow` holds the clients' networks."""

    jobs: int
    nice: int
    allow: tuple[str, ...] = ()
    has_tls: bool = False


@dataclass(frozen=True)
class DaemonUnit:
    """A daemon as it shall run: its command line, who reaches it besides this host, and further lines of its unit."""

    description: str
    manual: str
    command: tuple[str, ...]
    clients: tuple[str, ...]
    lines: tuple[str, ...] = field(default=())


def distccd(path: str, ports: tuple[int, ...], settings: UnitSettings) -> DaemonUnit:
    """Without `settings.allow` it serves only the host's own loopback interface: tunnels end there."""
    command = (
        *(path, "--daemon", "--no-detach", "--log-stderr", "--log-level", "notice"),
        *("--port", str(ports[0]), "--stats", "--stats-port", str(ports[1])),
        *("--jobs", str(settings.jobs), "--nice", str(settings.nice)),
        *(() if settings.allow else ("--listen", "127.0.0.1")),
        *(word for network in (*LOOPBACK, *settings.allow) for word in ("--allow", network)),
    )
    environment = f"Environment=PATH={COMPILERS_DIR}:/usr/local/bin:/usr/bin:/bin TMPDIR=/tmp"
    return DaemonUnit("distccd with statistics", "man:distccd(1)", command, settings.allow, (environment,))


def distplusplusd(python: str, ports: tuple[int, ...], settings: UnitSettings) -> DaemonUnit:
    """`python` runs what is in SOFTWARE_DIR."""
    credential = f"/run/credentials/{UNIT}/server.key"
    command = (
        *(python, "-m", "distplusplus.server", "--log-level", "info"),
        *("--listen-address", f"0.0.0.0:{ports[0]}", "--jobs", str(settings.jobs)),
        *("--compiler-dir", COMPILERS_DIR, "--compiler-dir", SERVER_LINKS_DIR),
        *(word for network in settings.allow for word in ("--allow", network)),
        *(("--tls-certificate", CERTIFICATE_FILE, "--tls-key", credential) if settings.has_tls else ()),
    )
    lines = (
        "Type=notify",
        f"Environment=PYTHONPATH={SOFTWARE_DIR} PYTHONDONTWRITEBYTECODE=1",
        f"Nice={settings.nice}",
        # SIGTERM drains.
        "KillMode=mixed",
        f"TimeoutStopSec={STOP_S}",
        *([f"LoadCredential=server.key:{KEY_FILE}"] if settings.has_tls else []),
    )
    return DaemonUnit("distplusplusd", "man:distplusplusd(1)", command, settings.allow, lines)


def program_and_settings(text: str) -> tuple[str, UnitSettings]:
    """The program that a unit starts, and its settings; the unit was rendered here, in this release or an earlier one.

    Raises ValueError for any other text.
    """
    lines = [line.partition("=")[::2] for line in text.splitlines()]
    commands = [value for key, value in lines if key == "ExecStart"]
    if len(commands) != 1:
        raise ValueError("it has no ExecStart= line, or more than one")
    program, *words = unit_words(commands[0])
    values = {option: value for option, value in itertools.pairwise(words) if option.startswith("--")}
    allow = [value for option, value in itertools.pairwise(words) if option == "--allow"]
    if "--stats" in words:  # distccd, whose first clients are always the host itself
        allow = allow[len(LOOPBACK) :]
    # distplusplusd has no --nice: systemd sets it.
    nice = values.get("--nice", dict(lines).get("Nice", ""))
    try:
        return program, UnitSettings(int(values["--jobs"]), int(nice), tuple(allow), "--tls-key" in values)
    except (KeyError, ValueError):
        raise ValueError("its ExecStart= line does not say how many jobs at which niceness") from None


def unit(daemon: DaemonUnit, refused_hardening: Sequence[str], log_namespace: bool) -> str:
    """distcc-worker.service. `refused_hardening` are the entries of HARDENING that systemd on the host refuses.

    Raises RefusedText when a word or a network cannot stand in a unit.
    """
    kept = [entry for entry in HARDENING if entry not in refused_hardening]
    refused = [entry for entry in HARDENING if entry in refused_hardening]
    # Without DynamicUser there is still no root: nobody has no files anywhere.
    user = [] if "DynamicUser=yes" in kept else ["User=nobody"]
    left_out = [f"# {entry} is refused by systemd on this host" for entry in refused]
    clients = " ".join((*LOOPBACK, *map(client_network, daemon.clients)))
    lines = [
        "# Written by distcc-auto's `fab provision`, and again each time it runs.",
        "[Unit]",
        f"Description=distcc worker: {daemon.description}",
        f"Documentation={daemon.manual}",
        "Wants=network-online.target",
        "After=network-online.target",
        "",
        "[Service]",
        f"ExecStart={' '.join(map(unit_word, daemon.command))}",
        *daemon.lines,
        "Restart=on-failure",
        "RestartSec=2",
        # A compiler that runs out of memory ends its own job, and is the first to go.
        "OOMPolicy=continue",
        "OOMScoreAdjust=500",
        *([f"LogNamespace={LOG_NAMESPACE}"] if log_namespace else []),
        *user,
        *kept,
        *([f"IPAddressAllow={clients}"] if "IPAddressDeny=any" in kept else []),
        *left_out,
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def journal() -> str:
    """journald@.conf(5): the worker's own journal, rotated and bounded."""
    return "# Written by distcc-auto's `fab provision`.\n[Journal]\nSystemMaxUse=100M\nMaxRetentionSec=1month\n"


def sshd(user: str, ports: tuple[int, ...]) -> str:
    """sshd_config(5): `user` may open tunnels to distccd with a key of ours, and can do nothing else.

    MaxSessions 0 refuses shells, commands and subsystems and still permits forwarding.
    Raises RefusedText when `user` cannot be the name of an account.
    """
    targets = " ".join(f"{name}:{port}" for name in ("localhost", "127.0.0.1") for port in ports)
    return f"""\
# Written by distcc-auto's `fab provision`.
Match User {account_name(user)}
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
