"""Containers that run systemd and sshd as a bare host does, and fab as a user runs it."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
BASE = "debian:bookworm-slim"
READY_S = 60
COMMAND_S = 400
PASSWORD = "correct-horse-7391"  # noqa: S105  (of a container that lives for one test)


def wait_for(what: str, condition: Callable[[], bool], timeout_s: float = READY_S) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.1)


def docker(*words: str, check: bool = True, text: str | None = None) -> str:
    done = subprocess.run(
        ["docker", *words], input=text, capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    assert done.returncode == 0 or not check, f"docker {' '.join(words)}: {done.stderr}{done.stdout}"
    return done.stdout


def build_image(target: str) -> str:
    """The bare host of that family, made from the base image that images/make-base provides."""
    if not docker("image", "ls", "--quiet", BASE).strip():
        subprocess.run([ROOT / "images" / "make-base", BASE], check=True, timeout=COMMAND_S)
    tag = f"distcc-auto-test-host:{target}"
    docker("build", "--quiet", "--target", target, "--build-arg", f"BASE={BASE}", "--tag", tag, str(HERE))
    return tag


@dataclass(frozen=True)
class Ran:
    """What a command printed, both outputs in one, and its exit status."""

    output: str
    status: int


class BareHost:
    """One container, reached as `name` through an ssh_config of its own."""

    def __init__(self, name: str, image: str, directory: Path, password: str | None = None, more: Sequence[str] = ()):
        self.name = name
        self.directory = directory
        self.ssh_config = directory / "ssh_config"
        self.known_hosts = directory / "known_hosts"
        self.key = directory / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", self.key], check=True)
        self.container = docker(
            *("run", "--detach", "--hostname", name, "--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN"),
            *("--security-opt", "seccomp=unconfined", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw"),
            *("--tmpfs", "/run", "--tmpfs", "/run/lock", *more, image),
        ).strip()
        self.run(
            "mkdir -m 700 /home/admin/.ssh && cat >/home/admin/.ssh/authorized_keys && chown -R admin: /home/admin",
            text=self.key.with_suffix(".pub").read_text(),
        )
        rule = "ALL" if password else "NOPASSWD: ALL"
        self.run(f"echo 'admin ALL=(ALL) {rule}' >/etc/sudoers.d/admin")
        if password:
            self.run("chpasswd", text=f"admin:{password}\n")
        self.wait_until_up()

    def wait_until_up(self) -> None:
        """Booted, and in ssh_config by the address it has now."""
        self.address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", self.container).strip()
        wait_for(
            f"{self.name} has booted",
            lambda: self.run("systemctl is-system-running", check=False).strip() in ("running", "degraded"),
        )
        wait_for(f"{self.name} runs sshd", lambda: "active" in self.run("systemctl is-active ssh", check=False).split())
        self.ssh_config.write_text(
            f"Host {self.name}\n  HostName {self.address}\n  User admin\n  IdentityFile {self.key}\n"
            f"  IdentitiesOnly yes\n  UserKnownHostsFile {self.known_hosts}\n  GlobalKnownHostsFile /dev/null\n"
        )

    def trust(self) -> None:
        """Puts the host's key, as the host itself has it, into known_hosts."""
        key = self.run("cat /etc/ssh/ssh_host_ed25519_key.pub").split()
        self.known_hosts.write_text(f"{self.address} {key[0]} {key[1]}\n")

    def run(self, script: str, check: bool = True, text: str | None = None) -> str:
        """A script as root in the host, not through ssh."""
        return docker("exec", "--interactive", self.container, "sh", "-c", script, check=check, text=text)

    def packages(self) -> list[str]:
        return self.run("dpkg-query -W; command -v rpm >/dev/null && rpm -qa | sort; :").splitlines()

    def files(self) -> list[str]:
        """Every file but logs and the bookkeeping of package managers and firewalld; and every account."""
        pruned = "/proc /sys /run /tmp /var/tmp /dev /home /root /etc/firewalld /var/log /var/lib/rpm"
        pruned += " /var/lib/apt /var/cache /var/lib/dnf /usr/lib/sysimage"
        paths = " -o ".join(f"-path {path}" for path in pruned.split())
        listing = self.run(
            f"find / -xdev \\( {paths} \\) -prune -o -print; cat /etc/passwd /etc/group; ls -d /var/log/journal/*"
        )
        return sorted(line for line in listing.splitlines() if not line.endswith(("~", "-")))

    def power_cut(self) -> None:
        docker("kill", self.container)
        docker("start", self.container)
        self.wait_until_up()
        self.trust()

    def fab(self, *words: str, expect: int = 0, path: str = os.environ["PATH"]) -> str:
        """fab from the repository's root; its output, both streams in one."""
        done = subprocess.run(
            fab_command(self.ssh_config, words),
            cwd=ROOT,
            env=environment(self.directory) | {"PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        assert done.returncode == expect, done.stdout
        return done.stdout

    def fab_typing(self, secret: str, *words: str) -> Ran:
        """fab at a terminal where a person types `secret` when asked."""
        process, terminal = pty.fork()
        if process == 0:
            os.chdir(ROOT)
            command = fab_command(self.ssh_config, words)
            os.execve(  # noqa: S606
                command[0], command, environment(self.directory)
            )
        seen = b""
        typed = False
        deadline_s = time.monotonic() + COMMAND_S
        try:
            while select.select([terminal], [], [], max(deadline_s - time.monotonic(), 0))[0]:
                try:
                    piece = os.read(terminal, 1 << 16)
                except OSError:  # the other end is closed
                    break
                seen += piece
                if not typed and b"password" in seen:
                    os.write(terminal, secret.encode() + b"\n")
                    typed = True
        finally:
            os.close(terminal)
            if time.monotonic() > deadline_s:
                os.kill(process, signal.SIGKILL)
            _, status = os.waitpid(process, 0)
        return Ran(seen.decode(errors="replace"), os.waitstatus_to_exitcode(status))

    def remove(self) -> None:
        docker("rm", "--force", "--volumes", self.container)


def fab_command(ssh_config: Path, words: Sequence[str]) -> list[str]:
    return [str(Path(sys.executable).with_name("fab")), "--ssh-config", str(ssh_config), *words]


def environment(home: Path) -> dict[str, str]:
    """As a user with nothing configured has it."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DISTCC", "SSH_"))}
    return kept | {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}
