"""Runs the build command as a child in our process group, and ends it with us.

The child keeps the terminal, the descriptors and the ignored signals that we were started with. So an interactive
build, an outer make's jobserver and nohup work as they do without us.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import signal
import socket
import time
from collections.abc import Collection, Iterator, Mapping, Sequence

from distcc_common import messages
from distcc_common.errors import EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import psutil

_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# Python ignores these; the build must not inherit that.
_RESTORED_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)

# Ctrl-C reaches the build from the terminal itself. Only a build that does not react gets the signal from us, too.
_TERMINAL_REACTION_S = 1.0
# How long make has to delete half-written targets before what is left is killed.
_GRACE_S = 5.0
_POLL_S = 0.05


def find_command(name: str, environ: Mapping[str, str]) -> str:
    """The file that will be run. Raises CommandError (127 not found, 126 not executable), as a shell would."""
    found = [path for path in _candidates(name, environ) if os.path.isfile(path)]
    for path in found:
        if os.access(path, os.X_OK):
            return path
    if "/" in name and os.path.isdir(name):
        raise CommandError(f"build command '{name}': is a directory", EXIT_NOT_EXECUTABLE)
    if found:
        raise CommandError(f"build command '{name}': {found[0]} is not executable", EXIT_NOT_EXECUTABLE)
    where = "no such file" if "/" in name else "not found in PATH"
    raise CommandError(f"build command '{name}': {where}", EXIT_NOT_FOUND)


def _candidates(name: str, environ: Mapping[str, str]) -> list[str]:
    if "/" in name:
        return [name]
    return [os.path.join(entry or ".", name) for entry in environ.get("PATH", os.defpath).split(os.pathsep)]


def run(argv: Sequence[str], environ: Mapping[str, str], spared: Collection[int] = ()) -> int:
    """Runs `argv` to its end and returns its exit status, 128+n where signal n ended it.

    A signal that should end us ends the build and everything it started, except our children `spared` and what those
    started. The status is 128+n then, too.
    Raises CommandError when the command cannot be started, KeyboardInterrupt when Ctrl-C has ended the build.
    """
    # Before the start: what the build leaves behind in its first milliseconds must not get away either.
    adopt_orphans()
    with _signals() as wakeup, selectors.DefaultSelector() as selector:
        child = _start(argv, environ)
        selector.register(wakeup, selectors.EVENT_READ)
        status: int | None = None
        number: signal.Signals | None = None
        while status is None and number is None:
            selector.select()
            number = _arrived_signal(wakeup)
            status = _reap(child, status)
        if number is not None:
            status = _end_everything(child, status, number, wakeup, spared)
            # A build that had just ended well keeps its success.
            if status != 0 and number == signal.SIGINT and _came_from_terminal(number):
                raise KeyboardInterrupt
            if status != 0:
                return 128 + number
        assert status is not None  # noqa: S101  (the loop's condition)
        return status


def _start(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    # Not subprocess: it would close the descriptors of an outer make's jobserver, and takes 10 ms to import.
    path = find_command(argv[0], environ)
    try:
        try:
            return os.posix_spawn(path, list(argv), environ, setsigdef=_RESTORED_SIGNALS)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # A script without an interpreter line: a shell, like execvp(3), hands it to sh.
            return os.posix_spawn("/bin/sh", ["sh", path, *argv[1:]], environ, setsigdef=_RESTORED_SIGNALS)
    except OSError as error:
        raise CommandError(f"build command '{argv[0]}': {error.strerror}", EXIT_NOT_EXECUTABLE) from error


def _exit_status(wait_status: int) -> int:
    code = os.waitstatus_to_exitcode(wait_status)
    return code if code >= 0 else 128 - code


@contextlib.contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket on which a byte arrives for each signal that should end us, and when a child of ours ends."""
    receiver, sender = socket.socketpair()
    with receiver, sender:
        receiver.setblocking(False)
        sender.setblocking(False)
        # What was ignored when we were started, as by nohup, stays ignored, for us and for the build.
        caught = [number for number in _ENDING_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        previous = {number: signal.signal(number, lambda *_: None) for number in (*caught, signal.SIGCHLD)}
        previous_fd = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        try:
            yield receiver
        finally:
            signal.set_wakeup_fd(previous_fd)
            for number, handler in previous.items():
                signal.signal(number, handler)


def _end_everything(
    child: int, status: int | None, number: signal.Signals, wakeup: socket.socket, spared: Collection[int]
) -> int | None:
    """Ends the build and everything below it; returns the build's exit status, which is `status` once it is known.

    The signal that we got is forwarded first, for an orderly end. SIGKILL follows after the grace time or at the second
    signal.
    """
    import psutil  # noqa: PLC0415  (only an interrupted build needs it)

    messages.say(f"{number.name}: ending the build")
    own = psutil.Process()
    now_s = time.monotonic()
    forward_at_s = now_s + (_TERMINAL_REACTION_S if _came_from_terminal(number) else 0.0)
    kill_at_s = forward_at_s + _GRACE_S
    forwarded = False
    while True:
        status = _reap(child, status)
        # Twice: a process that starts another one and ends while they are being listed hides both.
        left = _descendants(own, spared) or _descendants(own, spared)
        if not left:
            return status
        now_s = time.monotonic()
        if now_s >= kill_at_s:
            _send(left, signal.SIGKILL)
        elif not forwarded and (now_s >= forward_at_s or status is not None):
            _send(left, number)
            forwarded = True
        time.sleep(_POLL_S)
        if _arrived_signal(wakeup):
            kill_at_s = time.monotonic()


def _descendants(own: psutil.Process, spared: Collection[int]) -> list[psutil.Process]:
    """All our descendants except our children `spared` and those below them."""
    import psutil  # noqa: PLC0415  (only an interrupted build needs it)

    found = []
    for process in own.children():
        if process.pid in spared:
            continue
        found.append(process)
        with contextlib.suppress(psutil.NoSuchProcess):
            found += process.children(recursive=True)
    return found


def _arrived_signal(wakeup: socket.socket) -> signal.Signals | None:
    """The next signal that should end us, None if there is none."""
    with contextlib.suppress(BlockingIOError):
        while (number := wakeup.recv(1)[0]) == signal.SIGCHLD:
            pass
        return signal.Signals(number)
    return None


def _came_from_terminal(number: signal.Signals) -> bool:
    """Whether the terminal sends this signal to our whole process group, the build included."""
    if number not in (signal.SIGINT, signal.SIGQUIT):
        return False
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def adopt_orphans() -> None:
    """Makes us the parent of descendants that lose theirs from now on, so that nothing below us gets away."""
    import ctypes  # noqa: PLC0415  (3 ms; --explain and `hosts` do not need it)

    pr_set_child_subreaper = 36  # linux/prctl.h
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def _reap(child: int, status: int | None) -> int | None:
    """Collects every child that ended; returns the exit status of `child` once it is known."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, wait_status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            if pid == child:
                status = _exit_status(wait_status)
    return status


def _send(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    import psutil  # noqa: PLC0415  (only an interrupted build needs it)

    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
