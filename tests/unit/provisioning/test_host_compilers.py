"""Which compilers this machine has, and which name means the same one on the worker."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provisioning import host_compilers
from provisioning.host_compilers import Difference, NamedCompiler
from provisioning.record import Record, to_text
from provisioning.render import COMPILERS_DIR
from tests.unit.provisioning.fake_host import FakeRemote, host
from tests.unit.provisioning.test_facts import DEBIAN

GCC_12 = "(Debian 12.2.0-14+deb12u1) 12.2.0"
GCC_14 = "(Debian 14.2.0-19) 14.2.0"


@pytest.mark.parametrize(
    ("identity", "version", "name"),
    [
        (GCC_12, "12.2.0", "gcc-12"),
        ("(GCC) 14.2.1 20250110 (Red Hat 14.2.1-7)", "14.2.1", "gcc-14"),
        ("(Ubuntu 13.3.0-6ubuntu2~24.04) 13.3.0", "13.3.0", "gcc-13"),
    ],
)
def test_the_version_is_the_compilers_own(identity: str, version: str, name: str) -> None:
    one = NamedCompiler("gcc", identity)
    assert one.version == version
    assert host_compilers.versioned_name(one) == name


def test_clangs_version() -> None:
    one = NamedCompiler("clang", "Debian clang version 14.0.6")
    assert (one.version, host_compilers.versioned_name(one)) == ("14.0.6", "clang-14")


def test_own_compilers_are_found_once_and_masquerades_and_cross_compilers_are_not(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    for directory, name, version in (
        (first, "gcc", "12.2.0"),
        (second, "gcc", "9.9.9"),
        (second, "x86_64-linux-gnu-g++-12", "12.2.0"),
        (second, "aarch64-linux-gnu-gcc", "12.2.0"),
        (second, "gcc-ar", "12.2.0"),
        (second, "distcc", "3.4"),
    ):
        script = directory / name
        script.write_text(f"#!/bin/sh\necho '{name} (Here) {version}'\n")
        script.chmod(0o755)
    os.symlink(second / "distcc", second / "clang")
    found = host_compilers.local_compilers(f"{first}:{second}:{tmp_path}/none", "x86_64")
    assert found == (NamedCompiler("gcc", "(Here) 12.2.0"), NamedCompiler("x86_64-linux-gnu-g++-12", "(Here) 12.2.0"))


def worker(*lines: str, before: str = "", archive: int = 0) -> FakeRemote:
    """A host that has these compilers."""
    return FakeRemote(
        {
            "provisioned.json": to_text(Record()),
            "os-release": DEBIAN,
            "if path=$(command": "\n".join(lines),
            "apt-cache show": archive,
            f"ls {COMPILERS_DIR} 2>": before,
            "grep -aoE": "/usr/lib/distcc /usr/bin/distcc",
            "readlink": 1,
        }
    )


def sync(remote: FakeRemote, *here: NamedCompiler) -> tuple[tuple[Difference, ...], list[str]]:
    remote.open = lambda: "192.0.2.1"  # type: ignore[method-assign]
    one, said = host(remote)
    return host_compilers.sync(one, here), said


def test_the_same_compiler_under_another_name_gets_the_name() -> None:
    remote = worker(f"gcc=gcc {GCC_14}", f"gcc-12=gcc-12 {GCC_12}")
    _, said = sync(remote, NamedCompiler("gcc", GCC_12))
    assert said == ["changed: for distccd, gcc is gcc-12"]


def test_a_missing_version_is_installed_where_the_archive_has_it() -> None:
    different, said = sync(worker(f"gcc=gcc {GCC_14}"), NamedCompiler("gcc", GCC_12))
    assert said[0] == "changed: packages: gcc-12 g++-12"
    assert [str(one) for one in different] == [f"gcc: here {GCC_12}; there {GCC_14}"]
    assert different[0].is_other_version


def test_what_the_archive_lacks_is_told_exactly() -> None:
    different, said = sync(
        worker(f"gcc=gcc {GCC_14}", archive=100), NamedCompiler("gcc", GCC_12), NamedCompiler("clang", "x 1.2.3")
    )
    assert said == []
    assert [str(one) for one in different] == [
        f"gcc: here {GCC_12}; there {GCC_14}",
        "clang: here x 1.2.3; there missing",
    ]


def test_another_build_of_the_same_version_is_not_another_version() -> None:
    assert not Difference("gcc", GCC_12, "(Debian 12.2.0-14) 12.2.0").is_other_version


def test_names_that_are_no_longer_needed_go() -> None:
    remote = worker(f"gcc=gcc {GCC_12}", before="gcc-11\n")
    remote.answers = {"[ ! -e": 1, **remote.answers}
    _, said = sync(remote, NamedCompiler("gcc", GCC_12))
    assert said == ["changed: no /usr/local/lib/distcc-worker/gcc-11"]
