"""The inventory file: what it may say, what is said of one that may not, and `distcc-auto hosts --inventory`."""

from __future__ import annotations

from pathlib import Path

import pytest

from distcc_auto import inventory
from distcc_auto.commands import hosts as hosts_command
from distcc_auto.hosts import SshHost, TcpHost
from distcc_common.errors import ConfigurationError

FARM = """
[defaults]
allow = ["192.0.2.0/24"]
jobs = 4

[hosts.worker-1]

[hosts.worker-2]
host = "ssh://distcc-tunnel@worker-2:2200"
jobs = 12

[groups]
farm = ["worker-2", "worker-1", "worker-2"]
small = ["worker-1"]
"""


@pytest.fixture
def farm(tmp_path: Path) -> Path:
    path = tmp_path / "farm.toml"
    path.write_text(FARM)
    return path


def test_a_host_is_its_name_or_an_entry_of_the_drivers_grammar(farm: Path) -> None:
    found = inventory.load(str(farm))
    assert found.hosts["worker-1"].spec == TcpHost("worker-1")
    assert found.hosts["worker-2"].spec == SshHost("worker-2", "distcc-tunnel", 2200)


def test_a_hosts_own_settings_go_before_the_defaults(farm: Path) -> None:
    found = inventory.load(str(farm))
    assert found.hosts["worker-1"].settings == {"allow": ["192.0.2.0/24"], "jobs": 4}
    assert found.hosts["worker-2"].settings == {"allow": ["192.0.2.0/24"], "jobs": 12}


def test_a_group_has_its_hosts_once_in_its_own_order(farm: Path) -> None:
    found = inventory.load(str(farm))
    assert [entry.name for entry in found.select("farm")] == ["worker-2", "worker-1"]
    assert [entry.name for entry in found.select()] == ["worker-1", "worker-2"]
    with pytest.raises(ConfigurationError, match=r"no group 'large' \(known: farm, small\)"):
        found.select("large")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hosts = 1", "hosts: expected a table"),
        ("[hosts]\nworker-1 = 'tcp://worker-1'", r"hosts.worker-1: expected a table, for example \[hosts.worker-1\]"),
        ("[hosts.a]\nhost = 'a b'", "hosts.a.host: expected one host, got 'a b'"),
        ("[hosts.a]\nhost = 3", "hosts.a.host: expected one host, got 3"),
        ("[hosts.a]\nhost = 'ftp://a'", "hosts.a.host: host 'ftp://a': unknown scheme"),
        ("[hosts.'a b']", "hosts.a b.host: expected one host"),
        ("[groups]\nfarm = ['a']", r"groups.farm: there is no \[hosts.a\]"),
        ("[groups]\nfarm = 'a'", "groups.farm: expected an array of host names"),
        ("[defaults]\nhost = 'a'", "defaults.host: every host has its own"),
        ("[host.a]", "host: there is no such table"),
        ("[hosts.a", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "farm.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=f"{path}: {message}"):
        inventory.load(str(path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere.toml: the inventory cannot be read: No such file"):
        inventory.load(str(tmp_path / "nowhere.toml"))


def test_the_default_is_beside_the_users_config_and_the_variable_goes_first() -> None:
    assert inventory.default_path({"HOME": "/home/u"}) == "/home/u/.config/distcc-auto/inventory.toml"
    assert inventory.default_path({"HOME": "/home/u", "DISTCC_AUTO_INVENTORY": "/f.toml"}) == "/f.toml"
    assert inventory.default_path({}) is None


def test_hosts_prints_the_entries_of_the_inventory_for_the_variable(
    farm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hosts_command.run(["--inventory", str(farm), "--entries"], {}) == 0
    assert capsys.readouterr().out == "worker-1 ssh://distcc-tunnel@worker-2:2200\n"
    environ = {"DISTCC_AUTO_INVENTORY": str(farm), "DISTCC_AUTO_HOSTS": "other"}
    assert hosts_command.run(["--inventory", "--group", "small", "--entries"], environ) == 0
    assert capsys.readouterr().out == "worker-1\n"
    assert hosts_command.run(["--entries"], environ) == 0
    assert capsys.readouterr().out == "other\n"


def test_hosts_says_what_goes_with_what(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--group goes with --inventory"):
        hosts_command.run(["--group", "farm"], {})
    empty = tmp_path / "empty.toml"
    empty.write_text("")
    with pytest.raises(ConfigurationError, match="no hosts"):
        hosts_command.run(["--inventory", str(empty)], {})
