"""Parses the options of `distcc-auto` before a build command; its sub-commands use the same Parser."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from distcc_auto.drive import DriverOptions
from distcc_common import __version__, messages
from distcc_common.errors import ConfigurationError

_EPILOG = """\
sub-commands:
  hosts                 ask the hosts and print their answers as a table
  shell-init SHELL      print the distcc_build function for bash, zsh or fish
  demo                  build a program over three workers on this machine
If a build command has such a name, put `--` before it: distcc-auto -- hosts

environment (also as keys of ~/.config/distcc-auto/config.toml and /etc/distcc-auto/config.toml):
  DISTCC_AUTO_HOSTS     the workers, required; each is [tcp://]HOST[:PORT[:STATS_PORT]],
                        ssh://[USER@]HOST[:SSH_PORT][/PORT[/STATS_PORT]] or grpc://HOST[:PORT] (TLS: grpcs://)
  DISTCC_AUTO_COMPILER_MEMORY               MiB per compiler, 0 for no limit (1024)
  DISTCC_AUTO_EARLY_LOCAL_JOBS              local jobs while there are workers (0)
  DISTCC_AUTO_FALLBACK_LOCAL_JOBS           local jobs without a worker, 0 forbids (CPUs)
  DISTCC_AUTO_PREPROCESSOR_SATURATION_JOBS  jobs in excess of the slots (CPUs)
  DISTCC_AUTO_CONNECT_TIMEOUT               seconds to reach a host (5)
  DISTCC_AUTO_ANSWER_TIMEOUT                seconds after that for its answer (10)
  DISTCC_AUTO_TUNNEL_TIMEOUT                seconds for opening SSH tunnels (15)

exit status: that of the build, 128+n if signal n ended it, 126 or 127 if it cannot be started;
  96 for a wrong configuration or a missing tool, 97 if there is no worker and no local job may run or fits in memory
"""


class _Verbose(argparse.Action):
    def __init__(self, **others: Any) -> None:
        super().__init__(nargs=0, **others)

    def __call__(self, *_: object) -> None:
        messages.enable_tracing()


class Parser(argparse.ArgumentParser):
    """An ArgumentParser with --verbose, whose errors end with exit status 96 like all others of ours."""

    def __init__(self, prog: str, **others: Any) -> None:
        super().__init__(prog=prog, allow_abbrev=False, **others)
        self.add_argument("--verbose", action=_Verbose, help="trace every step; same as DCCSH_DEBUG=1")

    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{message} ({self.prog} --help tells more)")


def parse_driver(arguments: Sequence[str]) -> DriverOptions:
    """The options before the build command. Raises ConfigurationError for an unknown option."""
    parser = Parser(
        prog="distcc-auto",
        usage="distcc-auto [OPTION ...] COMMAND [ARGUMENT ...]",
        description="Runs a build command across every worker that answers, with the right -j and DISTCC_HOSTS.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"distcc-auto {__version__}")
    parser.add_argument("--dry-run", action="store_true", help="ask the workers, print command and environment, exit")
    parser.add_argument("--explain", action="store_true", help="ask the workers, print why each gets its slots, exit")
    parser.add_argument("--json", action="store_true", help="print --explain or --dry-run as JSON")
    parser.add_argument("--report", action="store_true", help="after the build, print how many jobs each worker ran")
    parser.add_argument("--launcher", action="store_true", help="for builds that call distplusplus, not distcc")
    parsed = parser.parse_args(arguments)
    return DriverOptions(
        dry_run=parsed.dry_run,
        explain=parsed.explain,
        json=parsed.json,
        report=parsed.report,
        launcher=parsed.launcher,
    )
