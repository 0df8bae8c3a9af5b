"""Real sshd processes with their own keys, users and configuration, and an ssh client that knows only them.

Each sshd runs in a mount namespace of its own, where /etc/passwd and /etc/shadow have one more user, `builder`, who has
no shell: nothing of this machine is changed. That needs root.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import shlex
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from distcc_auto.demo.loopback import free_ports

USER = "builder"
PASSWORD = "geheim"  # noqa: S105  (a password of a user that exists in a test only)
# openssl passwd -6 -salt tunnels geheim
_PASSWORD_HASH = "$6$tunnels$hkMqAb4mC9i/okZj0NFlcBPUdIY9QtEN9imkUHk2bUo4JxbBf5Y4gKb.0t2rWr5vQdUX87DqQmvQg9h4l9HOe0"  # noqa: S105

DISTCC_AUTO = str(Path(sys.executable).with_name("distcc-auto"))
_SSH = shutil.which("ssh") or "/usr/bin/ssh"
_SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin") or "/usr/sbin/sshd"
_TIMEOUT_S = 20.0

# $1 is the directory of the server, $2 that of the lab.
_NAMESPACE_SCRIPT = """
set -e
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/shadow" /etc/shadow
mount -t tmpfs tmpfs /run
mkdir -m 755 /run/sshd
cp "$2/authorized_keys" /run/sshd/
chmod 644 /run/sshd/authorized_keys
exec {sshd} -D -e -f "$1/sshd_config"
"""


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = _TIMEOUT_S) -> None:
    """Fails, naming `what`, when the condition does not become true in time."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {timeout_s:g} s for {what}"
        time.sleep(0.01)


class Lab:
    """One user's view of the world: keys, ssh_config, known_hosts, and the servers started for it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config = directory / "ssh_config"
        self.known_hosts = directory / "known_hosts"
        self.key = directory / "id"
        self.host_key = directory / "host_key"
        self.temporary = directory / "tmp"
        for name in ("tmp", "bin", "home", "home/.distcc"):
            (directory / name).mkdir()
        make_key(self.key)
        make_key(self.host_key)
        shutil.copy(f"{self.key}.pub", directory / "authorized_keys")
        # Of the home directory ssh knows only that of the user database, so its configuration is named to it here.
        self.put_program("ssh", f'exec {shlex.quote(_SSH)} -F {shlex.quote(str(self.config))} "$@"')
        self.config.write_text("")

    def put_program(self, name: str, script: str) -> None:
        program = self.directory / "bin" / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def environ(self, hosts: str, **changes: str) -> dict[str, str]:
        """The environment of a driver that shall use `hosts`."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DISTCC", "DCCSH", "SSH_"))}
        return kept | {
            "PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.directory / "home"),
            "TMPDIR": str(self.temporary),
            "DISTCC_DIR": str(self.directory / "home" / ".distcc"),
            "DISTCC_AUTO_HOSTS": hosts,
            "DISTCC_AUTO_PREPROCESSOR_SATURATION_JOBS": "1",
            **changes,
        }

    def host(self, alias: str, server: Sshd, *options: str, user: str = USER, knows_key: bool = True) -> str:
        """Adds a Host block for the server to ssh_config, and returns the alias."""
        lines = [
            f"Host {alias}",
            f"HostName {server.address}",
            f"Port {server.port}",
            f"User {user}",
            f"UserKnownHostsFile {self.known_hosts}",
            "GlobalKnownHostsFile none",
            *options,
        ]
        if not any(option.startswith("IdentityFile") for option in options):
            lines.append(f"IdentityFile {self.key}")
        with self.config.open("a") as file:
            file.write("\n  ".join(lines) + "\n")
        if knows_key:
            self.know(server, server.lab.host_key)
        return alias

    def know(self, server: Sshd, host_key: Path) -> None:
        kind, key = Path(f"{host_key}.pub").read_text().split()[:2]
        with self.known_hosts.open("a") as file:
            file.write(f"[{server.address}]:{server.port} {kind} {key}\n")

    def survey(self, hosts: str, **changes: str) -> dict[str, dict[str, Any]]:
        """What `distcc-auto hosts` says of each host; it runs in a session of its own, so without a terminal."""
        run = subprocess.run(
            [DISTCC_AUTO, "hosts", "--json"],
            env=self.environ(hosts, **changes),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            start_new_session=True,
            timeout=60,
            check=False,
        )
        assert run.stdout, run.stderr.decode()
        return {host["host"]: host for host in json.loads(run.stdout)["hosts"]}

    def start(self, hosts: str, *command: str, **changes: str) -> subprocess.Popen[str]:
        """A driver, in a session of its own, so without a terminal."""
        return subprocess.Popen(
            [DISTCC_AUTO, *command],
            env=self.environ(hosts, **changes),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @contextlib.contextmanager
    def running(self, hosts: str, *command: str, inside: Sequence[str] = (), **changes: str) -> Iterator[Running]:
        """A driver that runs in the background, killed in the end."""
        path = self.directory / "messages"
        with path.open("w") as file:
            process = subprocess.Popen(
                [*inside, DISTCC_AUTO, *command],
                env=self.environ(hosts, **changes),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        try:
            yield Running(process, path)
        finally:
            process.kill()
            process.wait()

    def on_terminal(self, hosts: str, *command: str) -> contextlib.AbstractContextManager[Terminal]:
        """A driver at a terminal of its own, in the foreground, under a shell."""
        return self.in_shell(hosts, f"trap : INT; {shlex.join([DISTCC_AUTO, *command])}; exit $?")

    @contextlib.contextmanager
    def in_shell(self, hosts: str, script: str) -> Iterator[Terminal]:
        """A shell at a terminal of its own."""
        ours, theirs = pty.openpty()
        try:
            process = subprocess.Popen(
                ["setsid", "--ctty", "sh", "-c", script],
                env=self.environ(hosts),
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
            )
            os.close(theirs)
            try:
                yield Terminal(ours, process)
            finally:
                process.kill()
                process.wait()
        finally:
            os.close(ours)

    def processes(self) -> list[psutil.Process]:
        """Everything that runs in the environment of this lab's drivers."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ours = process.environ().get("TMPDIR") == str(self.temporary)
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def ssh_clients(self) -> list[psutil.Process]:
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.name() == "ssh":
                    found.append(process)
        return found

    def end_builds(self) -> None:
        """Ends the builds of drivers that were killed."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.name() == "sleep":
                    process.kill()

    def assert_nothing_left(self) -> None:
        """Fails when a process, a socket or a file of a driver stays, and ends what stays."""
        try:
            wait_until(lambda: not self.processes(), f"the end of {self.processes()}")
        finally:
            for process in self.processes():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        assert list(self.temporary.iterdir()) == []


@dataclass(frozen=True)
class Running:
    """A driver in the background, and the file of what it and its build write."""

    process: subprocess.Popen[bytes]
    path: Path

    def messages(self) -> str:
        return self.path.read_text()

    def wait_for(self, text: str) -> None:
        def said_or_ended() -> bool:
            assert self.process.poll() is None or text in self.messages(), self.messages()
            return text in self.messages()

        wait_until(said_or_ended, f"{text!r} in:\n{self.messages()}")


class Terminal:
    """The person's side of a terminal, and the shell at it that runs the driver."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes]) -> None:
        self.shown = ""
        self.process = process
        self._descriptor = descriptor
        self._read = 0

    def read_until(self, text: str, timeout_s: float = _TIMEOUT_S) -> None:
        """Reads on until `text` has been shown behind what the last call waited for."""
        deadline_s = time.monotonic() + timeout_s
        while (found := self.shown.find(text, self._read)) < 0:
            left_s = deadline_s - time.monotonic()
            ready, _, _ = select.select([self._descriptor], [], [], max(left_s, 0))
            assert ready, f"waited {timeout_s:g} s for {text!r}, got {self.shown!r}"
            try:
                data = os.read(self._descriptor, 4096).decode()
            except OSError:  # EIO: nobody has the terminal open any more
                data = ""
            assert data, f"the terminal closed before {text!r} was shown, got {self.shown!r}"
            self.shown += data
        self._read = found + len(text)

    def kill_driver(self) -> None:
        (driver,) = psutil.Process(self.process.pid).children()
        driver.kill()

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def foreground(self) -> int:
        """The process group that gets what is typed."""
        return os.tcgetpgrp(self._descriptor)

    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self._descriptor)[3] & termios.ECHO)


class PortTakenError(Exception):
    """Raised when sshd ends at its start; its text is sshd's log."""


class Sshd:
    """A running sshd; `options` are first lines of its sshd_config, which win, and `last` is for Match blocks."""

    def __init__(
        self, lab: Lab, *options: str, address: str = "127.0.0.1", inside: Sequence[str] = (), last: str = ""
    ) -> None:
        self.lab = lab
        self.address = address
        self.port = 0
        self._options = options
        self._last = last
        self._inside = tuple(inside)
        self._directory = lab.directory / f"sshd-{len(list(lab.directory.glob('sshd-*')))}"
        self._directory.mkdir()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Sshd:
        for attempt in range(5):
            self.port = free_ports("127.0.0.1", 1)[0]
            try:
                self.start()
                break
            except PortTakenError:  # another process was faster
                self.stop()
                if attempt == 4:
                    raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def cpu_s(self) -> float:
        """The CPU time of sshd and of the sessions that have ended."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)

    def wait_for_logouts(self) -> None:
        wait_until(lambda: not psutil.Process(self.pid).children(), "the end of every session")

    def log(self) -> str:
        return (self._directory / "log").read_text()

    def start(self) -> None:
        """Starts it on its port, after `stop` again; raises PortTakenError when it ends at once."""
        self._write_files()
        script = _NAMESPACE_SCRIPT.format(sshd=shlex.quote(_SSHD))
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(*self._inside, "unshare", "--mount", "sh", "-c", script, "sshd"),
                    *(str(self._directory), str(self.lab.directory)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(self._is_ready, f"sshd to listen on port {self.port}")

    def stop(self) -> None:
        """Ends sshd and the sessions that it has."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            everything = psutil.Process(process.pid)
            for entry in [everything, *everything.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    entry.kill()
        process.wait()

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise PortTakenError(self.log())
        return "Server listening" in self.log()

    def _write_files(self) -> None:
        passwd = Path("/etc/passwd").read_text()
        (self._directory / "passwd").write_text(f"{passwd}{USER}:x:54321:54321::/nonexistent:/usr/sbin/nologin\n")
        (self._directory / "shadow").write_text(f"{USER}:{_PASSWORD_HASH}:19000:0:99999:7:::\n")
        lines = [
            *self._options,
            f"Port {self.port}",
            f"ListenAddress {self.address}",
            f"HostKey {self.lab.host_key}",
            "AuthorizedKeysFile /run/sshd/authorized_keys",
            "StrictModes no",
            "UsePAM no",
            "PidFile none",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
        ]
        # Of this one the last line wins.
        if not any(option.startswith("MaxStartups") for option in self._options):
            lines.append("MaxStartups 100")
        (self._directory / "sshd_config").write_text("\n".join([*lines, self._last]) + "\n")


def make_key(path: Path, passphrase: str = "") -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)], check=True)


@contextlib.contextmanager
def agent(*keys: Path) -> Iterator[Mapping[str, str]]:
    """An ssh-agent that holds `keys`; gives the environment that leads to it."""
    directory = keys[0].parent
    path = directory / "agent.sock"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    try:
        wait_until(path.exists, "ssh-agent")
        environ = {"SSH_AUTH_SOCK": str(path)}
        subprocess.run(["ssh-add", "-q", *map(str, keys)], env=os.environ | environ, check=True)
        yield environ
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
