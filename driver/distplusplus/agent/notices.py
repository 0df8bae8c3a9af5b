"""The agent's messages: all go to its log; the build is told what its log level lets through, once a minute."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Final

from distcc_common.messages import printable
from distplusplus.agent.agent_settings import LOG_LEVELS
from distplusplus.agent.launcher_link import LauncherLink

_REPEAT_S: Final = 60.0
_MAX_REMEMBERED: Final = 1000
_MAX_LENGTH: Final = 900


class Notices:
    """`log_level`: the least severity that is written to the log, which is standard error of the agent."""

    def __init__(self, log_level: str = "info") -> None:
        self._least = LOG_LEVELS.index(log_level)
        self._said_s: dict[str, float] = {}
        self._undelivered: list[str] = []

    def log(self, level: str, text: str) -> None:
        text = printable(text)
        if LOG_LEVELS.index(level) >= self._least:
            # A full disk must not cost a compile.
            with contextlib.suppress(OSError):
                print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {level}: {text}", file=sys.stderr, flush=True)

    def tell(self, level: str, text: str, link: LauncherLink, least: str) -> None:
        """Tells the build through one launcher, unless any launcher was told the same within a minute."""
        text = printable(text)  # much of it comes from other machines
        if LOG_LEVELS.index(level) < LOG_LEVELS.index(least):
            self.log(level, text)
            return
        now_s = time.monotonic()
        if now_s - self._said_s.get(text, -_REPEAT_S) < _REPEAT_S:
            return
        if len(self._said_s) >= _MAX_REMEMBERED:
            self._said_s.clear()
        self._said_s[text] = now_s
        self.log(level, text)
        if not link.say(text[:_MAX_LENGTH]):
            self._undelivered.append(text[:_MAX_LENGTH])

    def catch_up(self, link: LauncherLink) -> None:
        """Tells a launcher what could not be told through one that had ended by then."""
        while self._undelivered and link.say(self._undelivered[0]):
            del self._undelivered[0]
