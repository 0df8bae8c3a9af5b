"""What ssh said on standard error -> `Failure`: what went wrong, and what to do about it. Pure.

The messages are those of OpenSSH 9.2 (sshconnect.c, sshconnect2.c, packet.c, channels.c, readconf.c); ssh does not
translate them. A ProxyJump's own ssh writes to the same place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

# From where a worker sees the connections that its sshd makes for a tunnel.
CLIENT_NAME = "127.0.0.1 and ::1, from where its sshd connects"


class FailureKind(Enum):
    """What a failure means for another attempt."""

    LOGIN = auto()  # may work with a password or passphrase
    HOST_KEY = auto()  # a person must decide
    CROWD = auto()  # sshd drops connections at random while many log in at once (MaxStartups)
    OTHER = auto()


@dataclass(frozen=True)
class Failure:
    """Why there is no tunnel."""

    kind: FailureKind
    cause: str
    remedy: str


# In this order: what a jump host said comes with, and before, ssh's "Connection closed by UNKNOWN".
# {login} is the command that logs in by hand, {N} a group of the pattern.
_RULES = tuple(
    (re.compile(pattern, re.MULTILINE), kind, cause, remedy)
    for pattern, kind, cause, remedy in (
        (
            r"(?s)REMOTE HOST IDENTIFICATION HAS CHANGED!.*?(ssh-keygen -f \S+ -R \S+)",
            FailureKind.HOST_KEY,
            "its host key is not the one known here: it was set up anew, or someone is in between",
            "ask its administrator; if the new key is right, remove the old one: {1}",
        ),
        (
            r"REMOTE HOST IDENTIFICATION HAS CHANGED!",
            FailureKind.HOST_KEY,
            "its host key is not the one known here: it was set up anew, or someone is in between",
            "ask its administrator",
        ),
        (
            r"^Host key verification failed\.",
            FailureKind.HOST_KEY,
            "its host key, or that of a jump host, is not known here",
            "log in once, and accept the key if it is right: {login}",
        ),
        (
            r"Too many authentication failures",
            FailureKind.OTHER,
            "too many keys were offered before the right one",
            "set IdentitiesOnly and IdentityFile for it in ~/.ssh/config",
        ),
        (
            r"UNPROTECTED PRIVATE KEY FILE!(?s:.*?)Permissions (\S+) for (\S+) are too open",
            FailureKind.LOGIN,
            "ssh does not use the key {2}, because others can read it",
            "chmod 600 {2}",
        ),
        (
            r"^(\S+: Permission denied \([^)]*\))",
            FailureKind.LOGIN,
            "{1}",
            "does this log in? {login}",
        ),
        (
            r"Bad configuration option: forkafterauthentication",
            FailureKind.OTHER,
            "the ssh client here is too old",
            "install OpenSSH 8.7 or newer",
        ),
        (
            r"^(.+: line \d+: .+|Bad owner or permissions on .+|.*: Bad configuration option.*)$",
            FailureKind.OTHER,
            "{1}",
            "correct that file; this shows the same: {login}",
        ),
        (
            r"Could not resolve hostname (\S+): (.+)$",
            FailureKind.OTHER,
            "no address for '{1}': {2}",
            "is the name right (of ~/.ssh/config or of the network), and the name server reachable?",
        ),
        (
            r"^channel \d+: open failed: (.+?)(?:: open failed)?$(?s:.*)^stdio forwarding failed",
            FailureKind.OTHER,
            "its jump host does not let us through: {1}",
            "does that host allow forwarding (AllowTcpForwarding, PermitOpen), and reach this one?",
        ),
        (
            r"connect to host (\S+) port (\d+): (.+)$",
            FailureKind.OTHER,
            "no connection to {1} port {2}: {3}",
            "is sshd running there, is that its port, and does every firewall let us through?",
        ),
        (
            r"^(Unable to negotiate with .+)$",
            FailureKind.OTHER,
            "{1}",
            "update OpenSSH on the older side, or allow that algorithm in ~/.ssh/config",
        ),
        (
            r"^Timeout, server (\S+) not responding",
            FailureKind.OTHER,
            "{1} does not respond",
            "is it running, and the network up?",
        ),
        (
            r"(Connection (?:closed|reset|timed out).*|Broken pipe)$",
            FailureKind.CROWD,
            "{1}",
            "does its sshd drop us (MaxStartups, LoginGraceTime)? {login}",
        ),
    )
)
_BIND_FAILED = re.compile(r"^bind \[.*\]:\d+: (.+?)\s*$", re.MULTILINE)
_OPEN_FAILED = re.compile(r"^channel \d+: open failed: (.+?)\s*$", re.MULTILINE)


def of_login(words: str, login: str, status: int | None = None) -> Failure:
    """Why an ssh that wrote `words` ended with `status` (None where we ended it); `login` is how a person logs in."""
    # A server chooses some of these words, and none of them may steer the terminal.
    words = "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in words.replace("\r", ""))
    for pattern, kind, cause, remedy in _RULES:
        if match := pattern.search(words):
            groups = {f"_{number}": group for number, group in enumerate(match.groups(), 1)}
            return Failure(kind, _fill(cause, groups, login), _fill(remedy, groups, login))
    last = next((line.strip() for line in reversed(words.splitlines()) if line.strip()), None)
    if last is None:
        last = "ssh said nothing" if status is None else f"ssh ended with status {status} and said nothing"
    return Failure(FailureKind.OTHER, last, f"does this log in? {login}")


def of_listening(words: str, address: str) -> Failure:
    """Why ssh, which has logged in, does not listen at `address` of this machine."""
    reasons = _BIND_FAILED.findall(words.replace("\r", ""))
    cause = f"ssh cannot listen at {address}: {reasons[-1] if reasons else 'it does not say why'}"
    return Failure(FailureKind.OTHER, cause, "is the loopback interface up?")


def refused_channels(words: str) -> tuple[str, ...]:
    """Why the far side did not open a channel, once for every connection through a forward that failed."""
    return tuple(_OPEN_FAILED.findall(words.replace("\r", "")))


def of_port(reason: str | None, port: int, is_stats: bool) -> Failure:
    """Why `port` of the far side closed our connection at once; `reason` is sshd's, None where distccd closed it."""
    if reason is None:
        cause = f"port {port} there closed the connection at once"
        return Failure(FailureKind.OTHER, cause, f"does the worker's --allow list include {CLIENT_NAME}?")
    if "prohibited" in reason:
        cause = f"its sshd forbids forwarding to localhost:{port}"
        remedy = f"sshd_config there: AllowTcpForwarding local; where PermitOpen is set, add localhost:{port}"
        return Failure(FailureKind.OTHER, cause, remedy)
    if "refused" in reason:
        cause = f"nothing listens on port {port} there"
        if is_stats:
            cause += ", but distccd's job port does"
            return Failure(FailureKind.OTHER, cause, f"start distccd with --stats, --stats-port {port}")
        remedy = "start distccd there, or name its port: ssh://HOST/DISTCC_PORT/STATS_PORT"
        return Failure(FailureKind.OTHER, cause, remedy)
    cause = f"its sshd does not reach localhost:{port}: {reason}"
    return Failure(FailureKind.OTHER, cause, "is distccd running there?")


def _fill(template: str, groups: dict[str, str], login: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: login if match[1] == "login" else groups[f"_{match[1]}"], template)
