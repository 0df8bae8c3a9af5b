"""upgrade: the newest daemon and compilers, without losing running jobs.

distcc and compilers come from the host's archive; distplusplusd and the unit come from this clone.
"""

from __future__ import annotations

from provisioning import packages, render, service, software, worker_unit
from provisioning.daemon_kinds import DISTPLUSPLUSD
from provisioning.facts import gather
from provisioning.host_errors import HostError
from provisioning.host_settings import HostSettings
from provisioning.provision import ensure_links, wanted_packages
from provisioning.remote import PACKAGES_S
from provisioning.steps import Host


def upgrade(host: Host, settings: HostSettings, drain_s: int) -> None:
    """Upgrades what provision brought or needs, and nothing else. A drained worker stays drained. Raises HostError."""
    known = service.known_record(host)
    if known.container:
        raise HostError("it is a container: build a newer image and run `fab deploy` again")
    facts = gather(host.remote)
    present = packages.installed(host, facts.family)
    ours = {*known.packages, *wanted_packages(facts, known.kind, settings.compilers)}
    # wanted_packages() gives names without an architecture.
    names = sorted(name for name in ours if name in present or not packages.missing([name], present))
    script = facts.family.upgradable(names)
    if script is None:
        raise HostError(
            f"{facts.os_name} upgrades all packages or none: run pacman -Syu there, then `fab provision` again"
        )
    if not host.dry_run:
        host.remote.run("package list", facts.family.refresh, PACKAGES_S)
    newer = host.ask("newer packages", script, PACKAGES_S).stdout.strip().splitlines()
    python = software.find_python(host) if known.kind is DISTPLUSPLUSD else None
    has_old_software = python is not None and not software.is_current(host, python)
    # An earlier release's unit may start the daemon in a way that this release's daemon does not know.
    unit = worker_unit.again(host, facts, known, python.path if python else None)
    has_old_unit = not host.has_file(render.UNIT_FILE, unit)
    if not newer and not has_old_software and not has_old_unit:
        return
    for line in newer:
        host.say(f"newer: {line}")
    was_drained = not host.ask("service", f"systemctl is-enabled -q {render.UNIT}").ok
    service.drain(host, drain_s)
    if newer:
        what = f"packages: {len(newer)} upgraded"
        known = packages.change(host, known, facts.family, what, facts.family.upgrade(names))
    if python and has_old_software:
        software.ensure(host, python)
    host.ensure_file(render.UNIT_FILE, unit)
    ensure_links(host, known)
    if not was_drained:
        service.resume(host)
