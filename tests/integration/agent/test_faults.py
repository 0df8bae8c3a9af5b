"""Servers that die, hang, are full, have another compiler or speak the first protocol, under running compiles."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from tests.integration.agent.home import LAUNCHER, Home, compiled_locally, fake_compiler, finish, running_server
from tests.integration.agent.long_compiles import LONG_S, LongCompiles
from tests.integration.server.harness import Server, until


@pytest.fixture
def fake(place: Path) -> Path:
    """Jobs take as long as there is no file `go`."""
    return fake_compiler(place, f"while [ ! -e {place}/bin/go ]; do sleep 0.05; done")


def start(home: Home, fake: Path, name: str = "a") -> subprocess.Popen[str]:
    home.write(f"{name}.c", name)
    return home.start(LAUNCHER, str(fake / "bin" / "gcc"), "-c", f"{name}.c", "-o", f"{name}.o")


def go(fake: Path) -> None:
    (fake / "bin" / "go").touch()


def test_the_jobs_of_a_server_that_dies_go_to_the_next(alone: Home, fake: Path, place: Path) -> None:
    allowed = ("--compiler-dir", str(fake / "allowed"), "--jobs", "1")
    with running_server(place, *allowed) as first, running_server(place, *allowed) as second:
        alone.use(first, second, fallback="fail")
        running = [start(alone, fake, name) for name in ("a", "b")]
        until(lambda: first.compilers() and second.compilers(), "one compile on each")
        left = first.compilers()
        first.process.kill()
        until(lambda: "the server has gone away; its jobs go elsewhere" in alone.log, "the loss to be noticed")
        go(fake)
        for process, name in zip(running, ("a", "b"), strict=True):
            done = finish(process)
            assert done.returncode == 0, done
            assert (alone.work / f"{name}.o").read_text() == f"object of {name}\n"
        first.process.wait()
        until(lambda: not any(process.is_running() for process in left), "the dead server's compilers to end")


def test_without_any_server_left_the_compile_is_done_here(alone: Home, fake: Path, place: Path) -> None:
    with running_server(place, "--compiler-dir", str(fake / "allowed")) as server:
        alone.use(server)
        process = start(alone, fake)
        until(server.compilers, "the compile to begin")
        server.process.kill()
        server.process.wait()
        go(fake)
        done = finish(process)
    assert done.returncode == 0, done
    assert compiled_locally(done)
    assert (alone.work / "a.o").read_text() == "object of a\n"


def test_a_server_that_starts_again_is_used_again(alone: Home, place: Path) -> None:
    alone.write("a.c", "int x;\n")
    with running_server(place) as server:
        address = server.addresses[0]
        alone.use(address)
        alone.remote("gcc", "-c", "a.c")
    assert compiled_locally(alone.compile("gcc", "-c", "a.c"))
    with running_server(place, "--listen-address", address):
        until(lambda: alone.compile("gcc", "-c", "a.c").returncode == 0 and alone.done() == 2, "the server to be used")


def test_a_black_hole_is_passed_over(alone: Home, server: Server) -> None:
    """Its backlog is full, so Linux drops each connection attempt."""
    alone.write("a.c", "int x;\n")
    with socket.socket() as hole, socket.socket() as filler, socket.socket() as other:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        for sock in (filler, other):
            sock.setblocking(False)
            sock.connect_ex(hole.getsockname())
        alone.use(f"127.0.0.1:{hole.getsockname()[1]}", server, connect_timeout="1")
        done = alone.compile("gcc", "-c", "a.c")
        assert (done.returncode, compiled_locally(done)) == (0, False)
        assert alone.done() == 1
        alone.use(f"127.0.0.1:{hole.getsockname()[1]}", connect_timeout="1")
        done = alone.compile("gcc", "-c", "a.c")
        assert done.returncode == 0
        assert "no connection to 127.0.0.1" in alone.log


def test_a_peer_that_accepts_and_says_nothing_is_told_from_one_that_cannot_be_reached(alone: Home) -> None:
    alone.write("a.c", "int x;\n")
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        alone.use(f"127.0.0.1:{mute.getsockname()[1]}", connect_timeout="1")
        done = alone.compile("gcc", "-c", "a.c")
    assert done.returncode == 0
    assert compiled_locally(done)
    assert "connect: " in done.stderr


def test_fallback_fail_is_an_error_and_leaves_no_object(alone: Home) -> None:
    alone.write("a.c", "int x;\n")
    alone.use("127.0.0.1:1", fallback="fail")
    done = alone.compile("gcc", "-c", "a.c")
    assert done.returncode == 1
    assert "fallback = fail" in done.stderr
    assert "Connection refused" in done.stderr
    assert not (alone.work / "a.o").exists()


def test_fallback_wait_waits_for_a_server(alone: Home, place: Path) -> None:
    with running_server(place) as server:
        address = server.addresses[0]
    alone.write("a.c", "int x;\n")
    alone.use(address, fallback="wait")
    process = alone.start(LAUNCHER, "gcc", "-c", "a.c")
    until(lambda: "waiting for one" in alone.log, "the launcher to wait")
    with running_server(place, "--listen-address", address):
        done = finish(process)
    assert done.returncode == 0, done
    assert alone.done() == 1


def test_more_jobs_than_slots_wait_and_are_all_done_by_servers(alone: Home, fake: Path, place: Path) -> None:
    with running_server(place, "--compiler-dir", str(fake / "allowed"), "--jobs", "2") as server:
        alone.use(server, fallback="fail")
        running = [start(alone, fake, f"f{number}") for number in range(7)]
        until(lambda: len(server.job_dirs()) == 2, "both slots to be taken")
        go(fake)
        assert [finish(process).returncode for process in running] == [0] * 7
        assert alone.done() == 7
        until(server.idle, "the server to be idle")


def test_another_compiler_is_passed_over_with_one_line(alone: Home, fake: Path, place: Path, server: Server) -> None:
    """The server's gcc is not this machine's."""
    go(fake)
    alone.write("a.c", "int x;\n")
    with running_server(place, "--compiler-dir", str(fake / "allowed")) as other:
        alone.use(other, server)
        for _ in range(3):
            assert alone.compile("gcc", "-c", "a.c").returncode == 0
        assert alone.done() == 3
        until(lambda: alone.log.count("it is passed over") == 1, "the line")
    assert "its gcc is 1.0 for fake-linux-gnu" in alone.log


def test_a_refused_token_says_what_to_look_at(alone: Home, place: Path) -> None:
    token = place / "token"
    token.write_text("correct-horse-battery-staple\n")
    token.chmod(0o644)
    alone.write("a.c", "int x;\n")
    with running_server(place, "--token-file", str(token)) as server:
        alone.use(server)
        done = alone.compile("gcc", "-c", "a.c")
        assert done.returncode == 0
        assert "token-file" in done.stderr
        alone.configure(f'servers = [{{ address = "{server.addresses[0]}", token-file = "{token}" }}]\n')
        until(lambda: alone.compile("gcc", "-c", "a.c").returncode == 0 and alone.done() == 1, "the token to be taken")


def test_local_compiles_are_bounded(alone: Home, fake: Path) -> None:
    alone.use(local_jobs="2")
    running = [start(alone, fake, f"f{number}") for number in range(5)]
    # Two run, and three launchers wait: they are counted by what they are.
    until(lambda: "local: no servers" in alone.log and alone.log.count("local: ") == 5, "all five to be here")
    until(lambda: sum(map(_is_script, running)) >= 2, "two of them to be compilers")
    assert sum(map(_is_script, running)) == 2
    go(fake)
    assert [finish(process).returncode for process in running] == [0] * 5


def _is_script(process: subprocess.Popen[str]) -> bool:
    command = Path(f"/proc/{process.pid}/comm").read_text().strip()
    return command == "gcc"


@pytest.mark.long
def test_a_long_compile_is_not_cut(long_compiles: LongCompiles) -> None:
    """Neither by the launcher nor by the agent or the bridge, which all have deadlines for those who say nothing."""
    until(long_compiles.are_long, "a long time", 2 * LONG_S)
    home, launcher = long_compiles.launcher
    sandbox, build = long_compiles.build
    assert (launcher.poll(), build.poll()) == (None, None)
    go(long_compiles.fake)
    assert finish(launcher).returncode == 0
    assert (home.work / "a.o").read_text() == "object of a\n"
    _, said = build.communicate(timeout=60)
    assert (build.returncode, "1 jobs, 100 %" in said) == (0, True), said
    assert (sandbox.work / "a.o").read_text() == "object of a\n"
    assert long_compiles.server.log.count("result=ok") == 2
