"""The two ends of the launcher's protocol are the same."""

from __future__ import annotations

import re

from distplusplus.agent import launcher_link
from distplusplus.agent.launcher_link import Flag, Packet
from tests.launcher_builds import ROOT

_HEADER = (ROOT / "driver" / "launcher" / "launcher.h").read_text()


def test_packets_are_those_of_the_agent() -> None:
    packets: dict[str, str] = dict(re.findall(r"#define PACKET_(\w+) '(.)'", _HEADER))
    assert packets == {packet.name: packet.value.decode() for packet in Packet}
    assert re.findall(r"#define LOCAL_COUNTED '(.)'", _HEADER) == [launcher_link.LOCAL_COUNTED.decode()]


def test_flags_are_those_of_the_agent() -> None:
    flags: dict[str, str] = dict(re.findall(r"#define FLAG_(\w+) (\d+)", _HEADER))
    assert flags == {flag.name: str(flag.value) for flag in Flag}


def test_the_launcher_takes_packets_as_large_as_the_agent_sends() -> None:
    (size,) = re.findall(r"#define MAX_PACKET_BYTES \((\d+) \* 1024\)", _HEADER)
    assert int(size) * 1024 >= launcher_link.MAX_PACKET_BYTES
