"""Troubles of the client's own machine, and restarts under a running build, by both front ends."""

from __future__ import annotations

import contextlib
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.integration.agent.home import DISTCC_AUTO, LAUNCHER, Home, compiled_locally, finish, running_server
from tests.integration.sandbox import Sandbox, wait_until
from tests.integration.server.harness import Server, until

# An object of about 300 KB, from a line of source.
LARGE = "const char large[300000] = {1};\n"


def small_disk(directory: Path, size: str, *command: str) -> tuple[str, ...]:
    """`command` in a mount namespace of its own, in which `directory` is a file system of this size."""
    script = 'mount -t tmpfs -o "size=$1,mode=700" none "$2" && shift 2 && cd . && exec "$@"'
    return ("unshare", "--mount", "sh", "-c", script, "sh", size, str(directory), *command)


def then_list(directory: Path, command: str) -> tuple[str, ...]:
    """Runs a command in the directory, as a shell does; what is there afterwards goes to standard output."""
    return ("sh", "-c", f"cd {directory} && {command}; status=$?; ls -1; exit $status")


@pytest.mark.parametrize("front_end", ["launcher", "bridge"])
def test_a_full_disk_is_an_error_and_leaves_no_object(
    alone: Home, sandbox: Sandbox, server: Server, front_end: str
) -> None:
    alone.use(server)
    sandbox.environ["DISTCC_AUTO_HOSTS"] = f"grpc://{server.addresses[0]}"
    work = (alone if front_end == "launcher" else sandbox).work
    source = work / "large.c"
    source.write_text(LARGE)
    (work / "disk").mkdir()
    before = server.log.count("result=ok")
    if front_end == "launcher":
        command = then_list(work / "disk", f"{LAUNCHER} gcc -c {source} -o a.o")
        done = alone.run(*small_disk(work / "disk", "64k", *command))
    else:
        command = then_list(work / "disk", f"{DISTCC_AUTO} sh -c 'distcc gcc -c {source} -o a.o'")
        done = sandbox.run(small_disk(work / "disk", "64k", *command), env={"DISTCC_FALLBACK": "1"})
    assert done.returncode != 0, done
    assert done.stdout == "", "something is left"
    assert "No space left on device" in done.stderr
    assert server.log.count("result=ok") == before + 1


def test_an_unwritable_directory_is_an_error_of_a_build_for_distcc(sandbox: Sandbox, server: Server) -> None:
    """One that is not there is not: for `-o no/such/a.o` distcc ends with 0, whatever kind of worker did the job."""
    sandbox.environ |= {"DISTCC_AUTO_HOSTS": f"grpc://{server.addresses[0]}", "DISTCC_FALLBACK": "1"}
    sandbox.write("a.c", "int x;\n")
    (sandbox.work / "locked").mkdir()
    # Root writes everywhere but to where nothing can be written.
    script = f"mount -t tmpfs -o ro none locked && {DISTCC_AUTO} sh -c 'distcc gcc -c a.c -o locked/a.o'"
    done = sandbox.run(["unshare", "--mount", "sh", "-c", script])
    assert done.returncode == 1, done
    assert "Read-only file system" in done.stderr
    assert sorted(path.name for path in sandbox.work.rglob("*")) == ["a.c", "locked"]


def test_an_unwritable_directory_is_an_error_of_the_launcher(home: Home) -> None:
    home.write("a.c", "int x;\n")
    (home.work / "locked").mkdir()
    script = f"mount -t tmpfs -o ro none locked && exec {LAUNCHER} gcc -c a.c -o locked/a.o"
    done = home.run("unshare", "--mount", "sh", "-c", script)
    assert done.returncode == 1, done
    assert "Read-only file system" in done.stderr
    assert home.done() == 1
    assert sorted(path.name for path in home.work.rglob("*")) == ["a.c", "locked"]


@pytest.mark.parametrize("room", ["none at all", "for no log"])
def test_a_full_runtime_directory_costs_no_compile(alone: Home, server: Server, room: str) -> None:
    alone.use(server)
    alone.write("a.c", "int x;\n")
    options = "nr_inodes=1" if room == "none at all" else "size=4k"
    fill = "true" if room == "none at all" else f"head -c 4096 /dev/zero >{alone.runtime}/fill"
    script = f"mount -t tmpfs -o mode=700,{options} none {alone.runtime} && {fill} && {LAUNCHER} gcc -c a.c"
    # The agent is in the namespace, so it is ended there.
    done = alone.run("unshare", "--mount", "sh", "-c", f"{script}; status=$?; {LAUNCHER} --stop; exit $status")
    assert done.returncode == 0, done
    assert (alone.work / "a.o").exists()
    assert compiled_locally(done) == (room == "none at all"), done
    assert "Traceback" not in done.stderr


OLD_AGENT = f"""#!{sys.executable}
import sys
import distcc_common
distcc_common.__version__ = "0.0.9"
from distplusplus.agent.__main__ import main
main()
"""


def test_an_agent_of_an_older_version_makes_room(home: Home) -> None:
    """As after an upgrade: the launcher is the new one, the agent that runs is still the old."""
    home.write("a.c", "int x;\n")
    program = home.write("old-agent", OLD_AGENT)
    program.chmod(0o755)
    # Started by a launcher that goes home, since versions differ; the second attempt starts an old one again.
    done = home.compile("gcc", "-c", "a.c", DISTPLUSPLUS_AGENT=str(program))
    assert (done.returncode, home.done(), "agent 0.0.9" in home.log) == (0, 0, True), done
    done = home.compile("gcc", "-c", "a.c", DISTPLUSPLUS_AGENT=str(program))
    assert done.returncode == 0
    home.remote("gcc", "-c", "a.c")
    until(lambda: len(home.agents()) == 1, "the old agents to end")
    home.remote("gcc", "-c", "a.c")


def test_an_older_agent_ends_what_it_has_begun(alone: Home, server: Server) -> None:
    alone.write("a.c", "int x;\n")
    program = alone.write("old-agent", OLD_AGENT)
    program.chmod(0o755)
    alone.use("127.0.0.1:1", fallback="wait")
    old = Path(LAUNCHER).read_bytes().replace(b"0.1.0\0", b"0.0.9\0")
    (alone.work / "distplusplus").write_bytes(old)
    (alone.work / "distplusplus").chmod(0o755)
    waiting = alone.start("./distplusplus", "gcc", "-c", "a.c", DISTPLUSPLUS_AGENT=str(program))
    until(lambda: "waiting for one" in alone.log, "the old agent to have a compile")
    (agent,) = alone.agents()
    alone.use(server)
    alone.write("b.c", "int y;\n")
    alone.remote("gcc", "-c", "b.c")
    assert agent.is_running(), "it has a launcher that waits"
    waiting.send_signal(signal.SIGTERM)
    finish(waiting)
    until(lambda: not agent.is_running() or agent.status() == psutil.STATUS_ZOMBIE, "the old agent to end")


@contextlib.contextmanager
def restarted(place: Path) -> Iterator[tuple[str, list[Server], contextlib.ExitStack]]:
    """A server that the test kills and starts again on the same address: the stack closes what was started."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(running_server(place, "--jobs", "2"))
        yield first.addresses[0], [first], stack


def test_a_server_restarted_under_a_build_of_launchers_is_used_again(alone: Home, place: Path) -> None:
    names = [f"f{number}" for number in range(24)]
    for name in names:
        alone.write(f"{name}.c", "int x;\n")
    alone.write("Makefile", f"all: {' '.join(f'{name}.o' for name in names)}\n")
    with restarted(place) as (address, servers, stack):
        alone.use(address, fallback="wait")
        build = alone.start("make", "-j4", f"CC={LAUNCHER} gcc")
        until(lambda: list(alone.work.glob("*.o")), "the first object")
        servers[0].process.kill()
        servers[0].process.wait()
        # Killed with most of the work before it; started again on the same port.
        servers.append(stack.enter_context(running_server(place, "--jobs", "2", "--listen-address", address)))
        done = finish(build)
        assert done.returncode == 0, done
        assert len(list(alone.work.glob("*.o"))) == len(names)
        assert servers[1].log.count("result=ok") > 0
    assert "compiling" not in done.stderr


def test_a_server_restarted_under_a_build_for_distcc_is_used_again(sandbox: Sandbox, place: Path) -> None:
    sandbox.write("a.c", "int x;\n")
    with restarted(place) as (address, servers, stack):
        environ = {
            "DISTCC_AUTO_HOSTS": f"grpc://{address}",
            "DISTCC_FALLBACK": "1",
            "DISTCC_BACKOFF_PERIOD": "1",
        }
        sandbox.write("again", "")
        script = "until [ -e stop ]; do distcc gcc -c a.c -o a.o || exit 1; echo >>again; done"
        build = sandbox.start([DISTCC_AUTO, "--report", "sh", "-c", script], env=environ)
        until(lambda: servers[0].log.count("result=ok") > 1, "the server to be used")
        servers[0].process.kill()
        servers[0].process.wait()
        count = len((sandbox.work / "again").read_text())
        until(lambda: len((sandbox.work / "again").read_text()) > count + 1, "the build to go on without it")
        servers.append(stack.enter_context(running_server(place, "--jobs", "2", "--listen-address", address)))
        until(lambda: servers[1].log.count("result=ok") > 1, "the server to be used again")
        sandbox.write("stop", "")
        _, said = build.communicate(timeout=60)
    assert build.returncode == 0, said
    # Between two jobs, or in the middle of one.
    assert re.search(rf"distcc-auto: grpc://{address}: (reserve|compile|connect): .*; its jobs go elsewhere\n", said)
    assert "Traceback" not in said


def test_a_killed_bridge_costs_the_build_nothing_but_its_workers(sandbox: Sandbox, server: Server) -> None:
    sandbox.write_project(files=8)
    sandbox.environ |= {"DISTCC_AUTO_HOSTS": f"grpc://{server.addresses[0]}", "DISTCC_FALLBACK": "1"}
    script = "make part0.o && touch one && until [ -e killed ]; do sleep 0.05; done && make -j2"
    build = sandbox.start([DISTCC_AUTO, "--report", "sh", "-c", script])
    wait_until((sandbox.work / "one").exists, "the first object")
    (bridge,) = (
        process for process in psutil.Process(build.pid).children() if "distplusplus.bridge" in process.cmdline()
    )
    bridge.kill()
    sandbox.write("killed", "")
    _, said = build.communicate(timeout=60)
    assert build.returncode == 0, said
    assert sandbox.run(["./sum"]).stdout == f"{sum(range(7))}\n"
    assert "unknown, it restarted or does not answer any more" in said
    assert "Traceback" not in said
