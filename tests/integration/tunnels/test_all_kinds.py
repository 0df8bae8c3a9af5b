"""One build over a distccd on the network, one behind SSH and a distplusplusd."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from distcc_auto.demo.loopback import LoopbackWorker
from tests.integration.addresses import loopback
from tests.integration.agent.home import running_server
from tests.integration.tunnels.lab import DISTCC_AUTO, Lab, Sshd

pytestmark = pytest.mark.long

# Every job that no worker takes fails the build.
_ONLY_THERE = {"DISTCC_FALLBACK": "0"}


@dataclass(frozen=True)
class Kinds:
    """The entry of DISTCC_AUTO_HOSTS of each kind; each has 2 slots."""

    tcp: str
    ssh: str
    grpc: str

    @property
    def hosts(self) -> str:
        return f"{self.tcp} {self.ssh} {self.grpc}"


@pytest.fixture
def kinds(lab: Lab, server: Sshd, worker: LoopbackWorker, tmp_path: Path) -> Iterator[Kinds]:
    behind_ssh = f"ssh://{lab.host('behind', server)}/{worker.distcc_port}/{worker.stats_port}"
    with LoopbackWorker(2, loopback(7)) as direct, running_server(tmp_path, "--jobs", "2") as distplusplusd:
        yield Kinds(direct.spec, behind_ssh, f"grpc://{distplusplusd.addresses[0]}")


def test_the_hosts_table_tells_them_apart(lab: Lab, kinds: Kinds) -> None:
    answers = lab.survey(kinds.hosts)
    assert {host: (answer["kind"], answer["state"], answer["slots"]) for host, answer in answers.items()} == {
        kinds.tcp: ("tcp", "ready", 2),
        kinds.ssh: ("ssh", "ready", 2),
        kinds.grpc: ("grpc", "ready", 2),
    }
    done = subprocess.run(
        [DISTCC_AUTO, "hosts"], env=lab.environ(kinds.hosts), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done
    rows = [line.split()[:4] for line in done.stdout.splitlines()[1:]]
    assert sorted(rows) == sorted(
        [[kinds.tcp, "tcp", "ready", "2"], [kinds.ssh, "ssh", "ready", "2"], [kinds.grpc, "grpc", "ready", "2"]]
    )


@pytest.mark.parametrize("compiler", ["distcc gcc", "ccache gcc"])
def test_each_compiles_a_part_of_a_real_project(lab: Lab, kinds: Kinds, lua: Path, compiler: str) -> None:
    tree = shutil.copytree(lua / "src", lab.directory / "lua")
    command = ("make", "-C", str(tree), "linux", f"CC={compiler} -std=gnu99", "MYCFLAGS=-O1")
    environ = {**_ONLY_THERE, "CCACHE_DIR": str(lab.directory / "ccache")}

    driver = lab.start(kinds.hosts, "--report", *command, **environ)
    _, messages = driver.communicate(timeout=100)

    assert driver.returncode == 0, messages
    assert "3 workers with 6 slots" in messages
    objects = {path: path.read_bytes() for path in tree.glob("*.o")}
    jobs = {host: int(count) for host, count in re.findall(r"(\S+) \(2 slots\): (\d+) jobs", messages)}
    assert sum(jobs.values()) == len(objects), messages
    assert jobs.keys() == {kinds.tcp, kinds.ssh, kinds.grpc}
    assert min(jobs.values()) >= len(objects) // 9, jobs
    lab.assert_nothing_left()
    sample = sorted(objects)[::4]
    for path in sample:
        path.unlink()
    flags = ("CC=gcc -std=gnu99", "SYSCFLAGS=-DLUA_USE_LINUX", "MYCFLAGS=-O1")
    here = ("make", "-C", str(tree), *flags, *(path.name for path in sample))
    subprocess.run(here, check=True, capture_output=True, timeout=100)
    assert {path: path.read_bytes() for path in objects} == objects


def test_a_build_that_fails_keeps_its_status_and_leaves_nothing(lab: Lab, kinds: Kinds) -> None:
    sources = lab.directory / "sources"
    sources.mkdir()
    for number in range(6):
        (sources / f"{number}.c").write_text("int f(void) { return wrong; }\n")
    (sources / "Makefile").write_text("all: 0.o 1.o 2.o 3.o 4.o 5.o\n%.o: %.c\n\tdistcc gcc -c $< -o $@\n")
    driver = lab.start(kinds.hosts, "make", "-k", "-C", str(sources), **_ONLY_THERE, DISTCC_SKIP_LOCAL_RETRY="1")
    _, messages = driver.communicate(timeout=60)
    assert driver.returncode == 2, messages
    assert messages.count("undeclared (first use") == 6
    assert list(sources.glob("*.o")) == []
    lab.assert_nothing_left()
