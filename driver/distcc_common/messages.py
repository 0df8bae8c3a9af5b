"""Messages to the user, on standard error, each with the program's name in front."""

from __future__ import annotations

import os
import sys
import time

_started_s = time.monotonic()
_tracing = False
# Our own messages may have lines and columns. A peer's words lose theirs before they become part of a message.
_LAYOUT = "\n\t"


def enable_tracing() -> None:
    global _tracing  # noqa: PLW0603  (one switch for one process, set before anything is traced)
    _tracing = True


def is_tracing() -> bool:
    return _tracing


def printable(text: str, keep: str = "") -> str:
    """`text` with what could steer a terminal as escapes; the characters in `keep` stay.

    Whatever comes from another machine goes through here before a person sees it: control characters, and those that
    turn the direction of writing, would otherwise move the cursor, hide words or make others up.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in keep else letter.encode("unicode_escape").decode()
        for letter in text
    )


def say(text: str) -> None:
    """Writes one message, which may have several lines. A terminal that has gone away is no reason to fail."""
    if sys.stderr is None:  # closed when we were started
        return
    try:
        sys.stderr.write(f"distcc-auto: {printable(text, keep=_LAYOUT)}\n")
        sys.stderr.flush()
    except OSError:
        # Python would complain again when it flushes at exit.
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def trace(text: str) -> None:
    """One line of tracing, with the time since the start, when --verbose or DCCSH_DEBUG asks for it."""
    if _tracing:
        say(f"[{(time.monotonic() - _started_s) * 1000:7.1f} ms] {text}")
