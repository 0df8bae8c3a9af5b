"""What is said of a build's tree before the build: only what the tree proves."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from distcc_auto.build import advice, build_tree
from distcc_auto.build.build_tree import BuildTree
from distcc_auto.build.command import BuildPlace

ENVIRON = {"PATH": "/usr/bin:/bin"}
MESON = "/usr/bin/ccache cc $ARGS -MD -MQ $out -MF $DEPFILE -o $out -c $in"


def links(directory: Path, program: str, *names: str) -> Path:
    """A directory of compilers that are links to the program."""
    directory.mkdir()
    (directory / program).touch(mode=0o755)
    for name in names:
        (directory / name).symlink_to(program)
    return directory


def said(tree: BuildTree, environ: dict[str, str] = ENVIRON, loses_files: bool = True) -> list[str]:
    return list(advice.for_distcc(tree, environ, loses_files=loses_files))


@pytest.mark.parametrize("command", ["/usr/bin/cc $FLAGS -c $in", "gcc-12 -c $in", "aarch64-linux-gnu-g++ -c $in"])
def test_a_cmake_tree_without_launcher_is_told_the_line_that_mends_it(command: str, tmp_path: Path) -> None:
    environ = {"PATH": str(links(tmp_path / "bin", "other", "gcc-12", "aarch64-linux-gnu-g++"))}
    tree = BuildTree("build", is_cmake=True, compiles=(command,))
    (line,) = said(tree, environ)
    assert "build was configured without distcc" in line
    (line,) = advice.for_launcher(tree, environ)
    assert line.endswith(
        "cmake -DCMAKE_C_COMPILER_LAUNCHER=distplusplus -DCMAKE_CXX_COMPILER_LAUNCHER=distplusplus build"
    )


@pytest.mark.parametrize(
    "command",
    [
        *("distcc /usr/bin/cc -c $in", "/opt/bin/distcc gcc -c $in", "ccache /usr/bin/cc -c $in", MESON),
        'cmake -E __run_co_compile --launcher="distcc;-v" --source=$in -- /usr/bin/c++ -c $in'.replace(";-v", ""),
        *("rustc $in", "$CC -c $in", "python3 generate.py"),
    ],
)
def test_nothing_is_said_of_a_tree_that_reaches_distcc_or_that_is_not_understood(command: str) -> None:
    assert said(BuildTree(".", compiles=(command,))) == []


def test_a_compiler_that_is_a_link_reaches_it_too(tmp_path: Path) -> None:
    masquerade = links(tmp_path / "links", "distcc", "cc")
    assert said(BuildTree(".", compiles=(f"{masquerade}/cc -c $in",))) == []
    assert said(BuildTree(".", compiles=("cc -c $in",)), {"PATH": f"{masquerade}:/usr/bin"}) == []
    (line,) = advice.for_launcher(BuildTree(".", compiles=(f"{masquerade}/cc -c $in",)), ENVIRON)
    assert "without distplusplus" in line


def test_ccache_before_a_link_to_distcc_is_told(tmp_path: Path) -> None:
    """CMake with ccache as its launcher and /usr/lib/distcc first in PATH when it was configured."""
    masquerade = links(tmp_path / "links", "distcc", "cc")
    (line,) = said(BuildTree("b", is_cmake=True, compiles=(f"ccache {masquerade}/cc -c $in",)))
    assert f"configure it anew without {masquerade} in PATH" in line


@pytest.mark.parametrize(
    ("makefile", "is_said"),
    [
        ("%.o: %.c\n\t$(CC) -MMD -c $< -o $@\n", True),
        ("CFLAGS += -MD -MP\n", True),
        ("CFLAGS += -MMD -MF $(@:.o=.d)\n", True),
        ("CFLAGS += -MMD -MT $@\n", True),
        ("CFLAGS += -MMD -MF $*.d -MT $@\n", False),
        ("CFLAGS += -MD -MQ $@ -MF$*.d\n", False),
        ("CFLAGS += -MD -MTx.o -MFdeps/x.d\n", False),
        ("CFLAGS=-MMD\n", True),
        ("CFLAGS += -Wp,-MMD,$(depfile)\n", False),
        ("CFLAGS += -O2\n", False),
    ],
)
def test_dependency_files_that_distcc_writes_elsewhere_are_told(makefile: str, is_said: bool, tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(makefile)
    tree = build_tree.look(BuildPlace(str(tmp_path), reads_makefile=True))
    assert bool(said(tree)) is is_said
    assert said(tree, loses_files=False) == []


@pytest.mark.parametrize(
    "tree",
    [
        BuildTree(".", makefile_options=frozenset({"-gsplit-dwarf"})),
        BuildTree(".", compiles=("distcc cc -gsplit-dwarf -c $in",)),
        BuildTree(".", is_cmake=True, flags=("-O2", "-gsplit-dwarf")),
    ],
)
def test_files_that_a_distccd_does_not_send_back_are_told(tree: BuildTree) -> None:
    (line,) = said(tree)
    assert ".dwo" in line
    assert said(tree, loses_files=False) == []


def test_what_is_read_of_a_tree(tmp_path: Path) -> None:
    (tmp_path / "CMakeFiles" / "a.dir").mkdir(parents=True)
    (tmp_path / "CMakeCache.txt").write_text("CMAKE_CXX_FLAGS:STRING=-O2 -g\nCMAKE_C_COMPILER:FILEPATH=/usr/bin/cc\n")
    (tmp_path / "CMakeFiles" / "rules.ninja").write_text(
        "rule CXX_COMPILER__a\n  depfile = $DEP_FILE\n  command = $PRE/usr/bin/c++ -c $in\nrule CUSTOM\n  command = x\n"
    )
    (tmp_path / "CMakeFiles" / "TargetDirectories.txt").write_text(f"{tmp_path}/CMakeFiles/a.dir\n/nowhere\n")
    (tmp_path / "CMakeFiles" / "a.dir" / "build.make").write_text(
        "x:\n\t/usr/bin/cc $(C) -o CMakeFiles/a.o -c /s/a.c\n"
    )
    (tmp_path / "Makefile").write_text("CFLAGS = -MMD\n")
    tree = build_tree.look(BuildPlace(str(tmp_path), reads_makefile=True))
    assert tree.is_cmake
    assert tree.compiles == ("$PRE/usr/bin/c++ -c $in", "/usr/bin/cc $(C) -o CMakeFiles/a.o -c /s/a.c")
    assert (tree.flags, tree.makefile_options) == (("-O2", "-g"), frozenset())


def test_a_tree_that_is_not_there_or_no_tree_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "Makefile").mkdir()
    for directory in (tmp_path, tmp_path / "none"):
        tree = build_tree.look(BuildPlace(str(directory), reads_makefile=True))
        assert (tree.compiles, tree.makefile_options, said(tree)) == ((), frozenset(), [])


def test_a_large_makefile_is_searched_and_a_huge_one_only_in_part(tmp_path: Path) -> None:
    makefile = tmp_path / "Makefile"
    for mib, is_seen in ((2, True), (5, False)):
        makefile.write_text(("#" * 63 + "\n") * (mib << 14) + "CFLAGS = -MMD\n")
        started_s = time.process_time()
        tree = build_tree.look(BuildPlace(str(tmp_path), reads_makefile=True))
        assert time.process_time() - started_s < 1
        assert ("-MMD" in tree.makefile_options) is is_seen


def test_included_files_and_named_makefiles_are_read(tmp_path: Path) -> None:
    (tmp_path / "rules.mk").write_text("CFLAGS += -MMD\n")
    (tmp_path / "flags.mk").write_text("CFLAGS += -gsplit-dwarf\n")
    (tmp_path / "Makefile").write_text("-include none.mk flags.mk # and more\ninclude $(TOP)/x.mk\ninclude rules.mk\n")
    place = BuildPlace(str(tmp_path), reads_makefile=True)
    assert build_tree.look(place).makefile_options == {"-MMD", "-gsplit-dwarf"}
    assert build_tree.look(BuildPlace(str(tmp_path), True, ("flags.mk",))).makefile_options == {"-gsplit-dwarf"}


def test_directories_of_links_are_found_in_path(tmp_path: Path) -> None:
    masquerade = links(tmp_path / "links", "distcc", "gcc", "cc")
    environ = {"PATH": f"/usr/bin:{masquerade}:/nonexistent"}
    assert list(build_tree.links_to(environ, "distcc")) == [str(masquerade)]
    assert list(build_tree.links_to(environ, "distplusplus")) == []
