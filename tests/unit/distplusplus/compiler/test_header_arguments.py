"""The arguments of header jobs: absolute names below the root, and nothing that would show in the object."""

from __future__ import annotations

import pytest

from distplusplus.compiler.header_arguments import ROOT_MARK, check, header_command
from distplusplus.compiler.not_allowed import NotAllowedError


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("-I/a", "-Ib", "a.c"), (f"-I{ROOT_MARK}/a", "-Ib")),
        (("-isystem", "/a", "-include", "/f.h", "a.c"), ("-isystem", f"{ROOT_MARK}/a", "-include", f"{ROOT_MARK}/f.h")),
        (("-O2", "-g", "-Wall", "-DX=/a", "-UY", "a.c"), ("-O2", "-g", "-Wall", "-DX=/a", "-UY")),
        (("-fmacro-prefix-map=/a=b", "a.c"), (f"-fmacro-prefix-map={ROOT_MARK}/a=b",)),
        (("-MD", "-MF", "/d/a.d", "-MQ", "a.o", "a.c", "-E"), ("-MD", "-MQ", "a.o")),
        (("-L/x", "-lm", "-Wl,-z,now", "a.c"), ()),
    ],
)
def test_absolute_names_are_put_below_the_root(arguments: tuple[str, ...], expected: tuple[str, ...]) -> None:
    command = header_command(arguments, "a.c", clang=False)
    assert command.arguments == expected
    check(command.arguments, clang=False)


def test_what_the_scan_needs_is_taken_out() -> None:
    arguments = ("-Ia", "-iquote", "q", "-include", "f.h", "-imacros", "m.h", '-DC="x.h"', "-MD", "-MF", "a.d", "a.c")
    command = header_command(arguments, "a.c", clang=False)
    assert command.search == ("-Ia", "-iquote", "q")
    assert command.directories == ("a", "q")
    assert command.forced == ("f.h", "m.h")
    assert command.defined == b'#define C "x.h"\n'
    assert command.dependencies == "a.d"


@pytest.mark.parametrize(
    "argument",
    [
        "-gsplit-dwarf", "--coverage", "-fprofile-generate", "-frecord-gcc-switches", "-fstack-usage", "-m32",
        "-fdebug-compilation-dir=/x", "-ffile-prefix-map==x", "-fplugin=x", "-isysroot/x", "--sysroot=/x", "-Wp,-DX",
        "-B/x", "-specs=x", "-fmodules", "b.c", "-march=native", "-fno-working-directory", "-fdump-tree-all", "-MG",
    ],
)  # fmt: skip
def test_what_would_not_be_the_same_elsewhere_goes_another_way(argument: str) -> None:
    with pytest.raises(NotAllowedError):
        header_command((argument, "a.c"), "a.c", clang=False)


def test_old_dwarf_names_an_absolute_source_twice() -> None:
    header_command(("-gdwarf-4", "a.c"), "a.c", clang=False)
    with pytest.raises(NotAllowedError):
        header_command(("-gdwarf-4", "/a.c"), "/a.c", clang=False)


@pytest.mark.parametrize(
    "arguments",
    [
        ("-I/etc",), ("-include", "/etc/passwd"), ("-isystem", "/x"), ("@file",), ("x.c",), ("-o", "x"),
        ("-fplugin=x",), ("-I",), ("-Wa,@x",), ("-MF", "x"), ("-D\0",),
    ],
)  # fmt: skip
def test_a_server_takes_no_name_of_its_own_files(arguments: tuple[str, ...]) -> None:
    with pytest.raises(NotAllowedError):
        check(arguments, clang=False)
