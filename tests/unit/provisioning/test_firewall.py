"""Which rules are opened and closed, and what is written down before that."""

from __future__ import annotations

from provisioning import firewall
from provisioning.record import Record
from tests.unit.provisioning.fake_host import FakeRemote, host

UFW = "ufw 192.0.2.0/24 3632"


def test_without_an_active_firewall_there_are_no_rules() -> None:
    assert firewall.rules("", ["192.0.2.0/24"], [3632]) == ()
    assert firewall.rules("ufw", ["192.0.2.0/24"], [3632, 3633]) == (UFW, "ufw 192.0.2.0/24 3633")


def test_ufw_is_asked_in_the_words_it_answers_with() -> None:
    assert "from 192.0.2.7 to any port 3632 proto tcp comment 'distcc-worker'" in firewall.check(
        "ufw 192.0.2.7/32 3632"
    )
    assert firewall.open_command(UFW) == (
        "ufw allow proto tcp from 192.0.2.0/24 to any port 3632 comment distcc-worker"
    )
    assert firewall.close_command(UFW) == "ufw delete allow proto tcp from 192.0.2.0/24 to any port 3632"


def test_firewalld_is_changed_now_and_for_the_next_boot() -> None:
    command = firewall.open_command("firewalld 2001:db8::/32 3632")
    now, later = command.split(" && ")
    assert 'family="ipv6" source address="2001:db8::/32" port port="3632"' in now
    assert "--permanent" not in now
    assert "--permanent --add-rich-rule" in later


def test_what_was_open_already_is_not_ours_and_what_is_opened_is_written_down_first() -> None:
    remote = FakeRemote({'show added | grep -qxF "ufw allow from 192.0.2.0/24 to any port 3633': 0, "show added": 1})
    one, said = host(remote)
    known = firewall.ensure(one, Record(), (UFW, "ufw 192.0.2.0/24 3633"))
    assert known.firewall == (UFW,)
    assert said == [f"changed: firewall open: {UFW}"]
    saved = next(index for index, script in enumerate(remote.scripts) if "provisioned.json" in script)
    opened = next(index for index, script in enumerate(remote.scripts) if script.startswith("ufw allow"))
    assert saved < opened


def test_a_client_that_is_no_longer_allowed_is_closed_out() -> None:
    remote = FakeRemote({"! {": 1})
    one, said = host(remote)
    known = firewall.ensure(one, Record(firewall=(UFW,)), ())
    assert said == [f"changed: firewall closed: {UFW}"]
    assert known.firewall == ()
