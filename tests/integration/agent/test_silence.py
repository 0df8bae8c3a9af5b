"""A worker that falls silent under running jobs is noticed within 15 s; a long job on one that lives is not cut.

The silence is that of a cable that was pulled, between two network namespaces, or of a stopped server.
"""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.agent.home import DISTCC_AUTO, LAUNCHER, Home, fake_compiler, finish, running_server
from tests.integration.sandbox import Sandbox, wait_until
from tests.integration.server.harness import Server, until
from tests.integration.tunnels.network import WORKER_ADDRESS, Cable

_NOTICED_S = 15.0


@pytest.fixture
def cable() -> Iterator[Cable]:
    with Cable() as made:
        yield made


@pytest.fixture
def fake(place: Path) -> Path:
    """Jobs take as long as there is no file `go`."""
    return fake_compiler(place, f"while [ ! -e {place}/bin/go ]; do sleep 0.05; done")


@pytest.fixture
def far(place: Path, fake: Path, cable: Cable) -> Iterator[Server]:
    """At the other end of the cable."""
    options = ("--listen-address", f"{WORKER_ADDRESS}:0", "--insecure", "--jobs", "2")
    with running_server(place, *options, "--compiler-dir", str(fake / "allowed"), inside=cable.in_worker) as server:
        yield server


@pytest.fixture
def near(place: Path, fake: Path, cable: Cable) -> Iterator[Server]:
    """At the client's end."""
    yield from _at_the_clients_end(place, fake, cable)


def _at_the_clients_end(place: Path, fake: Path, cable: Cable) -> Iterator[Server]:
    options = ("--compiler-dir", str(fake / "allowed"), "--jobs", "2")
    with running_server(place, *options, inside=cable.in_client) as server:
        yield server


def go(fake: Path) -> None:
    (fake / "bin" / "go").touch()


def results(server: Server) -> int:
    return server.log.count("result=ok")


@pytest.fixture
def stopped(place: Path, fake: Path, cable: Cable) -> Iterator[Server]:
    """At the client's end, and stopped by the test."""
    yield from _at_the_clients_end(place, fake, cable)


def _start_launchers(home: Home, cable: Cable, fake: Path, names: str) -> list[subprocess.Popen[str]]:
    started = []
    for name in names:
        home.write(f"{name}.c", name)
        started.append(home.start(*cable.in_client, LAUNCHER, *_command(fake, name)))
    return started


def _command(fake: Path, name: str) -> tuple[str, ...]:
    return (str(fake / "bin" / "gcc"), "-c", f"{name}.c", "-o", f"{name}.o")


_SCRIPT = """\
make -j3 CC="distcc gcc" || exit 1
touch built
until [ -s plugged ]; do sleep 0.05; done
# Several at once: a single one would always go to the worker that the driver ranks first.
while [ $(grep -c result=ok $FAR) -le $(cat plugged) ]; do
    make -s -B -j8 CC="distcc gcc" a.o b.o c.o d.o || exit 1
done
"""


def _start_build(sandbox: Sandbox, cable: Cable, fake: Path, far: Server, hosts: str) -> subprocess.Popen[str]:
    """A build of three files for distcc; then it compiles until the far server has done one. Messages go to `said`."""
    for name in "abcd":
        sandbox.write(f"{name}.c", name)
    sandbox.write("Makefile", "all: a.o b.o c.o\n")
    sandbox.write("build", f"#!/bin/sh\n{_SCRIPT}", executable=True)
    environ = {
        "PATH": f"{fake / 'bin'}:{sandbox.environ['PATH']}",
        "DISTCC_AUTO_HOSTS": hosts,
        "DISTCC_FALLBACK": "1",
        # A real build goes without a lost worker for a minute.
        "DISTCC_BACKOFF_PERIOD": "1",
        "FAR": str(far.log_path),
    }
    command = f"exec {DISTCC_AUTO} --report ./build 2>said"
    return sandbox.start([*cable.in_client, "sh", "-c", command], env=environ)


@pytest.mark.long
def test_silent_servers_lose_their_jobs_in_time_and_the_one_that_lives_keeps_its_own(
    alone: Home, sandbox: Sandbox, cable: Cable, fake: Path, far: Server, stopped: Server, near: Server
) -> None:
    servers = [far, stopped, near]
    addresses = [far.addresses[1], stopped.addresses[0], near.addresses[0]]
    said = sandbox.work / "said"
    alone.use(*addresses, fallback="fail")
    # All servers are known then, so each gets its share.
    assert "on a server" in alone.run(*cable.in_client, LAUNCHER, "--explain", *_command(fake, "a")).stdout
    launchers = _start_launchers(alone, cable, fake, "abc")
    until(lambda: all(server.job_dirs() for server in servers), "a compile of a launcher's on each")
    build = _start_build(sandbox, cable, fake, far, " ".join(f"grpc://{address}" for address in addresses))
    wait_until(lambda: all(len(server.job_dirs()) == 2 for server in servers), said.read_text)

    cable.unplug()
    stopped.process.send_signal(signal.SIGSTOP)
    began_s = time.monotonic()
    line = "compile: the server has not answered for 8 s"
    wait_until(
        lambda: alone.log.count(f"{line}; its jobs go elsewhere") == said.read_text().count(line) == 2,
        lambda: f"two losses in\n{alone.log}\nand in\n{said.read_text()}",
    )
    assert time.monotonic() - began_s < _NOTICED_S
    assert said.read_text().count(f"{line}; its jobs go elsewhere") == 2

    stopped.process.kill()
    go(fake)
    for process, name in zip(launchers, "abc", strict=True):
        done = finish(process)
        assert (done.returncode, (alone.work / f"{name}.o").read_text()) == (0, f"object of {name}\n"), done
    wait_until((sandbox.work / "built").exists, said.read_text)
    assert [(sandbox.work / f"{name}.o").read_text() for name in "abc"] == [f"object of {name}\n" for name in "abc"]
    # The launchers' three, as there is no other place, and that of the build that was there.
    assert results(near) >= 4

    cable.plug()
    far_results = results(far)
    sandbox.write("plugged", str(far_results))
    build.communicate(timeout=60)
    assert build.returncode == 0, said.read_text()
    assert results(far) > far_results
    assert re.search(rf"grpc://{re.escape(addresses[0])} \(2 slots\): [1-9]\d* jobs", said.read_text())
    assert f"grpc://{addresses[1]} (2 slots): unknown, it restarted or does not answer any more" in said.read_text()
    far_results = results(far)

    def many_compiles_use_the_far_server() -> bool:
        # One after the other would all go to the near one, which keeps a slot for the next.
        for process in _start_launchers(alone, cable, fake, "defghi"):
            assert finish(process).returncode == 0
        return results(far) > far_results

    wait_until(many_compiles_use_the_far_server, lambda: f"the far server to be used again:\n{alone.log}")
