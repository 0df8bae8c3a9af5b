"""What the build tools really get: `-j`, DISTCC_HOSTS and the rest of the environment."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from distcc_auto.demo.loopback import LoopbackWorker
from tests.integration.addresses import NETWORK
from tests.integration.sandbox import PATH, Sandbox

# 8 slots of the workers and 3 saturation jobs.
_JOBS = 11

# Shows MAKEFLAGS and the command line of each process between it and the driver.
_SHOW = """\
#!/bin/sh
{
	echo "MAKEFLAGS=$MAKEFLAGS"
	pid=$$
	while test "$pid" -gt 1; do
		tr '\\0' ' ' < "/proc/$pid/cmdline"
		echo
		pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status")
	done
} > "$(dirname "$0")/shown"
"""
_CMAKE = "cmake_minimum_required(VERSION 3.20)\nproject(show NONE)\nadd_custom_target(show ALL COMMAND {show})\n"


@pytest.fixture
def tools(cluster: Sandbox) -> Sandbox:
    """A sandbox where make, ninja, CMake, Meson and SCons each have a target `show`."""
    show = cluster.write("show-it", _SHOW, executable=True)
    cluster.write("Makefile", f"show: ; @{show}\n")
    cluster.write("build.ninja", f"rule show\n  command = {show}\nbuild show: show\n")
    cluster.write("cmake/CMakeLists.txt", _CMAKE.format(show=show))
    cluster.write("meson.build", f"project('show')\nrun_target('show', command: ['{show}'])\n")
    cluster.write("SConstruct", f"AlwaysBuild(Command('show', [], '{show}'))\n")
    cluster.environ["DISTCC_AUTO_PREPROCESSOR_SATURATION_JOBS"] = "3"
    # Meson and SCons are beside the Python that runs the tests.
    cluster.environ["PATH"] = f"{Path(sys.executable).parent}:{PATH}"
    return cluster


def _shown(sandbox: Sandbox, command: str) -> tuple[str, str]:
    """What `show` saw under the command, and what the driver said."""
    done = sandbox.distcc_auto(*shlex.split(command))
    assert done.returncode == 0, done
    return (sandbox.work / "shown").read_text(), done.stderr


@pytest.mark.parametrize(
    ("command", "running"),
    [
        ("make show", "make show -j 11"),
        ("make -- show", "make -j 11 -- show"),
        ("nice -n 1 make show", "make show -j 11"),
        ("env A=b make show", "make show -j 11"),
        ("time -p make show", "make show -j 11"),
        ("timeout -k 5 60 make -- show", "make -j 11 -- show"),
        ("bear -- make show", "make show -j 11"),
        ("nice env A=b bear --output db.json -- make -- show", "make -j 11 -- show"),
        ("make -j{jobs} show", "make -j11 show"),
        ("sh -c 'make -j{jobs} show'", "make -j11 show"),
    ],
)
def test_make_gets_the_jobs(command: str, running: str, tools: Sandbox) -> None:
    shown, _ = _shown(tools, command)
    assert f"\n{running} \n" in shown, shown
    # GNU make shows what it has understood to what it runs.
    assert f"-j{_JOBS}" in shown.splitlines()[0], shown


@pytest.mark.parametrize(
    ("command", "given", "understood"),
    [
        ("make -j2 show", "-j2", "-j2"),
        ("make -kj2 show", "-kj2", "-j2"),
        ("make --jobs=2 show", "--jobs=2", "-j2"),
        ("make -j show", "-j", "-j"),
        ("nice make -j 2 -- show", "-j 2", "-j2"),
        ("sh -c 'make -j2 show'", "-j2", "-j2"),
    ],
)
def test_jobs_that_the_user_gave_make_are_respected_and_said_so(
    command: str, given: str, understood: str, tools: Sandbox
) -> None:
    shown, said = _shown(tools, command)
    flags = shown.splitlines()[0].removeprefix("MAKEFLAGS=").split()
    assert understood in flags, flags
    assert f"'{given}' is in the command and stays (the plan would have -j {_JOBS})" in said


@pytest.mark.parametrize("script", ["make show", "cd . && make show", "test -e show; exec make -k show"])
def test_make_in_a_script_of_a_shell_learns_the_jobs_from_its_environment(script: str, tools: Sandbox) -> None:
    shown, said = _shown(tools, f"sh -c {shlex.quote(script)}")
    assert f"-j{_JOBS} " in shown.splitlines()[0], shown
    assert f"learn -j {_JOBS} from the environment" in said


@pytest.mark.parametrize(
    ("command", "running"),
    [
        ("ninja show", "ninja show -j 11"),
        ("ninja -k 0 -j 2 show", "ninja -k 0 -j 2 show"),
        ("scons show", "scons show -j 11"),
    ],
)
def test_other_tools_get_the_jobs(command: str, running: str, tools: Sandbox) -> None:
    shown, _ = _shown(tools, command)
    assert f"{running} \n" in shown, shown


@pytest.mark.parametrize(
    ("command", "running"),
    [
        ("cmake --build out", "ninja -j 11"),
        ("cmake --build out --target show -- -k 0", "ninja -j 11 -k 0 show"),
        ("cmake --build out --parallel 2", "ninja -j 2"),
        ("cmake --build out -- -j 2", "ninja -j 2"),
        ("sh -c 'cmake --build out'", "ninja -j 11"),
    ],
)
def test_ninja_below_cmake_gets_the_jobs(command: str, running: str, tools: Sandbox) -> None:
    assert tools.run(["cmake", "-G", "Ninja", "-S", "cmake", "-B", "out"]).returncode == 0
    shown, _ = _shown(tools, command)
    assert re.search(rf"/ninja {running.removeprefix('ninja ')} \n", shown), shown


def test_make_below_cmake_gets_the_jobs(tools: Sandbox) -> None:
    assert tools.run(["cmake", "-G", "Unix Makefiles", "-S", "cmake", "-B", "out"]).returncode == 0
    shown, _ = _shown(tools, "cmake --build out -- -k")
    assert re.search(r"make .*-j ?11 .*-k", shown), shown


def test_ninja_below_meson_gets_the_jobs(tools: Sandbox) -> None:
    assert tools.run(["meson", "setup", "out"]).returncode == 0
    shown, _ = _shown(tools, "meson compile -C out show")
    assert re.search(r"ninja .*-j 11 ", shown), shown


def _environment(sandbox: Sandbox, **env: str) -> dict[str, str]:
    """The environment that a build command has; `sh` adds PWD and the like on its own."""
    done = sandbox.distcc_auto("sh", "-c", "env -0", env=env)
    assert done.returncode == 0, done
    return dict(entry.split("=", 1) for entry in done.stdout.split("\0") if entry)


def test_environment_of_the_build(cluster: Sandbox, workers: list[LoopbackWorker]) -> None:
    ours = dict.fromkeys(("EARLY_LOCAL_JOBS", "FALLBACK_LOCAL_JOBS", "CONNECT_TIMEOUT", "ANSWER_TIMEOUT"), "5")
    environ = _environment(
        cluster,
        **{f"DISTCC_AUTO_{name}": value for name, value in ours.items()},
        DISTCC_AUTO_COMPILER_MEMORY="1",
        DISTCC_AUTO_PREPROCESSOR_SATURATION_JOBS="3",
        DCCSH_DEBUG="1",
        OF_THE_USER="stays",
    )
    first, *others = (f"{worker.address}:{worker.distcc_port}/{worker.slots},lzo" for worker in workers)
    words = environ["DISTCC_HOSTS"].split()
    assert words[:4] == ["localhost/5", "--localslots=5", "--localslots_cpp=3", first]
    assert sorted(words[4:]) == sorted(others)
    assert environ["CCACHE_PREFIX"] == "distcc"
    assert 1 <= int(environ["DISTCC_PAUSE_TIME_MSEC"]) < 1000
    assert environ["OF_THE_USER"] == "stays"
    assert [name for name in environ if name.startswith(("DISTCC_AUTO_", "DCCSH_"))] == []
    kept = {name: value for name, value in cluster.environment().items() if not name.startswith("DISTCC_AUTO_")}
    assert {name: environ[name] for name in kept} == kept


def test_without_local_and_saturation_jobs_the_hosts_are_the_workers_alone(cluster: Sandbox) -> None:
    environ = _environment(cluster, DISTCC_AUTO_PREPROCESSOR_SATURATION_JOBS="0")
    assert "local" not in environ["DISTCC_HOSTS"]


def test_example_of_the_documentation(cluster: Sandbox) -> None:
    """`localhost` as a host is the loopback address: to distcc that word means "do not distribute"."""
    with LoopbackWorker(8) as worker:
        document = cluster.json(
            *("--dry-run", "--json", "make"),
            env={
                "DISTCC_AUTO_HOSTS": f"localhost:{worker.distcc_port}:{worker.stats_port}",
                "DISTCC_AUTO_EARLY_LOCAL_JOBS": "2",
                "DISTCC_AUTO_PREPROCESSOR_SATURATION_JOBS": "3",
            },
        )
    hosts = f"localhost/2 --localslots=2 --localslots_cpp=3 127.0.0.1:{worker.distcc_port}/8,lzo"
    assert document["command"]["environment"]["DISTCC_HOSTS"] == hosts
    assert document["command"]["argv"] == ["make", "-j", "13"]


def test_values_of_the_user_are_kept_or_replaced_with_a_warning(cluster: Sandbox) -> None:
    mine = {"DISTCC_HOSTS": "my-host/4", "CCACHE_PREFIX": "icecc", "DISTCC_PAUSE_TIME_MSEC": "77"}
    done = cluster.distcc_auto("sh", "-c", "echo $DISTCC_HOSTS $CCACHE_PREFIX $DISTCC_PAUSE_TIME_MSEC", env=mine)
    assert "my-host" not in done.stdout
    assert done.stdout.endswith(" distcc 77\n")
    assert "distcc-auto: DISTCC_HOSTS is set and ignored" in done.stderr
    assert "CCACHE_PREFIX=icecc is replaced by distcc" in done.stderr
    assert "DISTCC_HOSTS" not in cluster.distcc_auto("true", "{jobs}").stderr


def test_early_local_jobs_compile_here(cluster: Sandbox) -> None:
    """One file needs no worker when local jobs are allowed; without them it goes to one."""
    cluster.write_project(2)
    log = cluster.root / "distcc.log"
    for early, where in (("2", "on localhost"), ("0", f"on {NETWORK}")):
        log.unlink(missing_ok=True)
        env = {"DISTCC_AUTO_EARLY_LOCAL_JOBS": early, "DISTCC_LOG": str(log), "DISTCC_VERBOSE": "1"}
        done = cluster.distcc_auto("make", "-B", "part0.o", env=env)
        assert done.returncode == 0, done
        assert re.search(rf"compile part0\.c {re.escape(where)}[^\n]* completed ok", log.read_text()), log.read_text()


def test_wide_environment_and_arguments_reach_the_build(cluster: Sandbox) -> None:
    odd = "a b\t$c 'd' \"e\" \\ *\nünïcödé"
    done = cluster.distcc_auto("sh", "-c", 'printf "%s|%s" "$1" "$ODD"', "sh", odd, env={"ODD": odd})
    assert done.stdout == f"{odd}|{odd}"
