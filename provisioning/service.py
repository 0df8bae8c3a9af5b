"""The service on a host that is a worker already: start, drain, statistics of its state."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning import record, render
from provisioning.errors import HostError
from provisioning.record import Record
from provisioning.steps import Host

START_S = 15


@dataclass(frozen=True)
class Ports:
    """Where distccd listens for jobs and where it tells its statistics."""

    distcc: int
    stats: int


def known_record(host: Host) -> Record:
    """What the host's record says. Raises HostError when it is no worker of ours."""
    host.remote.open()
    known = record.read(host.remote)
    if known is None:
        raise HostError("is no worker that `fab provision` or `fab deploy` made")
    return known


def start_script(ports: Ports) -> str:
    """Starts the service anew and succeeds when it listens; shows its last words when it does not."""
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


def listens(ports: Ports) -> str:
    """A shell condition: the service is up and both ports are open."""
    sockets = f"ss -Hltn '( sport = :{ports.distcc} or sport = :{ports.stats} )'"
    count = "awk '{ sub(/.*:/, \"\", $4); print $4 }' | sort -u | wc -l"
    return f'{{ systemctl is-active -q {render.UNIT} && [ "$({sockets} | {count})" = 2 ]; }}'


def log_command(lines: int) -> str:
    """The last lines of distccd's log, from its own journal where the host's systemd knows such."""
    show = f"journalctl -u {render.UNIT} -n {lines} --no-pager -o short-iso"
    return f"{show} --namespace={render.LOG_NAMESPACE} 2>/dev/null || {show}"


def last_log_lines(host: Host, lines: int) -> str:
    known = known_record(host)
    script = f"{ENGINE} logs --tail {lines} {known.container} 2>&1" if known.container else log_command(lines)
    return host.remote.run("logs", script).stdout or "(nothing logged)"


def drain(host: Host, limit_s: int) -> None:
    """No new jobs from now on, also after a reboot; those being worked on are waited for, up to `limit_s`.

    On SIGTERM distccd kills its compilers. So its parent is stopped, which alone makes new processes, the idle ones are
    killed, and the busy ones are waited for; only then the service ends.
    """
    known = known_record(host)
    if known.container:
        name = known.container
        host.ensure(
            f"drained: container {name} stopped", _is_stopped(name), f"{ENGINE} stop -t {limit_s} {name}", limit_s + 60
        )
        return
    host.ensure(
        "drained",
        f"! systemctl is-active -q {render.UNIT} && ! systemctl is-enabled -q {render.UNIT}",
        _DRAIN.replace("LIMIT_S", str(limit_s)),
        timeout_s=limit_s + 60,
    )


def resume(host: Host, ports: Ports) -> None:
    known = known_record(host)
    if known.container:
        name = known.container
        host.ensure(f"container {name} started", f"! {{ {_is_stopped(name)}; }}", f"{ENGINE} start {name}")
        return
    check = f"systemctl is-enabled -q {render.UNIT} && {listens(ports)}"
    host.ensure(f"{render.UNIT} enabled and started", check, start_script(ports), START_S + 45)


ENGINE = "$(command -v docker || command -v podman)"


def _is_stopped(container: str) -> str:
    return f'[ "$({ENGINE} inspect --format "{{{{.State.Running}}}}" {container})" = false ]'


_DRAIN = rf"""
systemctl disable -q {render.UNIT}
main=$(systemctl show -p MainPID --value {render.UNIT})
children() {{ awk -v parent="$1" '$4 == parent {{ print $1 }}' /proc/[0-9]*/stat 2>/dev/null; }}
busy() {{
    [ -z "$(children "$1")" ] || return 0
    for socket in $(ls -l "/proc/$1/fd" 2>/dev/null | sed -n 's/.*socket:\[\([0-9]*\)\]$/\1/p'); do
        awk -v inode="$socket" '$4 == "01" && $10 == inode {{ found = 1 }} END {{ exit !found }}' \
            /proc/net/tcp /proc/net/tcp6 2>/dev/null && return 0
    done
    return 1
}}
if [ "${{main:-0}}" -gt 0 ]; then
    trap 'kill -CONT $main 2>/dev/null' EXIT
    kill -STOP "$main"
    deadline=$(($(date +%s) + LIMIT_S))
    while [ $(date +%s) -lt $deadline ]; do
        left=
        for child in $(children "$main"); do
            case $(sed 's/.*) //' "/proc/$child/stat" 2>/dev/null) in Z*|'') continue ;; esac
            # Stopped while it is looked at, so that it cannot take a job in between.
            kill -STOP "$child"
            if busy "$child"; then kill -CONT "$child"; left=yes; else kill -KILL "$child"; fi
        done
        [ "$left" ] || break
        sleep 0.2
    done
fi
systemctl stop {render.UNIT}"""
