"""The way to a host is the one that OpenSSH would take, and a key that nobody accepted is refused."""

from __future__ import annotations

from pathlib import Path

import paramiko
import pytest
from fabric import Config, Connection

from provisioning.connect import connect, split_port
from provisioning.host_errors import UnreachableError


@pytest.fixture
def ssh_config(tmp_path: Path) -> str:
    (tmp_path / "more").write_text(
        "Host worker-1\n  HostName 192.0.2.7\n  User admin\n  Port 2200\n  ProxyJump jump-1,root@jump-2:2222\n"
    )
    path = tmp_path / "config"
    path.write_text(
        f"Include {tmp_path}/more\nHost jump-1\n  HostName 192.0.2.1\n  User door\n"
        f"Host *\n  User nobody-else\n  IdentityFile {tmp_path}/key\n  IdentityFile {tmp_path}/none\n"
        f"  UserKnownHostsFile {tmp_path}/known\n  GlobalKnownHostsFile none\n  IdentitiesOnly yes\n"
    )
    (tmp_path / "key").write_text("")
    return str(path)


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        ("worker-1", ("worker-1", None)),
        ("admin@worker-1:2200", ("admin@worker-1", 2200)),
        ("[2001:db8::1]:2200", ("2001:db8::1", 2200)),
        ("admin@[2001:db8::1]", ("admin@2001:db8::1", None)),
        ("2001:db8::1", ("2001:db8::1", None)),
    ],
)
def test_destinations(destination: str, expected: tuple[str, int | None]) -> None:
    assert split_port(destination) == expected


def test_alias_user_port_key_and_include_count(ssh_config: str, tmp_path: Path) -> None:
    connection = connect("worker-1", Config(), ssh_config)
    assert (connection.host, connection.user, connection.port) == ("192.0.2.7", "admin", 2200)
    assert connection.connect_kwargs["key_filename"] == [str(tmp_path / "key")]
    assert connection.connect_kwargs["allow_agent"] is False
    assert connect("root@worker-1:22", Config(), ssh_config).user == "root"


def test_jump_hosts_are_chained_in_their_order(ssh_config: str) -> None:
    second = connect("worker-1", Config(), ssh_config).gateway
    assert isinstance(second, Connection)
    assert (second.host, second.user, second.port) == ("jump-2", "root", 2222)
    assert isinstance(second.gateway, Connection)
    assert (second.gateway.host, second.gateway.user) == ("192.0.2.1", "door")
    assert not second.gateway.gateway


def test_an_unknown_key_is_refused_with_the_command_that_accepts_it(ssh_config: str) -> None:
    connection = connect("admin@worker-1:2200", Config(), ssh_config)
    key = paramiko.ECDSAKey.generate()
    policy = connection.client._policy
    with pytest.raises(UnreachableError) as raised:
        policy.missing_host_key(connection.client, "[192.0.2.7]:2200", key)
    text = str(raised.value)
    assert f"ecdsa-sha2-nistp256 {key.fingerprint}" in text
    assert "/etc/ssh/ssh_host_ecdsa_key.pub" in text
    assert f"ssh -F {ssh_config} -p 2200 -- admin@worker-1 exit" in text


def test_the_jump_hosts_refuse_as_well(ssh_config: str) -> None:
    gateway = connect("worker-1", Config(), ssh_config).gateway
    with pytest.raises(UnreachableError, match="host key is not known"):
        gateway.client._policy.missing_host_key(gateway.client, "jump-2", paramiko.ECDSAKey.generate())


def test_known_hosts_are_those_of_ssh_config(ssh_config: str, tmp_path: Path) -> None:
    key = paramiko.ECDSAKey.generate()
    (tmp_path / "known").write_text(f"[192.0.2.7]:2200 {key.get_name()} {key.get_base64()}\n")
    client = connect("worker-1", Config(), ssh_config).client
    assert client._system_host_keys.check("[192.0.2.7]:2200", key)


def test_what_ssh_does_not_understand_is_told(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("Host *\n  Prot 22\n")
    with pytest.raises(UnreachableError, match=r"ssh does not understand 'worker-1': .*Bad configuration option: prot"):
        connect("worker-1", Config(), str(path))
