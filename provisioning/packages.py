"""Packages on a host, with a record of everything they brought, also when a run is interrupted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from provisioning.families import SystemFamily
from provisioning.host_errors import CommandFailed
from provisioning.record import Record
from provisioning.remote import PACKAGES_S
from provisioning.steps import Host

_ACCOUNTS = "getent passwd | sed 's/:.*//; s/^/user:/'; getent group | sed 's/:.*//; s/^/group:/'"


def installed(host: Host, family: SystemFamily) -> set[str]:
    """Names of the installed packages, as name:architecture where a package may be installed for several."""
    return set(host.remote.run("installed packages", family.installed).words)


def missing(wanted: Iterable[str], present: set[str]) -> list[str]:
    bare = {name.partition(":")[0] for name in present}
    return [name for name in wanted if name not in bare]


def ensure(host: Host, record: Record, family: SystemFamily, wanted: Iterable[str]) -> Record:
    """Installs those of `wanted` that are missing, and finishes an interrupted installation. Returns the new record."""
    lacking = missing(wanted, installed(host, family))
    if record.before is not None:
        host.say("an earlier run was interrupted while it installed packages")
        record = change(host, record, family, "packages: finish the interrupted installation", family.repair)
        if not host.dry_run:
            lacking = missing(wanted, installed(host, family))
    if not lacking:
        return record
    script = f"{family.refresh} && {family.install(lacking)}"
    try:
        return change(host, record, family, f"packages: {' '.join(lacking)}", script)
    except CommandFailed as failed:
        raise CommandFailed(
            failed.phase, failed.command, failed.exit_code, "\n".join(failed.tail), family.install_remedy
        ) from None


def change(host: Host, record: Record, family: SystemFamily, what: str, script: str) -> Record:
    """Runs `script`, which may bring packages and accounts, and returns the new record.

    What the host had before is recorded first, so that an interrupted run loses nothing.
    """
    if record.before is None:
        record = dataclasses.replace(record, before=tuple(sorted(_inventory(host, family))))
        host.save(record)
    try:
        host.change(what, script, PACKAGES_S)
    finally:
        # A script that failed may still have brought packages.
        if not host.dry_run and record.before is not None:
            added = _inventory(host, family) - set(record.before)
            record = dataclasses.replace(
                record,
                packages=_merge(record.packages, (name for name in added if not name.startswith(("user:", "group:")))),
                accounts=_merge(record.accounts, (name for name in added if name.startswith(("user:", "group:")))),
                before=None,
            )
            host.save(record)
    return record


def _inventory(host: Host, family: SystemFamily) -> set[str]:
    return installed(host, family) | set(host.remote.run("accounts", _ACCOUNTS).words)


def _merge(known: tuple[str, ...], added: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({*known, *added}))
