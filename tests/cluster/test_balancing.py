"""What the workers report becomes slots, order and -j, and the jobs land where the slots are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from tests.cluster.cluster import Network
from tests.cluster.driving import Build
from tests.cluster.lua import COMPILER, objects


def driver_json(hosts: str, *command: str, **environ: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "distcc_auto", *command],
        env=os.environ | {"DISTCC_AUTO_HOSTS": hosts, **environ},
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout)


def slots(document: Mapping[str, Any]) -> dict[str, int]:
    """Host -> slots, in the order of the plan."""
    return {host["host"]: host["slots"] for host in document["hosts"]}


JOBS = 56
MAKEFILE = """
objects := $(foreach n,$(shell seq %d),copy_$n.o)
all: $(objects)
copy_%%.o: lmathlib.c
\t$(CC) -O2 -std=gnu99 -DLUA_COMPAT_5_3 -c $< -o $@
"""


def test_jobs_land_in_proportion_to_slots_over_unequal_workers(
    network: Network, project: str, tmp_path: object
) -> None:
    def sized(jobs: int) -> dict[str, Any]:
        # Machines of different size that share this one: each gets as much of its CPUs as it has slots.
        return {"environment": {"DISTCC_WORKER_JOBS": str(jobs)}, "cpu_shares": 256 * jobs}

    with network.worker(**sized(4)) as large, network.worker(**sized(2)) as middle, network.worker(**sized(1)) as small:
        workers = (small, middle, large)
        environ = {"DISTCC_AUTO_COMPILER_MEMORY": "256", "DISTCC_FALLBACK": "0"}
        makefile = f"{tmp_path}/Makefile"
        with open(makefile, "w", encoding="ascii") as file:
            file.write(MAKEFILE % JOBS)
        command = ("make", "-s", "-f", makefile, f"CC=distcc {COMPILER}")
        with Build(project, str(tmp_path), " ".join(w.spec for w in workers), command, environ) as build:
            result = build.result()
        assert result.status == 0, result.output
        assert len(set(objects(build.directory).values())) == 1
        done = [worker.jobs_done() for worker in workers]
        assert sum(done) == JOBS
        for count, slots_there in zip(done, (1, 2, 4), strict=True):
            share = JOBS * slots_there / 7
            assert 0.6 < count / share < 1.6, done


def test_a_memory_limit_cuts_a_workers_slots(network: Network) -> None:
    with network.worker(environment={"DISTCC_WORKER_JOBS": "8"}, mem_limit="2560m") as worker:
        assert slots(driver_json(worker.spec, "--explain", "--json")) == {worker.spec: 2}
        assert slots(driver_json(worker.spec, "--explain", "--json", DISTCC_AUTO_COMPILER_MEMORY="0")) == {
            worker.spec: 8
        }


def test_a_worker_without_memory_for_one_job_gets_none(network: Network) -> None:
    with network.worker() as worker, network.worker(mem_limit="600m") as tiny:
        document = driver_json(f"{tiny.spec} {worker.spec}", "--explain", "--json")
        assert slots(document) == {worker.spec: worker_cpus(), tiny.spec: 0}
        assert "free memory" in document["hosts"][1]["reason"]


def test_a_cpu_quota_cuts_a_workers_slots(network: Network) -> None:
    with network.worker(nano_cpus=500_000_000) as worker:
        assert slots(driver_json(worker.spec, "--explain", "--json")) == {worker.spec: 1}


# Containers show the load of the machine that they share. This is what a busy one of its own would show.
BUSY = """
int getloadavg(double loads[], int count) {
    for (int i = 0; i < count; i++) loads[i] = 64;
    return count;
}
"""


def test_a_busy_worker_sorts_behind_an_idle_one_of_its_size(network: Network, tmp_path: object) -> None:
    library = f"{tmp_path}/busy.so"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-xc", "-", "-o", library], input=BUSY, text=True, check=True)
    environment = {"DISTCC_WORKER_JOBS": "2"}
    with (
        network.worker(environment=environment | {"LD_PRELOAD": "/busy.so"}, mounted={library: "/busy.so"}) as busy,
        network.worker(environment=environment) as idle,
    ):
        document = driver_json(f"{busy.spec} {idle.spec}", "--explain", "--json")
        assert list(slots(document)) == [idle.spec, busy.spec]
        assert document["hosts"][1]["load"] == 64


def test_jobs_and_distcc_hosts_of_the_build_are_those_of_the_plan(network: Network, tmp_path: object) -> None:
    script = f"{tmp_path}/show"
    with open(script, "w", encoding="ascii") as file:
        file.write('#!/bin/sh\necho "$DISTCC_HOSTS|$*"\n')
    os.chmod(script, 0o700)
    with (
        network.worker(environment={"DISTCC_WORKER_JOBS": "3"}) as large,
        network.worker(environment={"DISTCC_WORKER_JOBS": "1"}) as small,
    ):
        hosts = f"{small.spec} {large.spec}"
        settings = {"DISTCC_AUTO_EARLY_LOCAL_JOBS": "2", "DISTCC_AUTO_PREPROCESSOR_SATURATION_JOBS": "3"}
        document = driver_json(hosts, "--explain", "--json", **settings)
        assert slots(document) == {large.spec: 3, small.spec: 1}
        shown = subprocess.run(
            [sys.executable, "-m", "distcc_auto", script, "target"],
            env=os.environ | {"DISTCC_AUTO_HOSTS": hosts} | settings,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        assert shown == (
            "localhost/2 --localslots=2 --localslots_cpp=3 "
            f"{large.address}:3632/3,lzo {small.address}:3632/1,lzo|target -j {3 + 1 + 2 + 3}\n"
        )
        assert document["plan"]["jobs"] == 9


def worker_cpus() -> int:
    return len(os.sched_getaffinity(0))
