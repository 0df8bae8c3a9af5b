"""Files and directories that are looked at again when they may have changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from distplusplus.agent.headers import known_files
from distplusplus.agent.headers.known_files import KnownFiles, UnusableFileError, read

OLD_NS = 1_000_000_000 * 10**9


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    os.utime(path, ns=(OLD_NS, OLD_NS))
    return path


def test_an_unchanged_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(written(tmp_path / "a.h", "int x;"))
    known = KnownFiles()
    known.begin()
    first = known.file(path)
    monkeypatch.setattr(known_files, "read", lambda _: pytest.fail("read again"))
    known.begin()
    assert known.file(path) is first


def test_a_file_that_was_only_touched_keeps_what_is_known_of_it(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h", "int x;")
    known = KnownFiles()
    known.begin()
    first = known.file(str(path))
    os.utime(path, ns=(OLD_NS, OLD_NS + 1))
    known.begin()
    assert known.file(str(path)) is first
    path.write_text("int y;")
    known.begin()
    assert known.file(str(path)).digest != first.digest


def test_the_generation_tells_only_of_names_that_were_asked_for(tmp_path: Path) -> None:
    known = KnownFiles()

    def generation() -> int:
        known.begin()
        known.check_directories()
        return known.generation

    known.begin()
    assert not known.has(f"{tmp_path}/a.h")
    before = generation()
    (tmp_path / "object.o").touch()
    assert generation() == before
    (tmp_path / "a.h").touch()
    assert generation() == before + 1
    (tmp_path / "a.h").unlink()
    assert generation() == before + 2
    assert generation() == before + 2


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.h"
    path.touch()
    os.truncate(path, (64 << 20) + 1)
    with pytest.raises(UnusableFileError, match="67108865 bytes"):
        read(str(path))


@pytest.mark.parametrize("change", [lambda path: path.write_text("more text"), lambda path: os.utime(path, (1, 1))])
def test_a_file_that_changes_while_it_is_read_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    path = written(tmp_path / "a.h", "int x;")
    real, calls = os.fstat, 0

    def fstat(descriptor: int) -> os.stat_result:
        nonlocal calls
        status = real(descriptor)
        calls += 1
        if calls == 1:
            change(path)
        return status

    monkeypatch.setattr(os, "fstat", fstat)
    with pytest.raises(UnusableFileError, match="changes while"):
        read(str(path))


@pytest.mark.parametrize("racy_ns", [0, 10**20])
def test_what_changed_a_moment_before_it_was_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, racy_ns: int
) -> None:
    """As if the clock of the file system stood still: no time tells that something has changed."""
    monkeypatch.setattr(known_files, "_signature", lambda _: (1, 1, 1, 1, 1))
    monkeypatch.setattr(known_files, "_RACY_NS", racy_ns)
    path = tmp_path / "a.h"
    path.write_text("int x;")
    known = KnownFiles()
    known.begin()
    first = known.file(str(path)).digest
    assert not known.has(f"{tmp_path}/b.h")
    path.write_text("int y;")
    (tmp_path / "b.h").touch()
    known.begin()
    is_noticed = racy_ns > 0
    assert (known.file(str(path)).digest != first) == is_noticed
    assert known.has(f"{tmp_path}/b.h") == is_noticed
