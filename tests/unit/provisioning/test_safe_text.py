"""What is let through, what is refused, and what systemd and a terminal make of the rest."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning import safe_text


@pytest.mark.parametrize("text", ["fe80::1%;reboot;", "fe80::1%eth0", "fe80::1%a\n", "192.0.2.1\n", "192.0.2.1;id", ""])
def test_a_network_is_an_address_and_nothing_else(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (the words are ipaddress's own)
        safe_text.client_network(text)


def test_a_network_has_its_usual_form() -> None:
    assert safe_text.client_network("2001:DB8:0::/32") == "2001:db8::/32"
    assert safe_text.client_network("192.0.2.7") == "192.0.2.7/32"


def test_names_of_a_certificate_are_addresses_or_host_names() -> None:
    assert safe_text.alternative_name("worker-1.example") == "DNS:worker-1.example"
    assert safe_text.alternative_name("fe80::1%eth0") == "IP:fe80::1"
    for name in ("a,DNS:b", "a\nb", "a b", "", "@section", "-a"):
        with pytest.raises(ValueError, match="neither an IP address nor a host name"):
            safe_text.alternative_name(name)


@pytest.mark.parametrize("name", ["worker-1", "admin@worker-1", "DOMAIN\\me@192.0.2.1", "fe80::1%eth0", "a_b.example"])
def test_usual_names_for_ssh_are_taken(name: str) -> None:
    assert safe_text.ssh_name(name) == name


@pytest.mark.parametrize("name", ["", "-oX", "a@-oX", "a b", "x;id@w", "a@$(id)", "a\n", "a@`id`", "a@b|c", "'a'"])
def test_names_that_a_proxy_command_would_hand_to_a_shell_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a host for ssh"):
        safe_text.ssh_name(name)


@pytest.mark.parametrize("name", ["", "-o", "a\n"])
def test_no_package_is_an_option(name: str) -> None:
    assert safe_text.package_names(["gcc", "libpopt0:amd64"]) == ["gcc", "libpopt0:amd64"]
    with pytest.raises(ValueError, match="cannot be the name of a package"):
        safe_text.package_names(["gcc", name])


@given(st.lists(st.text(st.characters(codec="utf-8"))))
def test_words_of_a_unit_are_read_back_as_they_were(words: list[str]) -> None:
    try:
        line = " ".join(safe_text.unit_word(word) for word in words)
    except ValueError:
        assert not all(word.isprintable() for word in words)
        return
    assert line.isprintable()
    assert safe_text.unit_words(line) == words


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_such_words(tmp_path: Path) -> None:
    words = ["/bin/echo", "a b", "%n", "$HOME", ";", "\\", '"', "'", "#", "é", ""]
    unit = tmp_path / "words.service"
    unit.write_text(f"[Service]\nExecStart={' '.join(map(safe_text.unit_word, words))}\n")
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert "words.service" not in done.stderr


@given(st.text())
def test_no_control_character_reaches_a_terminal(text: str) -> None:
    shown = safe_text.visible(text)
    assert all(letter.isprintable() or letter in "\n\t" for letter in shown)


def test_what_a_terminal_would_obey_is_shown() -> None:
    assert safe_text.visible("gcc\x1b[2J 12\n\t\r\u202e[/]") == "gcc\\x1b[2J 12\n\t\\r\\u202e[/]"
