"""A server of the first implementation: no extensions, no waiting, and every one of its demands."""

from __future__ import annotations

from tests.integration.agent.first_server import FirstServer
from tests.integration.agent.home import LAUNCHER, Home, finish
from tests.integration.sandbox import Sandbox


def test_a_server_of_the_first_implementation_is_used_as_it_demands(
    alone: Home, first_server: tuple[FirstServer, str]
) -> None:
    behaviour, address = first_server
    alone.use(address)
    alone.write("sub dir/a.c", "#undef linux\nint linux(void) { return 1; }\n")
    alone.remote("gcc", "-O1", "-I", ".", "-DX=1", "-MD", "-c", "sub dir/a.c", "-o", "a.o")
    (request,) = behaviour.requests
    assert (request.compiler, request.inputFile.name) == ("x86_64-linux-gnu-gcc", "a.i")
    assert list(request.argument) == ["-O1", "-c"]
    assert [field.number for field, _ in request.ListFields() if field.number >= 100] == []
    there = (alone.work / "a.o").read_bytes()
    assert alone.run("gcc", "-O1", "-c", "sub dir/a.c", "-o", "a.o").returncode == 0
    assert (alone.work / "a.o").read_bytes() == there
    # What needs an extension stays here.
    done = alone.compile("gcc", "-g", "-gsplit-dwarf", "-c", "sub dir/a.c", "-o", "b.o")
    assert (done.returncode, len(behaviour.requests)) == (0, 1)
    assert (alone.work / "b.dwo").exists()


def test_a_full_server_that_cannot_keep_us_waiting_is_not_asked_all_the_time(
    alone: Home, first_server: tuple[FirstServer, str]
) -> None:
    behaviour, address = first_server
    alone.use(address, fallback="fail")
    for number in range(8):
        alone.write(f"f{number}.c", "int x;\n")
    running = [alone.start(LAUNCHER, "gcc", "-c", f"f{number}.c") for number in range(8)]
    assert [finish(process).returncode for process in running] == [0] * 8
    assert len(behaviour.requests) == 8
    assert behaviour.refusals < 50


def test_a_build_for_distcc_uses_such_a_server(sandbox: Sandbox, first_server: tuple[FirstServer, str]) -> None:
    behaviour, address = first_server
    sandbox.write_project(files=6)
    sandbox.environ["DISTCC_AUTO_HOSTS"] = f"grpc://{address}"
    done = sandbox.distcc_auto("--report", "make")
    assert done.returncode == 0, done
    assert f"grpc://{address} (2 slots): 6 jobs, 100 %" in done.stderr
    assert len(behaviour.requests) == 6
    assert {tuple(request.argument) for request in behaviour.requests} == {("-c",)}
    there = {path.name: path.read_bytes() for path in sandbox.work.glob("*.o")}
    assert sandbox.run(["make", "-B", "CC=gcc"]).returncode == 0
    assert {path.name: path.read_bytes() for path in sandbox.work.glob("*.o")} == there


def test_errors_that_such_a_server_reports(alone: Home, first_server: tuple[FirstServer, str]) -> None:
    """A compiler that fails is a call that succeeds, with an empty object that nobody may write."""
    behaviour, address = first_server
    alone.use(address)
    alone.write("a.c", "int f(void) { return nothing; }\n")
    done = alone.compile("gcc", "-c", "a.c")
    assert (done.returncode, len(behaviour.requests)) == (1, 1)
    assert "undeclared" in done.stderr
    assert not (alone.work / "a.o").exists()
