"""What servers of the first implementation are not asked for, and how their load is read."""

from __future__ import annotations

import pytest

from distplusplus.agent.servers.first_implementation import reason_to_refuse, taken_slots
from distplusplus.compiler.classify import Compile, classify


def compile_of(command: str) -> Compile:
    compiler, *arguments = command.split()
    found = classify(compiler, arguments, {}, clang=compiler == "clang")
    assert isinstance(found, Compile), found
    return found


@pytest.mark.parametrize("command", ["gcc -O2 -g -c a.c", "g++ -c a.cc -o b.o", "clang -c a.c"])
def test_a_plain_compile_is_asked_for(command: str) -> None:
    assert reason_to_refuse(compile_of(command)) is None


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("gcc -S a.c", "refuses -S"),
        ("gcc -ffile-prefix-map=/a=/b -c a.c", "refuses -ffile-prefix-map=/a=/b"),
        ("gcc -fstack-usage -c a.c", "cannot send further outputs back"),
    ],
)
def test_what_it_would_refuse_or_lose_is_not_sent(command: str, reason: str) -> None:
    refused = reason_to_refuse(compile_of(command))
    assert refused is not None
    assert refused.startswith(reason)


@pytest.mark.parametrize(("percent", "slots", "taken"), [(0, 8, 0), (50, 8, 4), (99, 8, 7), (100, 8, 8), (350, 8, 8)])
def test_its_load_is_in_per_cent(percent: int, slots: int, taken: int) -> None:
    assert taken_slots(percent, slots) == taken
