"""What reaches the terminal: messages whose words another machine chose cannot steer it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distcc_common import messages


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("one\r\ntwo", r"one\r\ntwo"),
        ("\x9b31m", r"\x9b31m"),
        ("right\u202eleft", r"right\u202eleft"),
        ("half \udc80", r"half \udc80"),
        ("[/] [red]", "[/] [red]"),
        ("\N{LATIN SMALL LETTER U WITH DIAERESIS}", "\N{LATIN SMALL LETTER U WITH DIAERESIS}"),
    ],
)
def test_what_could_steer_a_terminal_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert messages.printable(text) == shown


@given(st.text())
def test_the_result_is_always_printable_and_safe_to_escape_again(text: str) -> None:
    shown = messages.printable(text)
    assert shown.isprintable()
    assert messages.printable(shown) == shown


@given(text=st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_message_steers_nothing_but_its_own_lines(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    messages.say(text)
    said = capsys.readouterr().err
    assert said.startswith("distcc-auto: ")
    assert all(letter.isprintable() or letter in "\n\t" for letter in said)
