"""The commands of the tests of classify and allowed have the outcome that they had with two tables of options.

`before.jsonl` was written by the code before there was one table. What was changed since on purpose is listed here.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.compiler.allowed import check
from distplusplus.compiler.classify import Local, classify
from distplusplus.compiler.not_allowed import NotAllowedError

LINES = [json.loads(line) for line in (Path(__file__).parent / "before.jsonl").read_text().splitlines()]
CLASSIFIED = [line[1:] for line in LINES if line[0] == "classify"]
ALLOWED = [line[1:] for line in LINES if line[0] == "allowed"]
# Messages said "here" for "locally".
WORDS = {
    "a test of configure: here it is faster": "a test of configure: compiled locally, it is faster",
    "which is compiled here": "which is compiled locally",
}
# Comments are kept in no text (-C): they took part in #, ## and __VA_OPT__.
WITHOUT_COMMENTS = {
    ("gcc", "gcc -Wextra -c a.c"),
    ("gcc", "clang -Wextra -c a.c"),
    ("gcc", "g++ -Wextra -MD -c a.cc -o x.o"),
}


def reworded(reason: str) -> str:
    for old, new in WORDS.items():
        reason = reason.replace(old, new)
    return reason


def classified(command: str, clang: bool) -> dict[str, Any]:
    compiler, *arguments = shlex.split(command)
    found = classify(compiler, arguments, {}, clang=clang, version="14.0.6" if clang else "12.2.0")
    if isinstance(found, Local):
        return {"local": found.reason, "bounded": found.bounded}
    every = {
        "source": found.source,
        "output": found.output,
        "language": int(found.language),
        "preprocess": list(found.preprocess),
        "directives": list(found.directives),
        "remote": list(found.remote),
        "further": found.further_outputs,
        "maps": found.maps_names,
    }
    return {key: value for key, value in every.items() if value not in (False, [])}


def allowed(arguments: list[str], clang: bool) -> dict[str, Any]:
    try:
        found = check(arguments, clang=clang)
    except NotAllowedError as refused:
        return {"refused": str(refused), "reason": int(refused.reason), "subject": refused.subject}
    every = {
        "assembly_output": found.assembly_output,
        "debug": found.debug,
        "coverage": found.coverage,
        "profile_generate": found.profile_generate,
        "profile_use": found.profile_use,
        "profile_use_option": found.profile_use_option,
        "language": int(found.language),
        "extras": sorted(extra.value for extra in found.extras),
        "maps": [list(pair) for pair in found.prefix_maps],
    }
    return {"kept": list(found.kept)} | {key: value for key, value in every.items() if value}


@pytest.mark.parametrize(("compiler", "command", "before"), CLASSIFIED)
def test_commands_are_classified_as_before(compiler: str, command: str, before: dict[str, Any]) -> None:
    if "local" in before:
        before["local"] = reworded(before["local"])
    if (compiler, command) in WITHOUT_COMMENTS:
        before["preprocess"].remove("-C")
        # Where there is one that GCC reads, the macros are left to the server.
        before["directives"] = [*before["preprocess"][:-1], "-fdirectives-only", "-E"]
    assert classified(command, compiler == "clang") == before


@pytest.mark.parametrize(("compiler", "arguments", "before"), ALLOWED)
def test_arguments_are_allowed_as_before(compiler: str, arguments: str, before: dict[str, Any]) -> None:
    assert allowed(shlex.split(arguments), compiler == "clang") == before


@given(st.lists(st.integers(0, len(ALLOWED) // 2 - 1), max_size=6), st.booleans())
def test_arguments_together_are_what_they_are_alone(chosen: list[int], clang: bool) -> None:
    alone = [ALLOWED[2 * index + clang] for index in chosen]
    outcomes = [before for _, _, before in alone]
    together = allowed([word for _, arguments, _ in alone for word in shlex.split(arguments)] + ["-c"], clang)
    refused = next((outcome for outcome in outcomes if "refused" in outcome), None)
    if refused:
        assert together == refused
    elif any("-S" in shlex.split(arguments) for _, arguments, _ in alone):
        assert together["refused"] == "-c and -S together"
    else:
        assert together["kept"] == [word for outcome in outcomes for word in outcome["kept"]]


@given(st.lists(st.integers(0, len(ALLOWED) // 2 - 1), max_size=6), st.booleans())
def test_a_server_gets_of_a_command_what_it_keeps_and_nothing_else(chosen: list[int], clang: bool) -> None:
    arguments = [word for index in chosen for word in shlex.split(ALLOWED[2 * index + clang][1])]
    outcome = classified(shlex.join(["g++", *arguments, "-c", "a.cc"]), clang)
    if "local" in outcome:
        return
    kept = check([*arguments, "-c"], clang=clang).kept
    assert tuple(outcome["remote"]) == (*kept, "-c")
