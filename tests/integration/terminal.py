"""A shell on a real terminal, as a user has it."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import time

from tests.integration.sandbox import Sandbox

_TIMEOUT_S = 20.0


class Terminal:
    """Runs a command as the session leader of a terminal of its own; a context manager that hangs up."""

    def __init__(self, sandbox: Sandbox, command: tuple[str, ...] = ("bash", "--norc", "--noprofile", "-i")) -> None:
        self.shown = ""
        self._is_open = True
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(sandbox.work)
                os.execvpe(command[0], command, sandbox.environment({"PS1": "$ ", "TERM": "dumb"}))  # noqa: S606
            finally:
                os._exit(127)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()
        os.waitpid(self.pid, 0)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def expect(self, text: str) -> str:
        """Reads until `text` is shown; returns all that was shown up to it, and forgets that."""
        deadline_s = time.monotonic() + _TIMEOUT_S
        while text not in self.shown:
            ready, _, _ = select.select([self._fd], [], [], max(deadline_s - time.monotonic(), 0))
            assert ready, f"no {text!r} on the terminal, but {self.shown!r}"
            self.shown += os.read(self._fd, 4096).decode(errors="replace")
        before, _, self.shown = self.shown.partition(text)
        return before + text

    def hang_up(self) -> None:
        """Closes the terminal, as when its window or its ssh connection goes away."""
        if self._is_open:
            self._is_open = False
            with contextlib.suppress(OSError):
                os.close(self._fd)
