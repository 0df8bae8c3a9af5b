"""The environment of the build: what is added to the user's, and which of our own variables are removed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from distcc_auto.build.command import PlacedCommand
from distcc_auto.plan import Plan

_OWN_PREFIXES = ("DISTCC_AUTO_", "DCCSH_")


@dataclass(frozen=True)
class Environment:
    """How the build's environment differs from ours, and what to tell the user about it."""

    changes: Mapping[str, str]
    removed: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def apply(self, environ: Mapping[str, str]) -> dict[str, str]:
        return {key: value for key, value in environ.items() if key not in self.removed} | dict(self.changes)


def for_distcc(plan: Plan, placed: PlacedCommand | None, environ: Mapping[str, str]) -> Environment:
    """For a build whose compilers are called through distcc."""
    notes = []
    if environ.get("DISTCC_HOSTS"):
        notes.append("DISTCC_HOSTS is set and ignored: the hosts come from DISTCC_AUTO_HOSTS")
    if environ.get("CCACHE_PREFIX", "distcc") != "distcc":
        notes.append(f"CCACHE_PREFIX={environ['CCACHE_PREFIX']} is replaced by distcc")
    changes = {"DISTCC_HOSTS": plan.distcc_hosts, "CCACHE_PREFIX": "distcc"}
    if not environ.get("DISTCC_PAUSE_TIME_MSEC"):
        changes["DISTCC_PAUSE_TIME_MSEC"] = str(plan.pause_time_ms)
    if not environ.get("DISTCC_IO_TIMEOUT") and (timeout_s := plan.io_timeout_s):
        changes["DISTCC_IO_TIMEOUT"] = str(timeout_s)
    return _environment(changes, notes, placed, environ)


def for_launcher(plan: Plan, placed: PlacedCommand | None, environ: Mapping[str, str]) -> Environment:
    """For a build whose compilers are called through distplusplus."""
    servers = [entry.worker.host.launcher_server for entry in plan.workers]
    changes = {
        "DISTPLUSPLUS_SERVERS": " ".join(server for server in servers if server is not None),
        "CCACHE_PREFIX": "distplusplus",
        # CMake reads these when it configures a tree, which a first build does.
        "CMAKE_C_COMPILER_LAUNCHER": "distplusplus",
        "CMAKE_CXX_COMPILER_LAUNCHER": "distplusplus",
    }
    return _environment(changes, [], placed, environ)


def _environment(
    changes: dict[str, str], notes: list[str], placed: PlacedCommand | None, environ: Mapping[str, str]
) -> Environment:
    if placed:
        changes |= placed.environment
    removed = tuple(sorted(key for key in environ if key.startswith(_OWN_PREFIXES)))
    return Environment(changes, removed, tuple(notes))
