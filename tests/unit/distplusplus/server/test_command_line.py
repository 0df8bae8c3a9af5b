"""File names, and what is put where this machine's names would show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.compiler import allowed as arguments
from distplusplus.compiler.identity import Family, Identity
from distplusplus.compiler.languages import Language
from distplusplus.compiler.not_allowed import NotAllowedError
from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused
from distplusplus.server import command_line as plan
from distplusplus.server.compilers import Program

GCC = Identity(Family.GCC, "12.2.0", "x86_64-linux-gnu", "")
CLANG = Identity(Family.CLANG, "14.0.6", "x86_64-pc-linux-gnu", "")
MARKED = b'# 0 "src/hello.c"\n# 0 "<built-in>"\n'
WITH_DIRECTORY = b'# 0 "src/hello.c"\n# 1 "/home/u//"\n'


def made(options: str = "-c", identity: Identity = GCC, head: bytes = MARKED, **fields: object) -> plan.CompileCommand:
    fields = {"cwd": "/home/u", "inputFile": pb.File(name="hello.c"), "furtherOutputs": True} | fields
    request = pb.CompileRequest(**fields)  # type: ignore[arg-type]
    checked = arguments.check(options.split(), clang=identity is CLANG)
    program = Program("cc", "/usr/bin/cc", "/usr/bin/cc")
    return plan.make(request, checked, Language(request.language or Language.C), program, identity, head, "/job/w")


def test_the_input_is_named_so_that_its_name_shows_right() -> None:
    assert made().input_name == "hello.i"
    assert made(head=b"int x;").input_name == "hello.c"
    assert made(inputFile=pb.File(name="hello.i")).input_name == "hello.i"
    assert made().argv[-6:] == ("-x", "cpp-output", "-c", "hello.i", "-o", "hello.o")
    assert made("-S").argv[-6:] == ("-x", "cpp-output", "-S", "hello.i", "-o", "hello.s")


def test_objective_c_is_compiled_with_the_options_of_a_local_compile() -> None:
    assert made("-x objective-c -c", language=Language.OBJECTIVE_C).argv[-7:] == (
        *("-fpreprocessed", "-x", "objective-c"),
        *("-c", "hello.mi", "-o", "hello.o"),
    )
    clang = made("-x objective-c -c", CLANG, language=Language.OBJECTIVE_C).argv
    assert "objective-c-cpp-output" in clang
    assert "-fpreprocessed" not in clang


def test_gcc_is_told_the_directory_unless_the_text_says_it() -> None:
    assert "-fdebug-prefix-map=/job/w=/home/u" in made("-g -c").argv
    assert "-fdebug-prefix-map=/job/w=/home/u" not in made("-g -c", head=WITH_DIRECTORY).argv
    assert "-fdebug-prefix-map=/job/w=/home/u" not in made("-c").argv
    mapped = made("-g -fdebug-prefix-map=/home=/H -c").argv
    assert "-fdebug-prefix-map=/job/w=/H/u" in mapped


def test_clang_is_told_the_directory_unless_the_user_tells_it() -> None:
    assert "-fdebug-compilation-dir=/home/u" in made("-g -c", CLANG).argv
    assert "-fdebug-compilation-dir=/home/u" in made("-fsave-optimization-record -c", CLANG).argv
    assert "-fdebug-compilation-dir=/home/u" not in made("-g -fdebug-compilation-dir=. -c", CLANG).argv


def test_macros_are_left_to_gcc_11_and_later_alone() -> None:
    assert "-fdirectives-only" in made(directivesOnly=True).argv
    assert "-fdirectives-only" not in made().argv
    for identity in (CLANG, Identity(Family.GCC, "10.2.1", "x86_64-linux-gnu", "")):
        with pytest.raises(CallRefused, match="GCC 11"):
            made(identity=identity, directivesOnly=True)


def test_outputs() -> None:
    assert made(outputName="obj/x.o").output == "obj/x.o"
    assert made(outputName="/abs/x.o").output == "x.o"
    assert made(outputName="../x.o").output == "x.o"
    for name in ("hello.i", "profile.profdata", "hello.i/x.o"):
        with pytest.raises((CallRefused, NotAllowedError)):
            made(outputName=name)


def test_an_old_gcc_cannot_be_told_where_the_profile_is() -> None:
    with pytest.raises(CallRefused, match="GCC 11"):
        made("-fprofile-arcs -c", Identity(Family.GCC, "10.2.1", "x", ""))
    with pytest.raises(CallRefused, match="together"):
        made("-fprofile-arcs -fstack-usage -c")


@pytest.mark.parametrize("start", [12, 16])
@pytest.mark.parametrize("unit", [1, 4])
@pytest.mark.parametrize("theirs", ["/h", "/home/user/with a long name/ü"])
def test_notes_get_the_clients_directory(start: int, unit: int, theirs: str) -> None:
    def string(text: str) -> bytes:
        data = text.encode() + b"\0"
        data += bytes(-len(data) % unit)
        return (len(data) // unit).to_bytes(4, "little") + data

    # A stamp or checksum that cannot be taken for a length.
    head = b"oncg" + b"\xff" * (start - 4)
    notes = head + string("/job/w") + b"the rest"
    assert plan.with_directory(notes, "/job/w", theirs) == head + string(theirs) + b"the rest"


@given(st.binary(max_size=64))
def test_notes_of_an_unknown_form_are_refused(notes: bytes) -> None:
    with pytest.raises(CallRefused, match="unknown form"):
        plan.with_directory(notes, "/job/w", "/home")
