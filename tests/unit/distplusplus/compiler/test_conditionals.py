"""Lines that are passed over for certain."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.compiler.conditionals import passed_over

PRAGMA = "#pragma message(x)\n"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("#ifdef A", [{"A"}]),
        ("  #  ifdef A // comment", [{"A"}]),
        ("#ifndef A", []),
        ("#ifndef A\n#else", [{"A"}]),
        ("#ifdef A\n#else", []),
        ("#ifdef A\n#elif B", [{"B"}]),
        ("#if !defined(A)\n#elif B", [{"A"}, {"B"}]),
        ("#if defined A && defined(B)", [{"A"}, {"B"}]),
        ("#if defined(A) || defined(B)", [{"A", "B"}]),
        ("#if (defined(A) && A >= 3) || B", [{"A", "B"}]),
        ("#if A", [{"A"}]),
        ("#if A > 0", [{"A"}]),
        ("#if A == 0", []),
        ("#if A < 1300\n#else", [{"A"}]),
        ("#if 0", [set()]),
        ("#if 1\n#else", [set()]),
        ("#if !A\n#else", [{"A"}]),
        ("#if A(1, 2) && defined(B)", [{"B"}]),
        ("#if A + 1 && B", [{"B"}]),
        ("#if __has_include(<x>)", []),
        ("#if defined(__has_include)", []),
        ("#if not A", []),
        ("#if defined(A) && \\\n  defined(B)", [{"A"}, {"B"}]),
        ("#ifdef A\n#ifdef B", [{"A"}, {"B"}]),
        ("/*\n#ifdef A\n*/\n#ifdef B", [{"B"}]),
        ('"/*"\n#ifdef A\n"*/"', [{"A"}]),
    ],
)
def test_what_passes_over_a_line(condition: str, expected: list[set[str]]) -> None:
    before = len(re.findall(r"# *if", condition)) - condition.count("/*\n#if")
    source = f"{condition}\n{PRAGMA}" + "#endif\n" * before
    found = passed_over(source.encode())[condition.count("\n") + 2]
    assert {frozenset(macro.decode() for macro in macros) for macros in found} == set(map(frozenset, expected))


@pytest.mark.parametrize("source", ["#endif\n", "#ifdef A\n", 'R"(\n#endif)"\n', "%:ifdef A\n", "??=ifdef A\n"])
def test_what_is_too_hard_to_read(source: str) -> None:
    assert passed_over((source + PRAGMA).encode()) == {}


@given(st.text(alphabet="#ifdefn AB()!&|<>=01\"\\\n/*'", max_size=80))
def test_whatever_comes_there_is_an_answer(source: str) -> None:
    passed_over(source.encode())
