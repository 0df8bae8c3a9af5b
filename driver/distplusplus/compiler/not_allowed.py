"""A compile that a server does not do, as a value without gRPC. The server's RPC face makes a status of it."""

from __future__ import annotations

from enum import IntEnum


class Reason(IntEnum):
    """The reasons that this package has, with their numbers in the protocol's `Refusal.Reason`."""

    ARGUMENT_NOT_ALLOWED = 9
    NOT_A_COMPILE = 10
    BAD_NAME = 11
    LANGUAGE_NOT_SUPPORTED = 22
    BAD_PATH = 23


class NotAllowedError(Exception):
    """Raised for a command that a server does not run; its text is for a person.

    `subject`: the argument or name that it is about.
    """

    def __init__(self, reason: Reason, message: str, subject: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.subject = subject


def shown(text: str) -> str:
    """`text` in quotes, cut to 100 characters."""
    return repr(text if len(text) <= 100 else text[:97] + "...")
