"""Compiles without preprocessing: the object, the messages and the dependencies of a local compile."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.agent.home import LAUNCHER, Home, running_server
from tests.integration.server.harness import Server, until

FILES = {
    "inc/a.h": '#pragma once\n#include "sub/b.h"\n#if __has_include("nothere.h")\n#define N 1\n#else\n'
    "#define N 2\n#endif\n#if __has_include(<other.h>)\n#define O 5\n#endif\n",
    "inc/sub/b.h": '#include "../c.h"\nstatic int b(void) { return C; }\n',
    "inc/c.h": "#define C 3\n",
    "inc/cfg.h": "#define CFG 9\n",
    "other/other.h": "int other_h;\n",
    "forced.h": "#define FORCED 7\n",
    "m.c": '#include "a.h"\n#include <stdio.h>\n#include <stdlib.h>\n#include <assert.h>\n#include CONFIG\n'
    '#ifndef O\n#define O 0\n#endif\nint f(int x) { printf("%s %d\\n", __FILE__, N + O + CFG + FORCED + b());\n'
    "unsigned u = x; if (u < x) abort(); assert(x /* c */ > 0); return x == 1 ? 2 : 3; }\n",
    "real/deep/d.cc": '#include "../up.h"\n#include <vector>\n#include <string>\n'
    'std::vector<std::string> d(int n) { return std::vector<std::string>(UP, n < sizeof(int) ? __FILE__ : ""); }\n',
    "real/up.h": "#define UP 4\n",
}
M = ("-Iinc", "-Iother", "-include", "forced.h", '-DCONFIG="cfg.h"', "-c", "m.c")


@pytest.fixture(scope="module")
def header_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes header jobs."""
    with _store() as store, running_server(tmp_path_factory.mktemp("server"), "--header-store", store) as running:
        yield running


@contextlib.contextmanager
def _store() -> Iterator[str]:
    """A directory where the user that the server becomes can write."""
    with tempfile.TemporaryDirectory(prefix="distplusplus-store-") as name:
        os.chmod(name, 0o777)  # noqa: S103
        yield name


@pytest.fixture
def headers(alone: Home, header_server: Server) -> Home:
    """A home whose compiles go with their headers."""
    alone.use(header_server, header_jobs="true", log_level="info")
    for name, text in FILES.items():
        alone.write(name, text)
    (alone.work / "link").symlink_to("real")
    return alone


def both(home: Home, *command: str, how: str = "with headers") -> None:
    """The plain compile and ours have the same outcome, and ours went the way that is expected."""
    outcomes = []
    for run in (home.run, home.compile):
        for path in home.work.glob("out.*"):
            path.unlink()
        before = len(home.log)
        done = run(*command, "-o", "out.o")
        files = {path.name: path.read_bytes() for path in home.work.glob("out.*")}
        if "out.d" in files:
            files["out.d"] = b" ".join(files["out.d"].replace(b"\\\n", b" ").split())
        messages = [line for line in done.stderr.splitlines() if not line.startswith("distplusplus: ")]
        outcomes.append((done.returncode, messages, files))
    local, ours = outcomes
    assert ours[:2] == local[:2], home.log
    assert ours[2].keys() == local[2].keys()
    different = [name for name in local[2] if ours[2][name] != local[2][name]]
    assert not different, f"{command}: {different}\n{home.log}"
    assert how in home.log[before:], home.log[before:]


@pytest.mark.parametrize(
    "command",
    [
        ("gcc", "-Wall", "-Wextra", "-g", "-O1", "-MMD", *M),
        ("gcc", "-g3", "-O0", "-MD", "-MP", "-MT", "target", *M),
        ("gcc", "-gdwarf-4", "-idirafter", "other", "-Iinc", "-imacros", "forced.h", "-DCONFIG=<cfg.h>", "-c", "m.c"),
        ("clang", "-Wall", "-Wextra", "-g", "-O1", "-MD", "-MP", *M),
        ("clang", "-g", "-O2", "-fmacro-prefix-map=inc=X", *M),
        ("g++", "-Wall", "-Wextra", "-g", "-std=c++20", "-MMD", "-c", "link/deep/d.cc"),
        ("g++", "-O2", "-ffile-prefix-map=link=Z", "-g", "-c", "link/deep/d.cc"),
        ("clang++", "-Wall", "-Wextra", "-g", "-c", "link/deep/d.cc"),
        ("gcc", "-fdiagnostics-color=always", "-Wall", "-Wextra", *M),
        ("clang", "-fcolor-diagnostics", "-Wall", "-Wextra", *M),
        ("gcc", "-S", "-g", "-Iinc", "-Iother", "-include", "forced.h", '-DCONFIG="cfg.h"', "m.c"),
    ],
)  # fmt: skip
def test_the_outcome_is_that_of_a_local_compile(headers: Home, command: tuple[str, ...]) -> None:
    both(headers, *command)


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_the_directory_is_recorded_as_a_local_compile_does(headers: Home, compiler: str) -> None:
    """Below a symbolic link, compilers record $PWD."""
    beside = headers.work.parent / "beside"
    beside.symlink_to("work")
    for source in ("link/deep/d.cc", f"{beside}/link/deep/d.cc"):
        script = f'cd {beside} && exec "$@"'
        outcomes = []
        for launcher in ((), (LAUNCHER,)):
            command = (*launcher, compiler, "-g", "-c", source, "-o", "out.o")
            assert headers.run("sh", "-c", script, "sh", *command).returncode == 0
            outcomes.append((headers.work / "out.o").read_bytes())
        assert outcomes[0] == outcomes[1], headers.log
    assert headers.log.count("with headers") == 2, headers.log


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_absolute_names_and_maps_are_those_of_the_client(headers: Home, compiler: str) -> None:
    work = headers.work
    both(headers, compiler, "-g", f"-I{work}/inc", "-c", f"{work}/link/deep/d.cc")
    both(headers, compiler, "-g", f"-ffile-prefix-map={work}=Z", f"-I{work}", "-c", f"{work}/link/deep/d.cc")
    both(headers, compiler, "-g", f"-fdebug-prefix-map={work}=.", "-c", f"{work}/real/deep/d.cc")


@pytest.mark.parametrize(
    ("source", "options", "why"),
    [
        ("const char *t = __TIMESTAMP__;\n", (), "time of the compile"),
        ("int x;\n", ("-frecord-gcc-switches",), "-frecord-gcc-switches"),
        ("#define S(x) <x>\n#if __has_include(S)\n#endif\nint x;\n", (), "asks for"),
        ('#include "inc/c.h"\nint x = C;\n', ("-Iinc",), "precompiled"),
    ],
)
def test_what_is_in_doubt_is_preprocessed(headers: Home, source: str, options: tuple[str, ...], why: str) -> None:
    headers.write("doubt.c", source)
    if why == "precompiled":
        assert headers.run("gcc", "-x", "c-header", "inc/c.h", "-o", "inc/c.h.gch").returncode == 0
    both(headers, "gcc", *options, "-c", "doubt.c", how="preprocessed: ")
    assert why in headers.log


def test_a_header_that_nobody_foresaw_sends_the_compile_another_way(headers: Home) -> None:
    """Its name is put together of pieces, so it is missing on the worker."""
    headers.write("pieces.c", "#define S_(x) #x\n#define S(x) S_(x)\n#include S(inc/c.h)\nint x = C;\n")
    both(headers, "gcc", "-c", "pieces.c", how="lacked a file")
    both(headers, "gcc", "-c", "pieces.c", how="a worker lacked a file of it before")


def test_explain_says_which_way_a_compile_goes_and_why(headers: Home) -> None:
    told = headers.compile("--explain", "gcc", *M).stdout
    assert "not preprocessed locally: " in told, told
    headers.write("dated.c", "const char *d = __DATE__;\n")
    told = headers.compile("--explain", "gcc", "-c", "dated.c").stdout
    assert "preprocessed locally: " in told, told
    assert "dated.c uses the time of the compile" in told


def test_errors_are_those_of_the_local_compiler(headers: Home) -> None:
    headers.write("error.c", '#include "inc/c.h"\nint x = MISSING;\n')
    both(headers, "gcc", "-Wall", "-c", "error.c", how="status 1")
    both(headers, "clang", "-Wall", "-c", "error.c", how="status 1")


def test_a_changed_header_is_sent_again(headers: Home) -> None:
    for number in range(5):
        headers.write("inc/c.h", f"#define C {number}\n")
        both(headers, "gcc", "-g", *M)
    headers.write("forced.h", "#define FORCED 8\n")
    both(headers, "gcc", "-g", *M)
    # A header that hides the one that was found until now.
    headers.write("inc/other.h", "#undef FORCED\n#define FORCED 1\n")
    headers.write("inc/a.h", "#include <other.h>\n" + FILES["inc/a.h"])
    both(headers, "gcc", "-g", *M)
    (headers.work / "inc/other.h").unlink()
    both(headers, "gcc", "-g", *M)


def test_a_warm_compile_is_one_call_of_a_few_kilobytes(headers: Home, header_server: Server) -> None:
    for _ in range(2):
        both(headers, "g++", "-g", "-c", "real/deep/d.cc")
    lines = header_server.log.count("file=d.cc")
    both(headers, "g++", "-g", "-c", "real/deep/d.cc")
    assert header_server.log.count("file=d.cc") == lines + 1


def test_a_server_that_forgets_is_told_again(alone: Home, tmp_path: Path) -> None:
    """Its store is deleted, then it is started anew at the same address: every build is right."""
    for name, text in FILES.items():
        alone.write(name, text)
    with _store() as store:
        with running_server(tmp_path, "--header-store", store) as server:
            alone.use(server, header_jobs="true", log_level="info")
            both(alone, "gcc", "-g", *M)
            for path in Path(store).iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            both(alone, "gcc", "-g", *M)
            address = server.addresses[0]
        with running_server(tmp_path, "--header-store", store, "--listen-address", address):
            until(lambda: alone.compile("gcc", "-c", "-Iinc", "m.c", "-o", "x.o") and "status" in alone.log, "a server")
            both(alone, "gcc", "-g", *M, how="status 0")


def test_servers_without_a_store_get_preprocessed_text(home: Home) -> None:
    home.use(home.environ["DISTPLUSPLUS_SERVERS"], header_jobs="true")
    home.write("a.c", "int x;\n")
    home.remote("gcc", "-c", "a.c")
    assert "with headers" not in home.log


def test_generated_trees_give_the_objects_of_local_compiles(headers: Home) -> None:
    """Headers of one name in several directories, links, `#include_next`, questions, conditions and computed names."""
    rng = random.Random(7)
    for number in range(12):
        _write_tree(headers, rng, number)
        compiler = rng.choice(["gcc", "clang"])
        options = [f"-I{number}/{name}" for name in rng.sample(["p", "q", "r"], 3)]
        both(
            headers, compiler, "-g", "-Wall", *options, "-iquote", f"{number}/q", "-c", f"{number}/main.c", how="status"
        )
    assert headers.log.count("with headers") >= 8, headers.log


def _write_tree(home: Home, rng: random.Random, number: int) -> None:
    names = ["a.h", "b.h", "c.h", "sub/d.h"]
    top = home.work / str(number)
    for directory in ("p", "q", "r"):
        for name in names:
            if rng.random() < 0.6:
                _write_header(home, rng, f"{number}/{directory}/{name}", names)
    if rng.random() < 0.5 and not (top / "p/link").exists():
        (top / "p").mkdir(parents=True, exist_ok=True)
        (top / "p/link").symlink_to("../q")
    lines = [f'#if __has_include("{name}")\n#include "{name}"\n#endif' for name in names]
    rng.shuffle(lines)
    home.write(f"{number}/main.c", "\n".join(lines) + f'\n#define WHICH "{rng.choice(names)}"\n'
               "#if __has_include(WHICH)\n#include WHICH\n#endif\nint main_c(void) { return __LINE__; }\n")  # fmt: skip


def _write_header(home: Home, rng: random.Random, path: str, names: list[str]) -> None:
    guard = "G_" + path.translate(str.maketrans("/.", "__"))
    other = rng.choice(names)
    body = [f"#ifndef {guard}", f"#define {guard}"]
    if rng.random() < 0.5:
        body += [f"#if __has_include(<{other}>)", f"#include <{other}>", "#else", f"static int no_{guard};", "#endif"]
    if rng.random() < 0.3 and "/sub/" not in path:
        name = path.rpartition("/")[2]
        body += [f"#if __has_include_next(<{name}>)", f"#include_next <{name}>", "#endif"]
    if rng.random() < 0.3:
        body += ['#if __has_include("link/a.h")', '#include "link/a.h"', "#endif"]
    body += [f"static const char *f_{guard} = __FILE__;", f"static int l_{guard} = __LINE__;", "#endif", ""]
    home.write(path, "\n".join(body))
