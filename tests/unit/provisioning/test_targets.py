"""From HOST arguments and the inventory to what is worked on, and to the entries that are printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from distcc_common.errors import ConfigurationError
from provisioning.daemon_kinds import DISTPLUSPLUSD, kind_of, ports_of
from provisioning.provision import require_clients
from provisioning.targets import Target, find_targets

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7y alice@desk\n"


@pytest.fixture
def farm(tmp_path: Path) -> str:
    path = tmp_path / "farm.toml"
    path.write_text(
        '[defaults]\nallow = ["192.0.2.0/24"]\n'
        "[hosts.worker-1]\n"
        '[hosts.worker-2]\nhost = "ssh://t@worker-2:2200/4000/4001"\nssh = "root@10.0.0.2"\njobs = 3\n'
        '[hosts.worker-3]\nhost = "ssh://t@worker-3:2200"\n'
        '[groups]\nfarm = ["worker-1", "worker-2"]\n'
    )
    return str(path)


def one(word: str, **options: object) -> Target:
    (target,) = find_targets([word], None, None, options, {})
    return target


def test_a_word_is_what_ssh_takes() -> None:
    assert one("worker-1").destination == "worker-1"
    assert one("admin@worker-1:2200").destination == "admin@worker-1:2200"
    assert one("admin@worker-1:2200").spec.hostname == "worker-1"
    assert one("[2001:db8::1]:2200").spec.hostname == "2001:db8::1"


@pytest.mark.parametrize("scheme", ["grpc", "grpcs"])
def test_a_worker_may_run_distplusplusd(scheme: str, tmp_path: Path) -> None:
    target = one(f"{scheme}://worker-1", allow=["192.0.2.1"])
    assert (target.destination, kind_of(target.spec)) == ("worker-1", DISTPLUSPLUSD)
    assert target.entries("10.0.0.1") == (f"{scheme}://10.0.0.1",)
    assert one(f"{scheme}://w:4000", allow=["192.0.2.1"]).entries("2001:db8::1") == (f"{scheme}://[2001:db8::1]:4000",)
    path = tmp_path / "farm.toml"
    path.write_text(f'[hosts.w]\nhost = "{scheme}://worker-9:4000"\nssh = "admin@10.0.0.9:2200"\n')
    (listed,) = find_targets(["w"], None, str(path), {}, {})
    assert listed.destination == "admin@10.0.0.9:2200"
    assert listed.entries("10.0.0.9") == (f"{scheme}://worker-9:4000",)


def test_clients_must_be_named_and_distplusplusd_has_no_tunnels(tmp_path: Path) -> None:
    key = tmp_path / "key.pub"
    key.write_text(KEY)
    for word in ("worker-1", "grpc://worker-1"):
        with pytest.raises(ConfigurationError, match=rf"^{word}: who may compile there"):
            require_clients(one(word))
    with pytest.raises(ConfigurationError, match=r"^grpc://w: distplusplusd has no tunnels"):
        require_clients(one("grpc://w", allow=["192.0.2.1"], tunnel_keys=[str(key)]))


def test_a_word_may_be_an_entry_of_the_driver() -> None:
    target = one("tcp://worker-1:4000:4001", allow=["192.0.2.1"])
    assert (target.destination, ports_of(target.spec)) == ("worker-1", (4000, 4001))
    assert target.entries("10.0.0.1") == ("tcp://10.0.0.1:4000:4001",)
    assert one("ssh://t@worker-1:2200").destination == "worker-1:2200"


def test_the_inventory_knows_where_to_log_in_and_what_to_make(farm: str) -> None:
    first, second = find_targets([], "farm", farm, {}, {})
    assert (first.destination, first.settings.allow) == ("worker-1", ("192.0.2.0/24",))
    assert (second.destination, second.settings.jobs) == ("root@10.0.0.2", 3)
    assert second.entries("10.0.0.2") == ("ssh://t@worker-2:2200/4000/4001",)
    (third,) = find_targets(["worker-3"], None, farm, {}, {})
    # The user of an ssh:// entry is the one of its tunnels.
    assert third.destination == "worker-3:2200"


def test_options_go_before_the_inventory_and_a_host_counts_once(farm: str) -> None:
    targets = find_targets(["worker-1", "other"], "farm", farm, {"jobs": 7}, {})
    assert [target.name for target in targets] == ["worker-1", "worker-2", "other"]
    assert {target.settings.jobs for target in targets} == {7}
    assert targets[2].settings.allow == ("192.0.2.0/24",)


def test_entries_are_by_address_over_tcp_and_by_name_over_ssh(tmp_path: Path) -> None:
    key = tmp_path / "key.pub"
    key.write_text(KEY)
    both = one("admin@worker-1:2200", allow=["192.0.2.1"], tunnel_keys=[str(key)])
    assert both.entries("10.0.0.1") == ("tcp://10.0.0.1", "ssh://distcc-tunnel@worker-1:2200")
    assert both.entries("10.0.0.1", ("distcc", 2222))[1] == "ssh://distcc@worker-1:2222"
    assert one("worker-1", allow=["192.0.2.1"]).entries("2001:db8::1") == ("tcp://[2001:db8::1]",)
    assert one("worker-1", tunnel_keys=[str(key)]).entries("10.0.0.1") == ("ssh://distcc-tunnel@worker-1",)


def test_no_hosts_and_no_inventory_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no hosts: name some"):
        find_targets([], None, None, {}, {})
    with pytest.raises(ConfigurationError, match=r"inventory.toml: the inventory cannot be read"):
        find_targets([], "farm", None, {}, {"HOME": str(tmp_path)})
    with pytest.raises(ConfigurationError, match="--group farm: there is no inventory"):
        find_targets([], "farm", None, {}, {})
    with pytest.raises(ConfigurationError, match="'a/b' is not a host name"):
        find_targets(["a/b"], None, None, {}, {})
