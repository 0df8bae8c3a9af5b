"""What is read out of the answer of the facts script."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from provisioning.facts import SCRIPT, parse
from provisioning.host_errors import HostError

DEBIAN = """os_id=debian
os_like=
os_name=Debian GNU/Linux 12 (bookworm)
init=systemd
systemd=252
virtualization=none
cpus=8
memory_kib=16384000
machine=x86_64
firewall=ufw
selinux=
sshd_includes=yes
"""


def test_a_debian_host() -> None:
    facts = parse(DEBIAN)
    assert (facts.family.name, facts.systemd, facts.cpus, facts.memory_mib) == ("debian", 252, 8, 16000)
    assert (facts.firewall, facts.container, facts.selinux_enforces, facts.sshd_includes) == ("ufw", "", False, True)


def test_a_fedora_host_that_enforces() -> None:
    text = DEBIAN.replace("debian", "fedora").replace("selinux=", "selinux=Enforcing").replace("ufw", "firewalld")
    facts = parse(text.replace("sshd_includes=yes\n", ""))
    assert (facts.family.name, facts.firewall) == ("fedora", "firewalld")
    assert facts.selinux_enforces
    assert not facts.sshd_includes


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("os_id=debian", "os_id=alpine", "not of Debian's, Fedora's or Arch's family"),
        ("init=systemd", "init=runit", "its first process is runit, not systemd"),
        ("systemd=252", "systemd=", "not systemd"),
    ],
)
def test_what_cannot_become_a_worker_is_told(old: str, new: str, message: str) -> None:
    with pytest.raises(HostError, match=message):
        parse(DEBIAN.replace(old, new))


def test_a_host_without_the_files_that_the_script_reads_answers_too(tmp_path: Path) -> None:
    script = SCRIPT.replace("/etc/", f"{tmp_path}/")
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with pytest.raises(HostError, match="an unknown system is not of"):
        parse(done.stdout)
    (tmp_path / "ssh").mkdir()
    (tmp_path / "ssh" / "sshd_config").write_text("Port 22\n")
    assert (
        "sshd_includes" not in subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    )
