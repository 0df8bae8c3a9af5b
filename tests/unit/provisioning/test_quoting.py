"""No text from a user, an inventory, a record or a host runs as a command: a real sh runs all commands that contain it.

The shell finds only stand-ins for programs, one of which is called EVIL and leaves a mark.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from distcc_auto.hosts import GrpcHost, SshHost
from distcc_common.errors import ConfigurationError
from provisioning import deploy, host_compilers, service, software
from provisioning.daemon_kinds import DISTCCD
from provisioning.host_compilers import NamedCompiler
from provisioning.host_errors import HostError
from provisioning.host_settings import HostSettings
from provisioning.provision import provision, require_clients
from provisioning.record import Record
from provisioning.remote import Output
from provisioning.remove import remove
from provisioning.status import status
from provisioning.targets import Target
from provisioning.upgrade import upgrade
from tests.unit.provisioning.fake_host import FakeRemote, host
from tests.unit.provisioning.test_worker_unit import OLD_UNIT

NOBODY = 65534
PROGRAMS = [
    "EVIL",
    "apt-cache",
    "apt-get",
    "apt-mark",
    "awk",
    "base64",
    "cat",
    "chmod",
    "chown",
    "cmp",
    "cut",
    "date",
    "df",
    "dirname",
    "dnf",
    "docker",
    "dpkg",
    "dpkg-query",
    "env",
    "find",
    "firewall-cmd",
    "gcc",
    "getent",
    "grep",
    "groupdel",
    "head",
    "journalctl",
    "kill",
    "ln",
    "ls",
    "mkdir",
    "mv",
    "nologin",
    "nproc",
    "openssl",
    "readlink",
    "rm",
    "rmdir",
    "rpm",
    "semanage",
    "sed",
    "sleep",
    "sort",
    "ss",
    "sshd",
    "stat",
    "sync",
    "systemctl",
    "systemd-run",
    "tar",
    "tee",
    "tr",
    "ufw",
    "uname",
    "useradd",
    "userdel",
    "wc",
]
FRAGMENTS = (
    *(
        "'",
        '"',
        "\\",
        "`EVIL`",
        "$(EVIL)",
        ";EVIL;",
        "\nEVIL\n",
        "|EVIL",
        "&EVIL&",
        ")EVIL",
        "}EVIL",
        "'EVIL'",
        '"EVIL"',
    ),
    *(" ", "-o", "#", "%", "*", "$", "<", ">", "a", "1", "/", ":", ",", "é"),
)
HOSTILE = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=6).map("".join).filter(lambda text: "EVIL" in text)

USER = "ssh-user hostname network zone public-key compiler"
RECORD = "firewall rule-network link package account image container selinux-port tunnel-user before"
HOST = "client python distccd links target missing-name found-compiler installed upgradable"
PLACES = (*USER.split(), *RECORD.split(), *HOST.split())


class Bare(FakeRemote):
    """A host with nothing on it: questions are answered with no, unless `answers` knows better."""

    def run(self, phase: str, script: str, timeout_s: float = 0, check: bool = True) -> Output:
        known = any(key in script for key in self.answers)
        output = super().run(phase, script, timeout_s, check=False)
        return output if check or known else Output("", "", 1)

    def feed(self, phase: str, script: str, *_: object) -> int:
        return len(self.run(phase, script).stdout)

    def open(self) -> str:
        return str(self.answers["id -u"])


@dataclasses.dataclass(frozen=True)
class Texts:
    """Usual text in all places but one."""

    place: str
    hostile: str

    def at(self, place: str, usual: str) -> str:
        return self.hostile if place == self.place else usual

    def after(self, place: str, usual: str) -> str:
        """Usual text that goes on with the hostile one."""
        return usual + self.at(place, "")


def answers(text: Texts, record: str) -> dict[str, int | str]:
    directory = text.after("links", "/usr/lib/distcc")
    python = text.after("python", "/usr/bin/python3")
    return {
        "cat /etc/distcc-worker/provisioned.json": record,
        "id -u": text.at("client", "192.0.2.1"),
        "os-release": "os_id=debian\ninit=systemd\nsystemd=252\ncpus=2\nmemory_kib=4194304\nfirewall=ufw\n"
        "sshd_includes=yes\nselinux=Enforcing\n",
        "sys.executable": f"{python} 3.11 x86_64 glibc 2.36\n",
        "CREDENTIALS_DIRECTORY": 0,
        "systemd-run": 0,
        "$engine version": 0,
        "[ -x ": text.at("missing-name", "gcc"),
        "grep -aoE": f"{directory} {text.after('target', '/usr/bin/distcc')} gcc",
        "echo /usr/libexec": "/usr/libexec/distplusplus itself gcc",
        "command -v distccd ||": text.after("distccd", "/usr/bin/distccd"),
        "ls /usr/local/lib/distcc-worker 2": text.at("found-compiler", "gcc-9"),
        "dpkg-query -W": f"distcc {text.at('package', 'gcc')} {text.at('installed', '')}",
        "if path=$(command": f"gcc={text.at('compiler', 'gcc')} 1.2.3\ngcc-12=gcc-12 (Debian) 12.2.0\n",
        "only-upgrade --no-install-recommends PACKAGES": text.at("upgradable", "gcc"),
        "cat /etc/systemd/system/distcc-worker.service": OLD_UNIT,
        "/proc/loadavg": "load=1\ncpus=2\ndisk_free_mib=3\n",
    }


def record_of(text: Texts, **more: object) -> str:
    known = Record(
        daemon="distccd",
        packages=("distcc", text.at("package", "gcc")),
        accounts=("user:distccd", f"group:{text.at('account', 'distccd')}"),
        links=("/usr/lib/distcc/gcc", text.after("link", "/usr/lib/distcc/")),
        firewall=("ufw 192.0.2.0/24 3632", text.at("firewall", f"ufw {text.at('rule-network', '::')} 1")),
        selinux_ports=(text.at("selinux-port", "3633"),),
        tunnel_user=text.at("tunnel-user", "distcc-tunnel"),
        before=("bash", text.at("before", "user:root")),
    )
    return json.dumps(dataclasses.asdict(known) | more)


def scripts_with(text: Texts) -> list[str]:
    """Every script that any task would run on a host, if the text is in it."""
    network = text.after("zone", "fe80::1%") if text.place == "zone" else text.after("network", "192.0.2.0/24")
    wanted = HostSettings(allow=(network, "this-machine"), tunnel_keys=(text.after("public-key", "ssh-ed25519 AAAA "),))
    ssh = SshHost(text.at("hostname", "worker-1"), text.at("ssh-user", "distcc-tunnel"))
    server = GrpcHost(text.at("hostname", "worker-1"), tls=True)
    container = record_of(
        text, images=[text.at("image", "sha256:1")], container=text.at("container", "distcc-worker"), daemon="distccd"
    )
    compilers = (NamedCompiler("gcc", f"{text.at('compiler', '(Debian)')} 12.2.0"),)
    image = text.at("image", "sha256:1")

    tasks = (
        ("", lambda one: provision(one, wanted, ssh)),
        ("", lambda one: provision(one, dataclasses.replace(wanted, tunnel_keys=()), server)),
        ("", lambda one: deploy.deploy(one, wanted, DISTCCD, (3632, 3633), image, image)),
        (record_of(text), remove),
        (container, remove),
        (record_of(text), lambda one: host_compilers.sync(one, compilers)),
        (record_of(text), lambda one: upgrade(one, wanted, 5)),
        (container, status),
        (container, lambda one: service.drain(one, 5)),
        (container, service.resume),
        (container, lambda one: service.last_log_lines(one, 5)),
    )
    found: dict[str, None] = {}
    for record, task in tasks:
        remote = Bare(answers(text, record))
        remote.connection = type("Connection", (), {"host": text.at("hostname", "192.0.2.2")})()
        with contextlib.suppress(HostError, ConfigurationError):
            task(host(remote)[0])
        found |= dict.fromkeys(script for script in remote.scripts if "EVIL" in script or text.hostile in script)
    return list(found)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "bin").mkdir()
        (directory / "mark").mkdir(mode=0o777)
        (directory / "mark").chmod(0o777)
        for program in PROGRAMS:
            path = directory / "bin" / program
            path.write_text(
                f"#!/bin/sh\n: >{directory}/mark/it\n" if program == "EVIL" else "#!/bin/sh\nexit $STATUS\n"
            )
            path.chmod(0o755)
        yield directory


def runs_evil(sandbox: Path, scripts: Sequence[str]) -> bool:
    """Whether one of the scripts runs EVIL, where all other programs succeed and where they fail."""
    mark = sandbox / "mark" / "it"
    # A script that root runs by mistake could do harm.
    other = NOBODY if os.getuid() == 0 else None
    for status_of_all in ("0", "1"):
        subprocess.run(
            ["/bin/sh", "-c", 'for script; do (eval "$script"); done', "sh", *scripts],
            cwd=sandbox,
            env={"PATH": str(sandbox / "bin"), "STATUS": status_of_all},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=False,
            user=other,
            group=other,
            extra_groups=[] if other else None,
        )
    found = mark.exists()
    mark.unlink(missing_ok=True)
    return found


@pytest.fixture(autouse=True)
def _no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "_archive", lambda _: b"archive")


# Evil without quotes, in single quotes and in double quotes.
WORST = "x';EVIL;'$(EVIL)\n`EVIL`"
# In these places the text is quoted, in all others it is refused.
QUOTED = (
    "public-key image container link account package selinux-port tunnel-user links target missing-name "
    "found-compiler installed"
)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("place", PLACES)
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(WORST)
@example("$(EVIL)")
@example(";EVIL;")
@given(HOSTILE)
def test_no_text_runs_as_a_command(sandbox: Path, place: str, hostile: str) -> None:
    assert not runs_evil(sandbox, scripts_with(Texts(place, hostile)))


@pytest.mark.parametrize("place", PLACES)
def test_text_is_quoted_or_refused(place: str) -> None:
    assert bool(scripts_with(Texts(place, WORST))) == (place in QUOTED.split())


@pytest.mark.parametrize("script", ["echo $(EVIL)", "true;EVIL;", 'echo "`EVIL`"', "false || EVIL"])
def test_a_command_that_is_not_quoted_is_noticed(sandbox: Path, script: str) -> None:
    assert runs_evil(sandbox, ["true", script, "true"])


def test_the_user_of_an_entry_becomes_an_account_only_by_an_account_s_name() -> None:
    keys = HostSettings(tunnel_keys=("ssh-ed25519 AAAA",))
    spec = SshHost("w", "x;reboot;", text="ssh://x;reboot;@w")
    with pytest.raises(ConfigurationError, match=re.escape("w: 'x;reboot;' cannot be the name of an account")):
        require_clients(Target("w", "w", spec, keys, is_listed=False))
