"""The errors that end a run, and the exit status each one has.

DistccAutoError
|-- ConfigurationError   96  what the user configured or installed cannot work
|-- NoCapacityError      97  no worker, and no local job is allowed or fits in memory
`-- CommandError    126/127  the build command cannot be started (as a shell would say it)

A host that cannot be used is not an error. It is a value (`Refused` in distcc_auto/answers.py), and the build goes on
without it.
"""

from __future__ import annotations

EXIT_CONFIGURATION = 96
EXIT_NO_CAPACITY = 97
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127


class DistccAutoError(Exception):
    """Ends the run with `exit_status`; its text is for the user."""

    exit_status = EXIT_CONFIGURATION


class ConfigurationError(DistccAutoError):
    """Raised when a setting, an option or a missing tool makes the run impossible (exit status 96)."""


class NoCapacityError(DistccAutoError):
    """Raised when there is no worker and no local job may run or fits in memory (exit status 97)."""

    exit_status = EXIT_NO_CAPACITY


class CommandError(DistccAutoError):
    """Raised when the build command is not found (127) or cannot be executed (126)."""

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status
