"""What a user and a build tool see of the launcher, with and without an agent."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.integration.agent.home import LAUNCHER, PATH, Home, compiled_locally, fake_compiler, finish, running_server
from tests.integration.server.harness import until

HELLO = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'


def masquerade(home: Home, name: str = "links") -> Path:
    directory = home.work / name
    done = home.run(LAUNCHER, "--install-symlinks", str(directory))
    assert done.returncode == 0, done
    return directory


def test_the_object_is_that_of_the_compiler(home: Home) -> None:
    home.write("a.c", HELLO)
    assert home.remote("gcc", "-O2", "-c", "a.c") == ""
    remote = (home.work / "a.o").read_bytes()
    assert home.run("gcc", "-O2", "-c", "a.c").returncode == 0
    assert (home.work / "a.o").read_bytes() == remote
    assert not list(home.work.glob("*.tmp"))


def test_links_named_like_compilers_stand_for_them(home: Home) -> None:
    links = masquerade(home)
    assert {"gcc", "g++", "cc", "clang", "clang++"} <= {path.name for path in links.iterdir()}
    home.write("a.c", HELLO)
    done = home.run("gcc", "-c", "a.c", PATH=f"{links}:{PATH}", DISTPLUSPLUS_FALLBACK="fail")
    assert (done.returncode, done.stderr) == (0, "")
    assert home.done() == 1
    # Linking is done here, by the real compiler, and does not come back to us.
    assert home.run("gcc", "a.o", "-o", "a", PATH=f"{links}:{PATH}").returncode == 0
    assert home.run("./a").stdout == "hello\n"


def test_a_link_directory_twice_changes_nothing_and_a_foreign_file_stays(home: Home) -> None:
    links = masquerade(home)
    masquerade(home)
    (links / "gcc").unlink()
    (links / "gcc").write_text("mine")
    done = home.run(LAUNCHER, "--install-symlinks", str(links))
    assert done.returncode == 96
    assert "there is a file of that name" in done.stderr
    assert (links / "gcc").read_text() == "mine"


@pytest.mark.parametrize("agent", ["agent", "no agent"])
def test_a_launcher_never_calls_itself(home: Home, agent: str) -> None:
    """Two copies of the launcher, each first in PATH for the other, and ccache between them: the compiler is found."""
    first, second = masquerade(home, "first"), home.work / "second"
    second.mkdir()
    copy = shutil.copy(LAUNCHER, home.work / "copy")
    for name in ("gcc", "cc"):
        (second / name).symlink_to(copy)
    home.write("a.c", HELLO)
    environ = {} if agent == "agent" else {"DISTPLUSPLUS_AGENT": "/bin/false"}
    for path in (f"{first}:{second}:/usr/lib/ccache:{PATH}", f"/usr/lib/ccache:{second}:{first}:{first}:{PATH}"):
        done = home.run("gcc", "a.c", "-o", "a", PATH=path, **environ)
        assert done.returncode == 0, done
        assert home.run("gcc", "-c", "a.c", PATH=path, **environ).returncode == 0


def test_a_script_that_comes_back_ends_with_a_message(home: Home) -> None:
    """A wrapper of the user's, found as the compiler, calls the launcher by its whole path: only depth ends that."""
    script = home.write("bin/gcc", f'#!/bin/sh\nexec {LAUNCHER} "$0" "$@"\n')
    script.chmod(0o755)
    done = home.run(str(script), "-c", "a.c")
    assert done.returncode == 1
    assert "started by itself" in done.stderr


def test_a_compiler_that_is_not_there(home: Home) -> None:
    links = masquerade(home)
    done = home.run(str(links / "gcc"), "-c", "a.c", PATH=str(links))
    assert done.returncode == 127
    assert "no compiler 'gcc'" in done.stderr
    assert home.compile("no-such-gcc", "-c", "a.c").returncode == 127
    assert home.compile("./no-such-gcc", "-c", "a.c").returncode == 127


def test_ccache_calls_it_as_its_prefix(home: Home) -> None:
    home.write("a.c", HELLO)
    done = home.run("ccache", "gcc", "-c", "a.c", CCACHE_PREFIX="distplusplus", DISTPLUSPLUS_FALLBACK="fail")
    assert done.returncode == 0, done
    assert home.done() == 1
    assert home.run("ccache", "gcc", "-c", "a.c", CCACHE_PREFIX="distplusplus").returncode == 0
    assert home.done() == 1


def test_cmake_calls_it_as_its_launcher(home: Home) -> None:
    home.write("CMakeLists.txt", "cmake_minimum_required(VERSION 3.18)\nproject(p CXX)\nadd_executable(p p.cc)\n")
    home.write("p.cc", "int main() { return 0; }\n")
    options = ("-G", "Ninja", "-DCMAKE_CXX_COMPILER_LAUNCHER=distplusplus")
    assert home.run("cmake", "-B", "build", ".", *options).returncode == 0
    assert home.done() == 0  # trial compiles stay here
    assert home.run("cmake", "--build", "build", DISTPLUSPLUS_FALLBACK="fail").returncode == 0
    assert home.done() == 1


def test_an_error_is_told_as_the_compiler_tells_it(home: Home) -> None:
    home.write("bad.c", "int main(void) { return x; }\n")
    here = home.run("gcc", "-c", "bad.c")
    there = home.compile("gcc", "-c", "bad.c")
    assert (there.returncode, there.stdout, there.stderr) == (here.returncode, here.stdout, here.stderr)
    assert there.returncode == 1
    assert not (home.work / "bad.o").exists()


def test_messages_keep_their_stream_and_their_order(home: Home) -> None:
    home.write("w.c", "#warning first\nint f(void) { int unused; return 0; }\n")
    said = home.remote("gcc", "-Wall", "-c", "w.c")
    assert said.index("first") < said.index("unused")


def test_a_terminal_gets_colours(home: Home) -> None:
    home.write("w.c", "int f(void) { int unused; return 0; }\n")
    main, side = pty.openpty()
    process = subprocess.Popen(
        [LAUNCHER, "gcc", "-Wall", "-c", "w.c"],
        cwd=home.work,
        env=home.environ | {"TERM": "xterm", "DISTPLUSPLUS_FALLBACK": "fail"},
        stderr=side,
        start_new_session=True,
    )
    os.close(side)
    said = os.read(main, 65536)
    assert process.wait(60) == 0
    os.close(main)
    assert b"\x1b[" in said
    assert home.done() == 1


@pytest.mark.parametrize("output", ["no/such/directory/a.o", "/dev/full", "."])
def test_an_output_that_cannot_be_written_is_an_error(home: Home, output: str) -> None:
    home.write("a.c", HELLO)
    here = home.run("gcc", "-c", "a.c", "-o", output)
    there = home.compile("gcc", "-c", "a.c", "-o", output)
    # The assembler names its own temporary file.
    said = [re.sub(r"/cc\w+\.", "/cc.", done.stderr) for done in (there, here)]
    assert said[0] == said[1]
    assert there.returncode == here.returncode == 1
    assert sorted(path.name for path in home.work.iterdir()) == ["a.c"]


def test_a_device_is_written_and_a_link_is_replaced_as_by_the_compiler(home: Home) -> None:
    home.write("a.c", HELLO)
    assert home.compile("gcc", "-c", "a.c", "-o", "/dev/null").returncode == 0
    assert Path("/dev/null").is_char_device()
    target = home.write("target", "kept")
    (home.work / "a.o").symlink_to(target)
    home.remote("gcc", "-c", "a.c")
    assert target.read_text() == "kept"
    assert not (home.work / "a.o").is_symlink()


def test_the_umask_is_the_users(home: Home) -> None:
    home.write("a.c", HELLO)
    done = home.run("sh", "-c", f"umask 027; exec {LAUNCHER} gcc -c a.c", DISTPLUSPLUS_FALLBACK="fail")
    assert done.returncode == 0, done
    assert (home.work / "a.o").stat().st_mode & 0o777 == 0o640


def test_without_an_agent_the_compiler_runs(home: Home) -> None:
    home.write("a.c", HELLO)
    done = home.compile("gcc", "-c", "a.c", DISTPLUSPLUS_AGENT="/bin/false")
    assert done.returncode == 0
    assert compiled_locally(done)
    assert (home.work / "a.o").exists()
    script = home.write("agent", "#!/no/such/interpreter\n")
    script.chmod(0o755)
    done = home.compile("gcc", "-c", "a.c", DISTPLUSPLUS_AGENT=str(script))
    assert (done.returncode, compiled_locally(done)) == (0, True)
    assert f"cannot run {script}: No such file or directory" in home.log


def test_without_servers_the_compiler_runs_and_says_so_once(alone: Home) -> None:
    alone.write("a.c", HELLO)
    first, second = alone.compile("gcc", "-c", "a.c"), alone.compile("gcc", "-c", "a.c")
    assert (first.returncode, second.returncode, second.stderr) == (0, 0, "")
    assert "no servers are configured" in first.stderr


def test_a_runtime_directory_of_somebody_elses_is_not_used(home: Home) -> None:
    home.write("a.c", HELLO)
    home.runtime.chmod(0o755)
    done = home.compile("gcc", "-c", "a.c")
    assert done.returncode == 0
    assert "not a directory of this user's alone" in done.stderr
    home.runtime.chmod(0o700)


def test_an_agent_of_another_user_is_not_used(home: Home) -> None:
    """Root can make what a stranger could plant: a directory, and a socket in it, of another user."""
    home.write("a.c", HELLO)
    os.chown(home.runtime, 1, 1)
    done = home.compile("gcc", "-c", "a.c")
    assert done.returncode == 0
    assert compiled_locally(done)
    os.chown(home.runtime, os.getuid(), os.getgid())


def test_an_agent_of_another_version_is_replaced(home: Home) -> None:
    home.write("a.c", HELLO)
    home.remote("gcc", "-c", "a.c")
    (old,) = home.agents()
    newer = Path(LAUNCHER).read_bytes().replace(b"0.1.0\0", b"9.9.9\0")
    (home.work / "distplusplus").write_bytes(newer)
    (home.work / "distplusplus").chmod(0o755)
    agent = str(Path(LAUNCHER).parent / "distplusplus-agent")
    done = home.run("./distplusplus", "gcc", "-c", "a.c", DISTPLUSPLUS_AGENT=agent)
    # The new agent is ours again, so the other launcher goes home; the old one has made room.
    assert done.returncode == 0
    until(lambda: old.pid not in [process.pid for process in home.agents()], "the old agent to end")
    home.remote("gcc", "-c", "a.c")


def test_a_removed_socket_brings_a_new_agent_and_the_old_one_ends(home: Home) -> None:
    home.write("a.c", HELLO)
    home.remote("gcc", "-c", "a.c")
    (old,) = home.agents()
    (socket,) = home.sockets()
    socket.unlink()
    home.remote("gcc", "-c", "a.c")
    until(lambda: old.pid not in [process.pid for process in home.agents()], "the old agent to end")
    assert len(home.agents()) == 1


def test_an_idle_agent_ends_by_itself(home: Home) -> None:
    home.write("a.c", HELLO)
    home.remote("gcc", "-c", "a.c", DISTPLUSPLUS_IDLE_TIMEOUT="0.2")
    until(lambda: not home.agents(), "the agent to end")
    assert home.sockets() == []


def test_many_launchers_start_one_agent(home: Home) -> None:
    home.write("a.c", HELLO)
    started = [home.start(LAUNCHER, "gcc", "-c", "a.c", "-o", f"a{number}.o") for number in range(8)]
    assert [finish(process).returncode for process in started] == [0] * 8
    assert len(home.agents()) == 1
    assert home.done() == 8


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_agent_that_is_ended_under_a_compile_loses_nothing(alone: Home, place: Path, number: signal.Signals) -> None:
    fake = fake_compiler(place, "sleep 1")
    with running_server(place, "--compiler-dir", str(fake / "allowed")) as server:
        alone.use(server)
        alone.write("a.c", "text")
        process = alone.start(LAUNCHER, str(fake / "bin" / "gcc"), "-c", "a.c", "-o", "a.o")
        until(server.compilers, "the compile to begin")
        (agent,) = alone.agents()
        agent.send_signal(number)
        done = finish(process)
    assert done.returncode == 0, done
    assert (alone.work / "a.o").read_text() == "object of text\n"
    assert ("the agent has gone away" in done.stderr) == (number == signal.SIGKILL)


def test_a_killed_launcher_ends_its_compile(alone: Home, place: Path) -> None:
    fake = fake_compiler(place, "sleep 100")
    with running_server(place, "--compiler-dir", str(fake / "allowed")) as server:
        alone.use(server)
        alone.write("a.c", "text")
        process = alone.start(LAUNCHER, str(fake / "bin" / "gcc"), "-c", "a.c", "-o", "a.o")
        until(server.compilers, "the compile to begin")
        process.kill()
        process.communicate()
        until(server.idle, "the server to end the compiler")
    assert not (alone.work / "a.o").exists()


def test_a_closed_standard_error_gets_no_message_into_a_file(home: Home) -> None:
    home.write("w.c", "int f(void) { int unused; return 0; }\n")
    done = home.run("sh", "-c", f"exec {LAUNCHER} gcc -Wall -c w.c 2>&- >&-", DISTPLUSPLUS_FALLBACK="fail")
    assert done.returncode == 0
    assert b"warning" not in (home.work / "w.o").read_bytes()


def test_wrong_settings_are_told_and_the_compiler_runs(home: Home) -> None:
    home.write("a.c", HELLO)
    done = home.compile("gcc", "-c", "a.c", DISTPLUSPLUS_FALLBACK="never")
    assert done.returncode == 0
    assert "DISTPLUSPLUS_FALLBACK (environment): 'never' is none of local, wait, fail" in done.stderr
    # A test of configure counts the lines.
    home.write("conftest.c", HELLO)
    assert home.compile("gcc", "-c", "conftest.c", DISTPLUSPLUS_FALLBACK="other").stderr == ""


def test_explain_tells_where_and_why(home: Home) -> None:
    home.write("a.c", HELLO)
    done = home.run(LAUNCHER, "--explain", "gcc", "-O2", "-MD", "-c", "a.c", "-o", "x.o")
    assert done.returncode == 0
    assert done.stdout.startswith("on a server\n")
    assert "preprocess: /usr/bin/gcc -O2 -MD a.c -MF x.d -MQ x.o -E\n" in done.stdout
    assert "of 3 slots taken" in done.stdout
    assert not (home.work / "x.o").exists()
    done = home.run(LAUNCHER, "--explain", "gcc", "a.o", "-o", "a")
    assert done.stdout.startswith("local: it links")


def test_own_options() -> None:
    for option, status, said in (
        ("--version", 0, "distplusplus 0."),
        ("--help", 0, "--explain "),
        ("--nonsense", 96, "--nonsense (distplusplus --help tells more)"),
        ("--explain", 96, "expected a compiler"),
        ("-c", 96, "-c (distplusplus --help tells more)"),
        ("--install-symlinks=", 96, "has no name"),
    ):
        done = subprocess.run([LAUNCHER, option], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == status, done
        assert said in done.stdout + done.stderr
