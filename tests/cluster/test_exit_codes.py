"""The driver's exit status where there is no worker, no memory or no sense, with containers that really are so."""

from __future__ import annotations

import os

import docker
import pytest

from tests.cluster.cluster import CLIENT_IMAGE, LABEL, Network
from tests.cluster.driving import Build
from tests.cluster.lua import objects


@pytest.fixture(scope="module")
def gone(network: Network) -> str:
    """A host that was a worker and is no more."""
    with network.worker() as worker:
        return worker.spec


def test_no_worker_and_local_jobs_allowed_builds_here(
    gone: str, project: str, reference: dict[str, str], tmp_path: object
) -> None:
    with Build(project, str(tmp_path), gone) as build:
        result = build.result()
    assert result.status == 0, result.output
    assert gone in result.output
    assert objects(build.directory) == reference


def test_no_worker_and_local_jobs_forbidden_is_97(gone: str, project: str, tmp_path: object) -> None:
    with Build(project, str(tmp_path), gone, environ={"DISTCC_AUTO_FALLBACK_LOCAL_JOBS": "0"}) as build:
        result = build.result()
    assert result.status == 97
    assert objects(build.directory) == {}


def in_client(
    engine: docker.DockerClient, network: Network, hosts: str, mem_limit: str, **environ: str
) -> tuple[int, str]:
    """Exit status and output of `distcc-auto make --version` in a client container with this memory limit."""
    container = engine.containers.run(
        CLIENT_IMAGE,
        ["distcc-auto", "make", "--version"],
        environment={"DISTCC_AUTO_HOSTS": hosts, **environ},
        network=network.name,
        mem_limit=mem_limit,
        labels={LABEL: str(os.getpid())},
        read_only=True,
        detach=True,
    )
    try:
        status = container.wait(timeout=60)["StatusCode"]
        return int(status), container.logs().decode()
    finally:
        container.remove(force=True, v=True)


def test_no_worker_and_no_memory_for_a_local_job_is_97(
    engine: docker.DockerClient, network: Network, gone: str
) -> None:
    status, output = in_client(engine, network, gone, "700m")
    assert status == 97
    assert "memory limit" in output


def test_memory_for_one_local_job_is_enough(engine: docker.DockerClient, network: Network, gone: str) -> None:
    status, output = in_client(engine, network, gone, "700m", DISTCC_AUTO_COMPILER_MEMORY="500")
    assert status == 0, output


def test_a_client_without_memory_still_uses_a_worker(engine: docker.DockerClient, network: Network) -> None:
    with network.worker() as worker:
        status, output = in_client(engine, network, worker.spec, "700m")
    assert status == 0, output


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"DISTCC_AUTO_HOSTS": ""}, "DISTCC_AUTO_HOSTS"),
        ({"DISTCC_AUTO_COMPILER_MEMORY": "1G"}, "DISTCC_AUTO_COMPILER_MEMORY"),
        ({"DISTCC_AUTO_EARLY_LOCAL_JOBS": "-1"}, "DISTCC_AUTO_EARLY_LOCAL_JOBS"),
        ({"DISTCC_AUTO_HOSTS": "worker:99999"}, "worker:99999"),
    ],
)
def test_a_wrong_setting_is_96_and_named(
    environ: dict[str, str], named: str, gone: str, project: str, tmp_path: object
) -> None:
    with Build(project, str(tmp_path), gone, environ=environ) as build:
        result = build.result()
    assert result.status == 96
    assert named in result.output
