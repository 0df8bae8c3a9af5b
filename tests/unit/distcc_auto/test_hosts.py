"""The host grammar: what it takes, what it refuses and how."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distcc_auto.hosts import GrpcHost, HostSpec, SshHost, TcpHost, parse_hosts
from distcc_common.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("worker-1", TcpHost("worker-1", 3632, 3633)),
        ("worker-1:4000", TcpHost("worker-1", 4000, 3633)),
        ("worker-1:4000:4001", TcpHost("worker-1", 4000, 4001)),
        ("tcp://worker-1:4000:4001", TcpHost("worker-1", 4000, 4001)),
        ("compiler-worker-1.internal.mycompany.org", TcpHost("compiler-worker-1.internal.mycompany.org")),
        ("build_box", TcpHost("build_box")),
        ("192.168.1.8", TcpHost("192.168.1.8")),
        ("[ff06::c3]", TcpHost("ff06::c3")),
        ("[ff06:0:0::00c3]:1:2", TcpHost("ff06::c3", 1, 2)),
        ("[fe80::1%eth0]", TcpHost("fe80::1%eth0")),
        ("tcp://[::1]:65535", TcpHost("::1", 65535)),
        ("localhost", TcpHost("127.0.0.1")),
        ("LocalHost:1234", TcpHost("127.0.0.1", 1234)),
        ("ssh://worker", SshHost("worker")),
        ("ssh://me@worker", SshHost("worker", "me")),
        ("ssh://me@worker:2222", SshHost("worker", "me", 2222)),
        ("ssh://worker:2222/4000", SshHost("worker", None, 2222, 4000)),
        ("ssh://worker/4000/4001", SshHost("worker", None, None, 4000, 4001)),
        ("ssh://me@[::1]:2222/4000/4001", SshHost("::1", "me", 2222, 4000, 4001)),
        ("ssh://me@corp@worker", SshHost("worker", "me@corp")),
        ("grpc://worker", GrpcHost("worker")),
        ("grpc://worker:4000", GrpcHost("worker", 4000)),
        ("grpcs://[::1]:4000", GrpcHost("::1", 4000, tls=True)),
    ],
)
def test_a_host_of_the_grammar_becomes_its_value(text: str, expected: HostSpec) -> None:
    assert parse_hosts(text) == (expected,)


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "worker:",
        "worker:0",
        "worker:65536",
        "worker:-1",
        "worker:1:2:3",
        "worker:port",
        "worker:\N{ARABIC-INDIC DIGIT ONE}",
        "worker/8",
        "grpc://worker:1:2",
        "grpc://worker/1",
        "grpc://me@worker",
        "worker,lzo",
        "me@worker",
        "-worker",
        "worker-",
        "wor..ker",
        ".worker",
        "300.1.1.1",
        "1.2.3",
        "12",
        "::1",
        "fe80::1:3632",
        "[::1",
        "[::1]x",
        "[]",
        "[worker]",
        "[::1%]",
        "[::1]:3632/4",
        "tcp://",
        "tcp:/worker",
        "http://worker",
        "ssh://",
        "ssh://@worker",
        "ssh://-oProxyCommand=x@worker",
        "ssh://-oProxyCommand=x",
        "ssh://worker:",
        "ssh://worker/",
        "ssh://worker/1/2/3",
        "ssh://worker:22:3632",
        "ssh://me:secret@worker",
        "w\N{LATIN SMALL LETTER O WITH DIAERESIS}rker",
        "a" * 254,
    ],
)
def test_what_is_not_of_the_grammar_is_named_with_its_source(entry: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        parse_hosts(f"good {entry or 'tcp://'} good", "/etc/some.toml: hosts")
    assert str(error.value).startswith("/etc/some.toml: hosts: host '")
    assert (entry or "tcp://") in str(error.value)


def test_any_white_space_separates_and_duplicates_go_in_order() -> None:
    hosts = parse_hosts("\n b\t a:3632 \r\n tcp://b:3632:3633\v\fA  ssh://a localhost 127.0.0.1\n")
    assert [host.text for host in hosts] == ["b", "a:3632", "ssh://a", "localhost"]


def test_no_text_is_no_hosts() -> None:
    assert parse_hosts(" \n\t ") == ()


def test_addresses_for_distcc_have_brackets_around_ipv6_only() -> None:
    (six, name) = parse_hosts("[::1]:1:2 worker:3:4")
    assert isinstance(six, TcpHost)
    assert isinstance(name, TcpHost)
    assert (six.distcc_address, name.distcc_address) == ("[::1]:1", "worker:3")


ports = st.integers(1, 65535)
labels = st.from_regex(r"\A[a-z]([a-z0-9-]{0,20}[a-z0-9])?\Z")
names = st.lists(labels, min_size=1, max_size=4).map(".".join).filter(lambda name: name != "localhost")
addresses = st.one_of(
    names,
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda ip: f"[{ip}]"),
)


@given(hostname=addresses, distcc_port=st.none() | ports, stats_port=st.none() | ports, scheme=st.booleans())
def test_every_tcp_host_of_the_grammar_is_read_as_it_was_written(
    hostname: str, distcc_port: int | None, stats_port: int | None, scheme: bool
) -> None:
    text = ("tcp://" if scheme else "") + hostname
    if distcc_port is not None:
        text += f":{distcc_port}" + (f":{stats_port}" if stats_port is not None else "")
    (host,) = parse_hosts(text)
    assert isinstance(host, TcpHost)
    if hostname.startswith("["):
        assert ipaddress.ip_address(host.hostname) == ipaddress.ip_address(hostname.strip("[]"))
    else:
        assert host.hostname == hostname
    assert host.distcc_port == (distcc_port or 3632)
    assert host.stats_port == (stats_port if distcc_port is not None and stats_port is not None else 3633)


@given(st.text())
def test_any_text_is_either_hosts_or_a_configuration_error(text: str) -> None:
    try:
        hosts = parse_hosts(text)
    except ConfigurationError:
        return
    assert all(not host.hostname.startswith("-") and not host.hostname.isspace() for host in hosts)
