"""Arguments from files, as the compilers' own expandargv reads them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.compiler.response_files import ResponseFileError, expand, split


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" -c\n  a.c\t", ["-c", "a.c"]),
        ("'a b' \"c d\"", ["a b", "c d"]),
        (r"a\ b c\\d", ["a b", r"c\d"]),
        (r'"a\"b"', ['a"b']),
        ("a'b'c", ["abc"]),
        ("''", [""]),
    ],
)
def test_words_are_split_as_the_compilers_do(text: str, words: list[str]) -> None:
    assert split(text) == words


@given(st.lists(st.text(min_size=1).filter(lambda word: "\0" not in word)))
def test_any_word_survives_being_quoted(words: list[str]) -> None:
    quoted = ["".join("\\" + character for character in word) for word in words]
    assert split(" ".join(quoted)) == words


def test_files_are_read_from_the_compilers_directory(tmp_path: Path) -> None:
    (tmp_path / "args").write_text("-O2 @more")
    (tmp_path / "more").write_text("-g")
    assert expand(["-c", "@args", "a.c"], str(tmp_path)) == ["-c", "-O2", "-g", "a.c"]


def test_a_missing_file_stays_as_it_is(tmp_path: Path) -> None:
    assert expand(["@missing"], str(tmp_path)) == ["@missing"]


def test_a_file_that_includes_itself_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "loop").write_text("@loop")
    with pytest.raises(ResponseFileError, match="include itself"):
        expand(["@loop"], str(tmp_path))


@pytest.mark.timeout(10)
def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("@pipe", "@/dev/stdin", "@/proc/self/fd/0"):
        with pytest.raises(ResponseFileError, match="only once"):
            expand([name], str(tmp_path))


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "large", "wb") as file:
        file.truncate(17 << 20)
    with pytest.raises(ResponseFileError, match="larger than 16 MiB"):
        expand(["@large"], str(tmp_path))
