"""The Fabric tasks: each works on all its hosts at once, reports the results, and exits with 1 if a host failed."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from fabric import Task, task
from invoke.context import Context
from invoke.exceptions import Exit

from distcc_auto.hosts import GrpcHost
from distcc_auto.show.documents import print_json
from distcc_common.errors import ConfigurationError, DistccAutoError
from provisioning import certificate, host_compilers, prove, service, software
from provisioning import deploy as deploying
from provisioning.connect import connect
from provisioning.daemon_kinds import DISTCCD, DISTPLUSPLUSD, kind_of, ports_of
from provisioning.host_settings import THIS_MACHINE
from provisioning.parallel import Failed, on_each, say
from provisioning.provision import compilers_there, require_clients
from provisioning.provision import provision as provision_host
from provisioning.remote import Remote
from provisioning.remove import remove as remove_from
from provisioning.status import documents, print_table
from provisioning.status import status as status_of
from provisioning.steps import Host
from provisioning.targets import Target, find_targets
from provisioning.upgrade import upgrade as upgrade_host

_ValueT = TypeVar("_ValueT")
_HOST_HELP = {
    "host": "a host that ssh or the inventory knows, or an entry: grpc://NAME is for distplusplusd; same as a word "
    "after the task",
    "group": "the hosts of this group of the inventory",
    "inventory": "the inventory (default: $DISTCC_AUTO_INVENTORY or ~/.config/distcc-auto/inventory.toml)",
}
DRAIN_S = 120
_DRY_RUN = "show what would change, and change nothing"


def _targets(
    hosts: Sequence[str], group: str | None, inventory: str | None, options: dict[str, Any] | None = None
) -> tuple[Target, ...]:
    given = {key: value for key, value in (options or {}).items() if value not in (None, [])}
    return find_targets(hosts, group, inventory, given, os.environ)


def _on_each(
    c: Context, targets: Sequence[Target], dry_run: bool, work: Callable[[Host, Target], _ValueT]
) -> tuple[list[tuple[Target, _ValueT]], list[Failed]]:
    """Runs `work` on each host, with a connection that is closed at the end."""

    def on_one(target: Target) -> _ValueT:
        remote = Remote(target.name, connect(target.destination, c.config, _ssh_config(c)))
        try:
            return work(Host(remote, lambda text: say(target.name, text), dry_run), target)
        finally:
            remote.close()

    done, failed = on_each(targets, on_one)
    return [(one.target, one.value) for one in done], failed


def _ssh_config(c: Context) -> str | None:
    """The file given with fab -S or the setting ssh_config_path."""
    path: str | None = c.config._runtime_ssh_path or c.config.get("ssh_config_path")
    return path


def _exit_if(failed: Sequence[Failed], count: int) -> None:
    if failed:
        raise Exit(f"{len(failed)} of {count} hosts failed: {', '.join(one.target.name for one in failed)}", code=1)


def _task(*iterable: str, **help_texts: str) -> Callable[[Callable[..., None]], Task]:
    """A Fabric task that takes HOSTs. A DistccAutoError becomes one message and its exit status."""

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
    allow=f"who may compile there: an address, a network, or {THIS_MACHINE}; repeatable",
    tunnel_key="file with public keys that may open tunnels (ssh://) to it; repeatable",
    compiler="gcc, gcc-N, clang or clang-N (default: gcc); repeatable",
    jobs="jobs at once (0: as many as CPUs and memory allow)",
    nice="niceness of the compilers, 0 to 19 (default: depends on CPUs and memory)",
    dry_run=_DRY_RUN,
    proof="--no-proof: skip the test compile at the end",
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
    """HOST...: turn bare hosts into workers, prove each by compiling on it, and print the DISTCC_AUTO_HOSTS entries."""
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
        if isinstance(target.spec, GrpcHost):
            software.requirements()
    if proof and not dry_run:
        prove.check_tools(target.spec for target in targets)

    def work(one: Host, target: Target) -> str:
        provision_host(one, target.settings, target.spec)
        _tell_changes(one)
        entries = target.entries(one.remote.connection.host)
        if dry_run:
            return entries[0]
        trusted = None
        if isinstance(target.spec, GrpcHost) and target.spec.tls:
            trusted = certificate.fetch(one, os.environ)
            line = prove.server_line(entries[0], trusted)
            one.say(f"to trust it, add it to the servers in distplusplus.toml: {line}")
        if proof:
            for entry in entries:
                prove.tell_proof(one, prove.prove(entry, compilers_there(one), _ssh_config(c), trusted))
        return entries[0]

    _print_entries(*_on_each(c, targets, dry_run, work), dry_run)


@_task(json="as JSON")
def status(
    c: Context, host: list[str], group: str | None = None, inventory: str | None = None, json: bool = False
) -> None:
    """HOST...: show a table with service, version, compilers, load and free disk space."""
    targets = _targets(host, group, inventory)
    done, failed = _on_each(c, targets, False, lambda one, _: status_of(one))
    rows = [(target.name, row) for target, row in done]
    if json:
        print_json({"workers": documents(rows)})
    elif rows:
        print_table(rows)
    _exit_if(failed, len(targets))


@_task(dry_run=_DRY_RUN)
def sync_compilers(
    c: Context, host: list[str], group: str | None = None, inventory: str | None = None, dry_run: bool = False
) -> None:
    """HOST...: make the workers' compilers match this machine's, or list exactly what differs."""
    targets = _targets(host, group, inventory)
    here = host_compilers.local_compilers(os.environ.get("PATH", ""), os.uname().machine)
    if not here:
        raise ConfigurationError("this machine has neither gcc nor clang in PATH, so there is nothing to match")

    def work(one: Host, _: Target) -> bool:
        different = host_compilers.sync(one, here)
        for difference in different:
            one.say(f"{'differs' if difference.is_other_version else 'same version, another build'}: {difference}")
        matching = len(here) - len(different)
        _tell_changes(one, "" if dry_run else f"{matching} of {len(here)} compilers match this machine's")
        return not any(difference.is_other_version for difference in different)

    done, failed = _on_each(c, targets, dry_run, work)
    _exit_if(failed, len(targets))
    if others := [target.name for target, matches in done if not matches]:
        raise Exit(f"not the same compilers as on this machine: {', '.join(others)}", code=1)


@_task(limit="seconds to wait for running jobs", dry_run=_DRY_RUN)
def drain(
    c: Context,
    host: list[str],
    group: str | None = None,
    inventory: str | None = None,
    limit: int = DRAIN_S,
    dry_run: bool = False,
) -> None:
    """HOST...: take no new jobs, finish the running ones, and stay stopped until `fab resume`."""
    _change_each(c, _targets(host, group, inventory), dry_run, lambda one, _: service.drain(one, limit))


@_task(dry_run=_DRY_RUN)
def resume(
    c: Context, host: list[str], group: str | None = None, inventory: str | None = None, dry_run: bool = False
) -> None:
    """HOST...: take jobs again after `fab drain`."""
    _change_each(c, _targets(host, group, inventory), dry_run, lambda one, _: service.resume(one))


@_task("compiler", compiler="as for provision", limit="seconds to wait for running jobs", dry_run=_DRY_RUN)
def upgrade(
    c: Context,
    host: list[str],
    group: str | None = None,
    inventory: str | None = None,
    compiler: list[str] | None = None,
    limit: int = DRAIN_S,
    dry_run: bool = False,
) -> None:
    """HOST...: install the newest daemon, and the newest compilers in each host's archive, after a drain."""
    _change_each(
        c,
        _targets(host, group, inventory, {"compilers": compiler}),
        dry_run,
        lambda one, target: upgrade_host(one, target.settings, limit),
    )


@_task(lines="number of lines")
def logs(c: Context, host: list[str], group: str | None = None, inventory: str | None = None, lines: int = 20) -> None:
    """HOST...: show the last lines of each worker's log."""
    targets = _targets(host, group, inventory)
    _, failed = _on_each(c, targets, False, lambda one, _: one.say(service.last_log_lines(one, lines)))
    _exit_if(failed, len(targets))


@_task(dry_run=_DRY_RUN)
def remove(
    c: Context, host: list[str], group: str | None = None, inventory: str | None = None, dry_run: bool = False
) -> None:
    """HOST...: remove everything that provision or deploy brought, and nothing else."""
    _change_each(c, _targets(host, group, inventory), dry_run, lambda one, _: remove_from(one))


@_task(
    "allow",
    "tunnel_key",
    allow="as for provision",
    tunnel_key="as for provision; tunnels end at the container's own sshd, on port 2222",
    jobs="jobs at once (0: as many as the container's CPUs and memory allow)",
    image=f"an image in this machine's engine (default: {DISTCCD.image}, or {DISTPLUSPLUSD.image})",
    dry_run=_DRY_RUN,
    proof="--no-proof: skip the test compile at the end",
)
def deploy(
    c: Context,
    host: list[str],
    group: str | None = None,
    inventory: str | None = None,
    allow: list[str] | None = None,
    tunnel_key: list[str] | None = None,
    jobs: int = 0,
    image: str | None = None,
    dry_run: bool = False,
    proof: bool = True,
) -> None:
    """HOST...: run the worker image in a container instead of installing packages; the image is sent over ssh."""
    options = {"allow": allow, "tunnel_keys": tunnel_key, "jobs": jobs or None}
    targets = _targets(host, group, inventory, options)
    for target in targets:
        require_clients(target)
        if isinstance(target.spec, GrpcHost) and target.spec.tls:
            raise ConfigurationError(f"{target.name}: deploy makes no TLS keys: use `fab provision`, or grpc://")
    if proof and not dry_run:
        prove.check_tools(target.spec for target in targets)
    images = {kind.name: image or kind.image for kind in {kind_of(target.spec) for target in targets}}
    image_ids = {kind: deploying.local_image_id(name) for kind, name in images.items()}

    def work(one: Host, target: Target) -> str:
        kind = kind_of(target.spec)
        ports = ports_of(target.spec)
        deploying.deploy(one, target.settings, kind, ports, images[kind.name], image_ids[kind.name])
        _tell_changes(one)
        entry = target.entries(one.remote.connection.host, (deploying.SSH_USER, deploying.SSH_PORT))[0]
        if proof and not dry_run:
            prove.tell_proof(one, prove.prove(entry, deploying.compilers_there(one), _ssh_config(c)))
        return entry

    _print_entries(*_on_each(c, targets, dry_run, work), dry_run)


def _change_each(c: Context, targets: Sequence[Target], dry_run: bool, work: Callable[[Host, Target], None]) -> None:
    def tell(one: Host, target: Target) -> None:
        work(one, target)
        _tell_changes(one)

    _, failed = _on_each(c, targets, dry_run, tell)
    _exit_if(failed, len(targets))


def _tell_changes(one: Host, more: str = "") -> None:
    count = len(one.changes)
    changed = "unchanged" if not count else f"{count} would change" if one.dry_run else f"{count} changed"
    one.say(f"{changed}; {more}" if more else changed)


def _print_entries(done: Sequence[tuple[Target, str]], failed: Sequence[Failed], dry_run: bool) -> None:
    if done and not dry_run:
        print(f'DISTCC_AUTO_HOSTS="{" ".join(entry for _, entry in done)}"')
    _exit_if(failed, len(done) + len(failed))
