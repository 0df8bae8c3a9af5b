"""The environment of the build: what is added to the user's, and which of our own variables are removed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distcc_auto.build.command import PlacedCommand
from distcc_auto.plan import Plan

# Seconds for which a distcc client leaves a worker alone that failed. With 0, or anything that distcc 3.4 reads as 0,
# it asks a worker that refuses again and again without end.
_LEAST_BACKOFF_S = 1
_OWN_PREFIXES = ("DISTCC_AUTO_", "DCCSH_")


@dataclass(frozen=True)
class Environment:
    """How the build's environment differs from ours, and what to tell the user about it."""

    changes: Mapping[str, str]
    removed: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def apply(self, environ: Mapping[str, str]) -> dict[str, str]:
        return {key: value for key, value in environ.items() if key not in self.removed} | dict(self.changes)


def for_distcc(
    plan: Plan, placed: PlacedCommand | None, environ: Mapping[str, str], masquerades: Sequence[str] = ()
) -> Environment:
    """For a build whose compilers are called through distcc.

    `masquerades` are the directories in PATH whose compilers are links to distcc.
    """
    notes = []
    if environ.get("DISTCC_HOSTS"):
        notes.append("DISTCC_HOSTS is set and ignored: the hosts come from DISTCC_AUTO_HOSTS")
    changes = {"DISTCC_HOSTS": plan.distcc_hosts} | _ccache("distcc", notes, environ, masquerades)
    if not environ.get("DISTCC_PAUSE_TIME_MSEC"):
        changes["DISTCC_PAUSE_TIME_MSEC"] = str(plan.pause_time_ms)
    if not environ.get("DISTCC_IO_TIMEOUT") and (timeout_s := plan.io_timeout_s):
        changes["DISTCC_IO_TIMEOUT"] = str(timeout_s)
    if _whole_number(environ.get("DISTCC_BACKOFF_PERIOD", str(_LEAST_BACKOFF_S))) < _LEAST_BACKOFF_S:
        notes.append(
            f"DISTCC_BACKOFF_PERIOD={environ['DISTCC_BACKOFF_PERIOD']} is replaced by {_LEAST_BACKOFF_S}: "
            "without a pause distcc would ask a worker that refuses for ever"
        )
        changes["DISTCC_BACKOFF_PERIOD"] = str(_LEAST_BACKOFF_S)
    # distcc would call x86_64-linux-gnu-gcc for gcc, and clang with the target of this machine, even where the command
    # names another one. Any value, 0 as well, keeps it from that (distcc 3.4; distcc(1) misspells the name).
    if (rewrite := environ.get("DISTCC_NO_REWRITE_CROSS")) is None:
        changes["DISTCC_NO_REWRITE_CROSS"] = "1"
    removed = ("DISTCC_NO_REWRITE_CROSS",) if rewrite == "0" else ()
    return _environment(changes, notes, placed, environ, removed)


def for_launcher(
    plan: Plan, placed: PlacedCommand | None, environ: Mapping[str, str], masquerades: Sequence[str] = ()
) -> Environment:
    """For a build whose compilers are called through distplusplus, to which links in `masquerades` lead."""
    notes: list[str] = []
    servers = [entry.worker.host.launcher_server for entry in plan.workers]
    changes = {
        "DISTPLUSPLUS_SERVERS": " ".join(server for server in servers if server is not None),
        # CMake reads these when it configures a tree, which a first build does.
        "CMAKE_C_COMPILER_LAUNCHER": "distplusplus",
        "CMAKE_CXX_COMPILER_LAUNCHER": "distplusplus",
    }
    changes |= _ccache("distplusplus", notes, environ, masquerades)
    return _environment(changes, notes, placed, environ)


def _ccache(front_end: str, notes: list[str], environ: Mapping[str, str], masquerades: Sequence[str]) -> dict[str, str]:
    """Makes ccache call the front end for the real compiler.

    ccache looks compilers up in CCACHE_PATH if that is set. In PATH it would find a link to the front end, take that
    for the compiler, and make the front end call itself: "ccache: error: distcc: Invalid argument".
    """
    if environ.get("CCACHE_PREFIX", front_end) != front_end:
        notes.append(f"CCACHE_PREFIX={environ['CCACHE_PREFIX']} is replaced by {front_end}")
    changes = {"CCACHE_PREFIX": front_end}
    if masquerades and not environ.get("CCACHE_PATH"):
        others = [entry for entry in environ.get("PATH", "").split(":") if entry not in masquerades]
        changes["CCACHE_PATH"] = ":".join(others)
    return changes


def _whole_number(text: str) -> int:
    """As atoi(3) reads it, with which distcc reads its numbers."""
    text = text.strip()
    sign = -1 if text.startswith("-") else 1
    digits = text.removeprefix("-").removeprefix("+")
    length = next((index for index, letter in enumerate(digits) if letter not in "0123456789"), len(digits))
    return sign * int(digits[: min(length, 18)] or 0)


def _environment(
    changes: dict[str, str],
    notes: list[str],
    placed: PlacedCommand | None,
    environ: Mapping[str, str],
    removed: tuple[str, ...] = (),
) -> Environment:
    if placed:
        changes |= placed.environment
    own = (key for key in environ if key.startswith(_OWN_PREFIXES))
    return Environment(changes, tuple(sorted({*own, *removed})), tuple(notes))
