"""docs/protocol.md and the man page say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.server.server_settings import OPTIONS
from distplusplus.server.statuses import STATUS_OF

PROTOCOL = Path("docs/protocol.md").read_text()


def test_every_reason_is_in_the_table_with_its_status() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (`\w+`(?:, `\w+`)*) \|", PROTOCOL, re.M)
    documented = {reason: status for status, reasons in rows for reason in re.findall(r"\w+", reasons)}
    expected = {pb.Refusal.Reason.Name(reason): status.name for reason, status in STATUS_OF.items()}
    assert documented == expected
    assert set(expected) == set(pb.Refusal.Reason.keys()) - {"UNKNOWN_REASON"}


@pytest.mark.parametrize("page", ["docs/man/distplusplusd.1", "docs/distplusplusd.md"])
def test_every_option_is_described(page: str) -> None:
    text = Path(page).read_text().replace("\\-", "-")
    for option in OPTIONS:
        assert f"--{option.name}" in text, option.name


def test_defaults_in_the_tables() -> None:
    for option in OPTIONS:
        row = re.search(rf"^\| `--{option.name}[^|]*\|([^|]*)\|", Path("docs/distplusplusd.md").read_text(), re.M)
        assert row, option.name
        if isinstance(option.default, int | float) and not isinstance(option.default, bool):
            assert f"{option.default:g}" in row[1], option.name
