"""What differs between the daemons of a worker."""

from __future__ import annotations

import subprocess

import pytest

from distcc_auto.hosts import parse_hosts
from provisioning import daemon_kinds
from provisioning.daemon_kinds import DISTCCD, DISTPLUSPLUSD, KINDS, DaemonKind


@pytest.mark.parametrize(
    ("entry", "kind", "ports"),
    [
        ("worker-1", DISTCCD, (3632, 3633)),
        ("worker-1:4000:4001", DISTCCD, (4000, 4001)),
        ("ssh://worker-1/4000", DISTCCD, (4000, 3633)),
        ("grpc://worker-1", DISTPLUSPLUSD, (3634,)),
        ("grpcs://worker-1:4000", DISTPLUSPLUSD, (4000,)),
    ],
)
def test_an_entry_names_its_daemon_and_ports(entry: str, kind: DaemonKind, ports: tuple[int, ...]) -> None:
    (spec,) = parse_hosts(entry)
    assert daemon_kinds.kind_of(spec) is kind
    assert daemon_kinds.ports_of(spec) == ports
    assert len(ports) == len(kind.usual_ports)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_its_scripts_are_good_shell(kind: DaemonKind) -> None:
    for script in (kind.links, kind.version, kind.drain.replace("LIMIT_S", "5"), f"stat {kind.program}"):
        done = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), script
    assert "LIMIT_S" in kind.drain
