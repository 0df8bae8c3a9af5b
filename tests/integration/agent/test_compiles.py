"""Compiles done by a server beside the same compiles done here: objects, dependency files, further outputs, gdb."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.integration.agent.home import LAUNCHER, Home

SOURCE = """\
#include <stdio.h>
#include "part.h"
#define TWICE(x) ((x) + (x))
int twice(int number)
{
    int result = TWICE(number);
    return result;
}
int main(void)
{
    printf("%d\\n", twice(PART));
    return 0;
}
"""
# What -g cannot keep the same when the text was preprocessed first: line tables lose the columns inside macros; clang
# sees one file where it would see several, so its table of files (checksums, directories, numbers) is another one.
UNAVOIDABLE = {"gcc": {".debug_line"}, "clang": {".debug_line", ".debug_line_str", ".debug_info"}}


def project(home: Home) -> None:
    home.write("src dir/a.c", SOURCE)
    home.write("src dir/part.h", "#define PART 21\n")
    home.write(
        "src dir/ü.cc", '#include "part.h"\n#include <vector>\nint f() { return std::vector<int>(PART).size(); }\n'
    )
    for name in ("out", "out/deep"):
        (home.work / name).mkdir()


def files_after(home: Home, command: tuple[str, ...], *, remote: bool) -> dict[str, bytes]:
    """What a compile leaves behind, name by name."""
    shutil.rmtree(home.work)
    home.work.mkdir()
    project(home)
    if remote:
        home.remote(*command)
    else:
        done = home.run(*command)
        assert done.returncode == 0, done
    return {str(path.relative_to(home.work)): path.read_bytes() for path in home.work.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "command",
    [
        ("gcc", "-O2", "-c", "src dir/a.c"),
        ("gcc", "-c", "src dir/a.c", "-MD", "-o", "out/deep/a.b.o"),
        ("gcc", "-MMD", "-c", "src dir/a.c"),
        ("gcc", "-MD", "-MP", "-MF", "out/d", "-MT", "target $x", "-c", "src dir/a.c", "-o", "out/a"),
        ("gcc", "-MD", "-MQ", "target $x", "-o", "out/a.o", "-c", "src dir/a.c"),
        ("gcc", "-Wp,-MD,out/wp.d", "-c", "src dir/a.c", "-o", "out/a.o"),
        ("gcc", "-S", "-O1", "src dir/a.c", "-o", "out/a.s"),
        ("gcc", "-S", "-MD", "src dir/a.c"),
        ("gcc", "-x", "c++", "-O1", "-c", "src dir/a.c"),
        ("g++", "-O1", "-c", "src dir/a.c", "-o", "out/a.o"),
        ("g++", "-std=c++17", "-O2", "-MD", "-c", "src dir/ü.cc", "-o", "out/ü.o"),
        ("gcc", "-fPIC", "-fstack-usage", "-c", "src dir/a.c", "-o", "out/a.o"),
        ("gcc", "-ffunction-sections", "-fvisibility=hidden", "-m64", "-std=gnu11", "-c", "src dir/a.c"),
        ("clang", "-O2", "-MD", "-c", "src dir/a.c", "-o", "out/deep/a.o"),
        ("clang++", "-O1", "-MMD", "-c", "src dir/ü.cc"),
        ("clang", "-S", "src dir/a.c", "-o", "out/a.s"),
    ],
    ids=" ".join,
)
def test_files_are_those_of_a_compile_here(home: Home, command: tuple[str, ...]) -> None:
    there = files_after(home, command, remote=True)
    here = files_after(home, command, remote=False)
    assert there.keys() == here.keys()
    assert [name for name in here if here[name] != there[name]] == []


def sections(path: Path) -> dict[str, bytes]:
    """An ELF64 file's sections by name."""
    data = path.read_bytes()

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], "little")

    table, count, names_index = number(40, 8), number(60, 2), number(62, 2)
    headers = [table + 64 * index for index in range(count)]
    names = number(headers[names_index] + 24, 8)
    found = {}
    for header in headers:
        start = names + number(header, 4)
        name = data[start : data.index(b"\0", start)].decode()
        offset, size, kind = number(header + 24, 8), number(header + 32, 8), number(header + 4, 4)
        found[name] = b"" if kind == 8 else data[offset : offset + size]
    return found


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_debug_information_differs_only_where_preprocessing_here_makes_it(home: Home, compiler: str) -> None:
    objects = []
    for remote in (True, False):
        files_after(home, (compiler, "-g", "-O0", "-c", "src dir/a.c", "-o", "out/a.o"), remote=remote)
        objects.append(sections(home.work / "out/a.o"))
    there, here = objects
    assert there.keys() == here.keys()
    differing = {name for name in here if here[name] != there[name] and not name.startswith((".rela", ".symtab"))}
    assert differing <= UNAVOIDABLE[compiler]


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_gdb_finds_files_and_lines(home: Home, compiler: str) -> None:
    project(home)
    home.remote(compiler, "-g", "-O0", "-c", "src dir/a.c", "-o", "out/a.o")
    assert home.run(compiler, "out/a.o", "-o", "program").returncode == 0
    script = ("-ex", "break twice", "-ex", "run", "-ex", "next", "-ex", "info source", "-ex", "print number")
    done = home.run("gdb", "-nx", "-batch", *script, "./program", DEBUGINFOD_URLS="")
    assert "twice (number=21) at src dir/a.c:6" in done.stdout, done
    assert "int result = TWICE(number);" in done.stdout
    assert f"Compilation directory is {home.work}" in done.stdout
    assert f"Located in {home.work}/src dir/a.c" in done.stdout


def test_the_same_twice(home: Home) -> None:
    command = ("gcc", "-g3", "-O2", "-c", "src dir/a.c", "-o", "out/a.o")
    assert files_after(home, command, remote=True) == files_after(home, command, remote=True)


def test_split_debug_information_comes_back(home: Home) -> None:
    there = files_after(home, ("gcc", "-g", "-gsplit-dwarf", "-c", "src dir/a.c", "-o", "out/a.o"), remote=True)
    assert there["out/a.dwo"].startswith(b"\x7fELF")


def test_arguments_from_files(home: Home) -> None:
    project(home)
    home.write("flags", '-O2 \'-DNAME="a b"\'\n-c "src dir/a.c"')
    home.remote("gcc", "@flags", "-o", "out/a.o")
    assert (home.work / "out/a.o").exists()


def test_a_fall_through_comment_counts_as_here(home: Home) -> None:
    home.write(
        "f.c",
        "int g(int);\nint f(int x) {\n switch (x) {\n case 1: g(1); /* fall through */\n case 2: return g(2);\n }\n"
        " return 0;\n}\n",
    )
    assert home.remote("gcc", "-Wextra", "-Werror", "-c", "f.c") == ""


def test_a_warning_that_only_preprocessed_text_has_is_not_shown(home: Home) -> None:
    """Clang is silent about parentheses that a macro brings; in the text that it gets there is no macro."""
    home.write("p.c", "#define IS(a, b) ((a) == (b))\nint f(int x) { if (IS(x, 1)) return 1; return 0; }\n")
    for option in ("-Wall", "-Werror"):
        done = home.compile("clang", option, "-c", "p.c")
        assert (done.returncode, done.stderr) == (0, ""), done


def test_a_file_included_by_the_assembler_is_the_one_here(home: Home) -> None:
    home.write("data", "CONTENT")
    home.write("i.c", '__asm__(".section .rodata\\n.globl blob\\nblob: .incbin \\"data\\"\\n");\n')
    done = home.compile("gcc", "-c", "i.c")
    assert done.returncode == 0, done
    assert b"CONTENT" in (home.work / "i.o").read_bytes()


@pytest.mark.parametrize(
    "command",
    [
        ("gcc", "-E", "src dir/a.c"),
        ("gcc", "-MM", "src dir/a.c"),
        ("gcc", "-v", "-c", "src dir/a.c", "-o", "/dev/null"),
        ("gcc", "-march=native", "-c", "src dir/a.c", "-o", "out/n.o"),
        ("gcc", "--version"),
        ("gcc", "-dumpmachine"),
        ("gcc", "no-such-file.c", "-c"),
        ("gcc", "-c"),
        ("gcc", "-c", "src dir/a.c", "src dir/ü.cc"),
    ],
    ids=" ".join,
)
def test_what_stays_here_has_the_same_outcome(home: Home, command: tuple[str, ...]) -> None:
    project(home)
    there, here = home.compile(*command), home.run(*command)
    assert (there.returncode, there.stdout) == (here.returncode, here.stdout)
    if "-v" not in command:
        assert there.stderr == here.stderr
    assert home.done() == 0


@pytest.mark.long
def test_objects_of_a_real_project_are_those_made_here(home: Home, lua: Path) -> None:
    tree = home.work / "lua"
    shutil.copytree(lua / "src", tree)
    objects = {}
    for compiler in (f"{LAUNCHER} gcc", "gcc"):
        done = home.run(
            "make", "-s", "-C", "lua", "-j4", "linux", f"CC={compiler} -std=gnu99", DISTPLUSPLUS_FALLBACK="fail"
        )
        assert done.returncode == 0, done
        objects[compiler] = {path.name: path.read_bytes() for path in tree.glob("*.o")}
        if compiler != "gcc":
            assert home.done() == len(objects[compiler])
            home.run("make", "-s", "-C", "lua", "clean")
    there, here = objects.values()
    assert there == here
