"""What a worker may be asked to be, above all who may compile there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distcc_common.errors import ConfigurationError
from provisioning.host_settings import HostSettings, checked_settings, default_jobs, default_nice

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7y alice@desk"


def test_nobody_is_let_in_unless_named() -> None:
    assert checked_settings({}, "options") == HostSettings(allow=(), tunnel_keys=(), compilers=("gcc",))


@pytest.mark.parametrize("world", ["0.0.0.0/0", "::/0"])
def test_the_whole_world_is_refused(world: str) -> None:
    with pytest.raises(ConfigurationError, match=r"options: allow: .* lets everybody in"):
        checked_settings({"allow": [world]}, "options")


def test_clients_are_addresses_networks_or_this_machine() -> None:
    settings = checked_settings({"allow": ["192.0.2.7", "2001:db8::/32", "this-machine"]}, "options")
    assert settings.allow == ("192.0.2.7/32", "2001:db8::/32", "this-machine")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"allow": ["worker-1"]}, "allow: 'worker-1' does not appear to be an IPv4 or IPv6 network"),
        ({"allow": ["192.0.2.7/24"]}, "allow: 192.0.2.7/24 has host bits set"),
        ({"allow": ["192.0.2.1; reboot"]}, "allow: "),
        ({"allow": "192.0.2.7"}, "allow: expected an array of strings"),
        ({"jobs": 0}, "jobs: expected a whole number from 1 to 4096"),
        ({"jobs": True}, "jobs: expected a whole number"),
        ({"nice": 20}, "nice: expected a whole number from 0 to 19"),
        ({"compilers": ["gcc-12; reboot"]}, "compilers: 'gcc-12; reboot' is none of"),
        ({"ssh": "-oProxyCommand=evil"}, "ssh: expected"),
        ({"job": 4}, "job: unknown setting"),
    ],
)
def test_what_is_wrong_is_named(table: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"where: {message}"):
        checked_settings(table, "where")


def test_public_keys_are_read_and_private_ones_refused(tmp_path: Path) -> None:
    public = tmp_path / "keys.pub"
    public.write_text(f"# of the team\n{KEY}\n\n{KEY}\n")
    assert checked_settings({"tunnel_keys": [str(public)]}, "options").tunnel_keys == (KEY,)
    private = tmp_path / "key"
    private.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n")
    with pytest.raises(ConfigurationError, match="has a private key") as raised:
        checked_settings({"tunnel_keys": [str(private)]}, "options")
    assert "secret" not in str(raised.value)
    with pytest.raises(ConfigurationError, match="No such file"):
        checked_settings({"tunnel_keys": [str(tmp_path / "none")]}, "options")


def test_options_in_front_of_a_key_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.pub"
    path.write_text(f'command="id" {KEY}\n')
    with pytest.raises(ConfigurationError, match="has a line that is not a public key"):
        checked_settings({"tunnel_keys": [str(path)]}, "options")


@given(cpus=st.integers(1, 4096), memory_mib=st.integers(1, 1 << 24))
def test_jobs_never_exceed_cpus_or_memory_and_are_at_least_one(cpus: int, memory_mib: int) -> None:
    jobs = default_jobs(cpus, memory_mib)
    assert 1 <= jobs <= cpus
    assert jobs == 1 or jobs * 512 <= memory_mib
    assert 0 < default_nice(cpus, memory_mib) < 20


def test_niceness_grows_as_the_machine_shrinks() -> None:
    assert [default_nice(64, 131072), default_nice(8, 16384), default_nice(2, 4096)] == [5, 10, 15]
