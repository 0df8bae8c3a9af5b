"""What can go wrong with one host. The other hosts go on.

HostError
|-- UnreachableError   no ssh connection, or a host key that is not known
`-- CommandFailed      a command on the host, with its exit code and the last lines of its output
"""

from __future__ import annotations

_TAIL_LINES = 12


class HostError(Exception):
    """Raised when one host cannot be worked on; its text says what happened and what to do."""


class UnreachableError(HostError):
    """Raised when there is no ssh connection to the host that may be used."""


class CommandFailed(HostError):
    """Raised when a command on the host ends with another status than 0, or not in time (`exit_code` is None)."""

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
