"""Where the agent of this user is: the directory of its socket, lock and log (as in the launcher, agent.c)."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

SOCKET = "agent.sock"


def directory(environ: Mapping[str, str]) -> str | None:
    """The runtime directory, made if it is not there; None if it is not this user's alone."""
    if chosen := environ.get("DISTPLUSPLUS_RUNTIME_DIR"):
        return chosen if _is_private(chosen) else None
    base = environ.get("XDG_RUNTIME_DIR", "")
    if base.startswith("/") and _is_private(path := os.path.join(base, "distplusplus")):
        return path
    path = f"/tmp/distplusplus-{os.geteuid()}"  # noqa: S108  (checked to be ours)
    return path if _is_private(path) else None


def _is_private(path: str) -> bool:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except OSError:
        return False
    status = os.lstat(path)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077
