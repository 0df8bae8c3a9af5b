"""A server of the first implementation: no extensions, no waiting, and every one of its demands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.agent.first_server import FirstServer
from tests.integration.agent.home import LAUNCHER, Home, finish
from tests.integration.sandbox import Sandbox
from tests.integration.server.harness import until


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


def test_a_server_is_alive_while_it_does_not_know_a_compiler(
    alone: Home, first_server: tuple[FirstServer, str], tmp_path: Path
) -> None:
    """Neither a compiler that it does not have nor a heartbeat may cancel the job that it runs."""
    behaviour, address = first_server
    alone.use(address)
    alone.write("a.c", "int x;\n")
    alone.write("b.c", "int x;\n")
    behaviour.compile_s = 6.0  # longer than the time between two heartbeats
    running = alone.start(LAUNCHER, "gcc", "-c", "a.c", DISTPLUSPLUS_FALLBACK="fail")
    until(lambda: len(behaviour.requests) == 1, "the job to be sent")
    unknown = tmp_path / "unknown-gcc-77"
    unknown.symlink_to("/usr/bin/gcc")
    done = alone.compile(str(unknown), "-c", "b.c", "-o", "b.o")
    assert "unknown-gcc-77" in behaviour.refused_queries
    assert "it has no unknown-gcc-77" in done.stderr
    ended = finish(running)
    assert (ended.returncode, alone.done(), len(behaviour.requests)) == (0, 1, 1), alone.log
    assert "go elsewhere" not in alone.log


@pytest.mark.parametrize(
    "arguments",
    [
        ("-g", "-gsplit-dwarf"),
        ("-fstack-usage",),
        ("-fdebug-prefix-map=/a=/b",),
        ("-ffile-prefix-map=/a=/b",),
        ("-fsave-optimization-record",),
        ("-foptimization-record-passes=inline",),
    ],
    ids=" ".join,
)
def test_what_such_a_server_refuses_or_does_not_survive_is_never_sent(
    alone: Home, first_server: tuple[FirstServer, str], arguments: tuple[str, ...]
) -> None:
    behaviour, address = first_server
    compiler = "clang" if "optimization" in arguments[-1] else "gcc"
    alone.use(address)
    alone.write("a.c", "int x;\n")
    done = alone.compile(compiler, *arguments, "-c", "a.c")
    assert (done.returncode, behaviour.requests, behaviour.crashed_by) == (0, [], "")
    # Nor is it preprocessed first: the log's only line of it says why.
    assert alone.log.count("local: ") == 1
    done = alone.compile(compiler, "-S", "a.c")
    assert (done.returncode, behaviour.requests) == (0, [])


def test_clang_records_the_directory_of_the_compile(alone: Home, first_server: tuple[FirstServer, str]) -> None:
    _, address = first_server
    alone.use(address)
    alone.write("a.c", "int f(int x) { return x; }\n")
    for compiler in ("clang", "gcc"):
        alone.remote(compiler, "-g", "-c", "a.c")
        dumped = alone.run("readelf", "--debug-dump=info", "a.o").stdout
        assert re.findall(r"DW_AT_comp_dir .*?: (/\S*)$", dumped, re.MULTILINE) == [str(alone.work)]


def test_its_load_is_in_per_cent(alone: Home, first_server: tuple[FirstServer, str]) -> None:
    behaviour, address = first_server
    alone.use(address)
    for percent, told in ((0, "0 of 2"), (50, "1 of 2"), (100, "2 of 2"), (400, "2 of 2")):
        alone.run(LAUNCHER, "--stop")
        behaviour.load_percent = percent
        assert f"{told} slots taken" in alone.run(LAUNCHER, "--explain", "gcc", "-c", "a.c").stdout


def test_large_files_come_with_empty_frames(alone: Home, first_server: tuple[FirstServer, str]) -> None:
    _, address = first_server
    alone.use(address)
    alone.write("a.c", "".join(f"int f{number}(int x) {{ return x + {number}; }}\n" for number in range(300)))
    for option in ("-O0", "-O1", "-O2"):
        alone.remote("gcc", option, "-c", "a.c")


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
