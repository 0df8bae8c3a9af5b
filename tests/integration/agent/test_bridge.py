"""`distcc-auto` with grpc:// workers: distcc clients on the bridge, and builds that call distplusplus themselves."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from distcc_auto.demo.loopback import LoopbackWorker
from tests.integration.agent.first_server import FirstServer
from tests.integration.agent.home import BINARIES, DISTCC_AUTO, Home, fake_compiler, running_server
from tests.integration.sandbox import MASQUERADE_PATH, PATH, Sandbox
from tests.integration.server.harness import Server, until

pytestmark = pytest.mark.long

FUNCTION = "int f(int x) { return x + 1; }\n"
# What stock distcc says when it takes a worker for dead.
TAKEN_FOR_DEAD = ("allow access from your IP", "failed to distribute", "Warning")


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
    assert "compiling locally" in done.stderr
    assert (sandbox.work / "a.o").exists()


def test_jobs_of_a_worker_with_another_compiler_are_done_by_the_others(
    grpc_sandbox: Sandbox, server: Server, place: Path
) -> None:
    fake = fake_compiler(place, "exit 9")
    grpc_sandbox.write_project(files=8)
    before = jobs_of(server)
    with running_server(place, "--compiler-dir", str(fake / "allowed"), "--jobs", "3") as other:
        grpc_sandbox.environ["DISTCC_AUTO_HOSTS"] += f" grpc://{other.addresses[0]}"
        done = grpc_sandbox.distcc_auto("make")
    assert (done.returncode, jobs_of(server) - before) == (0, 8), done
    assert not [text for text in TAKEN_FOR_DEAD if text in done.stderr], done.stderr


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


def toolchain(sandbox: Sandbox, name: str = "gcc") -> Path:
    """A directory with a compiler of the same name that makes other objects."""
    directory = sandbox.work / "toolchain" / "bin"
    directory.mkdir(parents=True)
    (directory / name).write_text(f'#!/bin/sh\nexec /usr/bin/{name} -ffunction-sections "$@"\n')
    (directory / name).chmod(0o755)
    return directory


def make_32_files(sandbox: Sandbox, flags: str) -> subprocess.CompletedProcess[str]:
    """Two of them with flags of their own."""
    for number in range(32):
        sandbox.write(f"f{number}.c", f"int f{number}(void) {{ return {number}; }}\n")
    sandbox.write(
        "Makefile",
        f"all: {' '.join(f'f{number}.o' for number in range(32))}\n"
        f"f5.o f9.o: CFLAGS += {flags}\n%.o: %.c\n\tdistcc gcc $(CFLAGS) -c $< -o $@\n",
    )
    return sandbox.distcc_auto("make")


@pytest.mark.parametrize(
    ("flags", "further"), [("-fstack-usage", ".su"), ("-gsplit-dwarf", ".dwo"), ("-march=native", ".o")]
)
def test_refused_jobs_do_not_cost_the_others_their_workers(
    grpc_sandbox: Sandbox, server: Server, place: Path, flags: str, further: str
) -> None:
    with running_server(place, "--jobs", "3") as second:
        grpc_sandbox.environ["DISTCC_AUTO_HOSTS"] += f" grpc://{second.addresses[0]}"
        before = jobs_of(server)
        done = make_32_files(grpc_sandbox, flags)
        assert done.returncode == 0, done
        assert jobs_of(server) - before + jobs_of(second) == 30
    assert not [text for text in TAKEN_FOR_DEAD if text in done.stderr], done.stderr
    for name in ("f5", "f9"):
        assert (grpc_sandbox.work / f"{name}{further}").exists()
        command = ["gcc", *flags.split(), "-c", f"{name}.c", "-o", f"local/{name}.o"]
        (grpc_sandbox.work / "local").mkdir(exist_ok=True)
        assert grpc_sandbox.run(command).returncode == 0
        remote, local = (grpc_sandbox.work / path for path in (f"{name}.o", f"local/{name}.o"))
        assert flags == "-gsplit-dwarf" or remote.read_bytes() == local.read_bytes()


@pytest.mark.parametrize(
    "command",
    [
        "distcc $TOOLCHAIN/gcc -c a.c",
        "distcc toolchain/bin/gcc -c a.c",
        "PATH=$TOOLCHAIN:$PATH distcc gcc -c a.c",
        "PATH=toolchain/bin:$PATH distcc gcc -c a.c",
        "PATH=/usr/lib/distcc:$TOOLCHAIN:$PATH gcc -c a.c",
    ],
)
@pytest.mark.parametrize("rewrite", ["", "DISTCC_NO_REWRITE_CROSS=1"])
def test_the_object_is_by_the_compiler_that_was_called(grpc_sandbox: Sandbox, command: str, rewrite: str) -> None:
    directory = toolchain(grpc_sandbox)
    grpc_sandbox.write("a.c", FUNCTION)
    script = f"unset DISTCC_NO_REWRITE_CROSS; export TOOLCHAIN={directory} {rewrite}; {command} -o a.o"
    done = grpc_sandbox.distcc_auto("sh", "-c", script)
    assert done.returncode == 0, done
    assert grpc_sandbox.run([str(directory / "gcc"), "-c", "a.c", "-o", "b.o"]).returncode == 0
    assert (grpc_sandbox.work / "a.o").read_bytes() == (grpc_sandbox.work / "b.o").read_bytes()
    assert not [text for text in TAKEN_FOR_DEAD if text in done.stderr], done.stderr


def test_a_target_that_distcc_changes_is_kept(grpc_sandbox: Sandbox) -> None:
    grpc_sandbox.write("a.c", FUNCTION)
    script = "unset DISTCC_NO_REWRITE_CROSS; distcc clang --target=aarch64-linux-gnu -c a.c"
    done = grpc_sandbox.distcc_auto("sh", "-c", script)
    assert done.returncode == 0, done
    command = ["clang", "--target=aarch64-linux-gnu", "-c", "a.c", "-o", "b.o"]
    assert grpc_sandbox.run(command).returncode == 0
    assert (grpc_sandbox.work / "a.o").read_bytes() == (grpc_sandbox.work / "b.o").read_bytes()


@pytest.mark.parametrize("compiler", ["clang", "gcc"])
def test_debug_information_names_the_directory_of_the_compile(
    grpc_sandbox: Sandbox, server: Server, compiler: str
) -> None:
    real = grpc_sandbox.work / "real"
    real.mkdir()
    (real / "a.c").write_text(FUNCTION)
    (grpc_sandbox.work / "link").symlink_to(real)
    before = jobs_of(server)
    command = f"distcc {compiler} -g -c a.c -o"
    script = f"cd real && {command} 1.o && {command} 2.o && cd ../link && {command} 3.o && PWD=/ {command} 4.o"
    done = grpc_sandbox.distcc_auto("sh", "-c", script)
    assert done.returncode == 0, done
    assert jobs_of(server) - before == 4
    assert (real / "1.o").read_bytes() == (real / "2.o").read_bytes() == (real / "4.o").read_bytes()
    for number, directory in ((1, "real"), (3, "link")):
        shown = grpc_sandbox.run(["readelf", "--debug-dump=info", f"real/{number}.o"]).stdout
        (recorded,) = (line for line in shown.splitlines() if "DW_AT_comp_dir" in line)
        assert recorded.endswith(f": {grpc_sandbox.work / directory}"), recorded


@pytest.mark.parametrize("options", ["-MMD", "-MD", "-MMD -MF dir/x.d"])
def test_dependency_files_are_those_of_the_compiler(grpc_sandbox: Sandbox, options: str) -> None:
    grpc_sandbox.write("a.c", '#include "a.h"\n')
    grpc_sandbox.write("a.h", "int x;\n")
    (grpc_sandbox.work / "dir").mkdir()
    done = grpc_sandbox.distcc_auto("sh", "-c", f"distcc gcc {options} -c a.c -o dir/x.o")
    assert done.returncode == 0, done
    found = (grpc_sandbox.work / "dir" / "x.d").read_text()
    assert grpc_sandbox.run(["gcc", *options.split(), "-c", "a.c", "-o", "dir/x.o"]).returncode == 0
    assert (grpc_sandbox.work / "dir" / "x.d").read_text() == found


def test_a_pipe_is_not_read_again(grpc_sandbox: Sandbox, server: Server) -> None:
    grpc_sandbox.write("a.cc", "#ifndef A\n#define A 1\n#endif\nint a = A;\n")
    before = jobs_of(server)
    done = grpc_sandbox.distcc_auto("bash", "-c", "distcc g++ -include <(echo '#define A 5') -c a.cc")
    assert (done.returncode, jobs_of(server) - before) == (0, 1), done
    assert b"\5\0\0\0" in (grpc_sandbox.work / "a.o").read_bytes()


def test_what_only_a_worker_finds_wrong_is_compiled_locally(grpc_sandbox: Sandbox) -> None:
    """Clang warns of preprocessed text where a macro hides the reason."""
    grpc_sandbox.write("a.c", "#define IS(a, b) ((a) == (b))\nint f(int x) { if (IS(x, 1)) return 1; return 2; }\n")
    done = grpc_sandbox.distcc_auto("sh", "-c", "distcc clang -Werror -Wall -c a.c")
    assert (done.returncode, (grpc_sandbox.work / "a.o").exists()) == (0, True), done
    assert not [text for text in TAKEN_FOR_DEAD if text in done.stderr], done.stderr


def test_a_job_waits_for_a_full_server_of_the_first_implementation(
    sandbox: Sandbox, first_server: tuple[FirstServer, str]
) -> None:
    behaviour, address = first_server
    behaviour.jobs_of_others = 2
    sandbox.write("a.c", FUNCTION)
    sandbox.environ["DISTCC_AUTO_HOSTS"] = f"grpc://{address}"
    build = sandbox.start([DISTCC_AUTO, "sh", "-c", "distcc gcc -c a.c"])
    try:
        until(lambda: behaviour.refusals > 8 or build.poll() is not None, "the bridge to ask again and again")
        assert build.poll() is None, build.communicate()
        behaviour.jobs_of_others = 1
        _, stderr = build.communicate(timeout=30)
    finally:
        build.terminate()
        build.communicate()
    assert build.returncode == 0, stderr
    assert len(behaviour.requests) == 1


def test_the_end_of_a_client_ends_its_local_compile(sandbox: Sandbox, server: Server, place: Path) -> None:
    fake = fake_compiler(place, "trap '' TERM; while :; do sleep 0.05; done")
    sandbox.write("a.c", FUNCTION)
    sandbox.environ["DISTCC_AUTO_HOSTS"] = f"grpc://{server.addresses[0]}"
    compiler = fake / "bin" / "gcc"

    def running() -> list[psutil.Process]:
        """The compile itself, not the questions to the compiler before it."""
        processes = [(process, process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
        return [process for process, words in processes if str(compiler) in words[1:2] and "-c" in words]

    build = sandbox.start([DISTCC_AUTO, "sh", "-c", f"distcc {compiler} -c a.c & sleep 1000"])
    try:
        until(running, "the local compile to run")
        clients = [p for p in psutil.Process(build.pid).children(recursive=True) if p.name() == "distcc"]
        for client in clients:
            client.kill()
        until(lambda: not running(), "the local compile to end")
    finally:
        build.terminate()
        build.communicate()


@pytest.mark.parametrize("name", ["python", "distcc"])
def test_what_is_no_job_is_hung_up_on(grpc_sandbox: Sandbox, name: str) -> None:
    """And programs other than distcc are, whatever they send."""
    program = shutil.copy(os.path.realpath(sys.executable), grpc_sandbox.work / name)
    grpc_sandbox.write(
        "connect.py",
        "import os, socket\n"
        "host, port = os.environ['DISTCC_HOSTS'].split()[-1].split('/')[0].split(':')\n"
        "for data in (b'ARGC', b'DIST00000001ARGC-0000001', b'DIST00000001ARGC00000001ARGV-0000001', bytes(1000),\n"
        "             b'DIST00000001ARGC00000000DOTI00000000'):\n"
        "    with socket.create_connection((host, int(port))) as connection:\n"
        "        try:\n"
        "            connection.sendall(data)\n"
        "            connection.shutdown(socket.SHUT_WR)\n"
        "            assert connection.recv(1) == b''\n"
        "        except ConnectionError:\n"
        "            pass\n",
    )
    done = grpc_sandbox.distcc_auto("sh", "-c", f"{program} -I -S connect.py")
    assert done.returncode == 0, done
    assert "Traceback" not in done.stderr, done.stderr
    assert ("it comes from no distcc process" in done.stderr) == (name == "python")


def test_without_the_extra_the_driver_is_told_what_to_install(grpc_sandbox: Sandbox) -> None:
    (grpc_sandbox.work / "hidden" / "grpc").mkdir(parents=True)
    text = "raise ModuleNotFoundError('No module named grpc', name='grpc')\n"
    (grpc_sandbox.work / "hidden" / "grpc" / "__init__.py").write_text(text)
    done = grpc_sandbox.distcc_auto("hosts", "--json", env={"PYTHONPATH": str(grpc_sandbox.work / "hidden")})
    assert "Traceback" not in done.stderr
    (host,) = json.loads(done.stdout)["hosts"]
    assert (host["state"], host["phase"]) == ("refused", "bridge")
    assert "grpc is not installed" in host["reason"]
    assert "distcc-auto[distplusplus]" in host["remedy"]


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
