"""Which way a source is preprocessed, and how often."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import pytest

from distplusplus.agent.agent_settings import AgentSettings
from distplusplus.agent.launcher_link import LauncherLink, Preprocessed
from distplusplus.agent.local_compile import CompileLocallyError
from distplusplus.agent.local_slots import LocalSlots
from distplusplus.agent.preprocess.preprocessor import Preprocessor, Text
from distplusplus.agent.preprocess.sources import Sources
from distplusplus.compiler.classify import Compile, classify
from distplusplus.protocol import distplusplus_pb2 as pb

FULL, DIRECTIVES = "in full", "directives only"


class Launcher:
    """Stands for the link to a launcher. `ends`: wait status and messages of each way to preprocess."""

    def __init__(self, source: str, ends: dict[str, tuple[int, bytes]]) -> None:
        self.peer_pid = os.getpid()
        self.runs: list[str] = []
        self._source = source
        self._ends = ends

    async def preprocess(self, arguments: Iterable[str]) -> Preprocessed:
        self.runs.append(DIRECTIVES if "-fdirectives-only" in arguments else FULL)
        status, messages = self._ends.get(self.runs[-1], (0, b""))
        text = f'# 0 "{self._source}"\nint x; // {self.runs[-1]}\n'.encode()
        return Preprocessed(text, failed=status != 0, warned=bool(messages))


class Place:
    """A directory of sources, and what an agent knows of it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._sources = Sources()
        (directory / "plain.cc").write_text("int x;\n")
        (directory / "comment.c").write_text("/* fall through */\n")
        (directory / "suspect.c").write_text("/* fall through */ const char *when = __DATE__;\n")
        (directory / "suspect.cc").write_text("const char *when = __DATE__;\n")

    def preprocess(self, source: str, **ends: tuple[int, bytes]) -> tuple[list[str], Text]:
        """Which runs it took, and what is sent."""
        launcher = Launcher(source, {{"full": FULL, "directives": DIRECTIVES}[way]: end for way, end in ends.items()})
        compiler = "g++" if source.endswith("cc") else "gcc"
        command = classify(compiler, ["-Wextra", "-c", source], {}, clang=False, version="12.2.0")
        assert isinstance(command, Compile)

        async def run() -> Text:
            settings = AgentSettings(compress=pb.NONE)
            link = cast("LauncherLink", launcher)
            preprocessor = Preprocessor(link, command, str(self._directory), settings, LocalSlots(), self._sources)
            return await preprocessor.for_servers()

        return launcher.runs, asyncio.run(run())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_macros_of_a_plain_source_are_left_alone(place: Place) -> None:
    runs, text = place.preprocess("plain.cc")
    assert runs == [DIRECTIVES]
    assert text == Text(b'# 0 "plain.cc"\nint x; // directives only\n', unexpanded=True)


def test_suspect_sources_are_preprocessed_in_full_and_soon_at_once(place: Place) -> None:
    runs, text = place.preprocess("suspect.cc")
    assert runs == [DIRECTIVES, FULL]
    assert not text.unexpanded
    assert place.preprocess("suspect.cc")[0] == [FULL]
    # Which does not make another thing of another source.
    runs, text = place.preprocess("plain.cc")
    assert (runs, text.unexpanded) == ([FULL, DIRECTIVES], True)
    place.preprocess("plain.cc")
    assert place.preprocess("plain.cc")[0] == [DIRECTIVES]


@pytest.mark.parametrize("end", [(256, b""), (256, b"error"), (0, b"warning")])
def test_what_only_full_preprocessing_can_judge(place: Place, end: tuple[int, bytes]) -> None:
    runs, text = place.preprocess("plain.cc", directives=end)
    why = "the preprocessor has something to say"
    assert (runs, text) == ([DIRECTIVES, FULL], Text(b'# 0 "plain.cc"\nint x; // in full\n', why_in_full=why))
    assert place.preprocess("plain.cc", directives=end, full=(0, b"warning"))[1].warned
    with pytest.raises(CompileLocallyError, match="found an error"):
        place.preprocess("plain.cc", directives=end, full=(256, b"error"))


def test_an_error_where_suspects_are_expected_is_not_looked_for_twice(place: Place) -> None:
    place.preprocess("suspect.cc")
    with pytest.raises(CompileLocallyError, match="found an error"):
        place.preprocess("plain.cc", full=(256, b"error"))


def test_comments_that_c_is_warned_by_stay_in_the_text(place: Place) -> None:
    runs, text = place.preprocess("comment.c")
    assert (runs, text.unexpanded) == ([FULL, DIRECTIVES], True)
    with pytest.raises(CompileLocallyError, match=r"suspect.c holds a comment that -Wimplicit-fallthrough=3 reads"):
        place.preprocess("suspect.c")
