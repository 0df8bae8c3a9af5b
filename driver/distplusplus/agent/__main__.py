"""The program behind `distplusplus`: the agent itself, and the launcher's own options. The one place that exits."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from distcc_common import __version__
from distcc_common.errors import ConfigurationError
from distplusplus.agent import runtime

# Read by gRPC when it is imported. The agent never forks.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

_COMPILERS = re.compile(r"(?:[\w.]+-){0,4}(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+)(?:-[\d.]+)?")
_STOP_TIMEOUT_S = 10.0
_EPILOG = """\
If it is called through a symbolic link with the name of a compiler, it stands for that compiler.
Settings: /etc/distplusplus/distplusplus.toml, ~/.config/distplusplus/distplusplus.toml, DISTPLUSPLUS_* in the
environment; see distplusplus.toml(5).
"""


def main() -> None:
    """The console script `distplusplus-agent`, which the launcher runs."""
    try:
        status = _run(sys.argv[1:], os.environ)
    except ConfigurationError as error:
        print(f"distplusplus: {error}", file=sys.stderr)
        status = error.exit_status
    sys.exit(status)


class _Parser(argparse.ArgumentParser):
    """Its errors are ours, as those of distcc-auto."""

    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{message} ({self.prog} --help tells more)")


def _run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    parser = _Parser(
        prog="distplusplus",
        usage="distplusplus [--explain] COMPILER ARGUMENT ...\n       distplusplus OPTION",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"distplusplus {__version__}")
    # The launcher takes it for itself when a command follows.
    parser.add_argument(
        "--explain", action="store_true", help="say what would happen to the command that follows, and why"
    )
    parser.add_argument(
        "--install-symlinks", metavar="DIR", help="create a masquerade directory, with links for all compilers"
    )
    parser.add_argument("--stop", action="store_true", help="stop this user's agents when their compiles have finished")
    parser.add_argument("--listen-fd", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.listen_fd is not None:
        return _serve(chosen.listen_fd)
    if chosen.install_symlinks is not None:
        return install_symlinks(chosen.install_symlinks, environ)
    if not chosen.stop:
        parser.error("expected a compiler and its arguments, or an option")
    return _stop(environ)


def _serve(listen_fd: int) -> int:
    from distplusplus.agent import agent  # noqa: PLC0415  (gRPC takes 0.2 s to import)

    agent.shorten_log(2)
    with socket.socket(fileno=listen_fd) as listener:
        os.set_inheritable(listen_fd, False)
        agent.serve(listener)
    return 0


def install_symlinks(directory: str, environ: Mapping[str, str]) -> int:
    """Makes links in `directory` for every compiler in PATH, and touches nothing else. Raises ConfigurationError."""
    launcher = environ.get("DISTPLUSPLUS_LAUNCHER") or os.path.join(os.path.dirname(sys.argv[0]), "distplusplus")
    launcher = os.path.abspath(launcher)
    if not os.access(launcher, os.X_OK):
        raise ConfigurationError(f"the launcher is not at {launcher}; install distcc-auto again")
    if not directory:
        raise ConfigurationError("the directory for the links has no name")
    try:
        os.makedirs(directory, exist_ok=True)
        names = sorted(_compilers_in_path(environ, directory))
        for name in names:
            _link(os.path.join(directory, name), launcher)
    except OSError as error:
        raise ConfigurationError(f"{error.filename or directory}: {error.strerror}") from error
    if not names:
        raise ConfigurationError("no compiler in PATH; install one, then run this again")
    print(f"{directory}: {' '.join(names)}")
    if any(os.access(os.path.join(entry, "ccache"), os.X_OK) for entry in environ.get("PATH", "").split(os.pathsep)):
        # It must not take a link for the compiler (launcher/ccache.c).
        print('For ccache: export CCACHE_PREFIX=distplusplus CCACHE_PATH="$PATH"')
    print(f'Put it first in PATH: export PATH="{os.path.abspath(directory)}:$PATH"')
    return 0


def _compilers_in_path(environ: Mapping[str, str], besides: str) -> set[str]:
    found: set[str] = set()
    for entry in environ.get("PATH", os.defpath).split(os.pathsep):
        if os.path.realpath(entry) == os.path.realpath(besides):
            continue
        with contextlib.suppress(OSError):
            found.update(
                name
                for name in os.listdir(entry)
                if _COMPILERS.fullmatch(name) and os.access(os.path.join(entry, name), os.X_OK)
            )
    return found


def _link(path: str, launcher: str) -> None:
    if os.path.islink(path):
        if os.readlink(path) == launcher:
            return
        if os.path.basename(os.path.realpath(path)) != "distplusplus" and os.path.exists(path):
            raise ConfigurationError(f"{path}: links to {os.readlink(path)}; remove it, or choose another directory")
        os.unlink(path)
    elif os.path.lexists(path):
        raise ConfigurationError(f"{path}: there is a file of that name; choose another directory")
    os.symlink(launcher, path)


def _stop(environ: Mapping[str, str]) -> int:
    """Ends the agents of all views of the system (see runtime.py) whose sockets are in the same directory."""
    directory = runtime.directory(environ)
    if directory is None:
        raise ConfigurationError("the runtime directory is not this user's alone")
    stopped = [_stop_agent(path) for path in runtime.sockets(directory)]
    if not any(stopped):
        print("distplusplus: no agent runs", file=sys.stderr)
    return 0


def _stop_agent(path: str) -> bool:
    """False if no agent listens there. Raises ConfigurationError when it does not answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        try:
            sock.connect(path)
            sock.send(b"S")
            sock.settimeout(_STOP_TIMEOUT_S)
            sock.recv(1)
        except TimeoutError:
            raise ConfigurationError(f"the agent at {path} does not answer within {_STOP_TIMEOUT_S:g} s") from None
        except OSError:
            return False
    return True
