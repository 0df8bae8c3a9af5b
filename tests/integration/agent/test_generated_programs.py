"""Generated programs are the same and say the same, compiled as plain commands and as agent and server compile them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from distplusplus.compiler.allowed import check
from distplusplus.compiler.classify import Compile, classify
from distplusplus.compiler.identity import Family, Identity
from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.server import command_line
from distplusplus.server.compilers import Program
from tests.integration.agent.generated_programs import program

# Of each way: 6 * 400 = 2,400 programs. DISTPLUSPLUS_SEED gives others.
PROGRAMS = 400
SEED = int(os.environ.get("DISTPLUSPLUS_SEED", "1"))
VERSIONS = {False: Identity(Family.GCC, "12.2.0", "", ""), True: Identity(Family.CLANG, "14.0.6", "", "")}


def remote_object(command: Compile, compiler: str, source: Path, arguments: tuple[str, ...]) -> bytes:
    """The object that a server makes of what the agent has preprocessed with these arguments."""
    text = subprocess.run([compiler, *arguments], cwd=source.parent, capture_output=True, check=True).stdout
    work = source.parent / "job"
    work.mkdir()
    request = pb.CompileRequest(
        inputFile=pb.File(name=source.name), cwd=str(source.parent), outputName=command.output, furtherOutputs=True
    )
    request.directivesOnly = arguments == command.directives
    path = f"/usr/bin/{compiler}"
    checked = check(command.remote, clang=command.clang)
    made = command_line.make(
        request,
        checked,
        command.language,
        Program(compiler, path, path),
        VERSIONS[command.clang],
        text[:8192],
        str(work),
    )
    (work / made.input_name).write_bytes(text)
    subprocess.run(made.argv, cwd=work, check=True)
    return (work / made.output).read_bytes()


@pytest.mark.parametrize(
    ("compiler", "way"),
    [
        ("gcc", "preprocess"),
        ("gcc", "directives"),
        ("g++", "preprocess"),
        ("g++", "directives"),
        ("clang", "preprocess"),
        ("clang++", "preprocess"),
    ],
)
def test_generated_programs_are_those_of_the_plain_command(tmp_path: Path, compiler: str, way: str) -> None:
    cxx, clang = "++" in compiler, compiler.startswith("clang")
    source = tmp_path / ("a.cc" if cxx else "a.c")
    text = program(SEED, PROGRAMS, cxx=cxx, optional=not clang or cxx)
    source.write_text(text)
    standard = "-std=gnu++20" if cxx else "-std=gnu17"
    warnings = ("-Wextra", "-Wno-all", "-Wno-comment")
    words = (standard, "-O1", *warnings, "-c", source.name, "-o", "a.o")
    command = classify(compiler, words, {}, clang=clang, version=VERSIONS[clang].version)
    assert isinstance(command, Compile), command
    subprocess.run([compiler, *words], cwd=tmp_path, check=True)
    made = remote_object(command, compiler, source, getattr(command, way))
    (tmp_path / "b.o").write_bytes(made)
    said = []
    for name in ("a", "b"):
        subprocess.run([compiler, f"{name}.o", "-o", name], cwd=tmp_path, check=True)
        said.append(subprocess.run(tmp_path / name, capture_output=True, check=True).stdout.decode())
    assert said[1] == said[0]
    assert said[0].count("\n") > 2 * PROGRAMS
    assert made == (tmp_path / "a.o").read_bytes()
