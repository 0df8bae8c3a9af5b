"""The launcher on older systems: glibc 2.28, and kernels without close_range()."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.integration.agent.home import Home
from tests.integration.server.harness import until
from tests.launcher_builds import build

# Functions that are older than the version says: they were inline functions of glibc's headers, or moved between its
# libraries, or are what newer headers call strtol.
_OLDER = {"stat", "lstat", "fstat", "__isoc23_strtol"}
_OLDEST_GLIBC = (2, 28)


def _versions_in_glibc() -> dict[str, tuple[int, ...]]:
    """Each function of this glibc with the oldest version that has it."""
    (libc,) = re.findall(r"libc\.so\.6 => (\S+)", subprocess.check_output(["ldd", "/bin/sh"], text=True))
    table = subprocess.check_output(["readelf", "--dyn-syms", "--wide", libc], text=True)
    versions: dict[str, tuple[int, ...]] = {}
    for name, version in re.findall(r" (\w+)@{1,2}GLIBC_([\d.]+)", table):
        number = tuple(map(int, version.split(".")))
        versions[name] = min(number, versions.get(name, number))
    return versions


def test_it_needs_no_function_that_glibc_2_28_does_not_have(tmp_path: Path) -> None:
    launcher = build(tmp_path / "distplusplus", "-Werror", "-O0", "-Wl,--no-as-needed")
    table = subprocess.check_output(["readelf", "--dyn-syms", "--wide", launcher], text=True)
    needed = set(re.findall(r" (\w+)@GLIBC_", table)) - {"__libc_start_main"} - _OLDER
    versions = _versions_in_glibc()
    assert {"execv", "memfd_create", "syscall"} <= needed
    assert {name: versions[name] for name in needed if versions[name] > _OLDEST_GLIBC} == {}


@pytest.mark.parametrize("option", ["-DCLOSE_RANGE_NUMBER=436", "-DCLOSE_RANGE_NUMBER=-1"], ids=["new", "old"])
def test_an_agent_has_no_descriptor_of_the_build(alone: Home, tmp_path: Path, option: str) -> None:
    """A kernel without close_range() refuses its number."""
    launcher = build(tmp_path / "distplusplus", "-Werror", option)
    agent = alone.write("agent", "#!/bin/sh\nreadlink /proc/$$/fd/* >$0.descriptors; mv $0.descriptors $0.done\n")
    agent.chmod(0o755)
    kept = alone.work / "agent.done"
    alone.run("sh", "-c", f"exec {launcher} true 5</etc/passwd 9</etc/group", DISTPLUSPLUS_AGENT=str(agent))
    until(kept.exists, "the agent to start")
    assert re.findall("passwd|group", kept.read_text()) == []
    assert kept.read_text().count("socket:") == 1
