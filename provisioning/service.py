"""The service of a host that is already a worker: start, drain, logs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from provisioning import record, render
from provisioning.host_errors import HostError
from provisioning.record import Record
from provisioning.steps import Host

START_S = 15


def known_record(host: Host) -> Record:
    """The host's record. Raises HostError when the host is not a worker that we made."""
    host.remote.open()
    known = record.read(host.remote)
    if known is None:
        raise HostError("it is not a worker that `fab provision` or `fab deploy` made")
    return known


def start_script(ports: Sequence[int]) -> str:
    """Restarts the service and succeeds when it listens; otherwise prints the end of its log."""
    return f"""
systemctl daemon-reload && systemctl enable -q {render.UNIT} && systemctl restart {render.UNIT}
systemctl try-restart systemd-journald@{render.LOG_NAMESPACE}.service
deadline=$(($(date +%s) + {START_S}))
while [ $(date +%s) -lt $deadline ]; do
    if {listens(ports)}; then exit 0; fi
    sleep 0.1
done
systemctl status --no-pager -n 0 {render.UNIT}
{log_command(8)}
exit 1"""


def start_s(known: Record) -> int:
    """How long the start script may take: the old process may first finish its jobs."""
    return START_S + 45 + known.kind.stop_s


def listens(ports: Sequence[int]) -> str:
    """A shell condition: the service is active and its ports are open."""
    sockets = f"ss -Hltn '( {' or '.join(f'sport = :{port}' for port in ports)} )'"
    count = "awk '{ sub(/.*:/, \"\", $4); print $4 }' | sort -u | wc -l"
    return f'{{ systemctl is-active -q {render.UNIT} && [ "$({sockets} | {count})" = {len(ports)} ]; }}'


def log_command(lines: int) -> str:
    """Prints the last lines of the daemon's log, from its own journal if the host's systemd supports that."""
    show = f"journalctl -u {render.UNIT} -n {lines} --no-pager -o short-iso"
    return f"{show} --namespace={render.LOG_NAMESPACE} 2>/dev/null || {show}"


def last_log_lines(host: Host, lines: int) -> str:
    known = known_record(host)
    script = (
        f"{ENGINE} logs --tail {lines} {shlex.quote(known.container)} 2>&1" if known.container else log_command(lines)
    )
    return host.remote.run("logs", script).stdout or "(the log is empty)"


def drain(host: Host, limit_s: int) -> None:
    """Stops new jobs, also after a reboot, and waits up to `limit_s` for the running ones."""
    known = known_record(host)
    if known.container:
        name = known.container
        host.ensure(
            f"drained: container {name} stopped",
            _is_stopped(name),
            f"{ENGINE} stop -t {limit_s} {shlex.quote(name)}",
            limit_s + 60,
        )
        return
    host.ensure(
        "drained",
        f"! systemctl is-active -q {render.UNIT} && ! systemctl is-enabled -q {render.UNIT}",
        known.kind.drain.replace("LIMIT_S", str(limit_s)),
        timeout_s=limit_s + 60,
    )


def resume(host: Host) -> None:
    known = known_record(host)
    if known.container:
        name = known.container
        host.ensure(f"container {name} started", f"! {{ {_is_stopped(name)}; }}", f"{ENGINE} start {shlex.quote(name)}")
        return
    check = f"systemctl is-enabled -q {render.UNIT} && {listens(known.ports)}"
    host.ensure(f"{render.UNIT} enabled and started", check, start_script(known.ports), start_s(known))


ENGINE = "$(command -v docker || command -v podman)"


def _is_stopped(container: str) -> str:
    return f'[ "$({ENGINE} inspect --format "{{{{.State.Running}}}}" {shlex.quote(container)})" = false ]'
