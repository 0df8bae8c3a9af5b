"""One tunnel: the run of ssh that it has now, and what becomes of it."""

from __future__ import annotations

import time
from collections.abc import Callable

from distcc_auto.hosts import SshHost
from distcc_auto.reach.ssh import failures, openssh
from distcc_auto.reach.ssh.failures import Failure, FailureKind
from distcc_auto.reach.ssh.local_ends import LocalEnd, other_ports
from distcc_auto.reach.ssh.ssh_process import Progress, SshProcess

_LISTEN_ATTEMPTS = 50


class Tunnel:
    """The tunnel of one ssh:// host. `start` logs in, then `advance` is called whenever something happens."""

    def __init__(
        self, host: SshHost, local: LocalEnd, start: Callable[[SshHost, LocalEnd, int | None], SshProcess]
    ) -> None:
        self.host = host
        self.local = local
        self.ssh: SshProcess | None = None
        self.failure: Failure | None = None
        self.retry_at_s = 0.0
        self.down_since_s = 0.0
        self.login_s = 0.0
        self._began_s = 0.0
        self._deadline_s = 0.0
        self._start = start
        self._listen_attempts = 0

    @property
    def is_up(self) -> bool:
        return self.ssh is not None and self.ssh.progress is Progress.UP

    @property
    def is_over(self) -> bool:
        """Whether it came up or will not."""
        return self.is_up or self.failure is not None

    def start(self, began_s: float, limit_s: float, terminal: int | None = None) -> Failure | None:
        """Begins to log in, which may take `limit_s` from `began_s` on; returns what failed at once."""
        self._began_s = began_s
        self._deadline_s = began_s + limit_s
        try:
            self.ssh = self._start(self.host, self.local, terminal)
        except OSError as error:
            cause = f"ssh cannot be started: {error.strerror}"
            return Failure(FailureKind.OTHER, cause, "free memory or raise ulimit -n, -u")
        return None

    def advance(self, may_move: bool) -> Failure | None:
        """The next step of a login under way; returns what failed.

        A local port that is taken is replaced by another one if the tunnel `may_move`.
        """
        ssh = self.ssh
        if ssh is None:
            return None
        progress = ssh.advance()
        now_s = time.monotonic()
        if progress is Progress.BUSY and may_move and self._listen_attempts < _LISTEN_ATTEMPTS:
            self._listen_attempts += 1
            self.local = other_ports(self.local)
            ssh.listen(self.local)
        elif progress is Progress.BUSY:
            self._drop()
            return failures.of_listening(ssh.words, self.local.address)
        elif progress is Progress.UP:
            self.login_s = self.login_s or now_s - ssh.started_s
        elif progress is Progress.ENDED:
            self._drop()
            return failures.of_login(ssh.words, openssh.login_command(self.host), ssh.status)
        elif now_s >= self._deadline_s:
            self._drop()
            limit_s = self._deadline_s - self._began_s
            said = [line for line in ssh.words.strip().splitlines() if line.strip()][-1:]
            cause = f"no login within {limit_s:.0f} s{''.join(f' ({line.strip()})' for line in said)}"
            return Failure(FailureKind.OTHER, cause, f"is it up and reachable? {openssh.login_command(self.host)}")
        return None

    def _drop(self) -> None:
        if self.ssh is not None:
            self.ssh.end()
        self.ssh = None
