"""Removes what provision or deploy brought to a host, and nothing else. An interrupted run can be repeated."""

from __future__ import annotations

import dataclasses
import os
import shlex

from provisioning import firewall, packages, record, render, service
from provisioning.daemon_kinds import DISTPLUSPLUSD
from provisioning.facts import gather
from provisioning.families import SystemFamily
from provisioning.provision import ensure_no_tunnel_account
from provisioning.record import Record
from provisioning.remote import PACKAGES_S
from provisioning.steps import Host

_JOURNALS = f"/var/log/journal/*.{render.LOG_NAMESPACE} /run/log/journal/*.{render.LOG_NAMESPACE}"


def remove(host: Host) -> None:
    host.remote.open()
    known = record.read(host.remote)
    if known is None:
        return
    if known.container or known.images:
        _remove_container(host, known)
    else:
        _remove_worker(host, known)
    host.ensure_absent(render.STATE_DIR)


def _remove_container(host: Host, known: Record) -> None:
    if name := known.container:
        quoted = shlex.quote(name)
        script = f"{service.ENGINE} rm -f {quoted} && {{ {service.ENGINE} volume rm {quoted} || :; }}"
        host.ensure(f"no container {name}", f"! {service.ENGINE} inspect {quoted}", script, timeout_s=300)
    for image in known.images:
        quoted = shlex.quote(image)
        check = f"! {service.ENGINE} image inspect {quoted}"
        # An image that another container uses by now stays.
        host.ensure(f"no image {image[:19]}", check, f"{service.ENGINE} rmi {quoted} || :", timeout_s=300)


def _remove_worker(host: Host, known: Record) -> None:
    family = gather(host.remote).family
    host.ensure(
        "service stopped",
        f"! systemctl is-active -q {render.UNIT} && ! systemctl is-enabled -q {render.UNIT}",
        f"systemctl disable -q --now {render.UNIT}",
        timeout_s=120 + known.kind.stop_s,
    )
    known = ensure_no_tunnel_account(host, known)
    known = firewall.ensure(host, known, ())
    for port in known.selinux_ports:
        host.ensure(
            f"SELinux: port {port} is no longer distccd's",
            f"! semanage port -l -C | grep -E '^distccd_port_t +tcp' | grep -qwF -- {shlex.quote(port)}",
            f"semanage port -d -t distccd_port_t -p tcp {shlex.quote(port)}",
        )
    if host.ensure_absent(render.UNIT_FILE):
        host.change(
            "systemd has forgotten the service",
            f"systemctl daemon-reload; systemctl reset-failed {render.UNIT} 2>/dev/null; :",
        )
    host.ensure_absent(render.JOURNAL_FILE)
    instance = f"systemd-journald@{render.LOG_NAMESPACE}"
    host.ensure(
        "no journal of its own",
        f"for found in {_JOURNALS}; do [ ! -e $found ] || exit 1; done",
        f"systemctl stop {instance}.socket systemd-journald-varlink@{render.LOG_NAMESPACE}.socket {instance}.service; "
        f"rm -rf {_JOURNALS}",
    )
    host.ensure_absent(render.COMPILERS_DIR)
    if known.kind is DISTPLUSPLUSD:
        host.ensure_absent(render.SOFTWARE_DIR)
        host.ensure_absent(render.FRESH_SOFTWARE_DIR)
    _remove_links(host, known)
    _remove_packages(host, known, family)


def _remove_links(host: Host, known: Record) -> None:
    if links := shlex.join(known.links):
        present = f'for link in {links}; do [ ! -L "$link" ] || exit 1; done'
        # The directory goes only when it is empty now: otherwise it belongs to the package.
        directories = shlex.join(dict.fromkeys(os.path.dirname(link) for link in known.links))
        script = f"rm -f -- {links}; rmdir --ignore-fail-on-non-empty -- {directories} 2>/dev/null; :"
        host.ensure(f"no links to compilers: {len(known.links)}", present, script)


def _remove_packages(host: Host, known: Record, family: SystemFamily) -> None:
    if known.before is not None:
        brought = packages.installed(host, family) - set(known.before)
        known = dataclasses.replace(known, packages=tuple(sorted({*known.packages, *brought})))
    ours = [name for name in known.packages if name in packages.installed(host, family)]
    if ours:
        host.ensure(
            "packages: finish the interrupted installation",
            '[ -z "$(dpkg --audit 2>/dev/null)" ]',
            family.repair,
            PACKAGES_S,
        )
        free = (
            host.remote.run("packages that nothing else needs", family.removable(ours)).words
            if not host.dry_run
            else ours
        )
        if kept := [name for name in ours if name not in free]:
            host.warn(f"these packages stay, since something else needs them by now: {' '.join(kept)}")
        if free:
            host.change(f"packages removed: {len(free)}", family.remove(free), PACKAGES_S)
    for account in known.accounts:
        kind, _, name = account.partition(":")
        database, tool = ("passwd", "userdel") if kind == "user" else ("group", "groupdel")
        quoted = shlex.quote(name)
        host.ensure(f"no {kind} {name}", f"! getent {database} -- {quoted}", f"{tool} -- {quoted}")
