"""Everything below a job ends with it: a compiler may be a wrapper that starts what it likes."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import psutil
import pytest

from tests.integration.server.harness import Server, until

# Two forks, a session of its own, and no tie to the compiler that runs beside it. $1 is --version and the like when the
# server asks who the compiler is.
WRAPPER = """#!/bin/bash
case "$1" in --version|-dump*|-print*) exec /usr/bin/gcc "$@" ;; esac
( setsid bash -c 'trap "" TERM HUP INT; sleep 98765 & sleep 98765 & wait' {fds} & )
{then}
"""
CLOSED = "</dev/null >/dev/null 2>&1"


@pytest.fixture
def wrapper() -> Iterator[Callable[[str], str]]:
    """Makes a directory of compilers whose gcc is a wrapper that ends with `then`."""
    directory = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    directory.chmod(0o755)

    def make(then: str) -> str:
        script = directory / "wrapped-gcc"
        script.write_text(WRAPPER.format(fds=CLOSED, then=then))
        script.chmod(0o755)
        (directory / "gcc").symlink_to(script)
        return str(directory)

    yield make
    subprocess.run(["rm", "-rf", str(directory)], check=True)


def sleepers(server: Server) -> list[psutil.Process]:
    return [process for process in server.compilers() if "98765" in " ".join(_cmdline(process))]


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def test_a_daemon_ends_with_the_job_that_started_it(
    start: Callable[..., Server], wrapper: Callable[[str], str]
) -> None:
    server = start("--compiler-dir", wrapper('sleep 0.2; exec /usr/bin/gcc "$@"'))
    answer = server.client().compile()
    assert answer.returnCode == 0, answer.stderr
    assert not sleepers(server)
    assert server.idle()


def test_a_daemon_ends_with_a_cancelled_job_and_does_not_keep_the_server(
    start: Callable[..., Server], wrapper: Callable[[str], str]
) -> None:
    server = start("--compiler-dir", wrapper("sleep 1000"))
    client = server.client()
    call = client.distribute.future(client.request(), timeout=60)
    until(lambda: sleepers(server), "the daemon to run")
    call.cancel()
    until(server.idle, "everything below the job to end")
    call = client.distribute.future(client.request(), timeout=60)
    daemons = until(lambda: sleepers(server), "the daemon to run")
    server.process.send_signal(signal.SIGTERM)
    until(lambda: "ending" in server.log, "the server to be ending")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    until(lambda: not any(map(psutil.Process.is_running, daemons)), "the daemons to end")
    with pytest.raises(grpc.RpcError):
        call.result()


def test_a_daemon_ends_with_a_server_that_is_killed(
    start: Callable[..., Server], wrapper: Callable[[str], str]
) -> None:
    server = start("--compiler-dir", wrapper("sleep 1000"))
    client = server.client()
    call = client.distribute.future(client.request(), timeout=60)
    daemons = until(lambda: sleepers(server), "the daemon to run")
    server.process.kill()
    server.process.wait()
    assert call.exception(timeout=30)
    until(lambda: not any(map(psutil.Process.is_running, daemons)), "the daemons to end")
    until(lambda: not list(server.jobs_dir.iterdir()), "the jobs' directory to be removed")


def test_a_job_has_no_network(start: Callable[..., Server], wrapper: Callable[[str], str]) -> None:
    """UDP, which Landlock does not know."""
    server = start("--compiler-dir", wrapper("exec 3<>/dev/udp/127.0.0.1/9 && echo reached >&2; exit 3"))
    answer = server.client().compile()
    assert answer.returnCode == 3
    assert "ermission denied" in answer.stderr
    assert "reached" not in answer.stderr
