"""Commands on a host, with fabric's own test doubles in the place of ssh."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fabric import Config, Connection
from fabric.testing.base import Command, MockRemote, Session

from provisioning.host_errors import CommandFailed, HostError
from provisioning.remote import Remote


@pytest.fixture
def sessions() -> Iterator[MockRemote]:
    with MockRemote() as remote:
        yield remote


def remote(sessions: MockRemote, *commands: Command, password: str | None = None) -> Remote:
    sessions.expect_sessions(Session("192.0.2.7", user="admin", commands=commands))
    config = Config(overrides={"sudo": {"password": password}, "load_ssh_configs": False})
    return Remote("worker-1", Connection("192.0.2.7", user="admin", config=config))


def test_root_needs_no_sudo(sessions: MockRemote) -> None:
    one = remote(sessions, Command(out=b"0\n192.0.2.1\n"), Command("LC_ALL=C sh -c 'id -un'", out=b"root\n"))
    assert one.open() == "192.0.2.1"
    assert one.run("who", "id -un").stdout == "root\n"
    assert one.root_command("docker load") == ("docker load", "")


def test_others_go_through_sudo(sessions: MockRemote) -> None:
    expected = "sudo -S -p '[sudo] password: ' env LC_ALL=C sh -c 'id -un'"
    one = remote(sessions, Command(out=b"1000\n192.0.2.1\n0\n"), Command(expected, out=b"root\n"))
    assert one.run("who", "id -un").ok
    assert one.root_command("docker load") == ("sudo -n docker load", "")


def test_a_sudo_that_asks_wants_the_password_first(sessions: MockRemote) -> None:
    with pytest.raises(HostError, match="run fab again with --prompt-for-sudo-password"):
        remote(sessions, Command(out=b"1000\n192.0.2.1\n1\n")).open()


def test_the_password_is_in_no_command_line(sessions: MockRemote) -> None:
    one = remote(sessions, Command(out=b"1000\n192.0.2.1\n1\n"), password="secret-8")  # noqa: S106
    one.open()
    command, ahead = one.root_command("docker load")
    assert "secret-8" not in command
    assert ahead == "secret-8\n"


def test_without_sudo_and_root_nothing_goes(sessions: MockRemote) -> None:
    with pytest.raises(HostError, match="admin is not root, and the host has no sudo"):
        remote(sessions, Command(out=b"1000\n192.0.2.1\n")).open()


def test_a_failed_command_is_shown_with_its_exit_code_and_last_lines(sessions: MockRemote) -> None:
    output = "".join(f"line {number}\n" for number in range(40)).encode()
    one = remote(sessions, Command(out=b"0\n192.0.2.1\n"), Command(out=output, err=b"no such package\n", exit=100))
    with pytest.raises(CommandFailed) as raised:
        one.run("packages", "apt-get install distcc")
    assert raised.value.exit_code == 100
    lines = str(raised.value).splitlines()
    assert lines[:2] == ["packages: exit code 100", "  $ apt-get install distcc"]
    assert lines[-1] == "  | no such package"
    assert "  | line 39" in lines
    assert "  | line 1" not in lines


def test_a_failure_that_is_an_answer_is_none(sessions: MockRemote) -> None:
    one = remote(sessions, Command(out=b"0\n\n"), Command(exit=1))
    assert not one.run("look", "false", check=False).ok
