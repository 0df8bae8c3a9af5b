"""The command lines of OpenSSH's client that make one tunnel. Pure.

The user's forwards must stay off, and `ClearAllForwardings` clears those of the command line, too. So ssh starts
without any, as the master of a control socket of ours, and gets ours through that socket (ssh(1), -O forward). That
also tells when they listen, and lets a busy port be replaced without a second login.
"""

from __future__ import annotations

from dataclasses import dataclass

from distcc_auto.hosts import SshHost

# A connection that stays silent for so long is dead: jobs that hang in it can go elsewhere, and a new one is tried.
ALIVE_INTERVAL_S = 3
ALIVE_COUNT = 2

_OPTIONS = (
    "ClearAllForwardings=yes",
    "ControlMaster=yes",
    "ControlPersist=no",
    "ForkAfterAuthentication=no",
    "ExitOnForwardFailure=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "Tunnel=no",
    "Compression=no",
    "TCPKeepAlive=yes",
    f"ServerAliveInterval={ALIVE_INTERVAL_S}",
    f"ServerAliveCountMax={ALIVE_COUNT}",
    # A quieter one would hide why something failed; a louder one would bury it.
    "LogLevel=INFO",
    "VisualHostKey=no",
)


@dataclass(frozen=True)
class LocalEnd:
    """Where a tunnel listens on this machine."""

    address: str
    distcc_port: int
    stats_port: int


def master(ssh: str, host: SshHost, control_path: str, may_ask: bool) -> list[str]:
    """The ssh that logs in and carries the forwards until it is ended; without `may_ask` it never prompts."""
    options = [*_OPTIONS, f"BatchMode={'no' if may_ask else 'yes'}", f"ControlPath={control_path}"]
    words = [word for option in options for word in ("-o", option)]
    return [ssh, "-N", "-T", "-n", "-a", "-x", *words, *_destination(host, before="--")]


def forward(ssh: str, host: SshHost, control_path: str, local: LocalEnd) -> list[str]:
    """The ssh that has the master open both forwards; it succeeds when both listen."""
    return [
        *(ssh, "-F", "none", "-S", control_path, "-O", "forward"),
        *("-L", f"{local.address}:{local.distcc_port}:localhost:{host.distcc_port}"),
        *("-L", f"{local.address}:{local.stats_port}:localhost:{host.stats_port}"),
        "master",  # ssh wants a destination here, and does not use it
    ]


def login_command(host: SshHost) -> str:
    """What a person types to log in there once."""
    return " ".join(["ssh", *_destination(host), "exit"])


def _destination(host: SshHost, before: str | None = None) -> list[str]:
    port = ["-p", str(host.ssh_port)] if host.ssh_port else []
    user = ["-l", host.user] if host.user else []
    return [*port, *user, *([before] if before else []), host.hostname]
