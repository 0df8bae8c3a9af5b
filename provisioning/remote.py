"""Commands on one host, as root, each with a deadline. Every failure becomes a HostError."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from fabric import Connection
from invoke.exceptions import AuthFailure, CommandTimedOut, Failure, ThreadException
from invoke.runners import Result

from provisioning.connect import reaching
from provisioning.host_errors import CommandFailed, HostError

QUICK_S = 60
PACKAGES_S = 1800


@dataclass(frozen=True)
class Output:
    """A command's standard output and error, and its exit status."""

    stdout: str
    stderr: str
    exit_code: int

    @property
    def ok(self) -> bool:
        return self.exit_code == 0

    @property
    def words(self) -> list[str]:
        return self.stdout.split()


class Remote:
    """One host. Scripts are for POSIX sh and run as root: through sudo when the login is another user."""

    def __init__(self, name: str, connection: Connection) -> None:
        self.name = name
        self.connection = connection
        self._is_root: bool | None = None
        self.sudo_asks = False

    def open(self) -> str:
        """Logs in, finds out how to become root, and returns this machine's address as the host's sshd sees it.

        Raises HostError.
        """
        script = 'id -u; echo "${SSH_CONNECTION%% *}"; if command -v sudo >/dev/null; then sudo -n -k true; echo $?; fi'
        output = self._execute("login", script, QUICK_S, as_root=False)
        uid, client, *sudo = output.stdout.split("\n")
        self._is_root = uid == "0"
        self.sudo_asks = not self._is_root and "0" not in sudo
        if not self._is_root and not any(sudo):
            raise HostError(f"{self.connection.user} is not root, and the host has no sudo")
        if self.sudo_asks and self.connection.config.sudo.password is None:
            raise HostError(
                f"sudo wants {self.connection.user}'s password there: run fab again with --prompt-for-sudo-password"
            )
        return client

    def close(self) -> None:
        self.connection.close()

    def run(self, phase: str, script: str, timeout_s: float = QUICK_S, check: bool = True) -> Output:
        """Runs `script` as root. Raises CommandFailed when it ends with another status than 0 and `check` is on."""
        if self._is_root is None:
            self.open()
        return self._execute(phase, script, timeout_s, as_root=not self._is_root, check=check)

    def feed(self, phase: str, script: str, chunks: Iterable[bytes], timeout_s: float) -> int:
        """Runs `script` as root with `chunks` as its standard input; the bytes sent. Raises HostError."""
        if self._is_root is None:
            self.open()
        command, ahead = self.root_command(f"sh -c {shlex.quote(script)}")
        channel = reaching(self.connection, self.connection.transport.open_session)
        channel.settimeout(timeout_s)
        channel.set_combine_stderr(True)
        sent_bytes = 0
        try:
            channel.exec_command(command)
            try:
                channel.sendall(ahead.encode())
                for chunk in chunks:
                    channel.sendall(chunk)
                    sent_bytes += len(chunk)
                channel.shutdown_write()
            except OSError:
                # One that has ended takes no more, and its words say why.
                if not channel.exit_status_ready():
                    raise
            output = b"".join(iter(lambda: channel.recv(1 << 16), b"")).decode(errors="replace")
            exit_code = channel.recv_exit_status()
        except OSError as error:
            raise HostError(f"{phase}: sending broke off after {sent_bytes} bytes: {error or 'time-out'}") from None
        finally:
            channel.close()
        if exit_code != 0:
            raise CommandFailed(phase, script, exit_code, output)
        return sent_bytes

    def root_command(self, command: str) -> tuple[str, str]:
        """`command` for a channel of our own, and what has to be sent ahead of its standard input."""
        if self._is_root:
            return command, ""
        if not self.sudo_asks:
            return f"sudo -n {command}", ""
        # -k: sudo asks for sure. It reads the first line byte by byte and leaves the rest to the command.
        return f"sudo -k -S -p '' {command}", f"{self.connection.config.sudo.password}\n"

    def _execute(self, phase: str, script: str, timeout_s: float, as_root: bool, check: bool = True) -> Output:
        command = f"LC_ALL=C sh -c {shlex.quote(script)}"
        start = self.connection.sudo if as_root else self.connection.run
        if as_root:
            command = f"env {command}"
        try:
            result: Result = reaching(
                self.connection,
                lambda: start(command, hide=True, warn=True, in_stream=False, timeout=timeout_s),
            )
        except CommandTimedOut as error:
            raise CommandFailed(phase, script, None, error.result.stdout + error.result.stderr) from None
        except AuthFailure:
            raise HostError(f"sudo there refuses {self.connection.user}'s password") from None
        except (Failure, ThreadException) as error:  # the connection went away under the command
            raise HostError(f"{phase}: the connection broke off: {error}") from None
        # The prompt is fabric's own; it comes before the command's first word.
        stderr = result.stderr.replace(self.connection.config.sudo.prompt, "") if as_root else result.stderr
        output = Output(result.stdout, stderr, result.exited)
        if check and not output.ok:
            raise CommandFailed(phase, script, output.exit_code, output.stdout + output.stderr)
        return output
