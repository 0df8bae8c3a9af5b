"""Configuration files and values: what is read, and what is said of those that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distcc_common import config_files
from distcc_common.errors import ConfigurationError


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_CONFIG_HOME": "/x", "HOME": "/h"}, "/x/p/c.toml"),
        ({"XDG_CONFIG_HOME": "relative", "HOME": "/h"}, "/h/.config/p/c.toml"),
        ({"HOME": "/h"}, "/h/.config/p/c.toml"),
        ({}, None),
    ],
)
def test_where_the_users_file_is(environ: dict[str, str], expected: str | None) -> None:
    assert config_files.user_file(environ, "p", "c.toml") == expected


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert config_files.read_toml(str(tmp_path / "none")) is None
    (tmp_path / "file").write_text("")
    assert config_files.read_toml(str(tmp_path / "file" / "below")) is None
    assert config_files.read_toml(str(tmp_path / "file")) == {}


@pytest.mark.parametrize("content", [b"a =", b"\xff", b"a = 1\na = 2"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"c\.toml: is not TOML: "):
        config_files.read_toml(str(path))


def test_a_value_is_named_with_its_source() -> None:
    with pytest.raises(ConfigurationError, match=r"^f\.toml: jobs: 'x' is not a whole number from 1 to 9$"):
        config_files.read_value(config_files.whole_number(1, 9), "x", "f.toml: jobs")


@given(st.integers(-50, 50))
def test_a_whole_number_is_read_from_text_and_toml(number: int) -> None:
    read = config_files.whole_number(-20, 20)
    for value in (number, f" {number} "):
        if -20 <= number <= 20:
            assert read(value) == number
        else:
            with pytest.raises(ValueError, match="whole number"):
                read(value)


@pytest.mark.parametrize(
    "value", [True, 1.0, None, "", "-", "1_0", "--1", "+1", "\N{ARABIC-INDIC DIGIT ONE}", "9" * 5000]
)
def test_what_is_no_whole_number(value: object) -> None:
    with pytest.raises(ValueError, match="is not a whole number from 0 to 99"):
        config_files.whole_number(0, 99)(value)


@pytest.mark.parametrize("value", [True, 0, -1, "nan", "inf", "soon", "", None, "1e9", 3601])
def test_what_is_no_time(value: object) -> None:
    with pytest.raises(ValueError, match="is not a number of seconds"):
        config_files.seconds(3600)(value)


def test_times_and_choices() -> None:
    assert config_files.seconds(3600)("0.5") == 0.5
    assert config_files.seconds(3600)(2) == 2.0
    assert config_files.choice("zstd", "NONE")(" none ") == "NONE"
    with pytest.raises(ValueError, match="'lzo' is none of zstd, NONE"):
        config_files.choice("zstd", "NONE")("lzo")
