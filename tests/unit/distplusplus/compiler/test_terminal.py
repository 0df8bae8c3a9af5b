"""What the user's terminal means for messages, as GCC and clang have it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from distplusplus.compiler import terminal

COLOUR, LINKS = "-fdiagnostics-color=always", "-fdiagnostics-urls=always"


@pytest.mark.parametrize(
    ("environ", "gcc", "clang"),
    [
        ({}, [], []),
        ({"TERM": "dumb"}, [], []),
        ({"TERM": "xterm"}, [COLOUR], [COLOUR]),
        ({"TERM": "xterm", "GCC_COLORS": ""}, [], [COLOUR]),
        ({"TERM": "xterm-256color"}, [COLOUR, LINKS], [COLOUR]),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, [COLOUR, LINKS], [COLOUR]),
        ({"TERM": "xterm-256color", "COLORTERM": "gnome-terminal"}, [COLOUR], [COLOUR]),
        ({"TERM": "xterm-256color", "GCC_URLS": "no"}, [COLOUR], [COLOUR]),
        ({"TERM": "xterm", "TERM_URLS": "bel"}, [COLOUR, LINKS], [COLOUR]),
        ({"TERM": "linux", "COLUMNS": "50"}, [COLOUR], [COLOUR, "-fmessage-length=50"]),
        ({"TERM": "no-such"}, [COLOUR, LINKS], []),
    ],
)
def test_each_compiler_has_its_own_rules(environ: Mapping[str, str], gcc: list[str], clang: list[str]) -> None:
    assert terminal.arguments(environ, clang=False, version="12.2.0") == gcc
    assert terminal.arguments(environ, clang=True, version="14.0.6") == clang


def test_an_old_gcc_knows_no_links() -> None:
    assert terminal.arguments({"TERM": "xterm-256color"}, clang=False, version="9.3.0") == [COLOUR]
