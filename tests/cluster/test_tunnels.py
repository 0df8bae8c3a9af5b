"""worker-4 of the cluster, which only ssh reaches, by way of the gateway: its tunnel works, breaks and comes back."""

from __future__ import annotations

import os
from collections.abc import Callable

import docker
import pytest

from tests.cluster.cluster import COMPOSE_PROJECT, wait_until
from tests.cluster.composed import ClientBuild, Cluster
from tests.cluster.lua import BUILD, objects

JOB_DONE = b"COMPILE_OK"
# The first build is the one that is disturbed, the second shows that the tunnel is in use again.
TWICE = f"{' '.join(BUILD)} -j{{jobs}} && until [ -e go ]; do sleep 0.1; done && {' '.join(BUILD)} -B -j{{jobs}}"


def jobs_done(cluster: Cluster) -> int:
    return int(cluster.container("worker-4").logs().count(JOB_DONE))


def test_the_ssh_only_worker_compiles_all_of_a_build(
    cluster: Cluster, source: str, reference: dict[str, str], tmp_path: object
) -> None:
    before = jobs_done(cluster)
    environ = {"DISTCC_AUTO_HOSTS": "ssh://worker-4", "DISTCC_FALLBACK": "0"}
    with ClientBuild(source, f"{tmp_path}/output", ("distcc-auto", *BUILD), environ) as build:
        assert build.status() == 0, build.output()
    assert objects(source) == reference
    assert jobs_done(cluster) - before == len(reference)


def restart_gateway(cluster: Cluster, lost: Callable[[], bool]) -> None:
    cluster.container("gateway").restart(timeout=0)
    wait_until("the tunnel to be lost", 30, lost)


def end_every_sshd_of_the_worker(cluster: Cluster, lost: Callable[[], bool]) -> None:
    script = "kill $(grep -lx sshd /proc/[0-9]*/comm | cut -d/ -f3)"
    assert cluster.container("worker-4").exec_run(["sh", "-c", script]).exit_code == 0
    wait_until("the tunnel to be lost", 30, lost)


def disconnect_the_network_for_a_while(cluster: Cluster, lost: Callable[[], bool]) -> None:
    client = docker.from_env()
    try:
        network = client.networks.get(f"{COMPOSE_PROJECT}_zone")
        network.disconnect(cluster.container("gateway"))
        try:
            wait_until("the tunnel to be lost", 60, lost)
        finally:
            network.connect(cluster.container("gateway"))
    finally:
        client.close()


@pytest.mark.parametrize("fault", [restart_gateway, end_every_sshd_of_the_worker, disconnect_the_network_for_a_while])
def test_a_tunnel_that_breaks_in_mid_build_comes_back_and_the_build_is_right(
    fault: Callable[[Cluster, Callable[[], bool]], None],
    cluster: Cluster,
    source: str,
    reference: dict[str, str],
    tmp_path: object,
) -> None:
    environ = {
        "DISTCC_AUTO_HOSTS": "ssh://worker-4 worker-2",
        # distcc leaves a worker that failed alone for so many seconds; its own default is 60.
        "DISTCC_BACKOFF_PERIOD": "1",
        "DISTCC_IO_TIMEOUT": "30",
    }
    before = jobs_done(cluster)
    command = ("distcc-auto", "sh", "-c", TWICE)
    with ClientBuild(source, f"{tmp_path}/output", command, environ) as build:
        wait_until("the worker to compile", 60, lambda: jobs_done(cluster) > before + 1)
        fault(cluster, lambda: "tunnel lost" in build.output())
        wait_until("the tunnel to be back", 60, lambda: "the tunnel is back" in build.output())
        before = jobs_done(cluster)
        with open(os.path.join(source, "go"), "w", encoding="ascii"):
            pass
        assert build.status() == 0, build.output()
    assert objects(source) == reference
    assert jobs_done(cluster) > before
