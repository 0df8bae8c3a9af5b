"""One run of ssh: from its start over the login to two listening forwards, and to its end."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from enum import Enum, auto

from distcc_auto.hosts import SshHost
from distcc_auto.reach.ssh import openssh
from distcc_auto.reach.ssh.local_ends import LocalEnd

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None, use_errno=True)

# How much of ssh's words is kept: enough for every message that tells why it ended.
_MAX_WORDS_BYTES = 32 * 1024
# The socket's path has at most 107 bytes (unix(7)). Our part of it, "/distcc-auto-XXXXXXXX/s", takes 23, and what ssh
# appends while it makes the socket takes 17.
_MAX_DIRECTORY_BYTES = 107 - 23 - 17
_END_S = 2.0


class Progress(Enum):
    LOGGING_IN = auto()
    OPENING = auto()
    UP = auto()
    BUSY = auto()  # the local end is taken; `listen` at another one
    ENDED = auto()


class SshProcess:
    """An ssh process, logging in from the moment this is made. Raises OSError when it cannot be started.

    It has its own process group, so that neither Ctrl-C nor the end of the build reaches it. The kernel ends it when
    this process dies. The directory with its control socket exists until the forwards listen.
    """

    def __init__(
        self, ssh: str, host: SshHost, local: LocalEnd, environ: Mapping[str, str], terminal: int | None
    ) -> None:
        """With a `terminal` (its descriptor, or -1 for SSH_ASKPASS) ssh may ask for what it needs there."""
        self.started_s = time.monotonic()
        self.progress = Progress.LOGGING_IN
        self.local = local
        self.words = ""
        self._ssh, self._host, self._environ = ssh, host, environ
        self._terminal = terminal
        self._opener: subprocess.Popen[bytes] | None = None
        self._directory = _make_directory()
        argv = openssh.master(ssh, host, self._control_path, may_ask=terminal is not None)
        # BatchMode does not reach the ssh of a jump host.
        never_ask = {} if terminal is not None else {"SSH_ASKPASS_REQUIRE": "never"}
        try:
            self._process = _spawn(argv, {**environ, **never_ask}, terminal)
        except OSError:
            self._remove_directory()
            raise
        try:
            # The end of its standard error would not do: the ssh of a jump host can hold it open for long.
            self._ended = os.pidfd_open(self._process.pid)
        except OSError:
            self._process.kill()
            self._process.communicate()
            self._remove_directory()
            raise
        assert self._process.stderr is not None  # noqa: S101  (it is a pipe)
        self._stderr = self._process.stderr.fileno()
        os.set_blocking(self._stderr, False)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """These become readable when there is something to `advance` to, except for the end of the login."""
        return (self._stderr, self._ended)

    @property
    def status(self) -> int | None:
        """How ssh ended, -n for signal n, None while it runs."""
        return self._process.returncode

    def advance(self) -> Progress:
        """Takes the next step if it can be taken now; never blocks."""
        status = self._process.poll()
        self.read_words()
        if status is not None:
            self.progress = Progress.ENDED
            self._release()
        elif self.progress is Progress.LOGGING_IN and os.path.exists(self._control_path):
            self.listen(self.local)
        elif self.progress is Progress.OPENING and self._opener and (opened := self._opener.poll()) is not None:
            self.progress = Progress.BUSY if opened else Progress.UP
            self._opener = None
            if not opened:
                # What it says from now on tells why it ended, or what the far side did not open.
                self.words = ""
                self._remove_directory()
        return self.progress

    def listen(self, local: LocalEnd) -> None:
        """Asks ssh, which has logged in, to open both forwards at `local`.

        If one of the two was opened before the other one's port was found taken, it stays open, unused.
        """
        self.local = local
        self.progress = Progress.OPENING
        argv = openssh.forward(self._ssh, self._host, self._control_path, local)
        self._opener = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self._environ
        )

    def ask_to_end(self) -> None:
        """Sends SIGTERM to ssh and to what it started, such as the ssh of a jump host."""
        self._signal(signal.SIGTERM)

    def end(self, deadline_s: float | None = None) -> None:
        """Ends it, with SIGKILL after the deadline (of time.monotonic), and removes every trace of it."""
        self.ask_to_end()
        if deadline_s is None:
            deadline_s = time.monotonic() + _END_S
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(deadline_s - time.monotonic(), 0))
        self._signal(signal.SIGKILL)
        self._process.wait()
        self.read_words()
        self.progress = Progress.ENDED
        self._release()

    @property
    def _control_path(self) -> str:
        return os.path.join(self._directory, "s")

    def read_words(self) -> None:
        """Adds to `words` what ssh has written by now."""
        if self._stderr < 0:
            return
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._stderr, 65536):
                text = data.decode("utf-8", "replace")
                self.words = (self.words + text)[-_MAX_WORDS_BYTES:]
                if self._terminal is not None and self.progress is Progress.LOGGING_IN:
                    with contextlib.suppress(OSError):
                        os.write(2, data)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _release(self) -> None:
        if self._stderr < 0:
            return
        # A jump host's ssh that outlived its parent would keep the group.
        self._signal(signal.SIGKILL)
        assert self._process.stderr is not None  # noqa: S101  (it is a pipe)
        self._process.stderr.close()
        os.close(self._ended)
        self._stderr = -1
        if self._opener is not None:
            self._opener.kill()
            self._opener.wait()
            self._opener = None
        self._remove_directory()

    def _remove_directory(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)


def _make_directory() -> str:
    parent = tempfile.gettempdir()
    # ssh expands some characters in the path.
    if len(os.fsencode(parent)) > _MAX_DIRECTORY_BYTES or set(parent) & set("%$ \"'\\"):
        parent = "/tmp"  # noqa: S108  (mkdtemp makes a private directory there)
    return tempfile.mkdtemp(prefix="distcc-auto-", dir=parent)


def _spawn(argv: Sequence[str], environ: Mapping[str, str], terminal: int | None) -> subprocess.Popen[bytes]:
    parent = os.getpid()
    on_terminal = terminal is not None and terminal >= 0

    def prepare() -> None:
        """Runs in the new process, before it becomes ssh."""
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        if on_terminal:
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            os.tcsetpgrp(terminal or 0, os.getpid())
        # Ctrl-C at a prompt must work where we ourselves were started with it ignored or wait for our own end.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTTOU):
            signal.signal(number, signal.SIG_DFL)

    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environ,
        # In another session ssh has no terminal, and cannot ask.
        start_new_session=not on_terminal,
        process_group=0 if on_terminal else None,
        preexec_fn=prepare,  # noqa: PLW1509  (the keeper has one thread)
    )
