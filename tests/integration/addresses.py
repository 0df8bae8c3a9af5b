"""Loopback addresses that belong to this test process: pytest-xdist runs several at once, each with its own workers."""

from __future__ import annotations

import os

_PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))

# 127.0.1.1 is the name of the machine itself on Debian, and 127.0.3.x is used by the tests of certificates.
NETWORK = f"127.0.{10 + _PROCESS}."
NOBODY = f"{NETWORK}9"  # no worker is there, unless a test starts one


def loopback(number: int) -> str:
    """The address with that last number in the network of this test process."""
    return f"{NETWORK}{number}"
