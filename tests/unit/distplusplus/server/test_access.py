"""Which clients --allow lets in."""

from __future__ import annotations

import ipaddress
import os
import pwd
from pathlib import Path

import pytest

from distcc_common.errors import ConfigurationError
from distplusplus.server import privileges
from distplusplus.server.access import Tokens, is_allowed
from distplusplus.server.server_settings import load

NETWORKS = (ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/32"))


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        ("ipv4:192.0.2.7:58108", True),
        ("ipv4:192.0.3.7:58108", False),
        ("ipv6:%5B2001:db8::7%5D:58108", True),
        ("ipv6:[2001:db8::7]:58108", True),
        ("ipv6:%5B2001:db9::7%5D:58108", False),
        ("ipv6:%5Bfe80::7%25eth0%5D:58108", False),
        ("ipv6:%5B::ffff:192.0.2.7%5D:58108", True),
        ("ipv6:%5B::ffff:192.0.3.7%5D:58108", False),
        ("ipv4:127.0.0.1:58108", True),
        ("ipv6:%5B::1%5D:58108", True),
        ("unix:", True),
    ],
)
def test_clients_of_the_networks_and_of_this_machine_are_let_in(peer: str, allowed: bool) -> None:
    assert is_allowed(peer, NETWORKS) is allowed
    assert is_allowed(peer, ())


def test_allow_makes_an_open_address_possible_and_never_for_the_whole_world() -> None:
    settings = load(["--listen-address", "0.0.0.0:3634", "--allow", "192.0.2.0/24", "--allow", "2001:db8::/32"], {})
    assert settings.allow == NETWORKS
    assert load([], {"DISTPLUSPLUS_ALLOW": "192.0.2.0/24, 2001:db8::/32"}).allow == NETWORKS
    for text in ("0.0.0.0/0", "::/0", "192.0.2.7/24", "worker-1", ""):
        with pytest.raises(ConfigurationError, match=r"^--allow: "):
            load(["--allow", text], {})


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As systemd's DynamicUser has in a container."""
    monkeypatch.setattr(os, "geteuid", lambda: 61234)
    assert privileges.user_name() == "user 61234"


def bearer(token: str) -> list[tuple[str, str | bytes]]:
    return [("x", b"y"), ("authorization", f"Bearer {token}")]


def test_tokens_are_known_by_name_and_comments_are_none(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("# who may compile\nfirst\n\nbob second\n")
    tokens = Tokens(str(path))
    assert tokens.user(bearer("first")) == "token 2"
    assert tokens.user(bearer("second")) == "bob"
    for wrong in ("compile", "bob", "", "firs", "first second", "fi\udcffrst", "\xff"):
        assert tokens.user(bearer(wrong)) is None, wrong
    assert tokens.user(None) is None
    assert tokens.user([("authorization", "first")]) is None


def test_tokens_are_read_again_when_their_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tokens"
    path.write_text("first\n")
    tokens = Tokens(str(path))
    path.write_text("a longer one\n")
    assert tokens.user(bearer("one")) == "a"
    assert tokens.user(bearer("first")) is None
    # Not at every call.
    monkeypatch.setattr("builtins.open", None)
    assert tokens.user(bearer("one")) == "a"


def test_a_token_file_that_goes_leaves_its_tokens(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("first\n")
    tokens = Tokens(str(path))
    path.unlink()
    assert tokens.user(bearer("first")) == "token 1"


def test_root_never_runs_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for uid, gid in ((0, 5), (5, 0)):
        entry = pwd.struct_passwd(("x", "", uid, gid, "", "", ""))
        monkeypatch.setattr(pwd, "getpwnam", lambda _, entry=entry: entry)
        with pytest.raises(ConfigurationError, match="never run as root"):
            privileges.account("x")
