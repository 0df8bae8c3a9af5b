"""Ends distccd without losing the jobs it is working on."""

from __future__ import annotations

import asyncio
import contextlib
import time

import psutil

POLL_S = 0.05


async def drain(distccd_pid: int, limit_s: float) -> int:
    """Ends distccd's idle processes at once, each busy one after its job; returns how many jobs were cut off.

    On SIGTERM distccd kills its whole process group, running compilers included, and its clients compile
    again themselves. So its parent, which only makes new processes, is killed first, then the others.
    """
    try:
        parent = psutil.Process(distccd_pid)
        parent.suspend()  # no process is born between the listing and the kill
        serving = parent.children()
        parent.kill()
    except psutil.NoSuchProcess:
        return 0
    deadline = time.monotonic() + limit_s
    while serving:
        serving = [process for process in serving if not _end_if_idle(process)]
        if not serving or time.monotonic() > deadline:
            break
        await asyncio.sleep(POLL_S)
    for process in serving:
        with contextlib.suppress(psutil.NoSuchProcess):
            for compiler in process.children(recursive=True):
                compiler.kill()
            process.kill()
    return len(serving)


def _end_if_idle(process: psutil.Process) -> bool:
    """Whether `process` has ended. It is stopped while it is looked at, so that it takes no job meanwhile."""
    try:
        process.suspend()
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        if process.children() or _serves_a_client(process):
            process.resume()
            return False
        process.kill()
    except psutil.NoSuchProcess:
        pass
    return True


def _serves_a_client(process: psutil.Process) -> bool:
    # psutil 6 renamed it; Debian 12 has 5.9, Debian 13 has 7.
    connections = getattr(process, "net_connections", None) or process.connections
    return any(connection.status == psutil.CONN_ESTABLISHED for connection in connections("tcp"))
