"""What is known of the files that went into a text."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from distplusplus.agent.preprocess.sources import Sources
from distplusplus.compiler.source_scan import SourceKind, examine


def test_options_that_change_count_where_they_are_in_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.cc").write_text('#if NEVER\n#pragma GCC  target("avx2")\n#endif\n')
    assert examine((tmp_path / "a.cc").read_bytes()).kind == SourceKind.OPTIONS
    sources = Sources()
    marker = b'# 0 "a.cc"\n'
    assert sources.why_in_full(marker + b"int x;\n", "a.cc", str(tmp_path)) is None
    assert sources.why_in_full(marker + b'_Pragma("GCC target(x)")\n', "a.cc", str(tmp_path))
    system = b'# 3 "/usr/lib/avx.h" 3 4\n#pragma GCC target("avx2")\n# 2 "a.cc" 2\nint x;\n'
    assert sources.why_in_full(marker + system, "a.cc", str(tmp_path)) is None


def test_a_file_is_looked_at_again_when_it_has_changed(tmp_path: Path) -> None:
    sources = Sources()
    header = tmp_path / "h.h"
    header.write_text("int x;\n")
    (tmp_path / "a.cc").write_text('#include "h.h"\n')
    text = b'# 0 "a.cc"\n# 1 "h.h" 1\nint x;\n'
    assert sources.why_in_full(text, "a.cc", str(tmp_path)) is None
    header.write_text("#pragma message(x)\n")
    assert sources.why_in_full(text, "a.cc", str(tmp_path))
    assert sources.why_in_full(text, "a.cc", "/")
    header.unlink()
    assert sources.why_in_full(text, "a.cc", str(tmp_path))


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "h.h")
    (tmp_path / "a.cc").write_text("")
    assert Sources().why_in_full(b'# 0 "a.cc"\n# 1 "h.h" 1\n', "a.cc", str(tmp_path))


def test_what_is_quoted_in_a_marker_is_suspect(tmp_path: Path) -> None:
    (tmp_path / 'x"y.h').write_text("int x;\n")
    (tmp_path / "a.cc").write_text("")
    assert Sources().why_in_full(b'# 0 "a.cc"\n# 1 "x\\"y.h" 1\n', "a.cc", str(tmp_path))


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


def test_the_file_that_makes_a_source_be_preprocessed_in_full_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.cc").write_text('#include "when.h"\n')
    (tmp_path / "when.h").write_text("const char *when = __DATE__;\n")
    text = b'# 0 "a.cc"\n# 1 "when.h" 1\n# 2 "a.cc" 2\n'
    assert Sources().why_in_full(text, "a.cc", str(tmp_path)) == "when.h holds __DATE__"
    assert Sources().suspect(text, "a.cc", str(tmp_path)) == "when.h holds __DATE__"


@pytest.mark.parametrize(
    ("guard", "plain"),
    [("#ifdef _MSC_VER", True), ("#if _MSC_VER >= 1300 && X", True), ("#if X", False), ("#ifndef Y", False)],
)
def test_a_message_pragma_counts_where_it_may_be_carried_out(tmp_path: Path, guard: str, plain: bool) -> None:
    (tmp_path / "a.cc").write_text(f'{guard}\n#pragma message("x")\n#endif\nint a;\n')
    text = b'#define X 1\n# 0 "a.cc"\n\n\n\nint a;\n'
    why = Sources().why_in_full(text, "a.cc", str(tmp_path))
    assert (why is None) is plain
    assert plain or (why and why.startswith("a.cc holds"))


def test_fall_through_comments_of_system_headers_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int x;\n")
    for name in ("own.h", "system.h"):
        (tmp_path / name).write_text("/* fall through */\n")
    system, own = b'# 0 "a.c"\n# 1 "system.h" 1 3 4\n', b'# 1 "own.h" 1\n'
    sources = Sources()
    assert sources.fall_through_comment(3, system, "a.c", str(tmp_path)) is None
    assert sources.fall_through_comment(3, system + own, "a.c", str(tmp_path)) == "own.h"
    assert sources.fall_through_comment(4, system + own, "a.c", str(tmp_path)) == "own.h"
    (tmp_path / "own.h").write_text("int fallthrough;\n")
    assert sources.fall_through_comment(3, system + own, "a.c", str(tmp_path)) is None
    (tmp_path / "own.h").unlink()
    assert sources.fall_through_comment(3, system + own, "a.c", str(tmp_path)) == "own.h"
