"""One address does not use up the connections of the others."""

from __future__ import annotations

import os
import resource
import socket
from contextlib import ExitStack

from distplusplus.server.connections import raise_descriptor_limit, shut_down_excess


def is_open(connection: socket.socket) -> bool:
    connection.settimeout(0.01)
    try:
        return connection.recv(1) != b""
    except TimeoutError:
        return True


def test_connections_above_a_share_are_ended_and_no_others() -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        other = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]

        def connect(host: str, count: int, to: socket.socket = listener) -> list[socket.socket]:
            made = []
            for _ in range(count):
                address = to.getsockname()
                made.append(stack.enter_context(socket.create_connection(address, source_address=(host, 0))))
                stack.enter_context(to.accept()[0])
            return made

        polite = connect("127.0.0.3", 2)
        greedy = connect("127.0.0.2", 8)
        elsewhere = connect("127.0.0.2", 6, other)
        before = os.listdir("/proc/self/fd")
        assert shut_down_excess({port}, 10) == {}
        assert os.listdir("/proc/self/fd") == before
        assert shut_down_excess({port}, 5) == {"127.0.0.2": 3}
        assert [is_open(one) for one in greedy].count(True) == 5
        assert all(is_open(one) for one in polite + elsewhere)


def test_the_limit_of_descriptors_is_raised_to_what_is_allowed() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[0], 1000), before[1]))
    try:
        most = raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
        assert 64 <= most <= 10_000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
