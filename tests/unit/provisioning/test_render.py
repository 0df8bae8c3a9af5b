"""The files that a worker gets."""

from __future__ import annotations

from provisioning import render

DAEMON = render.Daemon("/usr/bin/distccd", 3632, 3633, 8, 10, ("192.0.2.0/24",))


def unit(
    allow: tuple[str, ...] = ("192.0.2.0/24",), refused: tuple[str, ...] = (), namespace: bool = True
) -> list[str]:
    daemon = render.Daemon("/usr/bin/distccd", 3632, 3633, 8, 10, allow)
    return render.unit(daemon, refused, namespace).splitlines()


def test_the_daemon_is_started_as_asked() -> None:
    assert (
        "ExecStart=/usr/bin/distccd --daemon --no-detach --log-stderr --log-level notice --port 3632 --stats "
        "--stats-port 3633 --jobs 8 --nice 10 --allow 127.0.0.0/8 --allow ::1/128 --allow 192.0.2.0/24"
    ) in unit()


def test_without_clients_only_loopback_is_listened_on() -> None:
    (start,) = [line for line in unit(allow=()) if line.startswith("ExecStart=")]
    assert "--listen 127.0.0.1" in start
    assert start.endswith("--allow 127.0.0.0/8 --allow ::1/128")


def test_all_hardening_is_there_and_the_network_is_that_of_the_clients() -> None:
    lines = unit()
    assert set(render.HARDENING) <= set(lines)
    assert "IPAddressAllow=127.0.0.0/8 ::1/128 192.0.2.0/24" in lines
    assert "LogNamespace=distcc-worker" in lines


def test_what_the_host_refuses_is_left_out_and_said() -> None:
    lines = unit(refused=("ProtectProc=invisible", "IPAddressDeny=any"))
    assert "ProtectProc=invisible" not in lines
    assert "# ProtectProc=invisible is refused by systemd on this host" in lines
    assert not any(line.startswith("IPAddressAllow") for line in lines)


def test_without_a_dynamic_user_it_is_still_not_root() -> None:
    assert "User=nobody" in unit(refused=("DynamicUser=yes",))
    assert not any(line.startswith("User=") for line in unit())


def test_an_old_systemd_gets_no_log_namespace() -> None:
    assert not any(line.startswith("LogNamespace") for line in unit(namespace=False))


def test_the_tunnel_account_reaches_the_two_ports_and_nothing_else() -> None:
    lines = [line.strip() for line in render.sshd("distcc-tunnel", 3632, 3633).splitlines()]
    assert lines[1] == "Match User distcc-tunnel"
    assert "PermitOpen localhost:3632 localhost:3633 127.0.0.1:3632 127.0.0.1:3633" in lines
    for line in ("MaxSessions 0", "PermitTTY no", "PermitListen none", "AllowAgentForwarding no"):
        assert line in lines
