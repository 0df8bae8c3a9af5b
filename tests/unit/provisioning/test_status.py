"""The answer of the status script."""

from __future__ import annotations

import pytest

from provisioning.status import Status, documents, parse

RUNNING = """active=active
enabled=enabled
jobs=8
daemon=distccd 3.4
compiler=gcc 12.2.0
compiler=clang 14.0.6
load=1.25
cpus=8
disk_free_mib=51200
"""


def test_a_running_worker() -> None:
    expected = Status("running", "distccd 3.4", ("gcc 12.2.0", "clang 14.0.6"), 8, 1.25, 8, 51200)
    assert parse(RUNNING) == expected
    (document,) = documents([("worker-1", expected)])
    assert set(document) == {"host", "service", "daemon", "compilers", "jobs", "load", "cpus", "disk_free_mib"}


@pytest.mark.parametrize(
    ("old", "new", "service"),
    [
        ("active=active\nenabled=enabled", "active=inactive\nenabled=disabled", "drained"),
        ("active=active\nenabled=enabled", "active=failed\nenabled=enabled", "failed"),
        ("active=active\nenabled=enabled", "active=activating\nenabled=enabled", "failed"),
        ("active=active\nenabled=enabled", "active=inactive\nenabled=enabled", "stopped"),
        ("active=active\nenabled=enabled\njobs=8\n", "", "none"),
        ("active=active\nenabled=enabled\njobs=8\n", "container=running\n", "container running"),
        ("active=active\nenabled=enabled\njobs=8\n", "container=exited\n", "container drained"),
        ("active=active\nenabled=enabled\njobs=8\n", "container=\n", "container missing"),
    ],
)
def test_what_the_service_is(old: str, new: str, service: str) -> None:
    assert parse(RUNNING.replace(old, new)).service == service
