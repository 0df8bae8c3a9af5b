"""`distcc-auto` with grpc:// workers: distcc clients on the bridge, and builds that call distplusplus themselves."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import signal
from pathlib import Path

import psutil
import pytest

from distcc_auto.demo.loopback import LoopbackWorker
from tests.integration.agent.home import BINARIES, DISTCC_AUTO, Home, fake_compiler, running_server
from tests.integration.sandbox import MASQUERADE_PATH, PATH, Sandbox
from tests.integration.server.harness import Server, until

pytestmark = pytest.mark.long


@pytest.fixture
def grpc_sandbox(sandbox: Sandbox, server: Server) -> Sandbox:
    """A sandbox whose only worker is the server of the whole run."""
    sandbox.environ["DISTCC_AUTO_HOSTS"] = f"grpc://{server.addresses[0]}"
    return sandbox


def jobs_of(server: Server) -> int:
    return server.log.count("result=ok")


def test_the_hosts_table_says_what_each_host_is(grpc_sandbox: Sandbox, server: Server) -> None:
    address = server.addresses[0]
    hosts = f"grpc://{address} grpcs://{address} grpc://127.0.0.1:1"
    done = grpc_sandbox.distcc_auto("hosts", "--json", env={"DISTCC_AUTO_HOSTS": hosts})
    assert done.returncode == 0, done
    found = {entry["host"]: entry for entry in json.loads(done.stdout)["hosts"]}
    ready = found[f"grpc://{address}"]
    assert (ready["kind"], ready["state"], ready["slots"]) == ("grpc", "ready", 3)
    assert ready["free_memory_mib"] > 0
    wrong = found[f"grpcs://{address}"]
    assert (wrong["kind"], wrong["state"], wrong["phase"]) == ("grpcs", "refused", "connect")
    assert (wrong["reason"], "--tls-certificate" in wrong["remedy"]) == ("it does not speak TLS", True)
    assert "Connection refused" in found["grpc://127.0.0.1:1"]["reason"]


def test_a_tree_for_distcc_is_built_without_change_and_the_same(
    grpc_sandbox: Sandbox, server: Server, lua: Path
) -> None:
    tree = shutil.copytree(lua / "src", grpc_sandbox.work / "lua")
    before = jobs_of(server)
    done = grpc_sandbox.distcc_auto("--report", "make", "linux", env={"PATH": MASQUERADE_PATH}, cwd=tree)
    assert done.returncode == 0, done
    objects = {path: path.read_bytes() for path in tree.glob("*.o")}
    assert jobs_of(server) - before == len(objects)
    assert f"(3 slots): {len(objects)} jobs, 100 %" in done.stderr
    assert grpc_sandbox.run(["make", "clean"], cwd=tree).returncode == 0
    assert grpc_sandbox.run(["make", "-j2", "linux"], env={"PATH": PATH}, cwd=tree).returncode == 0
    assert {path: path.read_bytes() for path in tree.glob("*.o")} == objects


def test_tcp_and_grpc_workers_share_one_build_with_ccache(
    grpc_sandbox: Sandbox, server: Server, workers: list[LoopbackWorker]
) -> None:
    grpc_sandbox.write_project(files=24)
    grpc_sandbox.environ["DISTCC_AUTO_HOSTS"] += " " + " ".join(worker.spec for worker in workers)
    before, distccd_before = jobs_of(server), sum(worker.jobs_done() for worker in workers)
    done = grpc_sandbox.distcc_auto("make", "CC=ccache gcc")
    assert done.returncode == 0, done
    on_grpc, on_tcp = jobs_of(server) - before, sum(worker.jobs_done() for worker in workers) - distccd_before
    assert on_grpc + on_tcp == 24
    assert min(on_grpc, on_tcp) > 0


@pytest.mark.parametrize("options", ["", ",lzo"])
def test_both_of_distccs_protocols(grpc_sandbox: Sandbox, options: str) -> None:
    grpc_sandbox.write("a.cc", "#include <vector>\nint f() { return std::vector<int>(3).size(); }\n")
    grpc_sandbox.write("bad.c", "int f(void) { return x; }\n")
    host = f'host=$(echo "$DISTCC_HOSTS" | tr " " "\\n" | grep ^127.81); export DISTCC_HOSTS="$host{options}"'
    script = f"{host}; distcc g++ -O1 -c a.cc -o there.o && g++ -O1 -c a.cc -o here.o && cmp here.o there.o"
    done = grpc_sandbox.distcc_auto("sh", "-c", script)
    assert done.returncode == 0, done
    script = f"{host}; DISTCC_SKIP_LOCAL_RETRY=1 distcc gcc -c bad.c"
    done = grpc_sandbox.distcc_auto("sh", "-c", script)
    assert done.returncode == 1, done
    assert "undeclared" in done.stderr


def test_another_compiler_is_told_and_its_jobs_are_done_here(sandbox: Sandbox, place: Path) -> None:
    fake = fake_compiler(place, "exit 9")
    sandbox.write("a.c", "int x;\n")
    with running_server(place, "--compiler-dir", str(fake / "allowed")) as other:
        sandbox.environ["DISTCC_AUTO_HOSTS"] = f"grpc://{other.addresses[0]}"
        done = sandbox.distcc_auto("sh", "-c", "distcc gcc -c a.c", env={"DISTCC_FALLBACK": "1"})
    assert done.returncode == 0, done
    assert "its jobs are done here" in done.stderr
    assert (sandbox.work / "a.o").exists()


def test_a_server_that_dies_under_a_build_does_not_fail_it(sandbox: Sandbox, place: Path) -> None:
    sandbox.write_project(files=12)
    with running_server(place, "--jobs", "2") as server:
        sandbox.environ["DISTCC_AUTO_HOSTS"] = f"grpc://{server.addresses[0]}"
        sandbox.environ["DISTCC_FALLBACK"] = "1"
        script = f"make -j3 & until [ -e part2.o ]; do sleep 0.1; done; kill -9 {server.process.pid}; wait $!"
        done = sandbox.distcc_auto("sh", "-c", script)
        assert done.returncode == 0, done
        server.process.wait()
    assert sandbox.run(["./sum"]).stdout == f"{sum(range(11))}\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_ended_build_leaves_no_bridge(grpc_sandbox: Sandbox, number: signal.Signals) -> None:
    script = f"until [ -e go ]; do sleep 0.05; done; kill -{number.name[3:]} $PPID; sleep 60"
    build = grpc_sandbox.start([DISTCC_AUTO, "sh", "-c", script])
    until(lambda: bridges(grpc_sandbox), "the bridge to start")
    grpc_sandbox.write("go", "")
    build.communicate(timeout=60)
    assert build.returncode == 128 + number
    until(lambda: not bridges(grpc_sandbox), "the bridge to end")


def bridges(sandbox: Sandbox) -> list[int]:
    mark = f"DISTCC_DIR={sandbox.environ['DISTCC_DIR']}".encode()
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if "distplusplus.bridge" in (process.info["cmdline"] or []):
            with contextlib.suppress(OSError):  # it may have ended
                found += [process.pid] * (mark in Path(f"/proc/{process.pid}/environ").read_bytes())
    return found


def test_the_launcher_gets_the_servers_and_the_jobs(alone: Home, server: Server) -> None:
    alone.write("Makefile", "all: a.o b.o\n%.o: %.c\n\tdistplusplus gcc -c $< -o $@\n")
    for name in ("a", "b"):
        alone.write(f"{name}.c", "int x;\n")
    hosts = f"grpc://{server.addresses[0]} 127.0.0.1:1"
    done = alone.run(
        str(BINARIES / "distcc-auto"), "--launcher", "make", DISTCC_AUTO_HOSTS=hosts, DISTPLUSPLUS_FALLBACK="fail"
    )
    assert done.returncode == 0, done
    assert alone.done() == 2
    dry = alone.run(str(BINARIES / "distcc-auto"), "--launcher", "--dry-run", "make", DISTCC_AUTO_HOSTS=hosts)
    words = shlex.split(dry.stdout)
    assert f"DISTPLUSPLUS_SERVERS=grpc://{server.addresses[0]}" in words
    assert not [word for word in words if word.startswith("DISTCC_HOSTS")]


def test_the_launcher_wants_grpc_hosts(alone: Home, workers: list[LoopbackWorker]) -> None:
    done = alone.run(
        str(BINARIES / "distcc-auto"),
        *("--launcher", "true"),
        DISTCC_AUTO_HOSTS=workers[0].spec,
        DISTCC_AUTO_FALLBACK_LOCAL_JOBS="0",
    )
    assert done.returncode == 97
    assert "is no grpc:// host" in done.stderr
