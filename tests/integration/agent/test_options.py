"""The table of options against the compilers themselves."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from distplusplus.compiler.allowed import check
from distplusplus.compiler.not_allowed import NotAllowedError
from distplusplus.compiler.options import TABLE, Server, Shape
from distplusplus.compiler.words import find

# Of other languages.
OTHER = {"-Hd", "-Hf", "-J", "-Xf", "--output-pch=", "-gnatO", "-fintrinsic-modules-path"}
# The driver takes no value, as the compiler proper does.
ALONE = {"-MD", "-MMD", "--write-dependencies", "--write-user-dependencies"}


def test_every_option_of_gcc_with_a_value_of_its_own_is_in_the_table() -> None:
    listed = subprocess.run(["gcc", "--help=separate"], capture_output=True, text=True, check=True).stdout
    options = {found[1] for found in re.finditer(r"^  (-[^\s<]+)", listed, re.MULTILINE)} - OTHER - ALONE
    assert len(options) > 40
    unknown = {option for option in options if not _is_separate(option, clang=False)}
    assert unknown == set()


def test_every_option_of_clang_with_a_value_of_its_own_is_in_the_table(tmp_path: Path) -> None:
    """Clang takes what follows another option for a file, and says that there is none. Switches are left out: there are
    hundreds, and each costs a run of clang.
    """
    (tmp_path / "a.c").write_text("int x;\n")
    names = {
        f"{dashes}{name}"
        for option in TABLE
        for dashes, name in (("-", option.name.lstrip("-")), ("--", option.name.lstrip("-")))
        if not name.startswith(("f", "g", "m", "W", "d", "print"))
        if not name.endswith(("=", ",", "-")) and name not in ("###", "Xarch_", "cc1", "help", "o", "output")
    }
    wrong = []
    for name in sorted(names):
        command = ["clang", "-###", name, "no-such-value", "-c", "a.c"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        if "no such file or directory: 'no-such-value'" in done.stderr or "unknown argument" in done.stderr:
            continue
        if "unsupported option" in done.stderr or name.startswith(("--print", "-print", "-dump", "--version")):
            continue
        if not _is_separate(name, clang=True):
            wrong.append(name)
    assert wrong == []


def _is_separate(option: str, *, clang: bool) -> bool:
    row, value = find(option, clang)
    return row is not None and value is None and Shape.SEPARATE in row.shape


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_no_program_gets_a_file_of_arguments(tmp_path: Path, compiler: str) -> None:
    """The driver gives some values to the assembler as arguments of their own, which reads `@FILE`."""
    (tmp_path / "a.i").write_text("int x;\n")
    accepted = set()
    for option in TABLE:
        if option.server != Server.ALLOWED or option.name in ("-x", "--language"):
            continue
        for value in ("@f", "@f=x", "x=@f"):
            for words in ([option.name + value], [f"{option.name}={value}"], [option.name, value]):
                try:
                    kept = check([*words, "-c"], clang=compiler == "clang").kept
                except NotAllowedError:
                    continue
                accepted.add(kept)
    assert accepted
    if compiler == "clang":
        command = ["clang", "-g", "-###", "-fno-integrated-as", "-fdebug-prefix-map=@f=x", "-c", "a.i"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert '"@f=x"' in done.stderr, "what is looked for below"
    for kept in accepted:
        for assembler in ([], ["-fno-integrated-as"]) if compiler == "clang" else ([],):
            command = [compiler, "-g", "-###", *kept, *assembler, "-x", "cpp-output", "-c", "a.i", "-o", "a.o"]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
            lines = [line for line in done.stderr.splitlines() if line.startswith(" ")]
            words = [word for line in lines for word in shlex.split(line)]
            assert not [word for word in words if word.startswith("@")], kept
