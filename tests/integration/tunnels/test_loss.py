"""Tunnels that break in mid-build: they come back on the same local address, or are given up; the build goes on."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from distcc_auto.demo.loopback import LoopbackWorker
from tests.integration.tunnels.lab import Lab, Running, Sshd, wait_until
from tests.integration.tunnels.network import WORKER_ADDRESS, Cable

pytestmark = pytest.mark.long

# Compiles until it is told to stop, and fails when one compilation fails.
BUILD = """
while [ ! -e stop ]; do
    distcc gcc -c source.c -o object.o || exit 1
    echo "$DISTCC_HOSTS" >> compiled
done
: {jobs}
"""


class Build:
    """The endless build in its directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.command = ("sh", "-c", f"cd {directory}\n{BUILD}")
        directory.mkdir()
        (directory / "source.c").write_text("int f(void) { return 0; }\n")

    def compiled(self) -> list[str]:
        """The value of DISTCC_HOSTS of each compilation so far."""
        file = self.directory / "compiled"
        return file.read_text().splitlines() if file.exists() else []

    def wait_for_more(self, count: int = 3) -> None:
        wanted = len(self.compiled()) + count
        wait_until(lambda: len(self.compiled()) >= wanted, f"compilation {wanted}")

    def finish(self, running: Running) -> None:
        (self.directory / "stop").touch()
        assert running.process.wait(20) == 0, running.messages()
        assert len(set(self.compiled())) == 1


# Without it the distcc client stays away from a host that failed for a minute.
COME_BACK_SOON = {"DISTCC_BACKOFF_PERIOD": "1"}


def test_a_killed_ssh_comes_back_at_the_same_address(lab: Lab, server: Sshd, worker: LoopbackWorker) -> None:
    build = Build(lab.directory / "build")
    host = f"ssh://{lab.host('w', server)}/{worker.distcc_port}/{worker.stats_port}"
    with lab.running(host, *build.command, **COME_BACK_SOON) as running:
        wait_until(lambda: worker.jobs_done() >= 2, "jobs on the worker")
        (client,) = lab.ssh_clients()
        client.kill()
        running.wait_for(f"{host}: tunnel lost: ")
        running.wait_for(f"{host}: the tunnel is back after ")
        done = worker.jobs_done()
        wait_until(lambda: worker.jobs_done() >= done + 2, "jobs on the worker after the tunnel is back")
        build.finish(running)
    lab.assert_nothing_left()


def test_a_restarted_sshd_is_found_again(lab: Lab, server: Sshd, worker: LoopbackWorker) -> None:
    build = Build(lab.directory / "build")
    host = f"ssh://{lab.host('w', server)}/{worker.distcc_port}/{worker.stats_port}"
    with lab.running(host, *build.command, **COME_BACK_SOON) as running:
        wait_until(lambda: worker.jobs_done() >= 2, "jobs on the worker")
        server.stop()
        running.wait_for(f"{host}: tunnel lost: ")
        build.wait_for_more()
        server.start()
        running.wait_for("the tunnel is back after ")
        build.finish(running)
    lab.assert_nothing_left()


def test_a_login_that_is_refused_later_is_given_up(lab: Lab, server: Sshd, worker: LoopbackWorker) -> None:
    build = Build(lab.directory / "build")
    host = f"ssh://{lab.host('w', server)}/{worker.distcc_port}/{worker.stats_port}"
    with lab.running(host, *build.command, **COME_BACK_SOON) as running:
        build.wait_for_more()
        (lab.directory / "authorized_keys").write_text("")
        server.stop()
        server.start()
        running.wait_for(f"{host}: tunnel given up after ")
        assert "Permission denied" in running.messages()
        build.wait_for_more()
        build.finish(running)
    lab.assert_nothing_left()


def test_what_stays_down_is_given_up(lab: Lab, server: Sshd, worker: LoopbackWorker) -> None:
    host = f"ssh://{lab.host('w', server)}/{worker.distcc_port}/{worker.stats_port}"
    script = f"""
import os, sys
from distcc_auto.hosts import parse_hosts
from distcc_auto.reach.ssh.keeper import TunnelTimes
from distcc_auto.reach.ssh.tunnels import open_tunnels
with open_tunnels(parse_hosts({host!r}), os.environ, TunnelTimes(set_up_s=10, give_up_s=1.5)):
    print("up", flush=True)
    sys.stdin.readline()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", script],
        env=lab.environ(""),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert holder.stdout
    assert holder.stderr
    holder.stdout.readline()
    server.stop()
    lost, given_up = holder.stderr.readline().decode(), holder.stderr.readline().decode()
    assert f"{host}: tunnel lost: " in lost
    assert re.search(r"tunnel given up after \d+ s: no connection to 127.0.0.1 port \d+: Connection refused", given_up)
    holder.communicate(b"\n", timeout=20)
    lab.assert_nothing_left()


@contextlib.contextmanager
def distccd_behind(cable: Cable, log: Path) -> Iterator[None]:
    """A distccd with the usual ports, which only its own machine can reach."""
    command = ["distccd", "--no-detach", "--daemon", "--user", "nobody", "--listen", "127.0.0.1", "--stats"]
    command += ["--allow", "127.0.0.1", "--jobs", "2", "--log-stderr", "--log-level", "info"]
    with log.open("w") as file:
        process = subprocess.Popen([*cable.in_worker, *command], stderr=file, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def test_a_dark_network(lab: Lab) -> None:
    build = Build(lab.directory / "build")
    log = lab.directory / "distccd.log"
    with (
        Cable() as cable,
        distccd_behind(cable, log),
        Sshd(lab, address=WORKER_ADDRESS, inside=cable.in_worker) as server,
    ):
        host = f"ssh://{lab.host('w', server)}"
        with lab.running(host, *build.command, inside=cable.in_client, **COME_BACK_SOON) as running:
            wait_until(lambda: log.read_text().count("COMPILE_OK") >= 2, "jobs on the worker")
            cable.unplug()
            running.wait_for(f"{host}: tunnel lost: {WORKER_ADDRESS} does not respond")
            build.wait_for_more()
            cable.plug()
            running.wait_for("the tunnel is back after ")
            done = log.read_text().count("COMPILE_OK")
            wait_until(lambda: log.read_text().count("COMPILE_OK") >= done + 2, "jobs on the worker again")
            build.finish(running)
        lab.assert_nothing_left()
