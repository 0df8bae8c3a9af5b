"""The files that a worker gets."""

from __future__ import annotations

import dataclasses
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.server.server_settings import load
from provisioning import render


def unit(
    allow: tuple[str, ...] = ("192.0.2.0/24",), refused: tuple[str, ...] = (), namespace: bool = True
) -> list[str]:
    daemon = render.distccd("/usr/bin/distccd", (3632, 3633), render.UnitSettings(8, 10, allow))
    return render.unit(daemon, refused, namespace).splitlines()


def server_unit(has_tls: bool) -> list[str]:
    daemon = render.distplusplusd("/usr/bin/python3", (4000,), render.UnitSettings(8, 10, ("192.0.2.0/24",), has_tls))
    return render.unit(daemon, (), True).splitlines()


def test_the_daemon_is_started_as_asked() -> None:
    assert (
        "ExecStart=/usr/bin/distccd --daemon --no-detach --log-stderr --log-level notice --port 3632 --stats "
        "--stats-port 3633 --jobs 8 --nice 10 --allow 127.0.0.0/8 --allow ::1/128 --allow 192.0.2.0/24"
    ) in unit()


def test_the_unit_has_the_sections_that_systemd_knows() -> None:
    assert [line for line in unit() if line.startswith("[")] == ["[Unit]", "[Service]", "[Install]"]


def test_without_clients_only_loopback_is_listened_on() -> None:
    (start,) = [line for line in unit(allow=()) if line.startswith("ExecStart=")]
    assert "--listen 127.0.0.1" in start
    assert start.endswith("--allow 127.0.0.0/8 --allow ::1/128")


def test_distplusplusd_takes_the_allowed_clients_and_reads_its_key_as_a_credential() -> None:
    plain, encrypted = server_unit(False), server_unit(True)
    start = (
        "ExecStart=/usr/bin/python3 -m distplusplus.server --log-level info "
        "--listen-address 0.0.0.0:4000 --jobs 8 --compiler-dir /usr/local/lib/distcc-worker "
        "--compiler-dir /usr/libexec/distplusplus --allow 192.0.2.0/24"
    )
    key = "/run/credentials/distcc-worker.service/server.key"
    assert start in plain
    assert f"{start} --tls-certificate /etc/distcc-worker/tls/server.crt --tls-key {key}" in encrypted
    assert set(encrypted) - set(plain) > {"LoadCredential=server.key:/etc/distcc-worker/tls/server.key"}
    assert {"Nice=10", "Type=notify", "KillMode=mixed", *render.HARDENING} <= set(plain)
    assert "IPAddressAllow=127.0.0.0/8 ::1/128 192.0.2.0/24" in plain


def test_what_is_started_is_a_command_line_of_distplusplusd() -> None:
    (start,) = [line for line in server_unit(True) if line.startswith("ExecStart=")]
    settings = load(start.split()[3:], {})
    assert [str(network) for network in settings.allow] == ["192.0.2.0/24"]
    # systemd waits until the longest job has ended.
    assert settings.job_timeout_s < render.STOP_S


SETTINGS = st.builds(
    render.UnitSettings,
    jobs=st.integers(1, 4096),
    nice=st.integers(0, 19),
    allow=st.lists(st.ip_addresses().map(lambda one: str(ipaddress.ip_network(one))), unique=True).map(tuple),
    has_tls=st.booleans(),
)
# Programs with characters that mean something to systemd.
PROGRAMS = st.text(st.sampled_from("/usr-bin%$;\\\"' #é"), min_size=1).map("/{}".format)


@given(PROGRAMS, SETTINGS)
def test_a_unit_tells_what_it_was_rendered_from(program: str, settings: render.UnitSettings) -> None:
    server = render.unit(render.distplusplusd(program, (4000,), settings), (), log_namespace=True)
    assert render.program_and_settings(server) == (program, settings)
    plain = dataclasses.replace(settings, has_tls=False)
    distccd = render.unit(render.distccd(program, (3632, 3633), plain), (), log_namespace=False)
    assert render.program_and_settings(distccd) == (program, plain)


@given(st.text(min_size=1), st.lists(st.text()).map(tuple))
def test_no_text_adds_a_line_to_a_unit(program: str, allow: tuple[str, ...]) -> None:
    settings = render.UnitSettings(8, 10, allow)
    try:
        text = render.unit(render.distccd(program, (3632, 3633), settings), (), log_namespace=True)
    except ValueError:
        return
    assert [line.partition("=")[0] for line in text.splitlines()] == [line.partition("=")[0] for line in unit()]


@pytest.mark.parametrize("user", ["x;reboot;", "*", "a,b", "!root", "a b", "a\n    PermitTTY yes", "", "-x", "Root"])
def test_the_tunnel_user_is_one_account_and_no_pattern(user: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of an account"):
        render.sshd(user, (3632, 3633))


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
    lines = [line.strip() for line in render.sshd("distcc-tunnel", (3632, 3633)).splitlines()]
    assert lines[1] == "Match User distcc-tunnel"
    assert "PermitOpen localhost:3632 localhost:3633 127.0.0.1:3632 127.0.0.1:3633" in lines
    for line in ("MaxSessions 0", "PermitTTY no", "PermitListen none", "AllowAgentForwarding no"):
        assert line in lines
