"""The source lists that apt gets for fetching sources, in both forms that apt reads."""

from __future__ import annotations

import pytest

from tests.integration.source_packages import as_sources


@pytest.mark.parametrize(
    ("suffix", "text", "expected"),
    [
        (".list", "deb http://a b c\n", "deb-src http://a b c\n"),
        (".list", " deb\t[signed-by=/k.gpg] http://a b c\n", "deb-src\t[signed-by=/k.gpg] http://a b c\n"),
        (".list", "# deb http://a b c\ndeb-src http://a b c\n", "# deb http://a b c\ndeb-src http://a b c\n"),
        (".sources", "Types: deb\nURIs: http://a\n", "Types: deb-src\nURIs: http://a\n"),
        (".sources", "Enabled: no\ntypes: deb deb-src\n", "Enabled: no\nTypes: deb-src\n"),
    ],
)
def test_binary_entries_become_source_entries(suffix: str, text: str, expected: str) -> None:
    assert as_sources(text, suffix) == expected
