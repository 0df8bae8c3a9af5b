"""`fab TASK HOST...` as invoke gets to see it."""

from __future__ import annotations

import pytest
from invoke.exceptions import Exit

from provisioning.fab_arguments import check_numbers, name_hosts

TASKS = {"provision": {"--host", "--allow", "--jobs"}, "status": {"--host"}}
CORE = {"-i", "--identity", "-S", "--ssh-config"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("provision worker-1", "provision --host worker-1"),
        ("provision a b --dry-run", "provision --host a --host b --dry-run"),
        ("provision --dry-run a b", "provision --dry-run --host a --host b"),
        ("provision --allow 192.0.2.1 a", "provision --allow 192.0.2.1 --host a"),
        ("provision --allow=192.0.2.1 a", "provision --allow=192.0.2.1 --host a"),
        ("provision --host a b", "provision --host a --host b"),
        ("provision -H a,b c", "provision --host a --host b --host c"),
        ("provision --hosts=a,b", "provision --host a --host b"),
        ("provision a -i key -S config", "provision --host a -i key -S config"),
        ("provision a --jobs", "provision --host a --jobs"),
        # One task a call: a host may be called like a task.
        ("status provision", "status --host provision"),
        ("unknown a", "unknown a"),
        ("", ""),
    ],
)
def test_words_behind_a_task_are_hosts(words: str, expected: str) -> None:
    assert name_hosts(words.split(), TASKS, CORE) == expected.split()


@pytest.mark.parametrize(
    "words", ["provision --jobs abc", "provision --jobs=", "provision --jobs -3", "provision --jobs 1.5"]
)
def test_what_is_no_number_is_told(words: str) -> None:
    with pytest.raises(Exit, match=r"^--jobs: expected a whole number, got '.*'$") as raised:
        check_numbers(words.split(), {"--jobs"})
    assert raised.value.code == 96


@pytest.mark.parametrize(
    "words", ["provision --jobs 4", "provision --jobs=0", "provision --allow abc", "provision --jobs"]
)
def test_numbers_and_other_flags_are_left_alone(words: str) -> None:
    check_numbers(words.split(), {"--jobs"})
