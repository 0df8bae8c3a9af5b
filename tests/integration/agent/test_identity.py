"""The files that real compilers are made of count in their digests."""

from __future__ import annotations

import subprocess
from pathlib import Path

from distplusplus.compiler.identity import examine

CLANG = """
#include <stdio.h>
#include <string.h>
int optimise(void);
int main(int argc, char **argv) {
    puts(strcmp(argv[1], "--version") ? strcmp(argv[1], "-dumpmachine") ? "17.0.6" : "x86_64-pc-linux-gnu" : "clang");
    return optimise();
}
"""


def make_library(directory: Path, comment: str) -> None:
    source = directory / "llvm.c"
    source.write_text(f'const char *comment = "{comment}"; int optimise(void) {{ return 0; }}\n')
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", directory / "libLLVM-17.so.1", source], check=True)


def test_the_libraries_that_clang_loads_make_its_code(tmp_path: Path) -> None:
    make_library(tmp_path, "one")
    (tmp_path / "clang.c").write_text(CLANG)
    files = map(str, (tmp_path / "clang", tmp_path / "clang.c", tmp_path / "libLLVM-17.so.1"))
    subprocess.run(["gcc", "-o", *files, f"-Wl,-rpath,{tmp_path}"], check=True)
    first = examine(str(tmp_path / "clang"), {})
    assert first.is_current()
    make_library(tmp_path, "another")
    assert not first.is_current()
    assert examine(str(tmp_path / "clang"), {}).identity.digest != first.identity.digest


def test_the_libraries_of_this_clang_are_found() -> None:
    files = {Path(path).name for path in examine("/usr/bin/clang", {}).stamps}
    assert any(name.startswith("libLLVM") for name in files)


def test_the_parts_of_this_gcc_are_found() -> None:
    files = {Path(path).name for path, stamp in examine("/usr/bin/gcc", {}).stamps.items() if stamp}
    assert files == {"gcc", "cc1", "cc1plus", "as"}
