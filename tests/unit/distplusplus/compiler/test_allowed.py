"""Which arguments are kept, dropped and refused."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.compiler.allowed import check, language_of
from distplusplus.compiler.languages import Language
from distplusplus.compiler.not_allowed import NotAllowedError
from distplusplus.compiler.options import Extra


def kept(line: str, *, clang: bool = False) -> str:
    return shlex.join(check([*shlex.split(line), "-c"], clang=clang).kept)


@pytest.mark.parametrize(
    "line",
    [
        "-I inc",
        "-Iinc",
        "-D X=1",
        "-DX",
        "-U X",
        "-include a.h",
        "-imacros a.h",
        "-isystem /x",
        "-isystem/x",
        "-iquote x",
        "-idirafter x",
        "-MD",
        "-MMD",
        "-MP",
        "-MF a.d",
        "-MFa.d",
        "-MT x",
        "-MQ x",
        "-nostdinc",
        "-nostdinc++",
        "-fpreprocessed",
        "-Wp,-MD,a.d",
        "-L/x",
        "-l m",
        "-lm",
        "-Wl,-O1",
        "-Xlinker -x",
        "--sysroot=/x",
        "--sysroot /x",
        "-isysroot /x",
        "-stdlib=libc++",
        "-P",
        "-C",
        "-H",
        "-dD",
        "-F x",
        "-fdirectives-only",
        "-fworking-directory",
        "-finput-charset=latin1",
        "-Xpreprocessor -x",
        "-undef",
    ],
)
def test_dropped(line: str) -> None:
    assert kept(line) == ""
    assert kept(f"-O2 {line} -g") == "-O2 -g"


@pytest.mark.parametrize(
    "line",
    [
        "-O",
        "-O3",
        "-Ofast",
        "-Og",
        "-g",
        "-g3",
        "-ggdb",
        "-gdwarf-5",
        "-gz=zlib",
        "-fPIC",
        "-fno-exceptions",
        "-fvisibility=hidden",
        "-fstack-protector-strong",
        "-fsanitize=address,undefined",
        "-flto=auto",
        "-flto=thin",
        "-march=x86-64-v3",
        "-mtune=generic",
        "-mavx2",
        "-m32",
        "-mfpu=neon-vfpv4",
        "-std=gnu++20",
        "-ansi",
        "-pedantic-errors",
        "-w",
        "-Wall",
        "-Werror=format",
        "-Wno-error",
        "-Wstack-usage=1000",
        "-pipe",
        "-pthread",
        "--param max-inline-insns=4",
        "--param=a=1",
        "-target arm-linux-gnueabihf",
        "-p",
        "-pg",
        "--target=aarch64-linux-gnu",
        "-Qunused-arguments",
        "-ffile-prefix-map=/a=/b",
        "-fmacro-prefix-map=/a=b",
        "-frandom-seed=src/a.c.o",
        "-fdiagnostics-color=always",
        "-Wa,--noexecstack",
        "-Wa,-march=armv8-a",
        "-Xassembler --noexecstack",
        "-falign-functions=32:16",
        "-ftemplate-depth=900",
        "-fopenmp",
        "-s",
        "-static",
    ],
)
def test_kept(line: str) -> None:
    assert kept(line) == line


def test_clang_is_not_given_what_it_says_is_of_no_use() -> None:
    assert kept("-fmacro-prefix-map=/a=/b -O1", clang=True) == "-O1"
    assert kept("-ffile-prefix-map=/a=/b", clang=True) == "-ffile-prefix-map=/a=/b"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("-fplugin=x", "loads a plugin"),
        ("-march=native", "CPU of the worker"),
        ("@file", "reads arguments from a file"),
        ("-B x", "runs programs from another directory"),
        ("-wrapper x,y", "runs another program"),
        ("-specs=x", "changes what the compiler runs"),
        ("-save-temps=obj", "names or writes further files"),
        ("-Wa,-al=x", "assembler"),
        ("-Wa,--gdwarf-5", "assembler"),
        ("-fprofile-abs-path", "the worker's directories"),
        ("-fsave-optimization-record", "the worker's own files"),
        ("-fno-such/path", "not known here to be safe"),
        ("-E", "not a compile"),
        ("-fprofile-generate=/x", "only the client has"),
        ("-Xclang -load", "without a check"),
        ("-mllvm=-load", "without a check"),
        ("-march=native+crc", "CPU of the worker"),
        ("-fdebug-prefix-map=@a=b.s", "not known here to be safe"),
        ("-foptimization-record-passes=.*", "further files"),
        ("-foptimization-record-file=x", "further files"),
        ("-fembed-offload-object=x", "besides the source"),
        ("-march=@a", "not known here to be safe"),
        ("-Xassembler @a", "assembler"),
    ],
)
def test_refused_with_the_reason(line: str, why: str) -> None:
    with pytest.raises(NotAllowedError, match=why) as refused:
        kept(line)
    assert refused.value.subject == line.split(maxsplit=1)[0]


def test_the_same_argument_to_gcc_and_to_clang() -> None:
    assert kept("-grecord-gcc-switches -frecord-gcc-switches") == "-grecord-gcc-switches -frecord-gcc-switches"
    with pytest.raises(NotAllowedError, match="command line"):
        kept("-grecord-gcc-switches", clang=True)
    assert kept("-fprofile-generate=/x", clang=True) == "-fprofile-generate=/x"
    with pytest.raises(NotAllowedError, match="of clang"):
        kept("-ffile-compilation-dir=/x")


def test_what_the_arguments_mean() -> None:
    found = check(["-g", "-gsplit-dwarf", "--coverage", "-x", "c++", "-S", "-fdebug-prefix-map=/a=/b"], clang=False)
    assert found.assembly_output
    assert found.debug
    assert found.coverage
    assert found.extras == {Extra.DWO, Extra.GCNO}
    assert found.language == Language.CXX
    assert found.mapped_directory("/a/x") == "/b/x"
    assert not check(["-g", "-g0", "-c"], clang=False).debug
    maps = ["-ffile-prefix-map=/a=/1", "-fdebug-prefix-map=/a/b=/2", "-c"]
    assert check(maps, clang=False).mapped_directory("/a/b/c") == "/2/c"


def test_languages() -> None:
    assert language_of(Language.UNKNOWN_LANGUAGE, Language.UNKNOWN_LANGUAGE, "a.c", "gcc") == Language.C
    assert language_of(Language.UNKNOWN_LANGUAGE, Language.UNKNOWN_LANGUAGE, "a.c", "g++-12") == Language.CXX
    assert language_of(Language.UNKNOWN_LANGUAGE, Language.UNKNOWN_LANGUAGE, "a.C", "gcc") == Language.CXX
    assert language_of(Language.UNKNOWN_LANGUAGE, Language.CXX, "a.c", "gcc") == Language.CXX
    assert language_of(Language.ASSEMBLER, Language.CXX, "a.c", "gcc") == Language.ASSEMBLER
    with pytest.raises(NotAllowedError):
        language_of(Language.UNKNOWN_LANGUAGE, Language.UNKNOWN_LANGUAGE, "a.f90", "gcc")


SEPARATE = st.sampled_from(
    ["--param", "-target", "--std", "-fdebug-compilation-dir", "-Xassembler", "-I", "@a=b", "@a"]
)
WORDS = st.one_of(SEPARATE, st.text(max_size=10), st.from_regex(r"-[A-Za-z-]{1,12}(=[\w/.,-]{0,8})?", fullmatch=True))


@given(st.lists(WORDS, max_size=8), st.booleans())
def test_whatever_comes_it_is_checked_or_refused(words: list[str], clang: bool) -> None:
    try:
        found = check([*words, "-c"], clang=clang)
    except NotAllowedError:
        return
    for argument in found.kept:
        assert "\0" not in argument
        assert not argument.startswith("@")
        known = ("-fdebug-", "-ffile-", "-fmacro-", "-fcoverage-", "-frandom-seed=", "-fprofile-")
        assert "/" not in argument or argument.startswith(known)


def test_no_value_of_its_own_is_a_file_of_arguments() -> None:
    with pytest.raises(NotAllowedError, match="reads as a file of arguments"):
        check(["-fdebug-compilation-dir", "@a", "-c"], clang=True)
