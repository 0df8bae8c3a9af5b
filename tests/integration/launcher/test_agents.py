"""One agent for each view of the system, and none of what the first launcher happened to have."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from tests.integration.agent.home import LAUNCHER, Home
from tests.integration.server.harness import until

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="making namespaces needs root")

# Each is another view; the last ones are restrictions that only root could lift.
VIEWS = {
    "mount": ("unshare", "--mount"),
    "network": ("unshare", "--net"),
    "user": ("unshare", "--user", "--map-root-user"),
    "nice": ("nice", "-n", "5"),
    "scheduling": ("chrt", "--batch", "0"),
    "files": ("prlimit", "--nofile=512:512"),
    "memory": ("prlimit", "--as=4000000000:4000000000"),
}


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_has_a_socket_of_its_own(alone: Home, view: str) -> None:
    alone.environ["DISTPLUSPLUS_AGENT"] = "/bin/true"
    script = 'for run in 1 2; do "$0" true; basename -a "$1"/*.sock; done'
    inside = alone.run(*VIEWS[view], "sh", "-c", script, LAUNCHER, str(alone.runtime)).stdout.split()
    outside = alone.run("sh", "-c", script, LAUNCHER, str(alone.runtime)).stdout.split()
    for told in (inside, outside):
        assert len(told) == 2, told
        assert told[0] == told[1]
    assert inside != outside


def test_each_view_has_an_agent_of_its_own(home: Home) -> None:
    home.write("a.c", "int x;\n")
    command = ("unshare", "--mount", "--user", "--map-root-user", "sh", "-c")
    assert home.run(*command, f"{LAUNCHER} gcc -c a.c && {LAUNCHER} gcc -c a.c").returncode == 0
    (theirs,) = home.agents()
    home.remote("gcc", "-c", "a.c")
    (ours,) = [agent for agent in home.agents() if agent.pid != theirs.pid]
    for kind in ("mnt", "user"):
        assert namespace(theirs, kind) != namespace(ours, kind) == os.readlink(f"/proc/self/ns/{kind}")
    assert home.run(LAUNCHER, "--stop").returncode == 0
    until(lambda: not home.agents(), "both agents to end")
    assert home.sockets() == []


def namespace(process: psutil.Process, kind: str) -> str:
    return os.readlink(f"/proc/{process.pid}/ns/{kind}")


def test_below_another_root_the_compiler_there_is_used(home: Home) -> None:
    """A chroot in the same namespaces, whose gcc is another program."""
    home.write("a.c", "int x;\n")
    home.remote("gcc", "-c", "a.c")
    root = home.work / "root"
    root.mkdir()
    other = home.write("gcc", "#!/bin/sh\necho other >a.o\n")
    other.chmod(0o755)
    # Mounts of its own keep those of the test to itself; both launchers are in it.
    script = f"""
        set -e
        {LAUNCHER} gcc -c a.c -o here.o
        for path in /*; do
            if [ -L $path ]; then cp -P $path root/; elif [ -d $path ]; then
                mkdir root$path; mount --rbind $path root$path
            fi
        done
        mount --bind gcc root/usr/bin/gcc
        exec /usr/sbin/chroot root sh -c 'cd "$0" && exec {LAUNCHER} gcc -c a.c' {home.work}
    """
    done = home.run("unshare", "--mount", "sh", "-c", script)
    assert done.returncode == 0, done
    assert (home.work / "here.o").read_bytes().startswith(b"\x7fELF")
    assert (home.work / "a.o").read_text() == "other\n"
    assert len(home.sockets()) == 3
    assert home.run(LAUNCHER, "--stop").returncode == 0
    assert home.sockets() == []


def test_without_proc_the_compiler_runs(home: Home) -> None:
    home.write("a.c", "int x;\n")
    command = f"mount -t tmpfs none /proc && exec {LAUNCHER} gcc -c a.c"
    done = home.run("unshare", "--mount", "sh", "-c", command)
    assert (done.returncode, (home.work / "a.o").exists()) == (0, True), done
    assert "cannot tell this view of the system from others: /proc" in done.stderr
    assert home.agents() == []


def test_a_first_compile_without_network_is_no_trouble_to_the_next(home: Home) -> None:
    home.write("a.c", "int x;\n")
    done = home.run("unshare", "--net", LAUNCHER, "gcc", "-c", "a.c")
    assert (done.returncode, home.done()) == (0, 0)
    home.remote("gcc", "-c", "a.c")


def test_an_agent_inherits_nothing_of_the_first_launcher(home: Home) -> None:
    home.write("a.c", "int x;\n")
    limits = ("prlimit", "--nofile=64:", "--cpu=5:", "--fsize=4096:", "--as=2000000000:")
    priorities = ("choom", "-n", "500", "--", "taskset", "1", "nice", "-n", "3", "chrt", "--idle", "0")
    command = f"trap '' HUP TERM INT; ulimit -c 0; umask 0; exec {LAUNCHER} gcc -c a.c"
    environ = {"LC_ALL": "de_DE.ISO-8859-1", "LC_TIME": "POSIX", "PYTHONUTF8": "0", "MAKEFLAGS": "-n", "KEPT": "yes"}
    done = home.run(*limits, *priorities, "sh", "-c", command, **environ)
    assert done.returncode == 0, done
    (agent,) = home.agents()
    assert agent.nice() == 0
    assert agent.cpu_affinity() == psutil.Process().cpu_affinity()
    assert os.sched_getscheduler(agent.pid) == os.SCHED_OTHER
    assert Path(f"/proc/{agent.pid}/oom_score_adj").read_text() == "0\n"
    for limit in (psutil.RLIMIT_NOFILE, psutil.RLIMIT_CPU, psutil.RLIMIT_FSIZE, psutil.RLIMIT_AS):
        soft, hard = agent.rlimit(limit)
        assert soft == hard
    variables = agent.environ()
    assert variables["KEPT"] == "yes"
    assert [name for name in variables if name.startswith(("LC_", "LANG", "PYTHON", "MAKEFLAGS"))] in ([], ["LC_CTYPE"])
    agent.terminate()  # not ignored
    until(lambda: not home.agents(), "the agent to end")


def test_sandboxes_do_not_leave_more_and_more_agents(home: Home) -> None:
    """As with a build that runs each compile in a mount namespace of its own."""
    home.write("a.c", "int x;\n")
    home.remote("gcc", "-c", "a.c")
    (ours,) = home.agents()
    for _ in range(9):
        assert home.run("unshare", "--mount", LAUNCHER, "gcc", "-c", "a.c").returncode == 0
        home.remote("gcc", "-c", "a.c")
    until(lambda: len(home.agents()) <= 8, "the oldest agents to end")
    assert ours.pid in [agent.pid for agent in home.agents()], "it is used all the time"


def test_sockets_of_killed_agents_are_removed(home: Home) -> None:
    home.write("a.c", "int x;\n")
    assert home.run(*VIEWS["nice"], LAUNCHER, "gcc", "-c", "a.c").returncode == 0
    (agent,) = home.agents()
    agent.kill()
    until(lambda: not home.agents(), "the agent to end")
    (left,) = home.sockets()
    home.remote("gcc", "-c", "a.c")
    (own,) = home.sockets()
    assert own != left


def test_users_cannot_lift_what_root_can(home: Home) -> None:
    """So a launcher without such restrictions has another agent than one with them."""
    home.write("a.c", "int x;\n")
    for nice in ("0", "5"):
        before = set(home.sockets())
        command = ("nice", "-n", nice, "setpriv", "--bounding-set=-sys_nice", LAUNCHER, "gcc", "-c", "a.c")
        assert home.run(*command).returncode == 0
        assert len(set(home.sockets()) - before) == 1
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert sorted(agent.nice() for agent in home.agents()) == [own, own + 5]
