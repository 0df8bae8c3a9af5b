"""What a way of reaching hosts offers. A further kind of host needs another one of these, and a line in open.py.

Only type checkers import this module: typing costs 3 ms, for which a build would wait.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from distcc_auto.answers import Answer, Refused
from distcc_auto.hosts import HostSpec, TcpHost

# Takes the workers' answers and returns them, some of them replaced by what this way of reaching them knows better.
Judge = Callable[[list[Answer]], list[Answer]]


class Reach(Protocol):
    """One way of reaching hosts; it is up while the build runs."""

    @property
    def pids(self) -> tuple[int, ...]:
        """Our processes that must outlive those of the build."""

    def place(self, host: HostSpec) -> TcpHost | Refused:
        """The address of the host, or why it has none."""

    def watch(self, places: Sequence[TcpHost]) -> AbstractContextManager[Judge]:
        """Entered before the workers at `places` are asked, some of which may be reached in other ways.

        What it yields is called with all their answers.
        """
