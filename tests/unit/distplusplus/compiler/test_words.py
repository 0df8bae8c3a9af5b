"""Arguments taken apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.compiler.words import take_apart


def parts(*arguments: str, clang: bool = False) -> list[tuple[str, str | None]]:
    return [
        (word.option.name if word.option else word.argument, word.value) for word in take_apart(arguments, clang=clang)
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-I inc a.c", [("-I", "inc"), ("a.c", None)]),
        ("-Iinc", [("-I", "inc")]),
        ("--include=x", [("--include", "x")]),
        ("--include x", [("--include", "x")]),
        ("-include-pch x", [("-include-pch", "x")]),
        ("-includex", [("-include", "x")]),
        ("-isystem-after x", [("-isystem-after", "x")]),
        ("-march=native", [("-march=native", None)]),
        ("-march=armv8-a", [("-m", "arch=armv8-a")]),
        ("-mllvm=-x", [("-mllvm", "-x")]),
        ("-std=", [("-std=", "")]),
        ("-I", [("-I", None)]),
        ("-", [("-", None)]),
        ("-c -- -I x", [("-c", None), ("--", None), ("-I", None), ("x", None)]),
        ("--no-such=x", [("--no-such=x", None)]),
    ],
)
def test_the_longest_name_is_meant(arguments: str, expected: list[tuple[str, str | None]]) -> None:
    assert parts(*arguments.split()) == expected


def test_compilers_that_differ() -> None:
    assert parts("-R", "/lib", "a.c") == [("-R", "/lib"), ("a.c", None)]
    assert parts("-Rpass", "a.c", clang=True) == [("-R", "pass"), ("a.c", None)]


def test_a_value_that_is_missing() -> None:
    assert [word.lacks_value for word in take_apart(["-c", "-I"], clang=False)] == [False, True]


@given(st.lists(st.text(max_size=8).map(lambda text: f"-{text}") | st.text(max_size=8)), st.booleans())
def test_no_argument_is_lost(arguments: list[str], clang: bool) -> None:
    assert [argument for word in take_apart(arguments, clang=clang) for argument in word.arguments] == arguments
