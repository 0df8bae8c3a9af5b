"""Which clients --allow lets in."""

from __future__ import annotations

import ipaddress
import os

import pytest

from distcc_common.errors import ConfigurationError
from distplusplus.server import privileges
from distplusplus.server.access import is_allowed
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
