"""The two ends of the launcher's protocol are the same."""

from __future__ import annotations

import re

from distplusplus.agent import launcher_link
from tests.launcher_builds import ROOT

_HEADER = (ROOT / "driver" / "launcher" / "launcher.h").read_text()
# The names differ in a few places, since each end names a packet as it sees it.
_NAMES = {"FILE": "WRITE_FILE", "ERROR": "ERRORS", "VERSION": "OTHER_VERSION"}


def test_packets_are_those_of_the_agent() -> None:
    packets: dict[str, str] = dict(re.findall(r"#define PACKET_(\w+) '(.)'", _HEADER))
    assert len(packets) == 12
    for name, kind in packets.items():
        assert getattr(launcher_link, _NAMES.get(name, name)) == kind.encode(), name
    assert re.findall(r"#define LOCAL_COUNTED '(.)'", _HEADER) == [launcher_link.HOLD.decode()]


def test_flags_are_those_of_the_agent() -> None:
    flags: dict[str, str] = dict(re.findall(r"#define (FLAG_\w+) (\d+)", _HEADER))
    assert len(flags) == 3
    for name, value in flags.items():
        assert getattr(launcher_link, name) == int(value), name


def test_the_launcher_takes_packets_as_large_as_the_agent_sends() -> None:
    (size,) = re.findall(r"#define MAX_PACKET_BYTES \((\d+) \* 1024\)", _HEADER)
    assert int(size) * 1024 >= launcher_link.MAX_PACKET_BYTES
