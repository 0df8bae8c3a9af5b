"""Which commands can be compiled elsewhere, and what the preprocessor and the server get of them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import pytest

from distplusplus.compiler.classify import Compile, Local, classify, is_changed_by_preprocessing
from distplusplus.compiler.languages import Language

TERMINAL = ("-fdiagnostics-color=always", "-fdiagnostics-urls=always")


def classified(
    command: str, *, clang: bool = False, for_terminal: Sequence[str] = (), **environ: str
) -> Compile | Local:
    compiler, *arguments = shlex.split(command)
    return classify(compiler, arguments, environ, clang=clang, for_terminal=for_terminal)


def compile_of(command: str, *, clang: bool = False, for_terminal: Sequence[str] = ()) -> Compile:
    found = classified(command, clang=clang, for_terminal=for_terminal)
    assert isinstance(found, Compile), found
    return found


@pytest.mark.parametrize(
    ("command", "source", "output", "language"),
    [
        ("gcc -c a.c", "a.c", "a.o", Language.C),
        ("gcc -c sub/a.c", "sub/a.c", "a.o", Language.C),
        ("gcc -S a.c", "a.c", "a.s", Language.C),
        ("gcc -o x/y.o -c a.c", "a.c", "x/y.o", Language.C),
        ("gcc -ox.o a.c -c", "a.c", "x.o", Language.C),
        ("g++ -c a.cc -o a.o", "a.cc", "a.o", Language.CXX),
        ("g++ -c a.c", "a.c", "a.o", Language.CXX),
        ("gcc -x c++ -c a.weird", "a.weird", "a.o", Language.CXX),
        ("gcc --language=c++ -c a.c", "a.c", "a.o", Language.CXX),
        ("gcc -c 'a b.c' -o 'ü x.o'", "a b.c", "ü x.o", Language.C),
        ("clang -c -- sub/a.c", "sub/a.c", "a.o", Language.C),
        ("gcc -MD -MF d -I inc -D X=1 -c a.m", "a.m", "a.o", Language.OBJECTIVE_C),
    ],
)
def test_single_compiles_are_recognised(command: str, source: str, output: str, language: Language) -> None:
    found = compile_of(command)
    assert (found.source, found.output, found.language) == (source, output, language)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("gcc --version", "no input file"),
        ("gcc -dumpmachine", "no input file"),
        ("gcc a.o -o a", "links"),
        ("gcc a.c", "links"),
        ("gcc -c a.c b.c", "2 input files"),
        ("gcc -c -", "standard input"),
        ("gcc -xc -c -", "standard input"),
        ("gcc -xc -c /dev/stdin", "only once"),
        ("g++ -xc++ -c /dev/fd/63 -o a.o", "only once"),
        ("gcc -c a.c -o /dev/null", "output is a device"),
        ("gcc -MMD -MF /dev/stdout -c a.c", "/dev/stdout is another file to each process"),
        ("gcc -MMD -MF/dev/stderr -c a.c", "/dev/stderr is another file"),
        ("gcc -Wp,-MMD,/dev/stdout -c a.c", "another file"),
        ("gcc -Wp,-include,/dev/fd/3 -c a.c", "another file"),
        ("gcc -Wp,-imacros/dev/fd/3 -c a.c", "another file"),
        ("gcc -Xpreprocessor -MD -Xpreprocessor /proc/self/fd/1 -c a.c", "another file"),
        ("gcc -include /dev/fd/63 -c a.c", "another file"),
        ("gcc --include=/dev/fd/63 -c a.c", "another file"),
        ("gcc -imacros /dev/fd/63 -c a.c", "another file"),
        ("gcc -E a.c", "only preprocesses"),
        ("gcc -M a.c", "only lists dependencies"),
        ("gcc -MM a.c", "only lists dependencies"),
        ("gcc -c -fsyntax-only a.c", "not a compile to one object"),
        ("gcc -c conftest.c", "test of configure"),
        ("g++ -c /b/CMakeFiles/CMakeScratch/t/testCXXCompiler.cxx", "test of configure"),
        ("gcc -march=native -c a.c", "CPU of the worker"),
        ("gcc -c a.s", "not C, C++ or Objective-C"),
        ("gcc -c a.S", "not C, C++ or Objective-C"),
        ("gcc -c a.h", "not C, C++ or Objective-C"),
        ("g++ -x c++-header -c a.hh", "c++-header"),
        ("gcc -c a.i", "preprocessed already"),
        ("g++ -x none -c a.c", "-x none"),
        ("g++ -c a.ii", "preprocessed already"),
        ("gcc -x cpp-output -c a.c", "cpp-output"),
        ("gcc -dM -c a.c", "preprocessing and compiling"),
        ("gcc -Wp,-O2 -c a.c", "more than the preprocessor's"),
        ("gcc -Xpreprocessor -MT -Xpreprocessor t -c a.c", "more than the preprocessor's"),
        ("gcc -Wp,-MD -c a.c", "more than the preprocessor's"),
        ("gcc -c a.c -o sub/a.c", "the source's name"),
        ("gcc -c a.c -o ''", "no name"),
        ("gcc -c a.c -o out/", "is empty"),
        ("clang -c -- -a.c", "read as an argument"),
        ("gcc -c 'a\nb.c'", "cannot be printed"),
        ("gcc -g -gsplit-dwarf -c a.c -o ./a.o", "records the output's name"),
        ("gcc -S -fverbose-asm a.c", "before preprocessing"),
        ("gcc -c a.c -o -", "standard output"),
        ("gcc -c a.c -o", "lacks its value"),
        ("gcc -c -S a.c", "-c and -S"),
        ("gcc -save-temps -c a.c", "preprocessing and compiling"),
        ("gcc -fplugin=x.so -c a.c", "plugin"),
        ("gcc -fprofile-use -c a.c", "profile of this machine"),
        ("gcc -c a.c -x c++", "behind the input"),
        ("gcc -v -c a.c", "tell about the compiler's run"),
        ("gcc -Wa,-al=x.lst -c a.c", "assembler"),
        ("gcc -fdebug-prefix-map=@a=b.s -c a.c", "not known here to be safe"),
        ("gcc -ffile-prefix-map=@a=b.s -c a.c", "not known here to be safe"),
        ("gcc -mllvm=-x -c a.c", "without a check"),
        ("gcc -mcpu=native+crc -c a.c", "CPU of the worker"),
    ],
)
def test_what_cannot_be_done_elsewhere_says_why(command: str, reason: str) -> None:
    found = classified(command)
    assert isinstance(found, Local), found
    assert reason in found.reason


# gcc 12's `--help=separate`, its driver's own, and clang 14's Options.td.
SEPARATE = """
    --assert --define-macro --entry --for-linker --force-link --imacros --include --include-directory
    --include-directory-after --include-prefix --include-with-prefix --include-with-prefix-after
    --include-with-prefix-before --library --library-directory --param --std --sysroot --undefine-macro
    -A -D -F -I -L -MF -MQ -MT -T -Tbss -Tdata -Ttext -U -cxx-isystem -e -fdebug-compilation-dir -framework -idirafter
    -iframework -iframeworkwithsysroot -imacros -imultiarch -imultilib -include -iprefix -iquote -isysroot -isystem
    -isystem-after -iwithprefix -iwithprefixbefore -iwithsysroot -l -rpath -stdlib++-isystem -target -u -z
"""


@pytest.mark.parametrize("option", SEPARATE.split())
def test_a_value_in_an_argument_of_its_own_is_no_input_file(option: str) -> None:
    found = compile_of(f"clang {option} value -c a.c", clang=True)
    assert found.source == "a.c"
    assert found.preprocess == (option, "value", "a.c", "-E")


def test_write_dependencies_is_another_name_of_MD() -> None:  # the option's name
    found = compile_of("gcc --write-dependencies -c a.c -o b.o")
    assert found.preprocess == ("--write-dependencies", "a.c", "-MF", "b.d", "-MQ", "b.o", "-E")
    assert found.remote == ("-c",)


def test_an_assembler_that_is_not_clangs_own_is_not_in_its_digest() -> None:
    for option in ("-fno-integrated-as", "-no-integrated-as"):
        found = classified(f"clang {option} -c a.c", clang=True)
        assert isinstance(found, Local)
        assert "digest" in found.reason
    assert isinstance(classified("clang -fintegrated-as -c a.c", clang=True), Compile)


def test_questions_to_the_compiler_take_no_slot() -> None:
    found = classified("gcc --version")
    assert isinstance(found, Local)
    assert not found.bounded


def test_an_environment_that_changes_the_compiler_keeps_the_compile_here() -> None:
    found = classified("gcc -c a.c", GCC_EXEC_PREFIX="/opt/")
    assert isinstance(found, Local)
    assert "GCC_EXEC_PREFIX" in found.reason


def test_the_server_gets_neither_input_nor_output_nor_what_preprocessing_used_up() -> None:
    found = compile_of(
        "gcc -O2 -I inc -Iinc -D A=1 -DB -isystem s -include x.h -MMD -MP -Wall -o a.o a.c -c -std=c11 -Wl,-z -lm"
        " -Wp,-DX"
    )
    assert found.remote == ("-O2", "-Wall", "-std=c11", "-c")


@pytest.mark.parametrize(
    "passed",
    ["-Wp,-DX=1,-UY", "-Wp,-D_FORTIFY_SOURCE=2", "-Wp,-MMD,.a.o.d", "-Wp,-MD,a.d,-MP", "-Wp,-I,inc", "-Wp,-MD -Wp,a.d"],
)
def test_what_is_passed_to_the_preprocessor_alone_is_used_up_here(passed: str) -> None:
    found = compile_of(f"gcc {passed} -c a.c")
    assert found.remote == ("-c",)
    assert passed.split(maxsplit=1)[0] in found.preprocess


def test_the_preprocessor_gets_everything_else_in_order() -> None:
    found = compile_of("gcc -O2 -I inc -c a.c -o a.o -DX")
    assert found.preprocess == ("-O2", "-I", "inc", "a.c", "-DX", "-E")


@pytest.mark.parametrize(
    ("command", "added"),
    [
        ("gcc -MD -c s/a.c", ("-MF", "a.d", "-MQ", "a.o")),
        ("gcc -MMD -c s/a.c -o o/b.o", ("-MF", "o/b.d", "-MQ", "o/b.o")),
        ("gcc -MD -MF x -c a.c -o b.o", ("-MQ", "b.o")),
        ("gcc -MD -MT t -c a.c -o b.o", ("-MF", "b.d")),
        ("gcc -MD -MF x -MQ t -c a.c -o b.o", ()),
        ("gcc -MD -c a.c -o o/b", ("-MF", "o/b.d", "-MQ", "o/b")),
    ],
)
def test_dependencies_are_named_as_without_us(command: str, added: tuple[str, ...]) -> None:
    preprocess = compile_of(command).preprocess
    assert preprocess[len(preprocess) - 1 - len(added) :] == (*added, "-E")


@pytest.mark.parametrize(
    ("said", "added"),
    [
        ("", TERMINAL),
        ("-fdiagnostics-color=auto", TERMINAL),
        ("-fdiagnostics-color=never", ()),
        ("-fno-diagnostics-color", ()),
        ("-fcolor-diagnostics", ()),
        ("-fdiagnostics-urls=never", TERMINAL[:1]),
    ],
)
def test_messages_are_shown_as_on_the_terminal_unless_the_user_says_how(said: str, added: tuple[str, ...]) -> None:
    found = compile_of(f"gcc {said} -c a.c", for_terminal=TERMINAL)
    assert found.remote == (*said.split(), *added, "-c")
    assert found.preprocess == (*said.split(), "a.c", *added, "-E")


@pytest.mark.parametrize(
    ("warnings", "level"),
    [
        ("-Wextra", 3),
        ("-W", 3),
        ("-Wall", 0),
        ("-Wimplicit-fallthrough", 3),
        ("-Wimplicit-fallthrough=2", 2),
        ("-Wimplicit-fallthrough=5", 0),
        ("-Wimplicit-fallthrough=5 -Wextra", 0),
        ("-Wextra -Wimplicit-fallthrough=5", 0),
        ("-Wimplicit-fallthrough=5 -Wimplicit-fallthrough=1", 1),
        ("-Wextra -Wno-implicit-fallthrough", 0),
        ("-Wextra -Wno-extra", 0),
        ("-Wno-extra -Wextra", 3),
        ("-Wextra -w", 0),
        ("-Werror=implicit-fallthrough", 3),
        ("-Wno-error=implicit-fallthrough", 0),
    ],
)
def test_where_gcc_reads_comments(warnings: str, level: int) -> None:
    found = compile_of(f"gcc {warnings} -c a.c")
    assert found.fallthrough == level
    assert "-C" not in found.preprocess
    assert compile_of(f"clang {warnings} -c a.c", clang=True).fallthrough == 0


def test_all_files_that_a_command_names_are_known() -> None:
    found = compile_of(
        "gcc -include a.h -imacrosb.h --include=c.h -MD -MF d -Wp,-include,e.h,-MMD,f -Xpreprocessor -imacrosg.h"
        " -T script -I inc -c a.c -o x.o"
    )
    assert set(found.files) == {"a.h", "b.h", "c.h", "d", "e.h", "f", "g.h", "a.c", "x.o"}
    assert "/dev/null" in compile_of("gcc -include /dev/null -MF /dev/null -c a.c").files


def test_names_that_are_not_utf_8_stay_here() -> None:
    found = classify("gcc", ["-c", "a\udcff.c"], {}, clang=False)
    assert isinstance(found, Local)
    assert "UTF-8" in found.reason


def test_further_outputs_are_known_beforehand() -> None:
    assert compile_of("gcc -g -gsplit-dwarf -c a.c").further_outputs
    assert not compile_of("gcc -g -c a.c").further_outputs


@pytest.mark.parametrize(
    ("messages", "changed"),
    [
        ("a.c:1: warning: equality comparison with extraneous parentheses [-Wparentheses-equality]", True),
        ("a.c:1: error: this statement may fall through [-Werror=implicit-fallthrough=]", True),
        ("a.c:1: error: [-Werror,-Wtautological-compare]", True),
        ("a.c:1: warning: unused variable 'x' [-Wunused-variable]", False),
        ("", False),
    ],
)
def test_warnings_that_preprocessing_may_have_made_are_told_from_others(messages: str, changed: bool) -> None:
    assert is_changed_by_preprocessing(messages) == changed


@pytest.mark.parametrize(
    ("command", "version", "left"),
    [
        ("g++ -Wextra -MD -c a.cc -o x.o", "12.2.0", True),
        ("g++ -c a.cc", "11.1.0", True),
        ("g++ -c a.cc", "10.2.1", False),
        ("g++ -c a.cc", "4.8.5", False),
        ("gcc -c a.c", "12.2.0", False),
        ("gcc -x c++ -c a.c", "12.2.0", True),
        ("g++ -fopenmp -c a.cc", "12.2.0", False),
    ],
)
def test_macros_are_left_to_the_server_where_that_pays_and_is_safe(command: str, version: str, left: bool) -> None:
    compiler, *arguments = shlex.split(command)
    found = classify(compiler, arguments, {}, clang=False, version=version)
    assert isinstance(found, Compile)
    assert found.directives == ((*found.preprocess[:-1], "-fdirectives-only", "-E") if left else ())


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("-O2", False),
        ("-DNAME=1", False),
        ("-include x", False),
        ("-Wundef", False),
        ("-DWHEN=__DATE__", True),
        ("-Wp,-D_FORTIFY_SOURCE=2", False),
        ("-Wp,-imacros,file", True),
        ("-Xpreprocessor -imacros -Xpreprocessor file", True),
        ("--imacros=file", True),
        ("-imacros x", True),
        ("-imacrosfile", True),
        ("-fopenmp", True),
        ("-fopenmp-simd", True),
        ("-fopenacc", True),
        ("-finput-charset=latin1", True),
        ("-Wunused-macros", True),
        ("-frecord-gcc-switches", True),
    ],
)
def test_arguments_that_need_all_of_the_preprocessor(argument: str, expected: bool) -> None:
    found = classify("g++", [*argument.split(), "-c", "a.cc"], {}, clang=False, version="12.2.0")
    assert isinstance(found, Compile)
    assert (not found.directives) is expected
