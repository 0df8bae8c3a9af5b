"""Objects are those that the same compiler makes at home of the same text; further outputs come back."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import grpc
import pytest
from distcc_auto.distplusplus.protocol import compression
from distcc_auto.distplusplus.protocol import distplusplus_pb2 as pb

from tests.integration.distplusplus.harness import Client, Server, refused

Code = grpc.StatusCode

C_SOURCE = """#include <stdio.h>
#define SQUARE(x) ((x) * (x))
struct pair { int first; long second; };
int compute(struct pair *pair) { return SQUARE(pair->first) + __LINE__; }
int main(int argc, char **argv) { struct pair p = {argc, 2}; printf("%d\\n", compute(&p)); return 0; }
"""
CXX_SOURCE = """#include <vector>
#include <string>
template <class T> T twice(T value) { return value + value; }
std::string join(const std::vector<std::string> &parts) { std::string all; for (auto &p : parts) all += twice(p);
  return all; }
"""
# Some glibc headers are written for GCC; with clang a GCC-preprocessed text would not compile.
COMPILERS = [("gcc", "src/hello.c", C_SOURCE, ".i"), ("clang", "src/hello.c", C_SOURCE, ".i"),
             ("g++", "src/hello.cc", CXX_SOURCE, ".ii"), ("clang++", "src/hello.cc", CXX_SOURCE, ".ii")]  # fmt: skip


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
        self, compiler: str, source: str, text: str, ending: str, options: Sequence[str], output: str = "obj/hello.o",
        preprocess: Sequence[str] = (), **fields: object
    ) -> tuple[bytes, pb.CompileAnswer]:  # fmt: skip
        """(the file made at home of the preprocessed text, the server's answer for the same text)."""
        (self.root / source).write_text(text)
        preprocessed = Path(source).stem + ending
        self.run(compiler, *options, *preprocess, "-E", source, "-o", preprocessed)
        stop = [] if "-S" in options else ["-c"]
        self.run(compiler, *options, *stop, preprocessed, "-o", output)
        answer = self.client.compile(
            (self.root / preprocessed).read_bytes(),
            Path(source).name,
            compiler,
            [*options, *stop],
            cwd=str(self.root),
            outputName=output,
            **fields,
        )
        assert answer.returnCode == 0, answer.stderr
        return (self.root / output).read_bytes(), answer


@pytest.fixture
def home(tmp_path: Path, client: Client) -> Home:
    return Home(tmp_path / "home" / "project", client)


def content(file: pb.File) -> bytes:
    return compression.unpack(file, 1 << 30)


@pytest.mark.parametrize("compiler", COMPILERS, ids=lambda c: c[0])
def test_same_object(home: Home, compiler: tuple[str, str, str, str]) -> None:
    for options in (
        [], ["-O2"], ["-g"], ["-g3"], ["-gdwarf-4"], ["-gdwarf-5", "-g3", "-O2"], ["-ggdb3", "-fPIC"], ["-S"], ["-S", "-g"],
        ["-flto", "-g", "-frandom-seed=a"], ["-g", "-ffile-prefix-map=src=source"],
        ["-g", f"-fdebug-prefix-map={home.root}=/project"], ["-ffunction-sections", "-fdata-sections", "-fvisibility=hidden"],
    ):  # fmt: skip
        expected, answer = home.both(*compiler, options)
        assert content(answer.outputFile) == expected, options


@pytest.mark.parametrize("compiler", COMPILERS, ids=lambda c: c[0])
def test_same_object_without_line_markers(home: Home, compiler: tuple[str, str, str, str]) -> None:
    """Then only the file's name is left to name the source."""
    name, _, text, ending = compiler
    home.root.joinpath("hello.txt").write_text(text)
    home.run(name, "-x", "c++" if "++" in name else "c", "-E", "-P", "hello.txt", "-o", f"hello{ending}")
    preprocessed = home.root / f"hello{ending}"
    for options in (["-O1"], ["-g"], ["-g", f"-fdebug-prefix-map={home.root}=/project"], ["-gdwarf-4"]):
        home.run(name, *options, "-c", f"hello{ending}", "-o", "obj/hello.o")
        answer = home.client.compile(
            preprocessed.read_bytes(), f"hello{ending}", name, [*options, "-c"], cwd=str(home.root), outputName="obj/hello.o"
        )  # fmt: skip
        assert content(answer.outputFile) == (home.root / "obj/hello.o").read_bytes(), options


@pytest.mark.parametrize("compiler", COMPILERS, ids=lambda c: c[0])
def test_debug_information_names_the_clients_files(home: Home, compiler: tuple[str, str, str, str]) -> None:
    for options in (["-g"], ["-gdwarf-4"]):
        _, answer = home.both(*compiler, options)
        out = home.root / "out.o"
        out.write_bytes(content(answer.outputFile))
        dump = subprocess.run(
            ["readelf", "--debug-dump=info", str(out)], capture_output=True, text=True, check=True
        ).stdout
        assert re.search(rf"DW_AT_name.*{compiler[1]}$", dump, re.M)
        assert re.search(rf"DW_AT_comp_dir.*{home.root}$", dump, re.M)
        assert b"distplusplusd" not in out.read_bytes()


def test_assembly(home: Home) -> None:
    text = '\t.globl f\nf:\n\t.long 1\n\t.section .note.GNU-stack,"",@progbits\n'
    for compiler in ("gcc", "clang"):
        for options in ([], ["-g"]):
            (home.root / "code.s").write_text(text)
            home.run(compiler, *options, "-c", "code.s", "-o", "obj/code.o")
            answer = home.client.compile(
                text.encode(),
                "code.s",
                compiler,
                [*options, "-c"],
                cwd=str(home.root),
                outputName="obj/code.o",
            )
            assert answer.returnCode == 0, answer.stderr
            assert content(answer.outputFile) == (home.root / "obj/code.o").read_bytes(), (compiler, options)


def test_objective_c_with_clang(home: Home) -> None:
    text = "@interface Thing\n- (int)value;\n@end\nint f(Thing *t) { return [t value]; }\n"
    expected, answer = home.both("clang", "src/thing.m", text, ".mi", ["-O1"], output="obj/thing.o")
    assert content(answer.outputFile) == expected


def test_a_language_that_the_worker_lacks_is_refused(client: Client) -> None:
    text = b"@interface Thing\n@end\n"
    with refused(Code.INVALID_ARGUMENT, pb.Refusal.LANGUAGE_NOT_SUPPORTED, "cc1obj"):
        client.compile(text, "thing.m", "gcc")


@pytest.mark.parametrize("compiler", COMPILERS[:2], ids=lambda c: c[0])
@pytest.mark.parametrize(
    ("options", "kind", "ending"),
    [
        (["-g", "-gsplit-dwarf"], pb.FurtherOutput.DWO, ".dwo"),
        (["-O2", "-fstack-usage"], pb.FurtherOutput.STACK_USAGE, ".su"),
        (["--coverage", "-frandom-seed=a"], pb.FurtherOutput.GCNO, ".gcno"),
    ],
    ids=["dwo", "su", "gcno"],
)
def test_further_outputs(
    home: Home, compiler: tuple[str, str, str, str], options: list[str], kind: int, ending: str
) -> None:
    if compiler[0] == "clang":
        options = [option for option in options if option != "-frandom-seed=a"]
    expected, answer = home.both(*compiler, options, furtherOutputs=True)
    assert content(answer.outputFile) == expected
    (further,) = answer.furtherOutput
    assert further.kind == kind
    assert further.file.name == "hello" + ending
    assert content(further.file) == (home.root / "obj" / f"hello{ending}").read_bytes()


@pytest.mark.parametrize("option", ["-gsplit-dwarf", "-fstack-usage", "--coverage", "-ftest-coverage"])
def test_further_outputs_are_refused_to_a_client_that_takes_none(client: Client, option: str) -> None:
    with refused(Code.INVALID_ARGUMENT, pb.Refusal.FURTHER_OUTPUTS, "further files"):
        client.compile(arguments=[option, "-c"], cwd="/home/x")


def test_profiles_are_written_where_the_client_is(home: Home) -> None:
    for compiler, options in (("gcc", ["-fprofile-generate", "-frandom-seed=a"]), ("gcc", ["-fprofile-arcs", "-frandom-seed=a"]),
                              ("clang", ["-fprofile-generate"]), ("clang", ["-fprofile-instr-generate"]),
                              ("clang", ["-fprofile-instr-generate", "-fcoverage-mapping"])):  # fmt: skip
        expected, answer = home.both(compiler, "src/hello.c", C_SOURCE, ".i", options, output="obj/other.o")
        assert content(answer.outputFile) == expected, (compiler, options)


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
    expected, answer = home.both(
        "gcc", "src/hello.c", C_SOURCE, ".i", ["-O2", "-fprofile-use", "-Werror=missing-profile"], furtherInput=[profile]
    )  # fmt: skip
    assert content(answer.outputFile) == expected
    with refused(Code.INVALID_ARGUMENT, pb.Refusal.FURTHER_INPUT_MISSING, "profile"):
        home.client.compile(arguments=["-fprofile-use", "-c"], cwd=str(home.root))


def test_absolute_outputs(home: Home) -> None:
    absolute = str(home.root / "obj/hello.o")
    for options in (["-g"], ["-fprofile-arcs", "-frandom-seed=a"]):
        expected, answer = home.both("gcc", "src/hello.c", C_SOURCE, ".i", options, output=absolute)
        assert content(answer.outputFile) == expected
    with refused(Code.INVALID_ARGUMENT, pb.Refusal.BAD_PATH, "gsplit-dwarf"):
        home.client.compile(arguments=["-gsplit-dwarf", "-c"], outputName=absolute, furtherOutputs=True)


def test_a_cross_compiler_is_found_by_its_link(start: Callable[..., Server], tmp_path: Path) -> None:
    """One that is installed outside /usr, through a directory of links."""
    root = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    try:
        (root / "cross/bin").mkdir(parents=True)
        (root / "links").mkdir()
        for path in (root, root / "cross", root / "cross/bin", root / "links"):
            path.chmod(0o755)
        script = root / "cross/bin/mips-test-elf-gcc"
        script.write_text(
            '#!/bin/sh\n[ "$1" = -dumpmachine ] && { echo mips-test-elf; exit; }\nexec gcc "$@"\n'
        )
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
