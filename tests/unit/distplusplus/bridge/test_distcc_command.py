"""What a distcc client was called for, and what distcc makes of it."""

from __future__ import annotations

import pytest

from distplusplus.bridge.distcc_command import (
    absolute_path_list,
    added_targets,
    called_compiler,
    misplaces_dependencies,
    names_target,
    output_of,
    read_once,
)


@pytest.mark.parametrize(
    ("argv", "compiler", "arguments"),
    [
        ("distcc gcc -c a.c", "gcc", "-c a.c"),
        ("/usr/bin/distcc /toolchain/bin/gcc -c a.c", "/toolchain/bin/gcc", "-c a.c"),
        ("distcc -c a.c", "cc", "-c a.c"),
        ("distcc a.c -c", "cc", "a.c -c"),
        ("gcc -c a.c", "gcc", "-c a.c"),
        ("/usr/lib/distcc/g++-12 -c a.c", "g++-12", "-c a.c"),
        ("distcc", "cc", ""),
    ],
)
def test_the_compiler_that_was_called(argv: str, compiler: str, arguments: str) -> None:
    assert called_compiler(argv.split()) == (compiler, tuple(arguments.split()))


def test_path_is_that_of_the_clients_directory() -> None:
    assert absolute_path_list("/a:b::../c", "/work") == "/a:/work/b:/work/:/work/../c"


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("-include /dev/fd/63 -c a.c", "/dev/fd/63"),
        ("-imacros/proc/self/fd/5 -c a.c", "-imacros/proc/self/fd/5"),
        ("@/dev/stdin -c a.c", "@/dev/stdin"),
        ("-include fd/63 -c dev/stdin.c -o /dev/null", None),
    ],
)
def test_what_can_be_read_once(arguments: str, found: str | None) -> None:
    assert read_once(arguments.split()) == found


@pytest.mark.parametrize(
    ("called", "sent", "added"),
    [
        ("-c a.c", "clang -c a.c -o a.o -target x86_64-pc-linux-gnu", ["x86_64-pc-linux-gnu"]),
        ("-target arm-none-eabi -c a.c", "clang -target arm-none-eabi -c a.c -o a.o", []),
        ("--target=arm-none-eabi -c a.c", "clang --target=arm-none-eabi -c a.c -target x86_64", ["x86_64"]),
        ("-c a.c", "clang -c a.c -o a.o", []),
    ],
)
def test_targets_that_distcc_adds(called: str, sent: str, added: list[str]) -> None:
    assert added_targets(called.split(), sent.split()) == added
    assert names_target(called.split()) == ("target" in called)


@pytest.mark.parametrize(
    ("arguments", "output", "misplaced"),
    [
        ("-c a.c", "dir/x.o", False),
        ("-MMD -c sub/a.c", "a.o", False),
        ("-MMD -c a.c", "dir/a.o", True),
        ("-MD -MF x.d -c a.c", "x.o", True),  # with a.o as its target
        ("-MD -MT x.o -c a.c", "x.o", True),  # it is called a.d
        ("-MD -MT x.o -MF x.d -c a.c", "x.o", False),
        ("-MD -MQ x.o -MFx.d -c a.c", "x.o", False),
        ("--write-user-dependencies -c a.c", "b.o", True),
        ("-Wp,-MMD,x.d -c a.c", "x.o", False),
    ],
)
def test_dependency_files(arguments: str, output: str, misplaced: bool) -> None:
    words = arguments.split()
    assert misplaces_dependencies(words, words[-1], output) == misplaced


@pytest.mark.parametrize(
    ("sent", "output"),
    [("gcc -c a.c -o a.o", "a.o"), ("gcc -o x.o -O2 -c a.c", "x.o"), ("gcc -oy.o -c a.c", "y.o"), ("gcc -c a.c", None),
     ("gcc -c a.c -o", None)],
)  # fmt: skip
def test_the_output(sent: str, output: str | None) -> None:
    assert output_of(sent.split()) == output
