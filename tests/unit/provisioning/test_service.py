"""The service of a worker: the scripts that start and drain it, for a service of systemd and for a container."""

from __future__ import annotations

import subprocess

import pytest

from provisioning import record, service
from provisioning.host_errors import HostError
from provisioning.record import Record
from tests.unit.provisioning.fake_host import FakeRemote, host

RUNNING = 1  # the status of a check that finds nothing drained


def worker(known: Record | None, **answers: int | str) -> FakeRemote:
    text = record.to_text(known) if known else ""
    remote = FakeRemote({f"cat {record.FILE}": text, **answers})
    remote.open = lambda: ""  # type: ignore[method-assign]
    return remote


def test_a_host_that_is_no_worker_of_ours_is_left_alone() -> None:
    remote = worker(None)
    with pytest.raises(HostError, match="not a worker that `fab provision` or `fab deploy` made"):
        service.drain(host(remote)[0], 10)
    assert len(remote.scripts) == 1


def test_draining_gives_the_limit_to_the_script_of_the_daemon() -> None:
    remote = worker(Record(), **{"! systemctl is-active": RUNNING})
    service.drain(host(remote)[0], 37)
    assert "+ 37))" in remote.scripts[-1]
    assert "LIMIT_S" not in remote.scripts[-1]


def test_a_container_is_stopped_with_the_limit_and_its_name_is_quoted() -> None:
    remote = worker(Record(container="a b"), inspect=RUNNING)
    service.drain(host(remote)[0], 37)
    assert remote.scripts[-1].endswith("stop -t 37 'a b'")


def test_resuming_starts_what_does_not_listen() -> None:
    remote = worker(Record(), **{"is-enabled": RUNNING})
    service.resume(host(remote)[0])
    assert remote.scripts[-1] == service.start_script((3632, 3633))
    remote = worker(Record())
    one, _ = host(remote)
    service.resume(one)
    assert one.changes == []


def test_the_log_of_a_container_is_the_engine_s() -> None:
    remote = worker(Record(container="worker"), **{"logs --tail 5 worker": "a line\n"})
    assert service.last_log_lines(host(remote)[0], 5) == "a line\n"
    assert service.last_log_lines(host(worker(Record()))[0], 5) == "(the log is empty)"


def test_both_scripts_are_good_shell() -> None:
    for script in (service.start_script((3632, 3633)), service.log_command(5), service.listens((3634,))):
        done = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), script
