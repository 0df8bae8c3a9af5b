"""One worker breaks while a real project compiles. Each time the build ends right, with the right objects, in time.

COST_S is what a fault may cost at most, in seconds on top of the same build undisturbed; docs/cluster.md gives the
reasons. A worker that has gone silent costs what the distcc client waits for it (DISTCC_IO_TIMEOUT, and 4 s per
connection), one that says what is wrong costs the jobs that it had. The build itself may take twice as long as
undisturbed: a worker is gone, or half of the jobs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.cluster.cluster import OTHER_GCC_IMAGE, Network, Worker, wait_until
from tests.cluster.driving import Build, Result, compiling_without_pause
from tests.cluster.lua import objects

# How long distcc waits for a worker that has gone silent in mid-job; its own default is 300 s.
IO_TIMEOUT_S = 15
COST_S = {"answers at once": 30.0, "goes silent": 30.0 + 2 * IO_TIMEOUT_S}


@dataclass(frozen=True)
class Steady:
    """The workers that nothing happens to."""

    workers: tuple[Worker, ...]

    @property
    def distcc_hosts(self) -> list[str]:
        return [f"{worker.address}/1,lzo" for worker in self.workers]


@pytest.fixture(scope="module")
def steady(network: Network) -> Iterator[Steady]:
    environment = {"DISTCC_WORKER_JOBS": "2"}
    with network.worker(environment=environment) as first, network.worker(environment=environment) as second:
        yield Steady((first, second))


@pytest.fixture(scope="module")
def undisturbed_s(
    network: Network, steady: Steady, project: str, reference: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> float:
    """How long the build takes when nothing happens."""
    directory = str(tmp_path_factory.mktemp("undisturbed"))
    with network.worker(environment={"DISTCC_WORKER_JOBS": "4"}) as victim:
        with Build(project, directory, hosts(victim, steady)) as build:
            result = build.result()
        assert result.status == 0, result.output
        assert objects(build.directory) == reference
        assert victim.jobs_done() > 0
    return result.seconds


def hosts(victim: Worker, steady: Steady) -> str:
    return " ".join(worker.spec for worker in (victim, *steady.workers))


@dataclass(frozen=True)
class Scene:
    """Everything that a fault test needs; `run` is the test."""

    network: Network
    steady: Steady
    project: str
    reference: dict[str, str]
    undisturbed_s: float
    directory: str

    def run(self, victim: Worker, fault: Callable[[], object], kind: str = "answers at once") -> Result:
        environ = {"DISTCC_IO_TIMEOUT": str(IO_TIMEOUT_S)} if kind == "goes silent" else {}
        with (
            compiling_without_pause(self.steady.distcc_hosts, self.directory) as others_problems,
            Build(self.project, self.directory, hosts(victim, self.steady), environ=environ) as build,
        ):
            build.wait_until_objects(3)
            wait_until("the victim to compile", 20, victim.is_compiling)
            fault()
            assert build.process.poll() is None, "the fault came after the build"
            result = build.result(2 * self.undisturbed_s + COST_S[kind])
        assert result.status == 0, result.output + result.log
        assert objects(build.directory) == self.reference
        assert others_problems == []
        return result


@pytest.fixture
def scene(
    network: Network,
    steady: Steady,
    project: str,
    reference: dict[str, str],
    undisturbed_s: float,
    tmp_path: object,
) -> Scene:
    return Scene(network, steady, project, reference, undisturbed_s, str(tmp_path))


@pytest.fixture
def victim(network: Network) -> Iterator[Worker]:
    with network.worker(environment={"DISTCC_WORKER_JOBS": "4"}) as worker:
        yield worker


def test_a_worker_killed_in_mid_build_costs_only_its_running_jobs(scene: Scene, victim: Worker) -> None:
    scene.run(victim, victim.container.kill)


def test_a_paused_worker_costs_one_io_timeout(scene: Scene, victim: Worker) -> None:
    scene.run(victim, victim.container.pause, "goes silent")


def test_a_worker_in_a_black_hole_costs_one_io_timeout(scene: Scene, victim: Worker) -> None:
    scene.run(victim, lambda: scene.network.drop_answers_of(victim), "goes silent")


def test_a_restarted_worker_costs_only_its_running_jobs(scene: Scene, victim: Worker) -> None:
    scene.run(victim, lambda: victim.container.restart(timeout=0))
    victim.wait_until_ready()


def test_a_stopped_worker_ends_its_jobs_before_it_goes(scene: Scene, victim: Worker) -> None:
    scene.run(victim, victim.container.stop)
    victim.container.reload()
    assert victim.container.attrs["State"]["ExitCode"] == 0


def test_a_worker_whose_memory_is_full_loses_compilers_and_lives_on(scene: Scene, victim: Worker) -> None:
    def fill_memory() -> None:
        victim.container.update(mem_limit="220m", memswap_limit="220m")
        # Files in a tmpfs cannot be dropped; what is left is too little for the compilers.
        victim.container.exec_run(["sh", "-c", "head -c 185M /dev/zero >/tmp/fill"])

    # Those that are not killed crawl: the kernel drops the compiler's own code from memory, and reads it again.
    scene.run(victim, fill_memory, "goes silent")
    assert out_of_memory_kills(victim) > 0
    victim.run("rm", "/tmp/fill")
    victim.wait_until_ready()


def test_a_worker_that_denies_the_client_from_now_on_does_not_fail_the_build(scene: Scene, network: Network) -> None:
    address = network.free_address()
    with network.worker(address=address, environment={"DISTCC_WORKER_JOBS": "4"}) as victim:

        def deny() -> None:
            victim.stop()
            victim.env["DISTCC_WORKER_ALLOW"] = "192.0.2.1"
            victim.start()

        scene.run(victim, deny)
        assert "--allow" in str(victim.ask())


def test_a_worker_that_loses_its_compiler_does_not_fail_the_build(scene: Scene, network: Network) -> None:
    with network.worker(environment={"DISTCC_WORKER_JOBS": "4"}, read_only=False) as victim:
        scene.run(
            victim,
            lambda: victim.run("sh", "-c", "rm /usr/bin/*gcc-12 /usr/lib/distcc/*", user="root"),
        )


def test_a_worker_with_another_gcc_gets_nothing_of_a_build_that_names_its_compilers_version(
    scene: Scene, network: Network
) -> None:
    with network.worker(OTHER_GCC_IMAGE, environment={"DISTCC_WORKER_JOBS": "4"}) as other:
        with Build(scene.project, scene.directory, hosts(other, scene.steady)) as build:
            result = build.result(2 * scene.undisturbed_s + COST_S["answers at once"])
        assert result.status == 0, result.output
        assert objects(build.directory) == scene.reference
        assert other.jobs_done() == 0


def test_a_worker_with_another_gcc_is_seen_in_the_objects_of_a_build_that_only_says_gcc(
    scene: Scene, network: Network
) -> None:
    with network.worker(OTHER_GCC_IMAGE, environment={"DISTCC_WORKER_JOBS": "4"}) as other:
        command = ("make", "-s", "a", "CC=distcc gcc -std=gnu99")
        with Build(scene.project, scene.directory, hosts(other, scene.steady), command) as build:
            result = build.result(2 * scene.undisturbed_s + COST_S["answers at once"])
        assert result.status == 0, result.output
        made = {name: compiler_of(os.path.join(build.directory, name)) for name in scene.reference}
        assert set(made.values()) == {"11", "12"}
        right = {name: digest for name, digest in objects(build.directory).items() if made[name] == "12"}
        assert right.items() <= scene.reference.items()


def compiler_of(path: str) -> str:
    """The major version of the gcc that made an object, from its .comment section."""
    with open(path, "rb") as file:
        _, _, rest = file.read().partition(b"GCC: (")
    return rest.partition(b") ")[2].partition(b".")[0].decode()


def out_of_memory_kills(worker: Worker) -> int:
    """How often the kernel has killed something in the worker's cgroup, v1 or v2."""
    files = "/sys/fs/cgroup/memory/memory.oom_control /sys/fs/cgroup/memory.events"
    text = worker.run("sh", "-c", f"cat {files} 2>/dev/null || true")
    return int(next(line for line in text.splitlines() if line.startswith("oom_kill ")).split()[1])
