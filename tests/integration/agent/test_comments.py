"""Comments take no part in what the preprocessor makes, and count for GCC's warnings as without distplusplus."""

from __future__ import annotations

import pytest

from tests.integration.agent.home import Home

OPERATORS = r"""
#include <assert.h>
#include <stdio.h>
#define SHOW(x) printf("%s = %d\n", #x, (x))
#define OPT(x, ...) __VA_OPT__(1 +) x
#define PASTE(a, b) a ## b
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
int main(void) {
    int ab = 3;
    SHOW(1 /* one */ + 1);
    SHOW(OPT(2, /* nothing */));
    SHOW(PASTE(/* first */ a, b /* second */));
    puts(TEXT(assert(ab /* comment */ > 0)));
    assert(ab /* comment */ > 0);
    return 0;
}
"""
FALLS_THROUGH = """
int g(int);
int f(int x) {
    switch (x) {
    case 1: g(1); /* fall through */
    case 2: return g(2);
    }
    return 0;
}
"""


@pytest.mark.parametrize("option", ["-Wextra", "-W", "-Wimplicit-fallthrough", "-Wimplicit-fallthrough=1"])
@pytest.mark.parametrize("compiler", ["gcc", "g++"])
def test_no_comment_gets_into_a_program(home: Home, compiler: str, option: str) -> None:
    home.write("a.c", OPERATORS)
    home.write("b.c", OPERATORS + FALLS_THROUGH)
    for name in ("a.c", "b.c"):
        home.remote(compiler, option, "-c", name, "-o", "there.o")
        assert home.run(compiler, option, "-c", name, "-o", "local.o").returncode == 0
        assert (home.work / "there.o").read_bytes() == (home.work / "local.o").read_bytes()
    home.run(compiler, "-c", "a.c", "-o", "there.o")
    assert home.run(compiler, "there.o", "-o", "program").returncode == 0
    assert home.run("./program").stdout.startswith("1 + 1 = 2\nOPT(2, ) = 2\n")


@pytest.mark.parametrize("level", ["", "=1", "=2", "=3", "=4", "=5"])
@pytest.mark.parametrize("comment", ["/* fall through */", "/* falls thru here */", "/* FALLTHRU */", "/* no */", ""])
def test_warnings_of_falling_through_are_those_of_a_local_compile(home: Home, level: str, comment: str) -> None:
    home.write("a.c", FALLS_THROUGH.replace("/* fall through */", comment))
    command = ("gcc", f"-Wimplicit-fallthrough{level}", "-Werror", "-c", "a.c")
    there, local = home.compile(*command), home.run(*command)
    assert (there.returncode, there.stderr) == (local.returncode, local.stderr)


def test_a_comment_in_a_source_that_needs_all_of_the_preprocessor(home: Home) -> None:
    home.write("a.c", FALLS_THROUGH + "const char *when = __DATE__;\n")
    command = ("gcc", "-Wextra", "-Werror", "-c", "a.c")
    assert home.compile(*command).returncode == 0
    assert "a.c holds a comment that -Wimplicit-fallthrough=3 reads" in home.log
