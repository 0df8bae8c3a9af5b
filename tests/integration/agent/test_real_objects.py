"""Objects of two real projects, made by a server and made here, by gcc and by clang: where they differ, and in what."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.agent.home import LAUNCHER, Home, finish
from tests.integration.agent.test_compiles import sections

pytestmark = pytest.mark.long

# Each of the projects is built whole elsewhere; a few files of each will do here.
_STEP = {"lua": 17, "leveldb": 24}


# What may differ with -g: columns, the numbers of files, and what is laid out by them; for g++, which expands macros on
# the server, the compiler's arguments alone.
_CLANG = {".debug_line", ".debug_line_str", ".debug_info", ".debug_abbrev"}
_DIFFERING = {
    # The second is for a source with a fall-through comment and -Wextra: its macros are left to the server, too.
    "gcc": ({".debug_line", ".debug_info", ".debug_abbrev"}, {".debug_str"}),
    "g++": ({".debug_str"},),
    "clang": (_CLANG,),
    "clang++": (_CLANG,),
}
# Without optimisation gcc has no-ops in the code for the sake of columns; clang's optimiser drops lines for them.
_LEVEL = {"gcc": "-O1", "g++": "-O0", "clang": "-O0", "clang++": "-O0"}


@dataclass(frozen=True)
class Project:
    """Files of a source tree, and how it compiles them."""

    directory: str
    sources: Sequence[str]
    compilers: tuple[str, str]
    options: tuple[str, ...]


def project(home: Home, name: str, source: Path, step: int = 1) -> Project:
    """Copies the source into the home."""
    tree = home.work / name
    shutil.copytree(source / "src" if name == "lua" else source, tree)
    if name == "lua":
        files = sorted(tree.glob("*.c"))
        options: tuple[str, ...] = ("-std=gnu99", "-Wall", "-Wextra", "-DLUA_COMPAT_5_3", "-DLUA_USE_LINUX")
        compilers = ("gcc", "clang")
    else:
        # In the order of their names, so that a step takes some of each part.
        files = sorted(path for part in ("db", "table", "util") for path in (tree / part).glob("*.cc"))
        files = [path for path in files if not re.search("_test|_bench|windows|testutil|leveldbutil", path.name)]
        options = ("-std=c++11", "-fno-rtti", "-I.", "-Iinclude", "-DLEVELDB_PLATFORM_POSIX=1", "-DHAVE_FULLFSYNC=0")
        compilers = ("g++", "clang++")
    return Project(name, [str(path.relative_to(tree)) for path in files[::step]], compilers, options)


def compile_all(home: Home, chosen: Project, words: Sequence[str], *, remote: bool) -> dict[str, Path]:
    """The objects by source; those of a server were made by one, each of them."""
    kind = "there" if remote else "here"
    into = home.work / "objects"
    kept = home.work / f"{kind}-{len(list(home.work.glob(f'{kind}-*')))}"
    into.mkdir()
    before = home.done()
    launcher = f"{LAUNCHER} " if remote else ""
    rules = [f"all: {' '.join(f'o{number}' for number in range(len(chosen.sources)))}"]
    for number, source in enumerate(chosen.sources):
        rules.append(f"o{number}:\n\t@{launcher}{' '.join(words)} -c {source} -o ../objects/{number}.o")
    makefile = home.write("objects.mk", "\n".join(rules) + "\n")
    command = ("make", "-C", str(home.work / chosen.directory), "-j4", "-f", str(makefile))
    done = finish(home.start(*command, DISTPLUSPLUS_FALLBACK="fail"), command)
    assert done.returncode == 0, done
    assert home.done() - before == (len(chosen.sources) if remote else 0)
    into.rename(kept)
    return {source: kept / f"{number}.o" for number, source in enumerate(chosen.sources)}


def line_table(home: Home, path: Path) -> list[tuple[str, str, str]]:
    """(file, line, address) wherever the file or the line becomes another one: what a debugger goes by."""
    shown = home.run("readelf", "--debug-dump=decodedline", "--wide", str(path)).stdout
    rows: list[tuple[str, str, str]] = []
    for line in shown.splitlines():
        words = line.split()
        if len(words) >= 3 and words[1].isdigit() and words[2].startswith("0"):
            row = (words[0].rpartition("/")[2], words[1], words[2])
            if not rows or rows[-1][:2] != row[:2]:
                rows.append(row)
    return rows


def entries(home: Home, path: Path) -> list[str]:
    """The entries of .debug_info with their attributes, but for columns and what hangs on how many there are: offsets,
    sizes, numbers of files and of rows of the line table; and but for the argument that leaves macros to the server.
    """
    shown = home.run("readelf", "--debug-dump=info", "--wide", str(path)).stdout
    kept = (
        line for line in shown.splitlines() if not re.search("DW_AT_(decl|call)_(column|file)|entry_view|Length:", line)
    )
    left_out = r" -fdirectives-only|<(0x)?[0-9a-f]+>|Abbrev Number: \d+|offset: 0x[0-9a-f]+|0x[0-9a-f]+$|\(data\d\)"
    return [re.sub(left_out, "", line) for line in kept]


def difference(there: Path, here: Path) -> set[str]:
    """The sections that differ, without those that only follow others: relocations and symbols of them."""
    two = sections(there), sections(here)
    assert two[0].keys() == two[1].keys()
    return {name for name in two[1] if two[0][name] != two[1][name] and not name.startswith((".rela", ".symtab"))}


@pytest.mark.parametrize("name", ["lua", "leveldb"])
@pytest.mark.parametrize("index", [0, 1], ids=["gcc", "clang"])
def test_real_objects(home: Home, request: pytest.FixtureRequest, name: str, index: int) -> None:
    chosen = project(home, name, request.getfixturevalue(name), _STEP[name])
    check_project(home, chosen, index)


def check_project(home: Home, chosen: Project, index: int) -> dict[str, int]:
    """How many objects differ in which section with -g; without it they are the same, and both twice."""
    compiler = chosen.compilers[index]
    plain = [compiler, *chosen.options, "-O0" if compiler == "g++" else "-O1"]
    there, here = (compile_all(home, chosen, plain, remote=remote) for remote in (True, False))
    assert [source for source in here if there[source].read_bytes() != here[source].read_bytes()] == []

    debug = [compiler, *chosen.options, _LEVEL[compiler], "-g"]
    there, here = (compile_all(home, chosen, debug, remote=remote) for remote in (True, False))
    again = compile_all(home, chosen, debug, remote=True)
    counts: dict[str, int] = {}
    for source in here:
        assert again[source].read_bytes() == there[source].read_bytes(), source
        differing = difference(there[source], here[source])
        assert any(differing <= allowed for allowed in _DIFFERING[compiler]), (source, differing)
        for section in differing:
            counts[section] = counts.get(section, 0) + 1
        # What gdb goes by is the same: columns are all that is lost.
        assert line_table(home, there[source]) == line_table(home, here[source]), source
        assert entries(home, there[source]) == entries(home, here[source]), source
    return counts


@pytest.mark.parametrize("index", [0, 1], ids=["gcc", "clang"])
def test_gdb_debugs_a_real_program(home: Home, lua: Path, index: int) -> None:
    chosen = project(home, "lua", lua)
    words = [chosen.compilers[index], *chosen.options, "-O0", "-g"]
    objects = compile_all(home, chosen, words, remote=True)
    tree = home.work / chosen.directory
    program = [str(path) for source, path in objects.items() if source != "luac.c"]
    assert home.run(words[0], *program, "-o", "program", "-lm", "-ldl", "-Wl,-E").returncode == 0
    source = (tree / "lbaselib.c").read_text().splitlines()
    line = next(number for number, text in enumerate(source, 1) if text.startswith("static int luaB_print"))
    body = next(number for number, text in enumerate(source, 1) if number > line and "lua_gettop" in text)
    steps = ("break luaB_print", "run", "next", "info source", "print n", "backtrace", "ptype lua_State")
    script = [word for step in steps for word in ("-ex", step)]
    home.write("hello.lua", 'print("hello", 1)\n')
    done = home.run("gdb", "-nx", "-batch", *script, "--args", "./program", "hello.lua", DEBUGINFOD_URLS="")
    assert f"lbaselib.c:{body}" in done.stdout, done
    assert source[body - 1].strip() in done.stdout
    assert f"Located in {tree}/lbaselib.c" in done.stdout
    assert "$1 = 2" in done.stdout
    assert re.search(r"luaV_execute .* at lvm\.c:\d+", done.stdout)
    assert re.search(r"main \(.*\) at lua\.c:\d+", done.stdout)
    assert "hookmask;" in done.stdout
