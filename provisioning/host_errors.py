"""What can fail on one host, without an effect on the others.

HostError
|-- UnreachableError   no ssh connection, or an unknown host key
|-- RefusedText        text that must not reach a shell, a unit or a configuration file
`-- CommandFailed      a command on the host, with its exit code and the last lines of its output
"""

from __future__ import annotations

_TAIL_LINES = 12


class HostError(Exception):
    """Raised when the work on one host cannot go on; its text says what happened and what to do."""


class UnreachableError(HostError):
    """Raised when ssh cannot reach the host, or must not trust it."""


class RefusedText(HostError, ValueError):
    """Raised for text that has no place in a command, a unit or a configuration file."""


class CommandFailed(HostError):
    """Raised when a command on the host fails, or does not end in time (`exit_code` is None)."""

    def __init__(self, phase: str, command: str, exit_code: int | None, output: str, remedy: str = "") -> None:
        self.phase = phase
        self.command = command
        self.exit_code = exit_code
        self.tail = tuple(output.rstrip().splitlines()[-_TAIL_LINES:])
        self.remedy = remedy
        super().__init__(self._text())

    def _text(self) -> str:
        how = "did not end in time" if self.exit_code is None else f"exit code {self.exit_code}"
        lines = [f"{self.phase}: {how}", *(f"  $ {line}" for line in self.command.strip().splitlines())]
        lines += [f"  | {line}" for line in self.tail or ("(no output)",)]
        if self.remedy:
            lines.append(f"  ({self.remedy})")
        return "\n".join(lines)
