"""The words are those that OpenSSH 9.2 wrote in experiments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distcc_auto.reach.ssh.failures import FailureKind, of_login, of_port, refused_channels

LOGIN = "ssh w exit"
CHANGED = """\
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Offending ED25519 key in /root/.ssh/known_hosts:1
  remove with:
  ssh-keygen -f "/root/.ssh/known_hosts" -R "[127.0.0.1]:2222"
Host key for [127.0.0.1]:2222 has changed and you have requested strict checking.
Host key verification failed.
"""
UNPROTECTED = """\
@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @
Permissions 0644 for '/root/.ssh/id' are too open.
Load key "/root/.ssh/id": bad permissions
builder@127.0.0.1: Permission denied (publickey).
"""
JUMP = """\
channel 0: open failed: administratively prohibited: open failed
stdio forwarding failed
kex_exchange_identification: Connection closed by remote host
Connection closed by UNKNOWN port 65535
"""


@pytest.mark.parametrize(
    ("words", "kind", "cause", "remedy"),
    [
        (CHANGED, FailureKind.HOST_KEY, "not the one known here", '-R "[127.0.0.1]:2222"'),
        ("Host key verification failed.\r\n", FailureKind.HOST_KEY, "is not known here", LOGIN),
        (
            "Host key verification failed.\nkex_exchange_identification: Connection closed by remote host\n",
            FailureKind.HOST_KEY,
            "is not known here",
            LOGIN,
        ),
        (
            "Received disconnect from 127.0.0.1 port 22:2: Too many authentication failures\nDisconnected from ...\n",
            FailureKind.OTHER,
            "too many keys",
            "IdentitiesOnly",
        ),
        (UNPROTECTED, FailureKind.LOGIN, "others can read it", "chmod 600 '/root/.ssh/id'"),
        (
            "builder@127.0.0.1: Permission denied (publickey,password).\nkex_exchange_identification: read\n",
            FailureKind.LOGIN,
            "builder@127.0.0.1: Permission denied (publickey,password)",
            LOGIN,
        ),
        (
            "command-line: line 0: Bad configuration option: forkafterauthentication\n",
            FailureKind.OTHER,
            "too old",
            "OpenSSH 8.7",
        ),
        (
            "/root/.ssh/config: line 3: Bad configuration option: foo\n/root/.ssh/config: terminating, 1 bad options\n",
            FailureKind.OTHER,
            "/root/.ssh/config: line 3: Bad configuration option: foo",
            "correct that file",
        ),
        ("Bad owner or permissions on /root/.ssh/config\n", FailureKind.OTHER, "Bad owner", "correct that file"),
        (
            "ssh: Could not resolve hostname nosuch: Name or service not known\r\n",
            FailureKind.OTHER,
            "no address for 'nosuch': Name or service not known",
            "name server",
        ),
        (JUMP, FailureKind.OTHER, "jump host does not let us through: administratively prohibited", "PermitOpen"),
        (
            JUMP.replace("administratively prohibited: open failed", "connect failed: Connection refused"),
            FailureKind.OTHER,
            "jump host does not let us through: connect failed: Connection refused",
            "reach this one",
        ),
        (
            "ssh: connect to host 10.0.0.7 port 22: No route to host\n",
            FailureKind.OTHER,
            "no connection to 10.0.0.7 port 22: No route to host",
            "firewall",
        ),
        (
            "Unable to negotiate with 10.0.0.7 port 22: no matching cipher found. Their offer: 3des-cbc\n",
            FailureKind.OTHER,
            "no matching cipher",
            "update OpenSSH",
        ),
        ("Timeout, server w not responding.\n", FailureKind.OTHER, "w does not respond", "network"),
        (
            "kex_exchange_identification: read: Connection reset by peer\nConnection reset by 127.0.0.1 port 22\n",
            FailureKind.CROWD,
            "Connection reset by peer",
            "MaxStartups",
        ),
        ("", FailureKind.OTHER, "ssh ended with status 255 and said nothing", LOGIN),
        ("first\nsomething new\n\n", FailureKind.OTHER, "something new", LOGIN),
    ],
)
def test_what_ssh_said_becomes_a_cause_and_a_remedy(words: str, kind: FailureKind, cause: str, remedy: str) -> None:
    failure = of_login(words, LOGIN, 255)
    assert failure.kind is kind
    assert cause in failure.cause
    assert remedy in failure.remedy


@given(st.text())
def test_whatever_it_says_gives_one_line(words: str) -> None:
    failure = of_login(words, LOGIN)
    assert failure.cause
    assert "\n" not in failure.cause
    refused_channels(words)


def test_braces_in_words_are_only_words() -> None:
    assert of_login("ssh: Could not resolve hostname {login}: {2}\n", LOGIN).cause == "no address for '{login}': {2}"


def test_refused_channels_are_told_in_order() -> None:
    words = (
        "Warning: something\r\n"
        "channel 3: open failed: administratively prohibited: open failed\r\n"
        "channel 2: open failed: connect failed: Connection refused\r\n"
    )
    assert refused_channels(words) == (
        "administratively prohibited: open failed",
        "connect failed: Connection refused",
    )


@pytest.mark.parametrize(
    ("reason", "is_stats", "cause", "remedy"),
    [
        ("administratively prohibited: open failed", False, "forbids forwarding to localhost:7", "AllowTcpForwarding"),
        ("connect failed: Connection refused", False, "nothing listens on port 7 there", "start distccd"),
        ("connect failed: Connection refused", True, "but distccd's job port does", "--stats"),
        ("connect failed: Connection timed out", True, "Connection timed out", "distccd"),
        (None, False, "closed the connection at once", "--allow"),
    ],
)
def test_why_a_port_there_is_closed(reason: str | None, is_stats: bool, cause: str, remedy: str) -> None:
    failure = of_port(reason, 7, is_stats)
    assert cause in failure.cause
    assert remedy in failure.remedy
