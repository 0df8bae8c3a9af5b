from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable

import psutil

from distcc_worker.drain import drain

# A parent with one idle child and one that works (it has a child of its own) until its standard input ends.
FAMILY = """
import os, subprocess, sys, time
if os.fork() == 0:
    time.sleep(60)
if os.fork() == 0:
    compiler = subprocess.Popen(["sleep", "60"])
    print("working", flush=True)
    sys.stdin.read()
    compiler.kill(); compiler.wait()
    open(sys.argv[1], "w").close()
    time.sleep(60)
time.sleep(60)
"""


def family(marker: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", FAMILY, marker],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout
    assert process.stdout.readline() == b"working\n"
    return process


def run(marker: str, limit_s: float, meanwhile: Callable[[subprocess.Popen[bytes]], None]) -> int:
    parent = family(marker)
    members = psutil.Process(parent.pid).children(recursive=True)

    async def body() -> int:
        draining = asyncio.create_task(drain(parent.pid, limit_s))
        await asyncio.sleep(0)
        meanwhile(parent)
        return await draining

    cut_off = asyncio.run(body())
    for stream in (parent.stdin, parent.stdout):
        if stream:
            with contextlib.suppress(OSError):
                stream.close()
    parent.wait()
    assert psutil.wait_procs(members, timeout=10)[1] == []
    return cut_off


def end_job(parent: subprocess.Popen[bytes]) -> None:
    assert parent.stdin
    parent.stdin.close()


def test_a_running_job_is_waited_for(tmp_path: object) -> None:
    marker = f"{tmp_path}/done"
    assert run(marker, 30, end_job) == 0
    assert os.path.exists(marker)


def test_a_job_that_outlasts_the_limit_is_cut_off(tmp_path: object) -> None:
    marker = f"{tmp_path}/done"
    assert run(marker, 0.1, lambda _: None) == 1
    assert not os.path.exists(marker)


def test_a_distccd_that_is_gone_is_no_error() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert asyncio.run(drain(gone.pid, 1)) == 0
