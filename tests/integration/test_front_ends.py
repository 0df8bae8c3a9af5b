"""How a build reaches distcc: ccache and masquerading together, trees that do not reach it, and distcc's own faults."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from distcc_auto.demo.loopback import LoopbackWorker, free_ports
from tests.integration.addresses import NOBODY
from tests.integration.fake_workers import GOOD_REPLY, FakePort, say
from tests.integration.sandbox import MASQUERADE_PATH, PATH, JobCount, Sandbox

_TOOLS = str(Path(sys.executable).parent)
_MESON = "project('p', 'c')\nexecutable('p', 'a.c', 'b.c')\n"
_CMAKE = "cmake_minimum_required(VERSION 3.10)\nproject(p C)\nadd_executable(p a.c b.c)\n"


@pytest.fixture
def sources(cluster: Sandbox) -> Sandbox:
    cluster.write("a.c", "int b(void);\nint main(void) { return b(); }\n")
    cluster.write("b.c", "int b(void) { return 0; }\n")
    cluster.write("meson.build", _MESON)
    cluster.write("CMakeLists.txt", _CMAKE)
    return cluster


def _set_up(sandbox: Sandbox, *command: str, path: str) -> None:
    done = sandbox.run(command, env={"PATH": f"{path}:{_TOOLS}", "DISTCC_FALLBACK": None, "DISTCC_HOSTS": "localhost"})
    assert done.returncode == 0, done


def test_meson_that_takes_ccache_by_itself_works_with_masquerading(
    sources: Sandbox, workers: list[LoopbackWorker]
) -> None:
    """ccache would take /usr/lib/distcc/cc for the compiler, and distcc would then be called to run itself."""
    _set_up(sources, "meson", "setup", "build", path=MASQUERADE_PATH)
    assert "ccache cc" in (sources.work / "build" / "build.ninja").read_text()
    count = JobCount(workers)
    done = sources.distcc_auto("ninja", "-C", "build", env={"PATH": MASQUERADE_PATH})
    assert done.returncode == 0, done
    count.all_of(2)
    (sources.work / "build" / "p").unlink()
    for found in (sources.work / "build").rglob("*.o"):
        found.unlink()
    done = sources.distcc_auto("ninja", "-C", "build", env={"PATH": MASQUERADE_PATH})
    assert done.returncode == 0, done
    count.all_of(2)


def test_cmake_with_ccache_and_a_link_to_distcc_is_told_what_to_do(sources: Sandbox) -> None:
    _set_up(sources, "cmake", "-S", ".", "-B", "build", "-DCMAKE_C_COMPILER_LAUNCHER=ccache", path=MASQUERADE_PATH)
    done = sources.distcc_auto("cmake", "--build", "build", env={"PATH": MASQUERADE_PATH})
    assert "build: ccache will fail" in done.stderr
    assert "configure it anew without /usr/lib/distcc in PATH" in done.stderr
    assert "ccache: error: distcc: Invalid argument" in done.stdout + done.stderr


@pytest.mark.parametrize("generator", ["Ninja", "Unix Makefiles"])
def test_a_cmake_tree_that_compiles_here_only_is_told_the_line_that_mends_it(
    generator: str, sources: Sandbox, workers: list[LoopbackWorker]
) -> None:
    _set_up(sources, "cmake", "-S", ".", "-B", "build", "-G", generator, path=PATH)
    done = sources.distcc_auto("cmake", "--build", "build")
    said = [line for line in done.stderr.splitlines() if "was configured without distcc" in line]
    assert len(said) == 1, done
    mend = said[0].partition("to mend it: ")[2].split()
    assert mend[0] == "cmake"
    assert sources.run(mend).returncode == 0
    count = JobCount(workers)
    done = sources.distcc_auto("cmake", "--build", "build", "--clean-first")
    assert done.returncode == 0, done
    assert "was configured without" not in done.stderr
    count.all_of(2)


def test_a_compile_for_another_machine_gets_its_object(sources: Sandbox) -> None:
    """distcc adds the target of this machine behind the user's, unless it is told not to."""
    done = sources.distcc_auto("sh", "-c", "distcc clang --target=aarch64-linux-gnu -c b.c -o b.o")
    assert done.returncode == 0, done
    machine = (sources.work / "b.o").read_bytes()[18:20]
    assert int.from_bytes(machine, "little") == 183  # EM_AARCH64 of elf.h


def test_a_worker_that_refuses_jobs_does_not_keep_distcc_busy_for_ever(sources: Sandbox) -> None:
    (port,) = free_ports(NOBODY, 1)
    with FakePort(say(GOOD_REPLY)) as stats:
        environ = {"DISTCC_BACKOFF_PERIOD": "0", "DISTCC_AUTO_HOSTS": stats.spec(port)}
        done = sources.distcc_auto("sh", "-c", "distcc gcc -c b.c", env=environ, timeout_s=20)
    assert done.returncode != 0
    assert "DISTCC_BACKOFF_PERIOD=0 is replaced by 1" in done.stderr
    assert done.stderr.count("Connection refused") < 5, done


def test_a_makefile_whose_dependency_files_distcc_misplaces_is_told(sources: Sandbox) -> None:
    sources.write("Makefile", "o/b.o: b.c\n\tdistcc gcc -MMD -c $< -o $@\n")
    (sources.work / "o").mkdir()
    done = sources.distcc_auto("make")
    assert done.returncode == 0, done
    assert "the Makefile in . has -MD or -MMD without -MF and -MT" in done.stderr
    # What it says is what distcc does.
    assert (sources.work / "b.d").read_text() == "b.o: b.c\n"
    (sources.work / "o" / "b.o").unlink()
    sources.write("Makefile", "o/b.o: b.c\n\tdistcc gcc -MMD -MF $(@:.o=.d) -MT $@ -c $< -o $@\n")
    done = sources.distcc_auto("make")
    assert "-MMD" not in done.stderr.replace("-MMD -MF", ""), done
    assert (sources.work / "o" / "b.d").read_text() == "o/b.o: b.c\n"
