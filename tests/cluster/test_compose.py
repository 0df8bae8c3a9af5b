"""`docker compose up` as it is documented: the cluster, the client in it, and the machine itself as client."""

from __future__ import annotations

import os
import re
import subprocess

from distcc_auto.answers import Ready
from distcc_auto.hosts import TcpHost
from distcc_auto.probe import probe
from tests.cluster.cluster import ROOT, wait_until
from tests.cluster.composed import Cluster
from tests.cluster.driving import Build
from tests.cluster.lua import BUILD, COMPILER, objects


def test_the_compose_files_parse() -> None:
    workers = {f"worker-{number}" for number in range(1, 6)}
    done = subprocess.run(
        ["docker", "compose", "--profile", "*", "config", "--services"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert set(done.stdout.split()) == workers | {"gateway", "keys", "client"}


def test_the_machine_itself_builds_over_the_three_tcp_workers(
    cluster: Cluster, project: str, reference: dict[str, str], tmp_path: object
) -> None:
    hosts = " ".join(cluster.host_spec(f"worker-{number}") for number in (1, 2, 3))
    command = ("--report", *BUILD, f"CC=distcc {COMPILER} -std=gnu99")
    with Build(project, str(tmp_path), hosts, command, {"DISTCC_FALLBACK": "0"}) as build:
        result = build.result()
    assert result.status == 0, result.output + result.log
    assert objects(build.directory) == reference
    assert "3 workers" in result.output


def test_the_compile_server_builds_beside_a_distccd(
    cluster: Cluster, project: str, reference: dict[str, str], tmp_path: object
) -> None:
    wait_until("worker-5 to be healthy", 60, lambda: cluster.is_healthy("worker-5"))
    hosts = f"{cluster.host_spec('worker-1')} {cluster.grpc_spec('worker-5')}"
    command = ("--report", *BUILD, f"CC=distcc {COMPILER} -std=gnu99")
    with Build(project, str(tmp_path), hosts, command, {"DISTCC_FALLBACK": "0"}) as build:
        result = build.result()
    assert result.status == 0, result.output + result.log
    assert objects(build.directory) == reference
    (share,) = re.findall(r"grpc://\S+ \(\d+ slots\): (\d+) jobs", result.output)
    assert 0 < int(share) < len(reference)


def test_the_three_workers_differ_in_size(cluster: Cluster) -> None:
    specs = [cluster.host_spec(f"worker-{number}").split(":") for number in (1, 2, 3)]
    answers = probe([TcpHost(host, int(job), int(stats), job) for host, job, stats in specs], 5, 10)
    sizes = {(a.stats.max_kids, (a.stats.free_memory_mib or 0) // 1024) for a in answers if isinstance(a, Ready)}
    assert len(sizes) == 3


def test_the_client_builds_a_real_project_in_the_clusters_network(
    cluster: Cluster, source: str, reference: dict[str, str]
) -> None:
    # The client's PATH begins with /usr/lib/distcc: its gcc is distcc.
    environ = {"DISTCC_AUTO_HOSTS": "worker-1 worker-2 worker-3", "DISTCC_FALLBACK": "0"}
    done = cluster.run("distcc-auto", *BUILD, source=source, environ=environ)
    assert done.returncode == 0, done.stderr
    assert objects(source) == reference


CONNECT = """
import socket, sys
for port in (3632, 3633, 2222):
    with socket.socket() as client:
        client.settimeout(2)
        if client.connect_ex((sys.argv[1], port)) == 0:
            print("reached", port)
"""


def test_worker_4_cannot_be_reached_from_the_clients_network(cluster: Cluster) -> None:
    done = cluster.run("python3", "-c", CONNECT, cluster.address("worker-4"))
    assert (done.returncode, done.stdout) == (0, ""), done
    environ = {"DISTCC_AUTO_HOSTS": "worker-4", "DISTCC_AUTO_FALLBACK_LOCAL_JOBS": "0"}
    done = cluster.run("distcc-auto", "make", environ=environ)
    assert done.returncode == 97, done


def test_nothing_listens_where_other_machines_could_reach_it(cluster: Cluster) -> None:
    for service in ("worker-1", "worker-2", "worker-3", "worker-5", "gateway"):
        ports = cluster.container(service).attrs["NetworkSettings"]["Ports"]
        published = [binding["HostIp"] for bindings in ports.values() for binding in bindings or []]
        assert published
        assert set(published) == {"127.0.0.1"}


def test_every_service_is_hardened(cluster: Cluster) -> None:
    for number in (1, 2, 3, 4, 5):
        config = cluster.container(f"worker-{number}").attrs["HostConfig"]
        assert config["ReadonlyRootfs"]
        assert config["CapDrop"] == ["ALL"]
        assert config["Memory"] > 0
        assert config["NanoCpus"] > 0


def test_the_example_host_list_is_the_one_that_the_ports_give() -> None:
    """docs/cluster.md tells which ports the machine itself uses; compose/cluster.yaml publishes them."""
    with open(os.path.join(ROOT, "docs", "cluster.md"), encoding="utf-8") as file:
        text = file.read()
    with open(os.path.join(ROOT, "compose", "cluster.yaml"), encoding="utf-8") as file:
        compose = file.read()
    for number in (1, 2, 3):
        assert f"127.0.0.1:{number}3632:{number}3633" in text
        assert f"{number}3632}}:3632" in compose
        assert f"{number}3633}}:3633" in compose
