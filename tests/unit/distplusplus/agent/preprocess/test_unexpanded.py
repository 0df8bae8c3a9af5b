"""What a text with unexpanded macros may lack, found in the files that went into it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from distplusplus.agent.preprocess.unexpanded import Sources, macro_pragmas_matter
from distplusplus.compiler.source_scan import SourceKind, examine

# As GCC 11, 12 and 14 show it; the names of those that are carried out are in capitals.
PRAGMAS = """\
#pragma push_macro("A")
int first;
#ifdef NEVER
#  pragma pop_macro("a")
#endif
/* a
comment */
   #pragma push_macro("B") // comment
int a;
#if 0
1
2
3
4
5
6
7
8
9
#pragma push_macro("c")
#else
#pragma push_macro("D")
#endif
#include "e.h"
#pragma pop_macro("E")"""
SHOWN = f"""\
# 0 "a.cc"
# 1 "a.cc"
{7 * " "}
int first;



/* a
comment */
{13 * " "}
int a;
# 22 "a.cc"
{7 * " "}

  # 1 "e.h" 1
int e;
# 25 "a.cc" 2
{7 * " "}
"""


def test_pragmas_of_macros_matter_where_they_are_carried_out() -> None:
    lines = PRAGMAS.splitlines()
    found = examine(PRAGMAS.encode())
    assert [line for line, _ in found.macro_pragmas] == [n for n, line in enumerate(lines, 1) if "_macro" in line]
    defined = "".join(f"#define {macro.decode()} 1\n" for _, macro in found.macro_pragmas)
    text = f"{defined}{SHOWN}".encode()
    carried_out = [pragma for pragma in found.macro_pragmas if macro_pragmas_matter([pragma], b"a.cc", text)]
    assert carried_out == [pragma for pragma in found.macro_pragmas if pragma[1].isupper()]
    assert not macro_pragmas_matter(found.macro_pragmas, b"e.h", text)
    assert macro_pragmas_matter([(4, b"a")], b"another name", text)


def test_a_macro_that_is_never_defined_can_be_saved_and_restored() -> None:
    text = f"#define AB 1\n{SHOWN}".encode()
    assert not macro_pragmas_matter([(1, b"A")], b"a.cc", text)
    assert macro_pragmas_matter([(1, b"AB")], b"a.cc", text)
    assert macro_pragmas_matter([(1, b"__LINE__")], b"a.cc", text)


def test_options_that_change_count_where_they_are_in_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.cc").write_text('#if NEVER\n#pragma GCC  target("avx2")\n#endif\n')
    assert examine((tmp_path / "a.cc").read_bytes()).kind == SourceKind.OPTIONS
    sources = Sources()
    marker = b'# 0 "a.cc"\n'
    assert sources.are_plain(marker + b"int x;\n", "a.cc", str(tmp_path))
    assert not sources.are_plain(marker + b'_Pragma("GCC target(x)")\n', "a.cc", str(tmp_path))
    system = b'# 3 "/usr/lib/avx.h" 3 4\n#pragma GCC target("avx2")\n# 2 "a.cc" 2\nint x;\n'
    assert sources.are_plain(marker + system, "a.cc", str(tmp_path))


def test_a_file_is_looked_at_again_when_it_has_changed(tmp_path: Path) -> None:
    sources = Sources()
    header = tmp_path / "h.h"
    header.write_text("int x;\n")
    (tmp_path / "a.cc").write_text('#include "h.h"\n')
    text = b'# 0 "a.cc"\n# 1 "h.h" 1\nint x;\n'
    assert sources.are_plain(text, "a.cc", str(tmp_path))
    header.write_text("#pragma message(x)\n")
    assert not sources.are_plain(text, "a.cc", str(tmp_path))
    assert not sources.are_plain(text, "a.cc", "/")
    header.unlink()
    assert not sources.are_plain(text, "a.cc", str(tmp_path))


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "h.h")
    (tmp_path / "a.cc").write_text("")
    assert not Sources().are_plain(b'# 0 "a.cc"\n# 1 "h.h" 1\n', "a.cc", str(tmp_path))


def test_what_is_quoted_in_a_marker_is_suspect(tmp_path: Path) -> None:
    (tmp_path / 'x"y.h').write_text("int x;\n")
    (tmp_path / "a.cc").write_text("")
    assert not Sources().are_plain(b'# 0 "a.cc"\n# 1 "x\\"y.h" 1\n', "a.cc", str(tmp_path))


def test_a_process_with_mounts_of_its_own_is_not_one_that_sees_our_files() -> None:
    sources = Sources()
    assert sources.sees(os.getpid())
    assert not sources.sees(0)
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", "echo ready; read line"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert not sources.sees(process.pid)
        process.stdin.close()
