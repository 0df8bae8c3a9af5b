"""How the build runs under `distcc-auto`: its status, its descriptors, and how it ends with us."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from distcc_auto.demo.loopback import LoopbackWorker
from tests.integration import fake_workers
from tests.integration.fake_workers import GOOD_REPLY, FakePort
from tests.integration.sandbox import DISTCC_AUTO, JobCount, Sandbox, wait_until

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

# Each target shows that it runs and then takes for ever, in a way of its own.
_LONG_BUILD = """\
plain half shell session orphan pipe ignoring deaf-session: ; @touch started-$@; $(do-$@)
do-plain = sleep 1000
do-half = echo half > $@; sleep 1000
do-shell = sh -c 'sleep 1000; true'; true
do-session = setsid --wait sh -c 'sleep 1000; true'
do-orphan = ( setsid sleep 1000 & ); sleep 1000
do-pipe = sleep 1000 | cat
do-ignoring = trap '' INT TERM HUP QUIT; while :; do sleep 0.2; done
do-deaf-session = setsid sh -c "$(do-ignoring)" & wait
"""


def _start_long_build(sandbox: Sandbox, *targets: str) -> subprocess.Popen[str]:
    """A make whose recipes all run and do not end by themselves."""
    sandbox.write("Makefile", _LONG_BUILD)
    names = targets or ("plain", "half", "shell", "session", "orphan", "pipe")
    build = sandbox.start([DISTCC_AUTO, "make", *names])
    wait_until(lambda: all((sandbox.work / f"started-{name}").exists() for name in names), "the recipes to run")
    wait_until(lambda: "half" not in names or (sandbox.work / "half").exists(), "the half-written target")
    return build


@pytest.mark.parametrize("status", [0, 1, 7, 96, 255])
def test_exit_status_is_that_of_the_build(status: int, cluster: Sandbox) -> None:
    assert cluster.distcc_auto("sh", "-c", f"exit {status}").returncode == status


def test_exit_status_of_a_failing_make_is_that_of_make(cluster: Sandbox) -> None:
    cluster.write("Makefile", "all: ; false\n")
    assert cluster.distcc_auto("make").returncode == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGPIPE])
def test_build_that_a_signal_ended_has_status_128_and_the_signal(number: signal.Signals, cluster: Sandbox) -> None:
    done = cluster.distcc_auto("sh", "-c", f"ulimit -c 0; kill -{number.value} $$")
    assert done.returncode == 128 + number, done


@pytest.mark.parametrize("number", _ENDING)
def test_signal_to_the_driver_ends_the_build(number: signal.Signals, cluster: Sandbox) -> None:
    build = _start_long_build(cluster)
    build.send_signal(number)
    _, stderr = build.communicate(timeout=30)
    assert cluster.processes() == []
    assert build.returncode == 128 + number, stderr
    assert f"distcc-auto: {number.name}: ending the build" in stderr
    # make had the time to delete what it had half written.
    assert not (cluster.work / "half").exists()


def test_what_the_build_leaves_behind_in_its_first_milliseconds_is_ended(cluster: Sandbox) -> None:
    """The build itself sends the signal, as early as anything can."""
    early = "( setsid sleep 1000 & ); kill -TERM $PPID; sleep 1000"
    for _ in range(10):
        done = cluster.distcc_auto("sh", "-c", early)
        assert done.returncode == 128 + signal.SIGTERM, done
        assert cluster.processes() == []


def test_build_that_ignores_the_signal_is_killed(cluster: Sandbox) -> None:
    build = _start_long_build(cluster, "ignoring", "deaf-session")
    build.terminate()
    _, stderr = build.communicate(timeout=30)
    assert cluster.processes() == []
    assert build.returncode == 128 + signal.SIGTERM, stderr


def test_second_signal_kills_at_once(cluster: Sandbox) -> None:
    build = _start_long_build(cluster, "ignoring")
    build.terminate()
    assert build.stderr is not None
    while "SIGTERM: ending" not in build.stderr.readline():
        assert build.poll() is None
    build.terminate()
    # Less than the grace time that an obedient build gets.
    build.communicate(timeout=4)
    assert cluster.processes() == []
    assert build.returncode == 128 + signal.SIGTERM


def test_signal_while_a_worker_holds_jobs_leaves_no_file(cluster: Sandbox) -> None:
    cluster.write_project(4)
    with FakePort(fake_workers.hang) as jobs, FakePort(fake_workers.say(GOOD_REPLY)) as stats:
        cluster.environ["DISTCC_AUTO_HOSTS"] = stats.spec(jobs.port)
        build = cluster.start([DISTCC_AUTO, "make"])
        wait_until(lambda: list(cluster.temporary.glob("distcc_*")), "distcc clients with files to send")
        build.terminate()
        build.communicate(timeout=30)
    assert cluster.processes() == []
    assert list(cluster.temporary.iterdir()) == []
    assert build.returncode == 128 + signal.SIGTERM


def test_signal_while_hosts_are_asked_ends_the_driver(cluster: Sandbox) -> None:
    asked = cluster.root / "asked"

    def note_and_hang(*arguments: object) -> None:
        asked.touch()
        fake_workers.hang(*arguments)  # type: ignore[arg-type]

    with FakePort(note_and_hang) as port:
        cluster.environ["DISTCC_AUTO_HOSTS"] = port.spec()
        for number in _ENDING:
            asked.unlink(missing_ok=True)
            driver = cluster.start([DISTCC_AUTO, "sh", "-c", "touch built"])
            wait_until(asked.exists, "the driver to ask")
            driver.send_signal(number)
            _, stderr = driver.communicate(timeout=9)
            assert driver.returncode in (128 + number, -number), (number, stderr)
            assert "Traceback" not in stderr
    assert not (cluster.work / "built").exists()


def test_hangup_that_was_ignored_stays_ignored(cluster: Sandbox) -> None:
    cluster.write("Makefile", "all: ; @touch started; while ! test -e go; do sleep 0.05; done; touch done\n")
    build = cluster.start(["nohup", DISTCC_AUTO, "make"])
    wait_until((cluster.work / "started").exists, "the build to run")
    os.killpg(build.pid, signal.SIGHUP)
    (cluster.work / "go").touch()
    _, stderr = build.communicate(timeout=30)
    assert (build.returncode, (cluster.work / "done").exists()) == (0, True), stderr


def test_daemon_that_a_finished_build_leaves_goes_on(cluster: Sandbox) -> None:
    """As it would without us: a compile cache's server, say, serves the next build, too."""
    done = cluster.distcc_auto("sh", "-c", "( setsid sleep 1000 >&- 2>&- & )")
    assert done.returncode == 0, done
    (daemon,) = cluster.kill_leftovers()
    assert daemon.endswith("sleep 1000 ")


def test_orphans_of_the_build_do_not_fill_the_process_table(cluster: Sandbox) -> None:
    """The driver is their parent, and has to collect each that ends."""
    count = "grep -l '^State:.Z' $(grep -lx \"PPid:.$PPID\" /proc/[0-9]*/status) | wc -l"
    script = f'for i in 1 2 3 4 5 6 7 8; do ( true & ); done; until test "$({count})" = 0; do sleep 0.05; done'
    done = cluster.distcc_auto("sh", "-c", script, timeout_s=20)
    assert done.returncode == 0, done


def test_ignored_child_signal_does_not_matter(cluster: Sandbox) -> None:
    """As some process supervisors start their children."""
    done = cluster.run(["bash", "-c", 'trap "" CHLD; exec "$@"', "bash", DISTCC_AUTO, "sh", "-c", "exit 3"])
    assert done.returncode == 3, done


def test_standard_input_reaches_the_build(cluster: Sandbox) -> None:
    cluster.write("Makefile", "all: ; @cat > input\n")
    assert cluster.distcc_auto("make", stdin="from outside\n").returncode == 0
    assert (cluster.work / "input").read_text() == "from outside\n"


def test_output_of_the_build_is_left_alone(cluster: Sandbox) -> None:
    """Our own lines go to standard error only, each with our name."""
    done = cluster.distcc_auto("sh", "-c", "echo to the output; echo to the errors >&2")
    assert done.stdout == "to the output\n"
    others = [line for line in done.stderr.splitlines() if not line.startswith("distcc-auto: ")]
    assert others == ["to the errors"]


def test_jobserver_of_an_outer_make_reaches_the_build(cluster: Sandbox) -> None:
    """A make below us takes its tokens from the make above us: with two, no more than two recipes run at once."""
    inner = "all: 1 2 3 4 5 6\n1 2 3 4 5 6: ; @touch on-$@; ls on-* | wc -l >> most; sleep 0.1; rm on-$@\n"
    cluster.write("inner.mk", inner)
    cluster.write("Makefile", f"all: ; +{DISTCC_AUTO} sh -c 'make -f inner.mk'\n")
    done = cluster.run(["make", "-j2"])
    assert done.returncode == 0, done
    assert "jobserver unavailable" not in done.stderr
    counts = [int(line) for line in (cluster.work / "most").read_text().split()]
    assert (len(counts), max(counts)) == (6, 2)


def test_no_descriptor_of_the_driver_reaches_the_build(cluster: Sandbox) -> None:
    listing = ["sh", "-c", "ls -l /proc/self/fd"]
    alone, under = cluster.run(listing), cluster.distcc_auto(*listing)
    assert _descriptors(under.stdout) == _descriptors(alone.stdout)


def _descriptors(listing: str) -> list[str]:
    return re.findall(r"(\d+) -> ", listing)


def test_two_drivers_of_one_user_share_the_workers(
    cluster: Sandbox, workers: list[LoopbackWorker], tmp_path: Path
) -> None:
    files = 12
    cluster.write_project(files)
    trees = [tmp_path / name for name in ("first", "second")]
    for tree in trees:
        subprocess.run(["cp", "-r", cluster.work, tree], check=True)
    count = JobCount(workers)
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(lambda tree: cluster.distcc_auto("make", cwd=tree), trees))
    assert [run.returncode for run in runs] == [0, 0], runs
    count.all_of(files * len(trees))
    for tree in trees:
        assert cluster.run([str(tree / "sum")]).stdout == f"{sum(range(files - 1))}\n"
