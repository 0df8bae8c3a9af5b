"""`distcc-auto shell-init`: what it prints, and for which program."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from distcc_auto import cli
from distcc_auto.commands import shell_init

SHELLS = ("bash", "zsh", "fish")


def _main(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as exit_:
        cli.main(arguments)
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


@pytest.mark.parametrize("shell", SHELLS)
def test_it_names_the_program_that_runs(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "distcc-auto"
    program.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["./distcc-auto"])
    assert _main(["shell-init", shell]) == 0
    assert capsys.readouterr().out == shell_init.function_text(shell, str(program))


@pytest.mark.parametrize("shell", SHELLS)
def test_without_a_program_file_it_leaves_the_search_to_the_shell(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = tmp_path / "__main__.py"  # as under `python -m`
    module.touch(mode=0o644)
    monkeypatch.setattr(sys, "argv", [str(module)])
    assert _main(["shell-init", shell]) == 0
    assert capsys.readouterr().out == shell_init.function_text(shell, "distcc-auto")


@pytest.mark.parametrize(
    ("shell", "quoted"), [("bash", "'/a b/it'\"'\"'s'"), ("zsh", "'/a b/it'\"'\"'s'"), ("fish", r"'/a b/it\'s'")]
)
def test_the_program_is_quoted_for_its_shell(shell: str, quoted: str) -> None:
    text = shell_init.function_text(shell, "/a b/it's")
    assert f" {quoted}\n" in text.replace("program=", "program ")
    assert len(text.splitlines()) == len(shell_init.function_text(shell, "distcc-auto").splitlines())


@pytest.mark.parametrize("arguments", [["tcsh"], [], ["bash", "zsh"], ["--nonsense"]])
def test_wrong_arguments_are_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert _main(["shell-init", *arguments]) == 96
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("distcc-auto: ")
    assert "shell-init --help" in err


def test_an_unknown_shell_is_named_beside_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert _main(["shell-init", "tcsh"]) == 96
    message = capsys.readouterr().err
    for name in ("tcsh", *SHELLS):
        assert f"'{name}'" in message
