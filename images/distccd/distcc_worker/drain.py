"""Ends distccd without losing the jobs it is working on."""

from __future__ import annotations

import asyncio
import contextlib
import time

import psutil

POLL_S = 0.05


async def drain(distccd_pid: int, limit_s: float) -> int:
    """Ends distccd's idle processes at once and each busy one when its job is done; returns how many jobs were cut off.

    On SIGTERM distccd kills its whole process group, running compilers included, and its clients compile again
    themselves. So its parent, which only makes new processes, is killed first, and then the others one by one.
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
    """Whether `process` has ended. It is stopped while it is looked at, so it cannot take a job in between."""
    try:
        process.suspend()
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        if process.children() or _serves_a_client(process.pid):
            process.resume()
            return False
        process.kill()
    except psutil.NoSuchProcess:
        pass
    return True


def _serves_a_client(pid: int) -> bool:
    return any(
        connection.pid == pid and connection.status == psutil.CONN_ESTABLISHED
        for connection in psutil.net_connections("tcp")
    )
