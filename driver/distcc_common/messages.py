"""Messages to the user, on standard error, each with the program's name in front."""

from __future__ import annotations

import os
import sys
import time

_started_s = time.monotonic()
_tracing = False


def enable_tracing() -> None:
    global _tracing  # noqa: PLW0603  (one switch for one process, set before anything is traced)
    _tracing = True


def is_tracing() -> bool:
    return _tracing


def say(text: str) -> None:
    """One message. A terminal that went away is no reason to fail."""
    if sys.stderr is None:  # closed when we were started
        return
    try:
        sys.stderr.write(f"distcc-auto: {text}\n")
        sys.stderr.flush()
    except OSError:
        # Python would complain again when it flushes at exit.
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def trace(text: str) -> None:
    """One line of tracing, with the time since the start, when --verbose or DCCSH_DEBUG asks for it."""
    if _tracing:
        say(f"[{(time.monotonic() - _started_s) * 1000:7.1f} ms] {text}")
