"""Where the agents of this user are: the directory of their sockets, lock and log (as in the launcher, agent.c).

There is one agent for each view of the system: for each mount, network and user namespace and root directory, and for
each nice value, scheduling class and set of hard limits, which an agent cannot change. The launcher makes a socket's
name from these (view.c), `agent-<8 letters and digits>.sock`, and binds it for the agent, which need not know how.
"""

from __future__ import annotations

import contextlib
import glob
import os
import stat
from collections.abc import Mapping

_SUFFIX = ".sock"
# What the launcher binds, and moves to its place once it listens.
_NEW_SUFFIX = ".new"


def socket_path(bound: str) -> str:
    """Where launchers find the socket that was bound as `bound`."""
    return bound.removesuffix(_NEW_SUFFIX) + _SUFFIX


def sockets(runtime_directory: str) -> list[str]:
    """The sockets of this user's agents, of all views, the longest unused first; some agents may be gone."""
    return sorted(glob.glob(os.path.join(glob.escape(runtime_directory), f"agent*{_SUFFIX}")), key=_used_ns)


def mark_as_used(socket: str) -> None:
    """Says that the agent of this socket has served a launcher just now."""
    with contextlib.suppress(OSError):
        os.utime(socket)


def directory(environ: Mapping[str, str]) -> str | None:
    """The runtime directory, made if it is not there; None if it is not this user's alone."""
    if chosen := environ.get("DISTPLUSPLUS_RUNTIME_DIR"):
        return chosen if _is_private(chosen) else None
    base = environ.get("XDG_RUNTIME_DIR", "")
    if base.startswith("/") and _is_private(path := os.path.join(base, "distplusplus")):
        return path
    path = f"/tmp/distplusplus-{os.geteuid()}"  # noqa: S108  (checked to be ours)
    return path if _is_private(path) else None


def _used_ns(socket: str) -> int:
    try:
        return os.stat(socket).st_mtime_ns
    except OSError:
        return 0


def _is_private(path: str) -> bool:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except OSError:
        return False
    status = os.lstat(path)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077
