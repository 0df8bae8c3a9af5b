"""Commands that are easily got wrong, beside the plain compiler: status, messages, and every file that is left."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.integration.agent.home import Home
from tests.integration.server.harness import Server

SOURCES = {
    "b.c": "int b(void) { return 2; }\n",
    "a.h": "#define A 21\n",
    "a.c": '#include "a.h"\nint a(void) { return A; }\n',
    "p.i": '# 1 "orig.c"\nint p(void) { return 3; }\n',
    "hash.i": "#define X 3\nint h(void) { return X; }\n",
    "w.c": "int w(void) { int unused; return 0; }\n",
    "pp.c": "#warning first\nint w(void) { int unused; return 0; }\n",
    "pragma.c": '#pragma GCC diagnostic ignored "-Wundef"\n#if FOO\n#endif\nint f(void) { return 0; }\n',
    "cov.c": "#define IF(x) if (x) return 1\nint f(int x) { IF(x); return 2; }\n",
    "target.c": '#pragma GCC target("avx2")\nint fast =\n#ifdef __AVX2__\n1\n#endif\n+ 0;\n',
    "include.c": '__asm__(".include \\"a.s\\"");\n',
    "a.s": ".globl a\na: ret\n",
    "file.c": "const char *f(void) { return __builtin_FILE(); }\n",
    "null.c": "int f(void) { int *p = 0; return *p; }\n",
    "n.cc": "#ifndef A\n#define A 1\n#endif\nint a = A;\n",
    "x.c": "int x = X;\n",
    "bad.c": "int bad(void) { return x; }\n",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Iterator[Home]:
    """One for all tests here: most of the time would be the agents' starts."""
    home = Home(tmp_path_factory.mktemp("home"))
    home.use(server)
    yield home
    home.close()


def outcome(home: Home, command: str, launcher: str, environ: Mapping[str, str]) -> tuple[object, ...]:
    """What a shell command leaves in a new directory with the sources. `$L` in it is what stands before a compiler."""
    shutil.rmtree(home.work)
    home.work.mkdir()
    for name, text in SOURCES.items():
        home.write(name, text)
    done = home.run("sh", "-c", command, L=launcher, **environ)
    return done.returncode, done.stdout, done.stderr, {path.name: _state(path) for path in home.work.rglob("*")}


def _state(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    if path.is_symlink():
        return "link", os.readlink(path)
    if stat.S_ISREG(status.st_mode):
        return oct(status.st_mode), status.st_nlink, path.read_bytes()
    return (oct(status.st_mode),)


def check(home: Home, command: str, **environ: str) -> None:
    assert outcome(home, command, "distplusplus", environ) == outcome(home, command, "", environ)


@pytest.mark.parametrize(
    "command",
    [
        # Nothing is left to preprocess: -E would write nothing, and an empty object would come back.
        "gcc -c p.i",
        "gcc -c hash.i",
        "g++ -x c++-cpp-output -c p.i",
        "clang -c p.i",
        # -E means something else with these.
        "gcc -dM -c a.c",
        "g++ -x none -c a.c",
        "gcc -g -P -c a.c",
        "clang -C -c a.c",
        "clang -fminimize-whitespace -c a.c",
        # -Wp and -Xpreprocessor reach the compiler, too.
        "gcc -Wp,-O2 -c a.c",
        "gcc -Wp,-w -Wall -c w.c",
        "gcc -MMD -Xpreprocessor -MT -Xpreprocessor t -c a.c",
        "gcc -Wp,-MMD,a.d,-MP -Wp,-DX,-U,X -c a.c",
        # What is said or written is about the source before it is preprocessed.
        "gcc -S -fverbose-asm a.c",
        "clang -fprofile-instr-generate -fcoverage-mapping -c cov.c",
        "gcc -fbranch-probabilities -c b.c",
        "clang -Wall -fdiagnostics-absolute-paths -c w.c",
        "gcc -c target.c",
        'clang -fmacro-prefix-map="$PWD"=/s -c "$PWD/file.c"',
        'clang -ffile-prefix-map="$PWD"=/s -c "$PWD/file.c"',
        'clang -Wall -fmacro-prefix-map="$PWD"=/s -c b.c',
        'gcc -fmacro-prefix-map="$PWD"=/s -c "$PWD/file.c"',
        "gcc -fanalyzer -c null.c",
        "gcc -c include.c",
        # Both would say the same.
        "gcc -Wall -c pp.c",
        "gcc -std=c++17 -c b.c",
        "clang -Wno-such-warning -c b.c",
        "clang -shared -c b.c",
        "gcc -Wundef -c pragma.c",
        # What is written to, or read from, what is no file.
        "gcc -MMD -MF /dev/stdout -c a.c",
        "gcc -MMD -MF /dev/stdout -c a.c | cat",
        "gcc -Wp,-MMD,/dev/stdout -c a.c | cat",
        "gcc -MMD -MF /dev/stderr -c pp.c",
        "gcc -MMD -MF /proc/self/fd/1 -c a.c",
        "mkfifo d && { cat d >rule & } && $L gcc -MMD -MF d -c a.c; wait",
        "gcc -MMD -MF /dev/null -c a.c",
        "gcc -include /dev/null -c a.c",
        "gcc -c a.c -o /dev/null",
        """bash -c "$L g++ -include <(echo '#define A 5') -c n.cc" """,
        """bash -c "$L g++ -imacros <(echo '#define A 5') -c n.cc" """,
        """bash -c "$L g++ -Wp,-include,<(echo '#define A 5') -c n.cc" """,
        "ln -s /dev/fd/0 in.h && echo '#define A 7' | $L g++ -include in.h -c n.cc",
        "mkfifo in.h && { echo '#define A 7' >in.h & } && $L g++ -include in.h -c n.cc; wait",
        "echo -DX=3 | $L gcc @/dev/stdin -c x.c",
        "mkfifo args && { echo -DX=3 >args & } && $L gcc @args -c x.c; wait",
        # Outputs that are not simply written.
        "gcc -c b.c -o ''",
        "gcc -c b.c -o ./b.c",
        "gcc -v -c b.c -o /dev/null 2>&1 | grep COLLECT_GCC=",
        "cp b.c x.o && chmod 600 x.o && $L gcc -S b.c -o x.o",
        "ln -s target x.o && $L gcc -c b.c -o x.o",
        "ln -s none/target x.o && $L clang -c b.c -o x.o",
        ": >x.o && chmod 600 x.o && $L gcc -c b.c -o x.o",
        "ln b.c x.o && $L gcc -S b.c -o x.o",
        # Where there is nothing to write messages to.
        "$L gcc -Wall -c w.c 2>&-",
        "$L gcc -E a.c >&-",
        "$L gcc -Wall -c w.c 2>/dev/full",
        "mkdir gone && cd gone && rmdir ../gone && $L gcc -c ../b.c",
        "ulimit -f 0; $L gcc -c b.c",
        "gcc --language=c++ -c a.c",
        "gcc @missing.args -c b.c",
    ],
)
def test_the_outcome_is_that_of_the_compiler(home: Home, command: str) -> None:
    check(home, command if "$L " in command else f"$L {command}")


@pytest.mark.parametrize(
    "environ",
    [{"LC_ALL": "C"}, {"LANG": "de_AT.UTF-8"}, {"GCC_COLORS": ""}, {"CC_PRINT_OPTIONS": "1"}],
    ids="".join,
)
def test_the_environment_counts(home: Home, environ: dict[str, str]) -> None:
    check(home, "$L gcc -Wall -fno-diagnostics-show-caret -fdiagnostics-color=always -c w.c", **environ)
    check(home, "$L clang -c b.c 2>&1 | sed 's/-o .*//'", **environ)
