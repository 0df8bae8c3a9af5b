"""The digest over a compiler's own headers."""

from __future__ import annotations

from pathlib import Path

import pytest

from distplusplus.compiler.own_headers import OwnHeadersCache, ask
from distplusplus.compiler.search_path import NoSearchPathError

COMPILER = """\
#!/bin/sh
echo '#include "..." search starts here:' >&2
echo '#include <...> search starts here:' >&2
echo ' DIRECTORY' >&2
echo 'End of search list.' >&2
"""


def compiler(directory: Path) -> str:
    (directory / "own").mkdir()
    (directory / "own/a.h").write_text("1")
    program = directory / "cc"
    program.write_text(COMPILER.replace("DIRECTORY", str(directory / "own")))
    program.chmod(0o755)
    return str(program)


def replace(path: Path, text: str) -> None:
    """As package managers do."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


def test_it_changes_with_any_header(tmp_path: Path) -> None:
    program, cache = compiler(tmp_path), OwnHeadersCache()
    first = cache.find(program, "c", clang=False)
    assert first.directories == (str(tmp_path / "own"),)
    assert cache.find(program, "c", clang=False) is first
    replace(tmp_path / "own/a.h", "2")
    second = cache.find(program, "c", clang=False)
    assert second.digest != first.digest
    (tmp_path / "own/b.h").write_text("")
    assert cache.find(program, "c", clang=False).digest != second.digest


def test_a_program_that_does_not_answer_is_told(tmp_path: Path) -> None:
    for program in ("/bin/false", "/bin/true", str(tmp_path / "missing")):
        with pytest.raises(NoSearchPathError):
            OwnHeadersCache().find(program, "c", clang=False)
    with pytest.raises(NoSearchPathError, match="/bin/false"):
        ask("/bin/false", (), {})
