"""Which steps an upgrade takes, in which order; the container tests show that they work."""

from __future__ import annotations

import pytest

from provisioning import render
from provisioning.host_settings import HostSettings
from provisioning.record import to_text
from provisioning.upgrade import upgrade
from tests.unit.provisioning.fake_host import FakeRemote, host
from tests.unit.provisioning.test_worker_unit import KNOWN, OLD_UNIT, SERVER

TODAYS_UNIT = render.unit(render.distplusplusd("/usr/bin/python3", (4000,), KNOWN), (), log_namespace=True)
FILE = f"changed: {render.UNIT_FILE}"


class Worker(FakeRemote):
    """A distplusplusd worker with today's packages and software, with `unit`, and drained or not."""

    def __init__(self, unit: str, is_drained: bool = False) -> None:
        self.unit = unit
        self.is_drained = is_drained
        super().__init__(
            {
                "provisioned.json": to_text(SERVER),
                "os-release": "os_id=debian\ninit=systemd\nsystemd=252\ncpus=2\nmemory_kib=4194304\n",
                "sys.executable": "/usr/bin/python3 3.11 x86_64 glibc 2.36\n",
                f"mv {render.UNIT_FILE}.new": self._write,
                f"cmp -s - {render.UNIT_FILE}": 0 if unit == TODAYS_UNIT else 1,
                f"cat {render.UNIT_FILE}": unit,
                "systemctl disable": self._drain,
                "systemctl restart": self._start,
                # Whether the service is down, and whether it is up.
                "! systemctl is-active": 0 if is_drained else 1,
                "systemctl is-enabled": 1 if is_drained else 0,
                "echo /usr/libexec": "/usr/libexec/distplusplus itself gcc",
            }
        )

    def open(self) -> str:
        return "192.0.2.1"

    def _write(self) -> str:
        assert self.is_drained
        self.unit = TODAYS_UNIT
        return ""

    def _drain(self) -> str:
        self.is_drained = True
        self.answers |= {"systemctl is-enabled": 1}
        return ""

    def _start(self) -> str:
        assert self.unit == TODAYS_UNIT
        self.is_drained = False
        return ""


def upgraded(worker: Worker) -> list[str]:
    one, said = host(worker)
    upgrade(one, HostSettings(), 5)
    return said


def test_a_worker_that_has_everything_is_left_alone() -> None:
    assert upgraded(Worker(TODAYS_UNIT)) == []


def test_a_unit_of_the_release_before_is_replaced_while_the_worker_is_drained() -> None:
    worker = Worker(OLD_UNIT)
    assert upgraded(worker) == ["changed: drained", FILE, f"changed: {render.UNIT} enabled and started"]
    assert not worker.is_drained


@pytest.mark.parametrize("unit", [OLD_UNIT, TODAYS_UNIT])
def test_a_drained_worker_stays_drained(unit: str) -> None:
    worker = Worker(unit, is_drained=True)
    assert upgraded(worker) == [FILE] * (unit == OLD_UNIT)
    assert worker.is_drained
