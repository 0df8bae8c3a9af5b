"""What can be read from a build directory before the build."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from distcc_auto.build import build_tree
from distcc_auto.build.build_tree import is_link_to, links_to, look
from distcc_auto.build.command import BuildPlace

RULES = """\
rule CXX_COMPILER__app
  depfile = $DEP_FILE
  command = /usr/bin/ccache /usr/bin/c++ $DEFINES -MD -MT $out -MF $DEP_FILE -o $out -c $in

rule CXX_EXECUTABLE_LINKER__app
  command = /usr/bin/c++ $in -o $out
"""


def place(directory: Path, *, makefile: bool = False) -> BuildPlace:
    return BuildPlace(str(directory), reads_makefile=makefile)


def test_a_directory_without_anything_known(tmp_path: Path) -> None:
    assert look(place(tmp_path, makefile=True)) == build_tree.BuildTree(str(tmp_path))
    assert look(place(tmp_path / "missing")) == build_tree.BuildTree(str(tmp_path / "missing"))


def test_a_tree_of_cmake_for_ninja(tmp_path: Path) -> None:
    (tmp_path / "CMakeFiles").mkdir()
    (tmp_path / "CMakeFiles" / "rules.ninja").write_text(RULES)
    (tmp_path / "CMakeCache.txt").write_text(
        "CMAKE_CXX_FLAGS:STRING=-O2 -gsplit-dwarf\nCMAKE_C_COMPILER:STRING=/usr/bin/cc\n"
    )
    tree = look(place(tmp_path))
    assert tree.is_cmake
    assert tree.flags == ("-O2", "-gsplit-dwarf")
    assert [command.split()[0] for command in tree.compiles] == ["/usr/bin/ccache"]


def test_a_tree_of_cmake_for_make(tmp_path: Path) -> None:
    target = tmp_path / "CMakeFiles" / "app.dir"
    target.mkdir(parents=True)
    (tmp_path / "CMakeCache.txt").write_text("")
    (tmp_path / "CMakeCache.txt").write_text("CMAKE_C_COMPILER:STRING=/usr/bin/cc\n")
    (tmp_path / "CMakeFiles" / "TargetDirectories.txt").write_text(f"{target}\n{tmp_path}/CMakeFiles/gone.dir\n")
    compiles = "\tdistcc /usr/bin/cc -o CMakeFiles/app.dir/a.c.o -c /src/a.c\n"
    (target / "build.make").write_text("all:\n\techo\n" + compiles + compiles.replace("a.c", "b.c"))
    assert look(place(tmp_path)).compiles == (compiles.strip(),)


@pytest.mark.parametrize("name", ["GNUmakefile", "makefile", "Makefile"])
def test_the_makefile_that_make_reads(tmp_path: Path, name: str) -> None:
    (tmp_path / "Makefile").write_text("all:\n")
    (tmp_path / name).write_text("CFLAGS += -MMD\n")
    assert look(place(tmp_path, makefile=True)).makefile_options == {"-MMD"}
    assert look(place(tmp_path)).makefile_options == frozenset()


def test_a_pipe_is_never_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "GNUmakefile")
    os.mkfifo(tmp_path / "build.ninja")
    assert look(place(tmp_path, makefile=True)).compiles == ()


def test_directories_of_links_to_distcc_are_found_in_path(tmp_path: Path) -> None:
    for name in ("bin", "links", "empty"):
        (tmp_path / name).mkdir()
    for program in ("distcc", "gcc"):
        (tmp_path / "bin" / program).write_text("")
    (tmp_path / "links" / "gcc").symlink_to("../bin/distcc")
    path = os.pathsep.join(str(tmp_path / name) for name in ("empty", "links", "bin"))
    assert list(links_to({"PATH": path}, "distcc")) == [str(tmp_path / "links")]
    assert list(links_to({"PATH": path}, "ccache")) == []
    assert is_link_to(str(tmp_path / "links" / "gcc"), "ccache", "distcc")
    assert not is_link_to(str(tmp_path / "bin" / "distcc"), "distcc")
