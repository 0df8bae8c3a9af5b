"""The command lines of OpenSSH's client that make one tunnel. Pure.

The user's own forwards must stay off, and `ClearAllForwardings` also clears those of the command line. So ssh starts
without any, as the master of a control socket of ours, and gets our forwards through that socket (ssh(1), -O forward).
This also tells us when they listen, and a port that is taken can be replaced without a second login.
"""

from __future__ import annotations

from distcc_auto.hosts import SshHost
from distcc_auto.reach.ssh.local_ends import LocalEnd

# A connection that stays silent for this long is dead: jobs that hang in it go elsewhere, and a new one is tried.
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


def master(ssh: str, host: SshHost, control_path: str, may_ask: bool) -> list[str]:
    """The ssh that logs in and carries the forwards until it is ended. It prompts only if it `may_ask`."""
    options = [*_OPTIONS, f"BatchMode={'no' if may_ask else 'yes'}", f"ControlPath={control_path}"]
    words = [word for option in options for word in ("-o", option)]
    return [ssh, "-N", "-T", "-n", "-a", "-x", *words, *_destination(host, before="--")]


def forward(ssh: str, host: SshHost, control_path: str, local: LocalEnd) -> list[str]:
    """The ssh that makes the master open both forwards; it succeeds when both listen."""
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
