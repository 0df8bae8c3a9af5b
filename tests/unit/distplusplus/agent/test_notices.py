"""What the build is told, how often, and what its terminal is spared."""

from __future__ import annotations

from typing import cast

import pytest

from distplusplus.agent.launcher_link import LauncherLink
from distplusplus.agent.notices import Notices


class Launcher:
    """Stands for the link to a launcher."""

    def __init__(self, *, gone: bool = False) -> None:
        self.told: list[str] = []
        self._gone = gone

    @property
    def link(self) -> LauncherLink:
        return cast("LauncherLink", self)

    def say(self, text: str) -> bool:
        if not self._gone:
            self.told.append(text)
        return not self._gone


@pytest.fixture
def notices(monkeypatch: pytest.MonkeyPatch) -> Notices:
    """Their clock is at `NOW`."""
    monkeypatch.setattr("time.monotonic", lambda: NOW[0])
    NOW[0] = 1000.0
    return Notices()


NOW = [0.0]


def test_each_thing_is_told_once_a_minute(notices: Notices, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = Launcher(), Launcher()
    for launcher in (first, second):
        notices.tell("warning", "lost", launcher.link, "warning")
    NOW[0] += 59
    notices.tell("warning", "lost", second.link, "warning")
    assert (first.told, second.told) == (["lost"], [])
    NOW[0] += 2
    notices.tell("warning", "lost", second.link, "warning")
    assert second.told == ["lost"]
    assert capsys.readouterr().err.count("warning: lost\n") == 2


def test_what_is_below_the_level_is_only_logged(notices: Notices, capsys: pytest.CaptureFixture[str]) -> None:
    launcher = Launcher()
    notices.tell("info", "detail", launcher.link, "warning")
    notices.tell("debug", "more detail", launcher.link, "warning")
    assert launcher.told == []
    logged = capsys.readouterr().err
    assert "info: detail\n" in logged
    assert "more detail" not in logged


def test_what_a_launcher_that_has_ended_was_to_say_is_said_by_the_next(notices: Notices) -> None:
    notices.tell("warning", "lost", Launcher(gone=True).link, "warning")
    notices.catch_up(Launcher(gone=True).link)
    launcher = Launcher()
    notices.catch_up(launcher.link)
    notices.catch_up(launcher.link)
    assert launcher.told == ["lost"]


def test_what_another_machine_says_does_not_steer_the_terminal(
    notices: Notices, capsys: pytest.CaptureFixture[str]
) -> None:
    launcher = Launcher()
    notices.tell("warning", "its gcc is \x1b]0;owned\x07\n\u202e1", launcher.link, "warning")
    for told in (*launcher.told, capsys.readouterr().err.removesuffix("\n")):
        assert told.isprintable(), told
        assert "its gcc is" in told


def test_long_texts_are_cut(notices: Notices) -> None:
    launcher = Launcher()
    notices.tell("warning", "x" * 100_000, launcher.link, "warning")
    assert len(launcher.told[0]) < 1000
