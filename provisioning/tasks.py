"""The Fabric tasks. Each finds its hosts, works on all of them at once, tells what came of it, and exits with 1 when one failed."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from fabric import Task, task
from invoke import Context
from invoke.exceptions import Exit

from distcc_auto.errors import DistccAutoError
from provisioning import prove
from provisioning.connect import connect
from provisioning.parallel import Failed, on_each, say
from provisioning.provision import compilers_there, require_clients
from provisioning.provision import provision as provision_host
from provisioning.remote import Remote
from provisioning.settings import THIS_MACHINE
from provisioning.steps import Host
from provisioning.targets import Target, find_targets

_ValueT = TypeVar("_ValueT")
_HOST_HELP = {
    "host": "a host, as ssh and the inventory know it; `fab TASK HOST...` says the same",
    "group": "the hosts of this group of the inventory",
    "inventory": "the inventory (default: $DISTCC_AUTO_INVENTORY or ~/.config/distcc-auto/inventory.toml)",
}
_DRY_RUN = "look, and show what would change; change nothing"

def _targets(
    hosts: Sequence[str], group: str | None, inventory: str | None, options: dict[str, Any] | None = None
) -> tuple[Target, ...]:
    given = {key: value for key, value in (options or {}).items() if value not in (None, [])}
    return find_targets(hosts, group, inventory, given, os.environ)


def _on_each(
    c: Context, targets: Sequence[Target], dry_run: bool, work: Callable[[Host, Target], _ValueT]
) -> tuple[list[tuple[Target, _ValueT]], list[Failed]]:
    """`work` on each host with a connection of its own, closed at the end."""
    ssh_config = c.config._runtime_ssh_path or c.config.get("ssh_config_path")  # fab -S FILE

    def on_one(target: Target) -> _ValueT:
        remote = Remote(target.name, connect(target.destination, c.config, ssh_config))
        try:
            return work(Host(remote, lambda text: say(target.name, text), dry_run), target)
        finally:
            remote.close()

    done, failed = on_each(targets, on_one)
    return [(one.target, one.value) for one in done], failed


def _exit_if(failed: Sequence[Failed], count: int) -> None:
    if failed:
        raise Exit(f"{len(failed)} of {count} hosts failed: {', '.join(one.target.name for one in failed)}", code=1)


def _task(*iterable: str, **help_texts: str) -> Callable[[Callable[..., None]], Task]:
    """A Fabric task that takes HOSTs; what is wrong with options or files becomes a line and the exit status."""

    def decorate(function: Callable[..., None]) -> Task:
        @functools.wraps(function)
        def told(*arguments: Any, **options: Any) -> None:
            try:
                function(*arguments, **options)
            except DistccAutoError as error:
                raise Exit(str(error), code=error.exit_status) from None

        texts = _HOST_HELP | {name.replace("_", "-"): text for name, text in help_texts.items()}
        return task(iterable=["host", *iterable], help=texts, auto_shortflags=False)(told)

    return decorate


@_task(
    "allow",
    "tunnel_key",
    "compiler",
    allow=f"who may compile there: an address, a network, or {THIS_MACHINE}; may be repeated",
    tunnel_key="file with public keys that may open tunnels (ssh://) to it; may be repeated",
    compiler="gcc, gcc-N, clang or clang-N (default: gcc); may be repeated",
    jobs="jobs at once (0: from CPUs and memory)",
    nice="niceness of the compilers, 0 to 19 (-1: from CPUs and memory)",
    dry_run=_DRY_RUN,
    proof="--no-proof: do not compile through the worker at the end",
)
def provision(
    c: Context,
    host: list[str],
    group: str | None = None,
    inventory: str | None = None,
    allow: list[str] | None = None,
    tunnel_key: list[str] | None = None,
    compiler: list[str] | None = None,
    jobs: int = 0,
    nice: int = -1,
    dry_run: bool = False,
    proof: bool = True,
) -> None:
    """HOST...: make bare hosts workers, prove each by compiling through it, and print the DISTCC_AUTO_HOSTS entries."""
    options = {
        "allow": allow,
        "tunnel_keys": tunnel_key,
        "compilers": compiler,
        "jobs": jobs or None,
        "nice": None if nice < 0 else nice,
    }
    targets = _targets(host, group, inventory, options)
    for target in targets:
        require_clients(target)
    if proof and not dry_run:
        prove.check_tools()

    def work(one: Host, target: Target) -> str:
        provision_host(one, target.settings, target.spec)
        count = len(one.changes)
        one.say(f"{count} would change" if dry_run else f"{count} changed" if count else "unchanged")
        entries = target.entries(one.remote.connection.host)
        if proof and not dry_run:
            for entry in entries:
                prove.tell_proof(one, prove.prove(entry, compilers_there(one)))
        return entries[0]

    done, failed = _on_each(c, targets, dry_run, work)
    if done and not dry_run:
        print(f'DISTCC_AUTO_HOSTS="{" ".join(entry for _, entry in done)}"')
    _exit_if(failed, len(targets))
