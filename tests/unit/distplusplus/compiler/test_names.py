"""Which programs are compilers, by their names."""

from __future__ import annotations

import pytest

from distplusplus.compiler.names import compiler_name, is_gcc_11


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/usr/bin/gcc", "gcc"),
        ("arm-linux-gnueabihf-g++-12", "g++"),
        ("clang++-14", "clang++"),
        ("cc", "cc"),
        ("/usr/bin/ccache", None),
        ("gccgo", None),
        ("make", None),
    ],
)
def test_compilers_are_known_by_their_names(path: str, name: str | None) -> None:
    assert compiler_name(path) == name


@pytest.mark.parametrize(("version", "new"), [("11.1.0", True), ("21", True), ("10.2.1", False), ("4.8.5", False)])
def test_versions_of_gcc(version: str, new: bool) -> None:
    assert is_gcc_11(version) is new
