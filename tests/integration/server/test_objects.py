"""Objects are those that the same compiler makes at home of the same text; further outputs come back."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from distplusplus.protocol import compression
from distplusplus.protocol import distplusplus_pb2 as pb
from tests.integration.server.harness import Client, Server, refused

Code = grpc.StatusCode

C_SOURCE = """#include <stdio.h>
#define SQUARE(x) ((x) * (x))
struct pair { int first; long second; };
int compute(struct pair *pair) { return SQUARE(pair->first) + __LINE__; }
int main(int argc, char **argv) { struct pair p = {argc, 2}; printf("%d\\n", compute(&p)); return 0; }
"""
CXX_SOURCE = """#include <cstddef>
template <class T> T twice(T value) { return value + value; }
struct Shape { virtual ~Shape(); virtual std::size_t area() const; std::size_t side; };
Shape::~Shape() {}
std::size_t Shape::area() const { auto square = [](auto x) { return x * x; }; return twice(square(side)); }
"""


@dataclass(frozen=True)
class Case:
    """A compiler, what it compiles, and the ending of that when it is preprocessed."""

    compiler: str
    source: str
    text: str
    ending: str


GCC = Case("gcc", "src/hello.c", C_SOURCE, ".i")
CLANG = Case("clang", "src/hello.c", C_SOURCE, ".i")
CASES = [
    GCC,
    CLANG,
    Case("g++", "src/hello.cc", CXX_SOURCE, ".ii"),
    Case("clang++", "src/hello.cc", CXX_SOURCE, ".ii"),
]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.compiler)


class Home:
    """A project directory on the client's side."""

    def __init__(self, root: Path, client: Client) -> None:
        self.root = root
        self.client = client
        (root / "src").mkdir(parents=True)
        (root / "obj").mkdir()

    def run(self, *command: str) -> None:
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr

    def both(
        self, case: Case, options: Sequence[str], output: str = "obj/hello.o", **fields: Any
    ) -> tuple[bytes, pb.CompileAnswer]:
        """(the file made at home of the preprocessed text, the server's answer for the same text)."""
        (self.root / case.source).write_text(case.text)
        preprocessed = Path(case.source).stem + case.ending
        self.run(case.compiler, *options, "-E", case.source, "-o", preprocessed)
        text = (self.root / preprocessed).read_bytes()
        here = self.compiled(case.compiler, preprocessed, options, output)
        name = Path(case.source).name
        return here, self.answer(case.compiler, name, text, options, outputName=output, **fields)

    def compiled(self, compiler: str, name: str, options: Sequence[str], output: str) -> bytes:
        stop = [] if "-S" in options else ["-c"]
        self.run(compiler, *options, *stop, name, "-o", output)
        return (self.root / output).read_bytes()

    def answer(self, compiler: str, name: str, text: bytes, options: Sequence[str], **fields: Any) -> pb.CompileAnswer:
        stop = [] if "-S" in options else ["-c"]
        fields = {"cwd": str(self.root), "outputName": "obj/hello.o"} | fields
        answer = self.client.compile(text, name, compiler, [*options, *stop], **fields)
        assert answer.returnCode == 0, answer.stderr
        return answer


@pytest.fixture
def home(tmp_path: Path, client: Client) -> Home:
    return Home(tmp_path / "home" / "project", client)


def content(file: pb.File) -> bytes:
    return compression.unpack(file, 1 << 30)


OPTIONS = """
-O2
-g
-g3
-gdwarf-4
-gdwarf-5 -g3 -O2
-ggdb3 -fPIC
-S -g
-flto -g -frandom-seed=a
-g -ffile-prefix-map=src=source
-g -fdebug-prefix-map={home}=/project
-ffunction-sections -fdata-sections -fvisibility=hidden -Wall -Wextra -pipe -pthread
"""


@each_case
def test_same_object(home: Home, case: Case) -> None:
    for line in OPTIONS.strip().splitlines():
        options = shlex.split(line.format(home=home.root))
        expected, answer = home.both(case, options)
        assert content(answer.outputFile) == expected, options


@each_case
def test_same_object_without_line_markers(home: Home, case: Case) -> None:
    """Then only the file's name is left to name the source."""
    (home.root / case.source).write_text(case.text)
    name = f"hello{case.ending}"
    home.run(case.compiler, "-E", "-P", case.source, "-o", name)
    text = (home.root / name).read_bytes()
    for options in (["-O1"], ["-g"], ["-g", f"-fdebug-prefix-map={home.root}=/project"], ["-gdwarf-4"]):
        expected = home.compiled(case.compiler, name, options, "obj/hello.o")
        answer = home.answer(case.compiler, name, text, options)
        assert content(answer.outputFile) == expected, options


@each_case
def test_debug_information_names_the_clients_files(home: Home, case: Case) -> None:
    for options in (["-g"], ["-gdwarf-4"]):
        _, answer = home.both(case, options)
        out = home.root / "out.o"
        out.write_bytes(content(answer.outputFile))
        readelf = ["readelf", "--debug-dump=info", str(out)]
        dump = subprocess.run(readelf, capture_output=True, text=True, check=True).stdout
        assert re.search(rf"DW_AT_name.*{case.source}$", dump, re.M)
        assert re.search(rf"DW_AT_comp_dir.*{home.root}$", dump, re.M)
        assert b"distplusplusd" not in out.read_bytes()


@pytest.mark.parametrize("directory", ["/proc/self/cwd", "/a link/to it", "/home/u/link"])
@pytest.mark.parametrize("case", [GCC, CLANG], ids=["gcc", "clang"])
def test_the_clients_working_directory_is_recorded_as_it_is_told(client: Client, case: Case, directory: str) -> None:
    """Compilers take $PWD for it: a path through a symbolic link, or whatever a build tool puts there."""
    text = b'# 1 "a.c"\nint f(void) { return 1; }\n'
    fields = {"cwd": directory, "furtherOutputs": True, "outputName": "a.o"}
    debug = client.compile(text, "a.c", case.compiler, ["-g", "-c"], **fields)
    assert directory.encode() + b"\0" in compression.unpack(debug.outputFile, 1 << 20)
    covered = client.compile(text, "a.c", case.compiler, ["--coverage", "-c"], **fields)
    assert directory.encode() + b"/a.gcda\0" in compression.unpack(covered.outputFile, 1 << 20)
    (notes,) = covered.furtherOutput
    assert notes.kind == pb.FurtherOutput.GCNO
    if case is GCC:  # clang 14's have no directory
        assert directory.encode() + b"\0" in compression.unpack(notes.file, 1 << 20)
    mapped = client.compile(text, "a.c", case.compiler, ["-g", "-c", f"-fdebug-prefix-map={directory}=/z"], **fields)
    assert b"/z\0" in compression.unpack(mapped.outputFile, 1 << 20)


def test_assembly(home: Home) -> None:
    text = '\t.globl f\nf:\n\t.long 1\n\t.section .note.GNU-stack,"",@progbits\n'
    (home.root / "code.s").write_text(text)
    for compiler in ("gcc", "clang"):
        for options in ([], ["-g"]):
            expected = home.compiled(compiler, "code.s", options, "obj/code.o")
            answer = home.answer(compiler, "code.s", text.encode(), options, outputName="obj/code.o")
            assert content(answer.outputFile) == expected, (compiler, options)


def test_objective_c_with_clang(home: Home) -> None:
    text = "@interface Thing\n- (int)value;\n@end\nint f(Thing *t) { return [t value]; }\n"
    expected, answer = home.both(Case("clang", "src/thing.m", text, ".mi"), ["-O1"], output="obj/thing.o")
    assert content(answer.outputFile) == expected


def test_a_language_that_the_worker_lacks_is_refused(client: Client) -> None:
    text = b"@interface Thing\n@end\n"
    with refused(Code.INVALID_ARGUMENT, pb.Refusal.LANGUAGE_NOT_SUPPORTED, "cc1obj"):
        client.compile(text, "thing.m", "gcc")


@pytest.mark.parametrize("case", [GCC, CLANG], ids=lambda case: case.compiler)
@pytest.mark.parametrize(
    ("options", "kind", "ending"),
    [
        (["-g", "-gsplit-dwarf"], pb.FurtherOutput.DWO, ".dwo"),
        (["-O2", "-fstack-usage"], pb.FurtherOutput.STACK_USAGE, ".su"),
        (["--coverage", "-frandom-seed=a"], pb.FurtherOutput.GCNO, ".gcno"),
    ],
    ids=["dwo", "su", "gcno"],
)
def test_further_outputs(home: Home, case: Case, options: list[str], kind: int, ending: str) -> None:
    if case is CLANG:
        options = [option for option in options if not option.startswith("-frandom-seed")]
    expected, answer = home.both(case, options, furtherOutputs=True)
    assert content(answer.outputFile) == expected
    (further,) = answer.furtherOutput
    assert further.kind == kind
    assert further.file.name == "hello" + ending
    assert content(further.file) == (home.root / "obj" / f"hello{ending}").read_bytes()


@pytest.mark.parametrize("option", ["-gsplit-dwarf", "-fstack-usage", "--coverage", "-ftest-coverage"])
def test_further_outputs_are_refused_to_a_client_that_takes_none(client: Client, option: str) -> None:
    with refused(Code.INVALID_ARGUMENT, pb.Refusal.FURTHER_OUTPUTS, "further files"):
        client.compile(arguments=[option, "-c"], cwd="/home/x")


@pytest.mark.parametrize(
    ("case", "options"),
    [
        (GCC, "-fprofile-generate -frandom-seed=a"),
        (GCC, "-fprofile-arcs -frandom-seed=a"),
        (CLANG, "-fprofile-generate"),
        (CLANG, "-fprofile-instr-generate"),
        (CLANG, "-fprofile-instr-generate -fcoverage-mapping"),
    ],
)
def test_profiles_are_written_where_the_client_is(home: Home, case: Case, options: str) -> None:
    expected, answer = home.both(case, options.split(), output="obj/other.o")
    assert content(answer.outputFile) == expected


def test_a_profile_is_used(home: Home) -> None:
    (home.root / "src/hello.c").write_text(C_SOURCE)
    home.run("gcc", "-E", "src/hello.c", "-o", "hello.i")
    home.run("gcc", "-O2", "-fprofile-generate", "-c", "hello.i", "-o", "obj/hello.o")
    home.run("gcc", "-fprofile-generate", "obj/hello.o", "-o", "program")
    home.run("./program")
    profile = pb.FurtherInput(
        kind=pb.FurtherInput.PROFILE,
        file=compression.pack("hello.gcda", (home.root / "obj/hello.gcda").read_bytes(), pb.zstd),
    )
    options = ["-O2", "-fprofile-use", "-Werror=missing-profile"]
    expected, answer = home.both(GCC, options, furtherInput=[profile])
    assert content(answer.outputFile) == expected
    with refused(Code.INVALID_ARGUMENT, pb.Refusal.FURTHER_INPUT_MISSING, "profile"):
        home.client.compile(arguments=["-fprofile-use", "-c"], cwd=str(home.root))


def test_absolute_outputs(home: Home) -> None:
    absolute = str(home.root / "obj/hello.o")
    for options in (["-g"], ["-fprofile-arcs", "-frandom-seed=a"]):
        expected, answer = home.both(GCC, options, output=absolute)
        assert content(answer.outputFile) == expected
    with refused(Code.INVALID_ARGUMENT, pb.Refusal.BAD_PATH, "gsplit-dwarf"):
        home.client.compile(arguments=["-gsplit-dwarf", "-c"], outputName=absolute, furtherOutputs=True)


def test_a_cross_compiler_is_found_by_its_link(start: Callable[..., Server]) -> None:
    """One that is installed outside /usr, through a directory of links."""
    root = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    try:
        (root / "cross/bin").mkdir(parents=True)
        (root / "links").mkdir()
        for path in (root, root / "cross", root / "cross/bin", root / "links"):
            path.chmod(0o755)
        script = root / "cross/bin/mips-test-elf-gcc"
        script.write_text('#!/bin/sh\n[ "$1" = -dumpmachine ] && exec echo mips-test-elf\nexec gcc "$@"\n')
        script.chmod(0o755)
        client = start("--compiler-dir", str(root / "links")).client()
        assert not client.query(pb.ServerQuery(compiler="mips-test-elf-gcc"), timeout=20).compilerSupported
        (root / "links/mips-test-elf-gcc").symlink_to(script)
        answer = client.query(pb.ServerQuery(compiler="mips-test-elf-gcc"), timeout=20)
        assert answer.compilerIdentity.target == "mips-test-elf"
        assert client.object(compiler="mips-test-elf-gcc")
        with refused(Code.INVALID_ARGUMENT, pb.Refusal.COMPILER_NOT_ALLOWED, "no link"):
            client.compile(compiler="clang")
    finally:
        subprocess.run(["rm", "-rf", str(root)], check=True)
