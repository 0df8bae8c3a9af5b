"""Compilers for another machine, by both front ends: a real cross gcc, and clang told so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.agent.home import Home
from tests.integration.sandbox import Sandbox
from tests.integration.server.harness import Server

GCC = "riscv64-linux-gnu-gcc"
SOURCE = """\
#include "part.h"
#include <stdarg.h>
#ifndef __riscv
#error "this is not the compiler for the other machine"
#endif
long sum(int count, ...)
{
    va_list list;
    long total = PART;
    va_start(list, count);
    while (count-- > 0) total += va_arg(list, long);
    va_end(list);
    return total;
}
"""
_MACHINE_AT, _RISCV = 18, 243  # e_machine of ELF, EM_RISCV


def machine(path: Path) -> int:
    return int.from_bytes(path.read_bytes()[_MACHINE_AT : _MACHINE_AT + 2], "little")


@pytest.mark.parametrize(
    "command",
    [
        f"{GCC} -O2 -MD -c a.c",
        f"{GCC} -Os -march=rv64gc -mabi=lp64d -fPIC -ffunction-sections -c a.c -o a.o",
        f"{GCC} -S -O1 a.c",
        "clang --target=riscv64-linux-gnu -O2 -MD -c a.c",
        "clang -target riscv64-linux-gnu -O2 -c a.c",
    ],
)
def test_the_launcher(home: Home, command: str) -> None:
    home.write("a.c", SOURCE)
    home.write("part.h", "#define PART 21\n")
    made = {}
    for remote in (True, False):
        words = command.split()
        if remote:
            home.remote(*words)
        else:
            assert home.run(*words).returncode == 0
        made[remote] = {path.name: path.read_bytes() for path in home.work.glob("a.[ods]")}
        if (home.work / "a.o").exists():
            assert machine(home.work / "a.o") == _RISCV
        for name in made[remote]:
            (home.work / name).unlink()
    assert made[True]
    assert made[True] == made[False]


# Of --target=X distcc knows nothing, and adds a -target of its own.
@pytest.mark.parametrize("compiler", [GCC, "clang -target riscv64-linux-gnu"])
def test_a_build_for_distcc(sandbox: Sandbox, server: Server, compiler: str) -> None:
    sandbox.write("part.h", "#define PART 21\n")
    names = [f"{letter}.o" for letter in "abcd"]
    for name in names:
        sandbox.write(f"{name[0]}.c", SOURCE)
    sandbox.write("Makefile", f"CFLAGS = -O2\nall: {' '.join(names)}\n")
    sandbox.environ["DISTCC_AUTO_HOSTS"] = f"grpc://{server.addresses[0]}"
    before = server.log.count("result=ok")
    done = sandbox.distcc_auto("make", f"CC=distcc {compiler}")
    assert done.returncode == 0, done
    assert server.log.count("result=ok") - before == len(names)
    there = {name: (sandbox.work / name).read_bytes() for name in names}
    assert {machine(sandbox.work / name) for name in names} == {_RISCV}
    assert sandbox.run(["make", "-B", f"CC={compiler}"]).returncode == 0
    assert {name: (sandbox.work / name).read_bytes() for name in names} == there
