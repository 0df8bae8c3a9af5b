"""The directory that objects and notes name is the one that a local compile records: $PWD where it is the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.agent.home import Home


@pytest.fixture
def link(home: Home) -> Path:
    """Another name of the directory in which commands run."""
    link = home.work.parent / "link"
    link.symlink_to("work")
    home.write("a.c", "int f(int x)\n{\n    return x ? 1 : 2;\n}\n")
    return link


def recorded(home: Home, command: list[str]) -> list[str]:
    """The directories in what was compiled: of debug information, of coverage notes and of the profile's name."""
    if "--coverage" in command:
        written = b"".join((home.work / name).read_bytes() for name in ("a.gcno", "a.o"))
        return re.findall(r"/[\w/.-]{3,}", written.decode("latin-1"))
    dumped = home.run("readelf", "--debug-dump=info", "a.o").stdout
    return re.findall(r"DW_AT_comp_dir .*?: (/\S*)$", dumped, re.MULTILINE)


@pytest.mark.parametrize(
    "command",
    [
        ("clang", "-g", "-c", "a.c"),
        ("clang", "-g", "-fdebug-prefix-map={pwd}=/mapped", "-c", "a.c"),
        ("gcc", "-g", "-c", "a.c"),
        ("gcc", "-g", "-fdebug-prefix-map={pwd}=/mapped", "-c", "a.c"),
        ("gcc", "--coverage", "-c", "a.c"),
        ("clang", "--coverage", "-c", "a.c"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("kind", ["link", "self", "other"])
def test_the_recorded_directory(home: Home, link: Path, command: tuple[str, ...], kind: str) -> None:
    pwd = {"link": str(link), "self": "/proc/self/cwd", "other": str(home.work.parent)}[kind]
    words = [word.format(pwd=pwd) for word in command]
    assert home.run(*words, PWD=pwd).returncode == 0
    expected = recorded(home, words)
    assert expected
    home.remote(*words, PWD=pwd)
    assert recorded(home, words) == expected
