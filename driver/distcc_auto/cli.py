"""The command line of `distcc-auto`, and the one place that exits."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Mapping, Sequence

from distcc_auto.drive import DriverOptions, drive
from distcc_common import errors, messages

# What writing to a file on a full or broken disk ends with; everything else that we do handles its own errors.
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
SUBCOMMANDS = ("hosts", "shell-init", "demo")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command line and exits with its status (see errors.py and docs/exit-codes.md)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        _print_any_text()
        status = _run(arguments, os.environ)
        if sys.stdout is not None:  # it may have been closed when we were started
            sys.stdout.flush()
    except errors.DistccAutoError as error:
        messages.say(str(error))
        status = error.exit_status
    except BrokenPipeError:
        # The reader of our output has gone; nothing is wrong with us.
        _discard_output()
        status = 0
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        messages.say(f"standard output cannot be written: {error.strerror}")
        _discard_output()
        status = errors.EXIT_CONFIGURATION
    except KeyboardInterrupt:
        status = _end_by_interrupt()
    sys.exit(status)


def _discard_output() -> None:
    """Python flushes once more when it exits, and would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _print_any_text() -> None:
    """Lets standard output take every word of a command line: as it was given, or as an escape that shells print."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # it may have been closed when we were started
        is_utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        sys.stdout.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")


def _end_by_interrupt() -> int:
    """Ends us by SIGINT, which a shell shows as 130.

    After Ctrl-C a script goes on with its next command in bash unless the signal itself ended the last one.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    return 128 + signal.SIGINT


def _run(arguments: list[str], environ: Mapping[str, str]) -> int:
    if environ.get("DCCSH_DEBUG"):
        messages.enable_tracing()
    own, command, is_build = _split(arguments)
    if not is_build:
        return _run_subcommand(command[0], own + command[1:], environ)
    options = DriverOptions()
    if own:
        from distcc_auto import parser  # noqa: PLC0415  (argparse is for those who give options)

        options = parser.parse_driver(own)
    return drive(command, options, environ)


def _run_subcommand(name: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    from importlib import import_module  # noqa: PLC0415  (a build needs no sub-command)

    module = import_module(f"distcc_auto.commands.{name.replace('-', '_')}")
    return int(module.run(arguments, environ))


def _split(arguments: list[str]) -> tuple[list[str], list[str], bool]:
    """Our own options, the command, and whether that is a build command (not one of our sub-commands).

    The command follows `--`, or begins with the first word that is not an option: no option takes a value.
    """
    for index, word in enumerate(arguments):
        if word == "--":
            return arguments[:index], arguments[index + 1 :], True
        if not word.startswith("-"):
            return arguments[:index], arguments[index:], word not in SUBCOMMANDS
    return arguments, [], True
