"""What distplusplusd can be told, by option and in the environment."""

from __future__ import annotations

import pytest

from distcc_common.errors import ConfigurationError
from distplusplus.server.server_settings import is_local, load


def test_the_environment_overrides_an_option() -> None:
    settings = load(["--jobs", "3", "--max-input", "5"], {"DISTPLUSPLUS_JOBS": "7"})
    assert (settings.jobs, settings.max_input_bytes) == (7, 5 << 20)


def test_an_option_that_is_given_often_is_a_list_in_the_environment() -> None:
    given = load(["--listen-address", "127.0.0.1:1", "--listen-address", "unix:/run/x"], {})
    assert given == load([], {"DISTPLUSPLUS_LISTEN_ADDRESS": "127.0.0.1:1, unix:/run/x"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--jobs", "0"], "--jobs: '0' is not a number from 1"),
        (["--jobs", "x"], "--jobs: 'x' is not a number"),
        (["--job-timeout", "nan"], "'nan' is not a number"),
        (["--max-input", "1901"], "'1901' is not a number from 1 to 1900 MiB"),
        (["--job-dir", "jobs"], "--job-dir: 'jobs' is not an absolute path"),
        (["--log-level", "loud"], "--log-level: 'loud' is none of"),
        (["--allow", "0.0.0.0/0"], "whole world"),
        (["--allow", "::/0"], "whole world"),
        (["--listen-address", "127.0.0.1"], "--listen-address: '127.0.0.1' is not host:port"),
        (["--tls-certificate", "/c"], "need each other"),
        (["--tls-key", "/k"], "need each other"),
        (["--tls-client-ca", "/a"], "--tls-client-ca needs"),
        (["--job", "1"], "distplusplusd --help"),
    ],
)
def test_what_cannot_work_is_told(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(arguments, {})
    assert message in str(raised.value)


def test_a_setting_of_the_environment_is_named_in_an_error() -> None:
    with pytest.raises(ConfigurationError, match="DISTPLUSPLUS_INSECURE: 'maybe'"):
        load([], {"DISTPLUSPLUS_INSECURE": "maybe"})


@pytest.mark.parametrize("address", ["0.0.0.0:3634", "[::]:3634", "192.0.2.7:3634", "build.example:3634"])
def test_nothing_listens_to_others_without_a_word_on_who_may_call(address: str) -> None:
    with pytest.raises(ConfigurationError, match="other machines can reach it"):
        load(["--listen-address", "127.0.0.1:1", "--listen-address", address], {})
    with pytest.raises(ConfigurationError, match="other machines can reach it"):
        load(["--listen-address", address], {"DISTPLUSPLUS_INSECURE": "0"})
    for options in (["--insecure"], ["--allow", "192.0.2.0/24"], ["--token-file", "/t"],
                    ["--tls-certificate", "/c", "--tls-key", "/k"]):  # fmt: skip
        assert load(["--listen-address", address, *options], {}).listen_address == (address,)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:1", "localhost:1", "unix:/run/x", "unix-abstract:x"])
def test_addresses_of_this_machine(address: str) -> None:
    assert is_local(address)
