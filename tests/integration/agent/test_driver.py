"""`distcc-auto make` over grpc:// workers, with and without --launcher: what is told, how it ends, what is left."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distplusplus.protocol import distplusplus_pb2 as pb
from tests.integration import fake_workers
from tests.integration.agent.home import BINARIES, DISTCC_AUTO, LAUNCHER, fake_compiler, running_server
from tests.integration.fake_workers import FakePort
from tests.integration.sandbox import Sandbox, wait_until
from tests.integration.server.harness import Server, until
from tests.integration.terminal import Terminal

_FILES = 4
FRONT_ENDS = pytest.mark.parametrize("front_end", ["distcc", "launcher"])


@pytest.fixture
def place_of_build(sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox in which launchers have an agent of their own, which ends with it."""
    sandbox.write_project(_FILES)
    runtime = sandbox.root / "runtime"
    runtime.mkdir(mode=0o700)
    sandbox.environ |= {
        "PATH": f"{BINARIES}:{sandbox.environ['PATH']}",
        "DISTPLUSPLUS_RUNTIME_DIR": str(runtime),
        "DISTPLUSPLUS_SYSTEM_CONFIG": str(sandbox.root / "none.toml"),
        "DISTPLUSPLUS_FALLBACK": "fail",
        "DISTCC_AUTO_CONNECT_TIMEOUT": "1",
    }
    yield sandbox
    sandbox.run([LAUNCHER, "--stop"])
    wait_until(lambda: not sandbox.processes(), lambda: f"the end of {sandbox.processes()}")


def build(front_end: str, compiler: str = "gcc") -> tuple[str, ...]:
    """The arguments of distcc-auto."""
    if front_end == "launcher":
        return "--launcher", "make", f"CC=distplusplus {compiler}"
    return "make", f"CC=distcc {compiler}"


def results(server: Server) -> int:
    return server.log.count("result=ok")


@contextlib.contextmanager
def _down() -> Iterator[str]:
    yield "127.0.0.1:1"


@contextlib.contextmanager
def _black_hole() -> Iterator[str]:
    with fake_workers.black_hole() as spec:
        address, _, port = spec.split(":")
        yield f"{address}:{port}"


@contextlib.contextmanager
def _port(behave: Callable[..., None]) -> Iterator[str]:
    with FakePort(behave) as port:
        yield f"{port.address}:{port.port}"


@contextlib.contextmanager
def _mute() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield f"127.0.0.1:{sock.getsockname()[1]}"


BAD: dict[str, tuple[Callable[[], contextlib.AbstractContextManager[str]], str]] = {
    "down": (_down, r"connect: Connection refused at \S+ \(is distplusplusd running there"),
    "no-address": (lambda: contextlib.nullcontext("no-such.invalid:1"), r"connect: no address for 'no-such.invalid'"),
    "black-hole": (_black_hole, r"connect: no connection to \S+ within 1 s \("),
    "mute": (_mute, r"connect: no connection to \S+ within 1 s \("),
    "nonsense": (
        lambda: _port(fake_workers.say_and_hang(b"SSH-2.0-OpenSSH_9.2\r\n")),
        r"connect: what answers there is no distplusplusd \(",
    ),
    "hangs-up": (lambda: _port(fake_workers.close), r"connect: it closed the connection \(does it speak TLS"),
}


@FRONT_ENDS
def test_bad_workers_are_left_out_with_one_line_each(place_of_build: Sandbox, server: Server, front_end: str) -> None:
    with contextlib.ExitStack() as stack:
        bad = {name: stack.enter_context(make()) for name, (make, _) in BAD.items()}
        hosts = [f"grpc://{address}" for address in (*bad.values(), server.addresses[0])]
        before = results(server)
        done = place_of_build.distcc_auto(*build(front_end), env={"DISTCC_AUTO_HOSTS": " ".join(hosts)})
    assert done.returncode == 0, done
    assert results(server) - before == _FILES
    lines = [line for line in done.stderr.splitlines() if line.endswith("; building without it")]
    for name, address in bad.items():
        form = rf"distcc-auto: grpc://{re.escape(address)}: {BAD[name][1]}.*"
        assert [line for line in lines if re.fullmatch(form, line)], (name, done.stderr)
    assert len(lines) == len(bad)
    assert "Traceback" not in done.stderr


@FRONT_ENDS
def test_a_full_worker_is_waited_for(place_of_build: Sandbox, place: Path, front_end: str) -> None:
    fake = fake_compiler(place, f"while [ ! -e {place}/bin/go ]; do sleep 0.05; done")
    place_of_build.environ["PATH"] = f"{fake / 'bin'}:{place_of_build.environ['PATH']}"
    with running_server(place, "--compiler-dir", str(fake / "allowed"), "--jobs", "1") as server:
        place_of_build.environ["DISTCC_AUTO_HOSTS"] = f"grpc://{server.addresses[0]}"
        other = place_of_build.start(["sh", "-c", f"exec {DISTCC_AUTO} sh -c 'distcc gcc -c sum.c -o other.o'"])
        until(server.job_dirs, "somebody else's job to take the only slot")
        row = place_of_build.json("hosts", "--json")["hosts"][0]
        assert (row["state"], row["slots"]) == ("ready", 1)
        started = place_of_build.start([DISTCC_AUTO, *build(front_end), "part0.o", "part1.o"])
        until(lambda: waiting(server) > 0, "a job to wait for the slot")
        (fake / "bin" / "go").touch()
        for process in (other, started):
            _, said = process.communicate(timeout=60)
            assert process.returncode == 0, said
        assert results(server) == 3
    assert (place_of_build.work / "part1.o").read_text().startswith("object of ")


def waiting(server: Server) -> int:
    """How many clients wait for a slot."""
    return int(server.client().query(pb.ServerQuery(), timeout=10).capacity.queuedReservations)


@FRONT_ENDS
def test_a_failing_build_keeps_its_status(place_of_build: Sandbox, server: Server, front_end: str) -> None:
    place_of_build.write("part1.c", "int wrong(void) { return nothing; }\n")
    place_of_build.environ["DISTCC_AUTO_HOSTS"] = f"grpc://{server.addresses[0]}"
    done = place_of_build.distcc_auto(*build(front_end), env={"DISTCC_SKIP_LOCAL_RETRY": "1"})
    assert done.returncode == 2, done
    assert "undeclared" in done.stderr
    assert not (place_of_build.work / "part1.o").exists()
    assert not (place_of_build.work / "sum").exists()


@FRONT_ENDS
def test_ctrl_c_ends_the_jobs_on_the_worker_too(place_of_build: Sandbox, place: Path, front_end: str) -> None:
    fake = fake_compiler(place, "sleep 1000")
    place_of_build.environ["PATH"] = f"{fake / 'bin'}:{place_of_build.environ['PATH']}"
    with running_server(place, "--compiler-dir", str(fake / "allowed"), "--jobs", "3") as server:
        place_of_build.environ["DISTCC_AUTO_HOSTS"] = f"grpc://{server.addresses[0]}"
        command = " ".join(f"'{word}'" for word in build(front_end))
        with Terminal(place_of_build) as terminal:
            terminal.type(f"{DISTCC_AUTO} {command}; echo status=$?\n")
            until(lambda: len(server.job_dirs()) == 3, "three jobs on the worker")
            terminal.type("\x03")
            shown = terminal.expect("ending the build")
            shown += terminal.expect("$ ")
            terminal.type("echo ended=$?\n")
            shown += terminal.expect("ended=130")
            until(server.idle, "the worker to be idle")
            ours = [process for process in place_of_build.processes() if not process.startswith(f"{terminal.pid}:")]
            assert [process for process in ours if "distplusplus-agent" not in process] == []
        assert "Traceback" not in shown
        assert results(server) == 0
    assert list(place_of_build.work.glob("*.o")) == []


def test_the_launcher_is_exported_to_a_tree_of_cmake(place_of_build: Sandbox, server: Server) -> None:
    """Nothing in it knows of distplusplus, nor does PATH: the build configures itself."""
    place_of_build.write("tree/CMakeLists.txt", "cmake_minimum_required(VERSION 3.18)\nproject(p CXX)\n")
    with (place_of_build.work / "tree" / "CMakeLists.txt").open("a") as file:
        file.write("add_executable(p p.cc q.cc)\n")
    place_of_build.write("tree/p.cc", "int q();\nint main() { return q(); }\n")
    place_of_build.write("tree/q.cc", "int q() { return 0; }\n")
    place_of_build.environ["DISTCC_AUTO_HOSTS"] = f"grpc://{server.addresses[0]}"
    before = results(server)
    script = "cmake -S tree -B built >log && cmake --build built"
    done = place_of_build.distcc_auto("--launcher", "sh", "-c", script)
    assert done.returncode == 0, done
    assert results(server) - before == 2
    assert place_of_build.run(["built/p"]).returncode == 0


def test_a_cmake_tree_that_does_not_call_the_launcher_is_told_the_line_that_mends_it(
    place_of_build: Sandbox, server: Server
) -> None:
    place_of_build.write(
        "CMakeLists.txt", "cmake_minimum_required(VERSION 3.10)\nproject(p C)\nadd_library(p part0.c)\n"
    )
    configured = place_of_build.run(["cmake", "-S", ".", "-B", "build"])
    assert configured.returncode == 0, configured
    place_of_build.environ["DISTCC_AUTO_HOSTS"] = f"grpc://{server.addresses[0]}"
    before = results(server)
    done = place_of_build.distcc_auto("--launcher", "cmake", "--build", "build")
    (line,) = [line for line in done.stderr.splitlines() if "was configured without distplusplus" in line]
    assert results(server) == before
    assert place_of_build.run(line.partition("to mend it: ")[2].split()).returncode == 0
    done = place_of_build.distcc_auto("--launcher", "cmake", "--build", "build", "--clean-first")
    assert (done.returncode, "was configured without" in done.stderr) == (0, False), done
    assert results(server) == before + 1
