"""What the driver refuses before it asks anybody."""

from __future__ import annotations

import pytest

from distcc_auto.drive import DriverOptions, drive
from distcc_common.errors import ConfigurationError


@pytest.mark.parametrize(
    ("command", "options", "said"),
    [
        ([], DriverOptions(), "no build command"),
        ([], DriverOptions(dry_run=True), "no build command"),
        (["make"], DriverOptions(json=True), "--json goes with"),
        (["make"], DriverOptions(explain=True, report=True), "--report tells about a build"),
    ],
)
def test_what_makes_no_sense_is_refused(command: list[str], options: DriverOptions, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        drive(command, options, {"DISTCC_AUTO_HOSTS": "a"})
