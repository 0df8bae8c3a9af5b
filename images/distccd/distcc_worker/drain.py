"""Ends distccd without losing running jobs."""

from __future__ import annotations

import asyncio
import contextlib
import time

import psutil

POLL_S = 0.05


async def drain(distccd_pid: int, limit_s: float) -> int:
    """Ends each distccd process as soon as its current job is done; returns how many jobs `limit_s` cut off.

    On SIGTERM distccd kills its whole process group, including running compilers, and the clients compile again
    locally. So this first kills the parent, which only starts other processes. A process that finishes its job takes
    the next one at once; that job is ended right at its start, where its client loses least.
    """
    try:
        parent = psutil.Process(distccd_pid)
        parent.suspend()  # so that no process starts between the listing and the kill
        jobs = {process: _connections(process) for process in parent.children()}
        parent.kill()
    except psutil.NoSuchProcess:
        return 0
    deadline_s = time.monotonic() + limit_s
    while True:
        jobs = {process: connections for process, connections in jobs.items() if not _end_if_done(process, connections)}
        if not jobs or time.monotonic() > deadline_s:
            break
        await asyncio.sleep(POLL_S)
    for process in jobs:
        _kill(process)
    return len(jobs)


def _end_if_done(process: psutil.Process, connections: frozenset[str]) -> bool:
    """Whether `process` has ended. It is stopped during the check, so that it takes no job meanwhile."""
    try:
        process.suspend()
        if connections & _connections(process):
            process.resume()
            return False
    except psutil.NoSuchProcess:
        return True
    _kill(process)
    return True


def _connections(process: psutil.Process) -> frozenset[str]:
    """The clients that `process` serves. distcc opens one connection per job."""
    try:
        # psutil 6 renamed it; Debian 12 has 5.9, Debian 13 has 7.
        tcp = (getattr(process, "net_connections", None) or process.connections)("tcp")
    except psutil.NoSuchProcess:
        return frozenset()
    return frozenset(str(connection.raddr) for connection in tcp if connection.raddr)


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        for compiler in process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                compiler.kill()
        process.kill()
