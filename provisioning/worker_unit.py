"""distcc-worker.service: rendered for a host, and rendered again from the settings that the host's own copy holds."""

from __future__ import annotations

import shlex

from provisioning import render
from provisioning.daemon_kinds import DISTPLUSPLUSD, DaemonKind
from provisioning.facts import Facts
from provisioning.host_errors import HostError
from provisioning.record import Record
from provisioning.steps import Host


def text(
    host: Host, facts: Facts, kind: DaemonKind, program: str, ports: tuple[int, ...], settings: render.UnitSettings
) -> str:
    """The unit, without the hardening that systemd on the host refuses, which a warning names. Raises HostError."""
    refused = refused_hardening(host)
    for entry in refused:
        host.warn(f"systemd there refuses {entry}: the service runs without it")
    daemon = (render.distplusplusd if kind is DISTPLUSPLUSD else render.distccd)(program, ports, settings)
    return render.unit(daemon, refused, facts.systemd >= render.LOG_NAMESPACE_SYSTEMD)


def again(host: Host, facts: Facts, known: Record, program: str | None = None) -> str:
    """The unit as this release renders it, with the settings of the one that is there. Raises HostError.

    `program` replaces the one that the unit starts.
    """
    present = host.remote.run("unit", f"cat {render.UNIT_FILE}").stdout
    try:
        started, settings = render.program_and_settings(present)
    except ValueError as error:
        raise HostError(f"{render.UNIT_FILE} there is not as `fab provision` writes it ({error}): run that") from None
    return text(host, facts, known.kind, program or started, known.ports, settings)


def refused_hardening(host: Host) -> tuple[str, ...]:
    """The entries of render.HARDENING with which systemd on the host cannot start a process.

    Containers refuse some, a few of them only together: so each is tried on top of those that work.
    """

    def starts(properties: str) -> str:
        return f"systemd-run --quiet --wait --collect {properties} /bin/true >/dev/null 2>&1"

    everything = " ".join(f"-p {shlex.quote(entry)}" for entry in render.HARDENING)
    if host.ask("hardening", starts(everything)).ok:
        return ()
    script = f"""
set --
while read -r entry; do
    if {starts('"$@" -p "$entry"')} </dev/null; then set -- "$@" -p "$entry"; else echo "$entry"; fi
done <<'ENTRIES'
{chr(10).join(render.HARDENING)}
ENTRIES"""
    refused = host.remote.run("hardening", script).stdout.splitlines()
    return tuple(entry for entry in render.HARDENING if entry in refused)
