"""What Landlock is asked for in each of its versions; tests of the confined programs show what it then does."""

from __future__ import annotations

from distcc_common import landlock


def test_each_version_is_asked_for_the_rights_that_it_knows() -> None:
    assert [landlock.all_rights(version).bit_length() for version in (1, 2, 3, 4, 5, 7)] == [13, 14, 15, 15, 16, 16]
    assert not landlock.all_rights(2) & landlock.TRUNCATE
    assert landlock.all_rights(3) & landlock.TRUNCATE


def test_the_version_is_a_number() -> None:
    assert landlock.abi() >= 0
