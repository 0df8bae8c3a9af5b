"""Macros that are left to the server: objects and messages as without, and full preprocessing where it matters."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from distplusplus.protocol import distplusplus_pb2 as pb
from tests.integration.agent.first_server import FirstServer
from tests.integration.agent.home import LAUNCHER, Home, finish, running_server
from tests.integration.agent.test_compiles import sections
from tests.integration.server.harness import until

THERE = "(macros expanded there)"

# What scanners of directives stumble over.
RICH = r"""
#include "once.h"
#include "once.h"
#include "bom.h"
#include "crlf.h"
#include "system.h"
#include <vector>
#define TWICE(a, b) ((a) * 2 + (b))
int split(int x) { return TWICE(x,
#ifdef NOT_DEFINED
  1
  2
  3
  4
  5
  6
  7
  8
  9
#else
  42
#endif
  ); }
int defines(int x) { return TWICE(x,
#define INNER 5
  INNER
  ); }
int lines = TWICE(__LINE__,

#if 0
a
b
c
d
e
f
g
h
i
#endif
  __LINE__);
const char *raw = R"x(
#define RAW 1
/* "
# 5 "other.c"
#ifdef X
\
)x" R"(')" "'";
int big = 1'000'000, hex = 0x1'0;
char quotes[] = {'"', '\'', '\\'};
const char *text = "/* // \" ";
/* a comment
#define IN_COMMENT 1
# 77 "other.c"
' " */
// a comment that goes on \
#define CONTINUED 1
#if defined IN_COMMENT || defined CONTINUED
#error "read a comment"
#endif
int count0 = __COUNTER__, count1 = __COUNTER__;
const char *file = __FILE__; int level = __INCLUDE_LEVEL__;
#line 500 "other name.y"
int line500 = __LINE__; const char *file500 = __FILE__;
#define STR(x) #x
const char *string = STR(a   b /* c */ "d\n" 'e');
%:define DIGRAPH 4
int digraph = DIGRAPH; int array<:2:> = <%1, 2%>;
#define HASH #
#define OBJECT(x) HASH x
const char *hashed = STR(OBJECT(define foo));
#define DO(x) _Pragma(#x)
DO(GCC diagnostic push)
DO(GCC diagnostic ignored "-Wunused-variable")
int ignored(int x) { int unused; return SYSTEM(x); }
DO(GCC diagnostic pop)
#pragma pack(push, 1)
struct Packed { char c; int i; };
#pragma pack(pop)
static_assert(sizeof(Packed) == 5);
int spliced = 1 + \
  __LINE__; const char *splice = "x\
y";
#if __has_include(<vector>) && __has_cpp_attribute(nodiscard)
std::vector<int> vector(__LINE__);
#endif
int \u00e9t\u00e9 = 1; const char *unicode = "é";
int end() { return TWICE(__LINE__,
  2); }"""
HEADERS = {
    "once.h": "#pragma once\nstatic const char *header = __FILE__; static int header_level = __INCLUDE_LEVEL__;\n",
    "bom.h": "\N{ZERO WIDTH NO-BREAK SPACE}int bom = 1; // no line end",
    "crlf.h": '#define CRLF(a) a \\\r\n + 1\r\nint crlf = CRLF(2); \r\nconst char *rawcr = R"(a\r\nb)";\r\n',
    "system.h": "#pragma GCC system_header\n#define SYSTEM(x) ((x) ? (x) : 0)\n",
}


def write(home: Home, source: str, name: str = "a.cc") -> None:
    for header, text in HEADERS.items():
        (home.work / header).write_bytes(text.encode())
    home.write(name, source)


def both(home: Home, *command: str) -> tuple[bytes, bytes, str]:
    """The object of a server, the one made here, and what was said for the first."""
    messages = home.remote(*command, "-o", "there.o")
    assert home.run(*command, "-o", "here.o").returncode == 0
    return (home.work / "there.o").read_bytes(), (home.work / "here.o").read_bytes(), messages


@pytest.mark.parametrize(
    "options", ["-O0", "-O2 -Wall", "-std=c++11 -O1 -w -DOLD", "-O0 -fsanitize=undefined", "-O1 -ffile-prefix-map=a=z"]
)
def test_objects_are_those_of_a_compile_here(home: Home, options: str) -> None:
    source = RICH
    if "OLD" in options:  # it has trigraphs, and no separators in numbers
        source = re.sub(r"static_assert.*|int big.*|.*has_cpp_attribute.*(\n.*){2}", "", RICH) + "int tri??(2??);"
    write(home, source)
    there, here, _ = both(home, "g++", "-std=c++17", *options.split(), "-c", "a.cc")
    assert there == here
    assert THERE in home.log


def test_debug_information_differs_in_the_producer_alone(home: Home) -> None:
    write(home, RICH)
    both(home, "g++", "-std=c++17", "-g", "-O0", "-c", "a.cc")
    assert THERE in home.log
    there, here = (sections(home.work / name) for name in ("there.o", "here.o"))
    assert there.keys() == here.keys()
    differing = {name for name in here if there[name] != here[name] and not name.startswith((".rela", ".symtab"))}
    assert differing == {".debug_str"}
    strings = [set(part[".debug_str"].split(b"\0")) for part in (there, here)]
    (ours,), (theirs,) = strings[0] - strings[1], strings[1] - strings[0]
    assert ours.replace(b" -fdirectives-only", b"") == theirs


SUSPECT = {
    # Without the macro it would still compile, to another program.
    "push and pop": '#define X(a) 1\n#pragma push_macro("X")\n#undef X\n#pragma pop_macro("X")\n'
    "int (X)(int);\nint y(int z) { return X(z); }\n",
    "push and pop in a header": '#define HIDDEN 1\n  #include "hidden.h"\nint y = HIDDEN;\n',
    "another name": '#pragma redefine_extname before after\nextern "C" int before(); int y = before();\n',
    "a clock": "const char *when = __DATE__;\n",
    "a clock of a header": '#include "clock.h"\nconst char *when = CLOCK;\n',
    "base file": '#include "once.h"\nconst char *name = __BASE_FILE__;\n',
    "a counter in a directive": "#if __COUNTER__ == 0\nint y = __COUNTER__;\n#endif\n",
    "a quote in what is left out": "#if 0\ndon't\n#endif\nint y;\n",
}


@pytest.mark.parametrize("name", SUSPECT)
def test_what_would_change_is_preprocessed_in_full(home: Home, name: str) -> None:
    home.write("hidden.h", '#pragma push_macro("HIDDEN")\n#undef HIDDEN\n#pragma pop_macro("HIDDEN")\n')
    home.write("clock.h", "#define CLOCK __TIMESTAMP__\n")
    write(home, SUSPECT[name])
    there, here, _ = both(home, "g++", "-O1", "-c", "a.cc")
    assert there == here
    assert THERE not in home.log


def test_the_log_names_the_file_that_makes_a_source_be_preprocessed_in_full(home: Home) -> None:
    home.write("clock.h", "const char *when = __TIME__;\n")
    write(home, '#include "clock.h"\n')
    home.remote("g++", "-c", "a.cc")
    assert "a.cc (preprocessed in full: clock.h holds __TIME__)" in home.log


def test_a_message_that_is_not_carried_out_does_no_harm(home: Home) -> None:
    home.write("config.h", '#ifdef _MSC_VER\n#pragma message("not MSVC")\n#endif\nint config;\n')
    write(home, '#include "config.h"\n#if defined(__BORLANDC__) && X > 3\n# pragma message "old"\n#endif\nint x;\n')
    there, here, _ = both(home, "g++", "-O1", "-c", "a.cc")
    assert there == here
    assert THERE in home.log


def test_pragmas_of_other_compilers_do_no_harm(home: Home) -> None:
    """Widely used headers have them: Qt, Eigen, protobuf, Boost."""
    home.write("port.h", '#ifdef _MSC_VER\n#  pragma push_macro("X")\n#  undef X\n#endif\n#define X 1\n')
    write(home, '#include "port.h"\nint x = X;\n#ifdef _MSC_VER\n#pragma pop_macro("X")\n#endif\n')
    there, here, _ = both(home, "g++", "-O1", "-c", "a.cc")
    assert there == here
    assert THERE in home.log


def test_openmp_is_preprocessed_in_full(home: Home) -> None:
    write(home, "void f(int *x) {\n#pragma omp parallel for\nfor (int i = 0; i < 9; i++) x[i] = i;\n}\n")
    there, here, _ = both(home, "g++", "-O1", "-fopenmp", "-c", "a.cc")
    assert there == here
    assert b"GOMP_parallel" in there
    assert THERE not in home.log


@pytest.mark.parametrize(
    ("source", "option"),
    [
        ("#pragma GCC poison bad\nint bad;\n", "-O1"),
        ('#pragma message "seen"\nint x;\n', "-O1"),
        ("#warning seen\nint x;\n", "-O1"),
        ("#if UNDEFINED\n#endif\nint x;\n", "-Wundef"),
        ("#define X 1\n#define X 2\nint x = X;\n", "-O1"),
        ("#define UNUSED 1\nint x;\n", "-Wunused-macros"),
        ("#define X(a, ...) a\nint x = X(1);\n", "-Wpedantic"),
        ('#include "once.h"\n', "-Wall"),
    ],
)
def test_messages_of_the_preprocessor_come_once(home: Home, source: str, option: str) -> None:
    write(home, source)
    command = ("g++", "-std=c++11", option, "-fno-diagnostics-show-caret", "-c", "a.cc")
    there = home.compile(*command)
    here = home.run(*command)
    assert here.stderr
    assert (there.returncode, there.stderr) == (here.returncode, here.stderr)


def test_warnings_about_macros_are_those_of_a_compile_here(home: Home) -> None:
    """Full preprocessing loses them, or their columns, or makes some that are none."""
    write(
        home,
        "#include <cstddef>\n#define SAME(a) ((a) == (a))\n#define EMPTY\n#define CAST(a) (int)(a)\n"
        "int f(int x)\n{\n    int n = NULL;\n    if (SAME(x)) EMPTY;\n    switch (x) {\n    case 1:\n        n = 2;\n"
        "    case 2:\n        n++; // fall through\n    default: break;\n    }\n    n, 1;\n"
        "    return CAST(n) + SAME(2.0) + x; int *q = 0; (void)q;\n}\n",
    )
    command = (
        *("g++", "-Wall", "-Wextra", "-Wold-style-cast", "-Wzero-as-null-pointer-constant", "-Wconversion-null"),
        *("-fno-diagnostics-show-caret", "-c", "a.cc"),
    )
    there = home.remote(*command)
    here = home.run(*command).stderr
    assert THERE in home.log
    assert here.count("warning:") >= 6
    assert there == here
    assert "local: " not in home.log


def test_the_settings_can_have_macros_expanded_here(home: Home) -> None:
    write(home, RICH)
    home.remote("g++", "-std=c++17", "-c", "a.cc", DISTPLUSPLUS_EXPAND_MACROS="client")
    assert THERE not in home.log
    assert "-fdirectives-only" in home.compile("--explain", "g++", "-c", "a.cc").stdout
    explained = home.compile("--explain", "g++", "-c", "a.cc", DISTPLUSPLUS_EXPAND_MACROS="client").stdout
    assert "-fdirectives-only" not in explained


@pytest.mark.parametrize("compiler", ["gcc", "clang++"])
def test_c_and_clang_are_preprocessed_in_full(home: Home, compiler: str) -> None:
    name = "a.c" if compiler == "gcc" else "a.cc"
    home.write(name, "int x;\n")
    home.remote(compiler, "-c", name)
    assert THERE not in home.log


def test_a_launcher_with_mounts_of_its_own_has_its_files_looked_at_by_its_own_agent(home: Home) -> None:
    """Another agent's file of the same name may be another one."""
    write(home, RICH)
    home.remote("g++", "-std=c++17", "-c", "a.cc")
    assert home.log.count(THERE) == 1
    # Below the mount, the source is one that must be preprocessed in full.
    suspect = home.write("suspect.cc", "const char *when = __DATE__;\n")
    script = f"mount --bind {suspect} a.cc && exec {LAUNCHER} g++ -std=c++17 -c a.cc"
    done = home.run("unshare", "--mount", "sh", "-c", script, DISTPLUSPLUS_FALLBACK="fail")
    assert done.returncode == 0, done
    assert (home.done(), home.log.count(THERE), len(home.agents())) == (2, 1, 2)


COMPILE = ("g++", "-std=c++17", "-O1", "-c", "a.cc", "-o")


def assert_like_here(home: Home, *names: str) -> None:
    assert home.run(*COMPILE, "here.o").returncode == 0
    here = (home.work / "here.o").read_bytes()
    assert [name for name in names if (home.work / name).read_bytes() != here] == []


def test_a_server_that_cannot_do_it_gets_the_full_text(
    alone: Home, first_server: tuple[FirstServer, str], tmp_path: Path
) -> None:
    behaviour, address = first_server
    write(alone, RICH)
    with running_server(tmp_path) as able:
        alone.use(able, address)
        alone.remote(*COMPILE, "0.o")  # both are known then
        alone.remote(*COMPILE, "1.o")
        alone.use(address)
        alone.remote(*COMPILE, "2.o")
    assert behaviour.requests
    assert_like_here(alone, "0.o", "1.o", "2.o")


def test_a_job_that_loses_the_server_that_can_do_it_is_preprocessed_again(
    alone: Home, first_server: tuple[FirstServer, str], tmp_path: Path
) -> None:
    behaviour, address = first_server
    write(alone, RICH)
    with running_server(tmp_path, "--jobs", "1", "--reservation-timeout", "60") as able:
        client = able.client()
        client.reserve(pb.Reservation(), timeout=10)
        behaviour.away = True
        alone.use(able, address, fallback="wait")
        waiting = alone.start(LAUNCHER, *COMPILE, "there.o")
        until(lambda: client.query(pb.ServerQuery(), timeout=10).capacity.queuedReservations, "the job to wait")
        behaviour.away = False
        able.process.kill()
        done = finish(waiting)
    assert done.returncode == 0, done
    assert len(behaviour.requests) == 1
    assert_like_here(alone, "there.o")
