"""The program that the demo builds."""

from __future__ import annotations

from pathlib import Path

from distcc_auto.commands.demo import write_program


def test_the_program_is_written_whole(tmp_path: Path) -> None:
    sources = write_program(str(tmp_path))
    files = list(tmp_path.iterdir())
    assert len([file for file in files if file.suffix in (".c", ".cpp")]) == sources
    assert (tmp_path / "Makefile").exists()
    assert not any("@" in file.read_text(encoding="utf-8") for file in files if file.suffix != "")
