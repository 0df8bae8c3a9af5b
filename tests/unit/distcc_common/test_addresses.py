"""The one reader of HOST:PORT: what it takes, what it refuses, and that driver and agent read one host alike."""

from __future__ import annotations

import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distcc_auto.hosts import GrpcHost, parse_hosts
from distcc_common import addresses
from distcc_common.errors import ConfigurationError
from distplusplus.agent.agent_settings import parse_server
from distplusplus.server.server_settings import is_local


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("worker", ("worker", 1)),
        ("Worker-3.Example.ORG:80", ("worker-3.example.org", 80)),
        ("192.0.2.1:80", ("192.0.2.1", 80)),
        ("[::1]", ("::1", 1)),
        ("[FE80:0::1%Eth0]:80", ("fe80::1%Eth0", 80)),
    ],
)
def test_an_address_is_read(text: str, expected: tuple[str, int]) -> None:
    assert addresses.parse(text, 1) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", ":80", "w:", "w:0", "w:65536", "w:1:2", "w:x", "::1", "[::1", "[::1]80", "[w]:1", "-w", "w w", "w\n"),
        *("fe80::1%;reboot;", "[fe80::1%;reboot;]:1", "[fe80::1%eth0\n]:1", "[fe80::1%eth0]:1\n", "w:1\n"),
        *("$(reboot)", "w;reboot", "w`id`", "w|id", "user@w", "1.2.3", "w:\N{ARABIC-INDIC DIGIT ONE}"),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        addresses.parse(text, 1)


def test_a_port_is_asked_for_where_there_is_no_default_and_0_is_for_listening() -> None:
    with pytest.raises(ValueError, match="has no port"):
        addresses.parse("worker")
    assert addresses.parse("worker:0", lowest_port=0) == ("worker", 0)


@given(st.text(), st.integers(1, 65535))
def test_what_is_accepted_holds_nothing_special_and_survives_a_round_trip(text: str, port: int) -> None:
    try:
        hostname, _ = addresses.parse(text, port)
    except ValueError:
        return
    assert re.fullmatch(r"[A-Za-z0-9_.:%-]+", hostname)
    assert addresses.parse(addresses.join(hostname, port)) == (hostname, port)


@given(st.ip_addresses(), st.integers(1, 65535))
def test_every_ip_address_is_read_back(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> None:
    hostname, read_port = addresses.parse(addresses.join(str(ip), port))
    assert (ipaddress.ip_address(hostname), read_port) == (ip, port)
    assert addresses.is_loopback(hostname) == ip.is_loopback


@pytest.mark.parametrize("name", ["127.example.com", "localhost.example.com", "127.0.0.1.example.com", "::2", "local"])
def test_a_name_that_begins_like_this_machine_is_another_one(name: str) -> None:
    assert not addresses.is_loopback(name)
    assert not is_local(addresses.join(name, 1))
    assert not parse_server(addresses.join(name, 1)).is_local


@pytest.mark.parametrize("name", ["localhost", "LocalHost.", "127.0.0.1", "127.255.0.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine(name: str) -> None:
    assert addresses.is_loopback(name)


hostnames = st.from_regex(r"\A[A-Za-z]([A-Za-z0-9-]{0,10}[A-Za-z0-9])?\Z") | st.ip_addresses(v=6).map(
    lambda ip: f"[{ip}]"
)


@given(hostnames, st.none() | st.integers(1, 65535), st.sampled_from(["grpc", "grpcs"]))
def test_driver_and_agent_read_one_host_alike(hostname: str, port: int | None, scheme: str) -> None:
    """Or the bridge, which has the driver's hosts, does not find the certificates and tokens that the agent has."""
    text = f"{scheme}://{hostname}" + (f":{port}" if port else "")
    (host,) = parse_hosts(text)
    assert isinstance(host, GrpcHost)
    server = parse_server(text)
    assert (server.target, server.tls) == (host.target, host.tls)


@pytest.mark.parametrize("text", ["unix:/run/d.sock", "unix:///run/d.sock"])
def test_a_unix_socket(text: str) -> None:
    assert addresses.parse_unix(text) == "/run/d.sock"


@pytest.mark.parametrize("text", ["unix:", "unix:x", "unix:/" + "x" * 107, "unix:/a\nb", "unix:/a\x1b[2J"])
def test_what_is_no_unix_socket(text: str) -> None:
    with pytest.raises(ValueError, match="unix"):
        addresses.parse_unix(text)


@pytest.mark.parametrize("user", ["x;reboot;", "x\n", "$(id)", "`id`", "x y", "a'b", 'a"b', "a\\b", "a|b", "a&b", "-x"])
def test_an_ssh_user_holds_nothing_that_a_shell_would_read(user: str) -> None:
    with pytest.raises(ConfigurationError, match="host"):
        parse_hosts(f"ssh://{user}@worker")
