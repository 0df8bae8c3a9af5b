from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from distcc_auto.hosts import SshHost
from distcc_auto.reach.ssh.local_ends import LocalEnd, local_ends, other_ports


@given(st.lists(st.text(), min_size=1, max_size=50))
def test_every_host_gets_a_loopback_address_of_its_own(texts: list[str]) -> None:
    ends = list(local_ends([SshHost("w", text=text) for text in texts]))
    assert len({end.address for end in ends}) == len(texts)
    assert all(ipaddress.ip_address(end.address) in ipaddress.ip_network("127.64.0.0/10") for end in ends)


def test_the_address_is_the_same_in_every_build() -> None:
    host = SshHost("w", text="ssh://w")
    (first,), (second,) = local_ends([host]), local_ends([host])
    assert first.address == second.address


def test_ports_differ_and_leave_the_outgoing_ones_alone() -> None:
    for _ in range(100):
        end = other_ports(LocalEnd("127.64.0.1", 0, 0))
        assert 10000 <= end.distcc_port < end.stats_port < 32768
