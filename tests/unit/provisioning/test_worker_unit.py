"""The unit as a host gets it, and as an upgrade makes it anew from the one that is there."""

from __future__ import annotations

import pytest

from provisioning import render, worker_unit
from provisioning.facts import parse
from provisioning.host_errors import HostError
from provisioning.record import Record
from tests.unit.provisioning.fake_host import FakeRemote, host

FACTS = parse("os_id=debian\ninit=systemd\nsystemd=252\ncpus=2\nmemory_kib=4194304\n")
# As the release before this one rendered it.
OLD_UNIT = """\
# Written by distcc-auto's `fab provision`, and again each time it runs.
[Unit]
Description=distcc worker: distplusplusd

[Service]
ExecStart=/usr/bin/python3 -m distcc_auto.distplusplus.server.main --log-level info --listen-address 0.0.0.0:4000 \
--jobs 7 --compiler-dir /usr/local/lib/distcc-worker --compiler-dir /usr/libexec/distplusplus --allow 192.0.2.0/24 \
--allow 2001:db8::/32 --tls-certificate /etc/distcc-worker/tls/server.crt \
--tls-key /run/credentials/distcc-worker.service/server.key
Type=notify
Nice=12
"""
SERVER = Record(daemon="distplusplusd", ports=(4000,))
KNOWN = render.UnitSettings(7, 12, ("192.0.2.0/24", "2001:db8::/32"), has_tls=True)


def test_a_unit_of_the_release_before_keeps_its_settings_and_starts_todays_module() -> None:
    one, said = host(FakeRemote({f"cat {render.UNIT_FILE}": OLD_UNIT}))
    text = worker_unit.again(one, FACTS, SERVER)
    assert text == render.unit(render.distplusplusd("/usr/bin/python3", (4000,), KNOWN), (), log_namespace=True)
    assert "-m distplusplus.server " in text
    assert said == []
    assert "ExecStart=/opt/python3 -m" in worker_unit.again(one, FACTS, SERVER, "/opt/python3")


def test_distccds_unit_is_rendered_again_as_it_was() -> None:
    settings = render.UnitSettings(3, 10, ("192.0.2.0/24",))
    present = render.unit(render.distccd("/usr/bin/distccd", (3632, 3633), settings), (), log_namespace=True)
    one, _ = host(FakeRemote({f"cat {render.UNIT_FILE}": present}))
    assert worker_unit.again(one, FACTS, Record()) == present


@pytest.mark.parametrize("text", ["", "[Service]\nExecStart=/bin/true\n", OLD_UNIT.replace("Nice=12", "Nice=low")])
def test_a_unit_that_is_not_ours_is_refused_with_the_command_that_writes_it(text: str) -> None:
    one, _ = host(FakeRemote({f"cat {render.UNIT_FILE}": text}))
    with pytest.raises(HostError, match="run that"):
        worker_unit.again(one, FACTS, SERVER)


def test_what_systemd_there_refuses_is_left_out_with_a_warning_and_nothing_else_is_believed() -> None:
    one, said = host(FakeRemote({"while read": "ProtectProc=invisible\nExecStartPre=/bin/evil\n", "systemd-run": 1}))
    text = worker_unit.text(one, FACTS, SERVER.kind, "/usr/bin/python3", (4000,), KNOWN)
    assert "\nProtectProc=invisible\n" not in text
    assert "evil" not in text
    assert said == ["warning: systemd there refuses ProtectProc=invisible: the service runs without it"]


def test_a_program_that_cannot_stand_in_a_unit_is_refused() -> None:
    one, _ = host(FakeRemote({}))
    with pytest.raises(HostError, match="cannot stand in a unit"):
        worker_unit.text(one, FACTS, SERVER.kind, "/opt/a\nExecStartPre=/bin/evil", (4000,), KNOWN)
