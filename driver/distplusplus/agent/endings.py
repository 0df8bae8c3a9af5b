"""How a job ends that no server has done."""

from __future__ import annotations


class GoHomeError(Exception):
    """Raised when a compile that was to be done elsewhere is done here after all; its text tells why."""


class FailedError(Exception):
    """Raised when the compile ends with an exit status of ours: no server, and `fallback = fail`."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status
