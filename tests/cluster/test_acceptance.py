"""What a cluster must do for its users, faults included that need no control of the workers.

Runs against containers, or against a cluster of your own: `pytest tests/cluster --hosts "worker-1 ssh://worker-2"`.
Needs this machine's compiler (lua.COMPILER), in the same version, on every worker.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.cluster import lua
from tests.cluster.cluster import wait_until
from tests.cluster.driving import Build

NO_LOCAL_HELP = {"DISTCC_FALLBACK": "0", "DISTCC_SKIP_LOCAL_RETRY": "1"}


def test_each_worker_has_this_machines_compiler(cluster_hosts: str, tmp_path: object) -> None:
    source = f"{tmp_path}/answer.c"
    with open(source, "w", encoding="ascii") as file:
        file.write("int answer(void) { return 42; }\n")
    compile_here = [lua.COMPILER, "-c", source, "-o"]
    subprocess.run([*compile_here, f"{tmp_path}/here.o"], check=True)
    for host in cluster_hosts.split():
        done = subprocess.run(
            [sys.executable, "-m", "distcc_auto", "sh", "-c", f"distcc {' '.join(compile_here)} {tmp_path}/there.o"],
            env=os.environ | {"DISTCC_AUTO_HOSTS": host, "DISTCC_DIR": str(tmp_path)} | NO_LOCAL_HELP,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{host}: {done.stderr}"
        assert lua.objects(str(tmp_path))["there.o"] == lua.objects(str(tmp_path))["here.o"], host


def test_all_workers_take_part_and_nothing_compiles_here(
    cluster_hosts: str, project: str, reference: dict[str, str], tmp_path: object
) -> None:
    command = ("--report", *lua.BUILD, f"CC=distcc {lua.COMPILER} -std=gnu99")
    with Build(project, str(tmp_path), cluster_hosts, command, NO_LOCAL_HELP) as build:
        result = build.result()
    assert result.status == 0, result.output + result.log
    assert lua.objects(build.directory) == reference
    counts = [int(count) for count in re.findall(r"(\d+) jobs, ", result.output)]
    assert len(counts) == len(cluster_hosts.split())
    assert all(counts)
    # Others may use a cluster of the user's own at the same time.
    assert sum(counts) >= len(reference)


def test_two_builds_at_the_same_time_are_both_right(
    cluster_hosts: str, project: str, reference: dict[str, str], tmp_path: object
) -> None:
    with (
        Build(project, f"{tmp_path}/first", cluster_hosts) as first,
        Build(project, f"{tmp_path}/second", cluster_hosts) as second,
    ):
        for build in (first, second):
            result = build.result()
            assert result.status == 0, result.output + result.log
            assert lua.objects(build.directory) == reference


@contextlib.contextmanager
def silent_host() -> Iterator[str]:
    """A host that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as job_port, socket.create_server(("127.0.0.1", 0)) as stats_port:
        yield f"127.0.0.1:{job_port.getsockname()[1]}:{stats_port.getsockname()[1]}"


def test_hosts_that_refuse_or_say_nothing_are_named_and_cost_only_their_time_limit(
    cluster_hosts: str, project: str, reference: dict[str, str], tmp_path: object
) -> None:
    with silent_host() as silent:
        hosts = f"127.0.0.1:1:1 {silent} {cluster_hosts}"
        limit = {"DISTCC_AUTO_ANSWER_TIMEOUT": "1"}
        with Build(project, str(tmp_path), hosts, environ=limit | NO_LOCAL_HELP) as build:
            result = build.result()
    assert result.status == 0, result.output + result.log
    assert lua.objects(build.directory) == reference
    for host in ("127.0.0.1:1:1", silent):
        assert re.search(rf"^.*{re.escape(host)}: .*building without it$", result.output, re.MULTILINE)


def test_a_failing_compile_is_makes_own_failure(cluster_hosts: str, project: str, tmp_path: object) -> None:
    with Build(project, str(tmp_path), cluster_hosts, ("true",)) as build:
        assert build.result().status == 0
    with open(os.path.join(build.directory, "lvm.c"), "a", encoding="ascii") as file:
        file.write("int broken = ;\n")
    with Build(project, str(tmp_path), cluster_hosts) as build:
        result = build.result()
    assert result.status == 2
    assert "lvm.c" in result.output


def end_driver(build: Build) -> int:
    build.process.send_signal(signal.SIGTERM)
    return 128 + signal.SIGTERM


def kill_make(build: Build) -> int:
    (make,) = (child for child in psutil.Process(build.process.pid).children() if child.name() == "make")
    make.kill()
    return 128 + signal.SIGKILL


@pytest.mark.parametrize("kill", [end_driver, kill_make])
def test_a_build_that_a_signal_ends_says_so_and_the_next_one_is_right(
    kill: Callable[[Build], int], cluster_hosts: str, project: str, reference: dict[str, str], tmp_path: object
) -> None:
    with Build(project, str(tmp_path), cluster_hosts) as build:
        build.wait_until_objects(3)
        expected = kill(build)
        assert build.result().status == expected
        wait_until("the processes of the build to end", 20, lambda: not session_members(build.process.pid))
    with Build(project, str(tmp_path), cluster_hosts) as build:
        result = build.result()
    assert result.status == 0, result.output + result.log
    assert lua.objects(build.directory) == reference


def session_members(session: int) -> list[int]:
    """Who is left of what a build started: it has a session of its own."""
    members = []
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(pid) == session:
                members.append(pid)
    return members


def test_without_workers_and_with_local_jobs_forbidden_the_status_is_97(
    cluster_hosts: str, project: str, tmp_path: object
) -> None:
    del cluster_hosts
    with Build(project, str(tmp_path), "127.0.0.1:1:1", environ={"DISTCC_AUTO_FALLBACK_LOCAL_JOBS": "0"}) as build:
        result = build.result()
    assert result.status == 97
    assert lua.objects(build.directory) == {}


def test_a_host_that_is_none_is_a_configuration_error(cluster_hosts: str, project: str, tmp_path: object) -> None:
    with Build(project, str(tmp_path), f"{cluster_hosts} worker:port") as build:
        result = build.result()
    assert result.status == 96
    assert "worker:port" in result.output
