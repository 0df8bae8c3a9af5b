"""The command lines of each package manager; the container tests run apt's and dnf's for real."""

from __future__ import annotations

import pytest

from provisioning.families import SystemFamily, family_of


def family(os_id: str, os_like: str = "") -> SystemFamily:
    found = family_of(os_id, os_like)
    assert found
    return found


@pytest.mark.parametrize(
    ("os_id", "os_like", "name"),
    [
        ("debian", "", "debian"),
        ("ubuntu", "debian", "debian"),
        ("linuxmint", "ubuntu debian", "debian"),
        ("fedora", "", "fedora"),
        ("rhel", "fedora", "fedora"),
        ("rocky", "rhel centos fedora", "fedora"),
        ("arch", "", "arch"),
        ("manjaro", "arch", "arch"),
    ],
)
def test_the_family_is_found_by_os_release(os_id: str, os_like: str, name: str) -> None:
    assert family(os_id, os_like).name == name


def test_other_systems_have_none() -> None:
    assert family_of("alpine", "") is None
    assert family_of("opensuse-leap", "suse opensuse") is None


@pytest.mark.parametrize(
    ("os_id", "compiler", "packages"),
    [
        ("debian", "gcc", ("gcc", "g++")),
        ("debian", "gcc-12", ("gcc-12", "g++-12")),
        ("debian", "clang-14", ("clang-14",)),
        ("fedora", "gcc", ("gcc", "gcc-c++")),
        ("fedora", "clang", ("clang",)),
        ("arch", "gcc", ("gcc",)),
    ],
)
def test_packages_of_a_compiler(os_id: str, compiler: str, packages: tuple[str, ...]) -> None:
    assert family(os_id).compiler_packages(compiler) == packages


@pytest.mark.parametrize("os_id", ["fedora", "arch"])
def test_one_version_only_is_said(os_id: str) -> None:
    with pytest.raises(ValueError, match=f"the archives of {os_id} have one version of gcc"):
        family(os_id).compiler_packages("gcc-12")


def test_installations_never_ask_and_never_replace_the_administrators_files() -> None:
    apt = family("debian").install(["distcc"])
    assert "DEBIAN_FRONTEND=noninteractive" in apt
    assert "--force-confold" in apt
    assert apt.endswith("install --no-install-recommends distcc")
    assert family("fedora").install(["distcc-server"]) == (
        "dnf -y --setopt=install_weak_deps=False install distcc-server"
    )
    assert family("arch").install(["distcc"]) == "pacman -S --needed --noconfirm distcc"


def test_names_cannot_become_shell() -> None:
    for os_id in ("debian", "fedora", "arch"):
        one = family(os_id)
        for command in (one.install(["a;b"]), one.remove(["a;b"]), one.removable(["a;b"]), one.available(["a;b"])):
            assert "'a;b'" in command


def test_arch_upgrades_no_single_packages() -> None:
    assert family("arch").upgradable(["distcc"]) is None
    assert family("arch").refresh == ":"
