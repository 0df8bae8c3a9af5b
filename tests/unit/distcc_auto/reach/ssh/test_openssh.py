from __future__ import annotations

from distcc_auto.hosts import SshHost
from distcc_auto.reach.ssh import openssh
from distcc_auto.reach.ssh.local_ends import LocalEnd


def test_what_is_not_given_is_left_to_ssh_config() -> None:
    argv = openssh.master("/usr/bin/ssh", SshHost("w"), "/tmp/s", may_ask=False)
    assert argv[0] == "/usr/bin/ssh"
    assert argv[-2:] == ["--", "w"]
    assert "-p" not in argv
    assert "-l" not in argv
    assert "BatchMode=yes" in argv


def test_what_is_given_goes_to_ssh() -> None:
    argv = openssh.master("ssh", SshHost("::1", "builder", 2222), "/tmp/s", may_ask=True)
    assert argv[-6:] == ["-p", "2222", "-l", "builder", "--", "::1"]
    assert "BatchMode=no" in argv


def test_host_keys_are_left_to_ssh_config() -> None:
    argv = openssh.master("ssh", SshHost("w"), "/tmp/s", may_ask=True)
    assert not [word for word in argv if "StrictHostKey" in word or "KnownHosts" in word]


def test_both_ports_are_forwarded_to_localhost_there() -> None:
    host = SshHost("w", distcc_port=3632, stats_port=3633)
    argv = openssh.forward("ssh", host, "/tmp/s", LocalEnd("127.64.0.1", 10000, 10001))
    assert "127.64.0.1:10000:localhost:3632" in argv
    assert "127.64.0.1:10001:localhost:3633" in argv


def test_the_login_command_can_be_typed() -> None:
    assert openssh.login_command(SshHost("w")) == "ssh w exit"
    assert openssh.login_command(SshHost("w", "builder", 2222)) == "ssh -p 2222 -l builder w exit"
