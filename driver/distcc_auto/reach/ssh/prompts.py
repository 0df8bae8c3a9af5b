"""Lets ssh ask a person for passwords and passphrases, at the terminal or through SSH_ASKPASS."""

from __future__ import annotations

import contextlib
import os
import signal
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from distcc_auto.reach.ssh import openssh
from distcc_auto.reach.ssh.failures import Failure, FailureKind
from distcc_auto.reach.ssh.tunnel import Tunnel
from distcc_common import messages

# For each prompt: what sshd gives a person (LoginGraceTime of sshd_config(5)).
_PROMPT_TIMEOUT_S = 120.0

_NO_PROMPT = "no key works without a prompt, and there is no terminal to ask for a password or passphrase"
_KEY_REMEDY = "load its key into ssh-agent (ssh-add), or use a key without a passphrase; does this log in? {}"


class InterruptedByUserError(Exception):
    """Raised when the user pressed Ctrl-C at ssh's prompt."""


def ask(asking: Sequence[Tunnel], environ: Mapping[str, str], wait: Callable[[Tunnel], object]) -> None:
    """Logs in again with prompts, one host after the other; `wait` sleeps until something happens to a tunnel.

    Without a terminal each tunnel's failure says so. Raises InterruptedByUserError.
    """
    with _terminal(environ) as terminal:
        for tunnel in asking:
            assert tunnel.failure is not None  # noqa: S101  (that is why it is here)
            if terminal is None:
                cause = f"{_NO_PROMPT}: {tunnel.failure.cause}"
                remedy = _KEY_REMEDY.format(openssh.login_command(tunnel.host))
                tunnel.failure = Failure(FailureKind.LOGIN, cause, remedy)
                continue
            messages.say(f"{tunnel.host.text}: logging in for the tunnel")
            with _lent(terminal):
                tunnel.failure = tunnel.start(time.monotonic(), _PROMPT_TIMEOUT_S, terminal)
                while not tunnel.is_over:
                    wait(tunnel)
                    ssh = tunnel.ssh
                    tunnel.failure = tunnel.advance(may_move=True)
                    if tunnel.failure and ssh and ssh.status == -signal.SIGINT:
                        raise InterruptedByUserError


@contextlib.contextmanager
def _terminal(environ: Mapping[str, str]) -> Iterator[int | None]:
    """The terminal at which a person can be asked, -1 where SSH_ASKPASS does it, None without either."""
    if environ.get("SSH_ASKPASS_REQUIRE") in ("force", "prefer") and environ.get("SSH_ASKPASS"):
        yield -1
        return
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        # A build in the background would be stopped for a prompt that nobody expects.
        yield terminal if os.tcgetpgrp(terminal) == os.getpgrp() else None
    finally:
        os.close(terminal)


@contextlib.contextmanager
def _lent(terminal: int) -> Iterator[None]:
    """Takes the terminal back from ssh in the end, and restores its settings."""
    if terminal < 0:
        yield
        return
    attributes = termios.tcgetattr(terminal)
    try:
        yield
    finally:
        with contextlib.suppress(OSError, termios.error):  # it went away
            os.tcsetpgrp(terminal, os.getpgrp())
            termios.tcsetattr(terminal, termios.TCSADRAIN, attributes)
