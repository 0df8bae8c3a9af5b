"""How the two daemons that a worker can run differ. Values and shell text, no steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from distcc_auto.hosts import DISTCC_PORT, GRPC_PORT, STATS_PORT, GrpcHost, HostSpec
from provisioning import render
from provisioning.families import SystemFamily


@dataclass(frozen=True)
class DaemonKind:
    """One daemon. Jobs go to the first of `usual_ports`. The scripts are for sh, run as root on the host.

    `links` prints a directory and the target of each link in it: the path of one program, or "itself" for the compiler
    of that name. `program` is a file that changes whenever the daemon does. `version` prints, say, "distccd 3.4".
    `drain` waits for running jobs, LIMIT_S seconds at most, and stops the service. `stop_s` is how long running jobs
    may delay a stop. `image` contains the daemon; `health` is the command in it that checks whether it serves.
    """

    name: str
    usual_ports: tuple[int, ...]
    packages: Callable[[SystemFamily], tuple[str, ...]]
    links: str
    program: str
    version: str
    drain: str
    stop_s: int
    image: str
    health: str


# On SIGTERM distccd kills its compilers. So this first stops distccd's parent process, which starts all others, kills
# the idle children, waits for the busy ones, and only then stops the service.
_DRAIN_DISTCCD = rf"""
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
            # Stopped during the check, so that it cannot take a job in between.
            kill -STOP "$child"
            if busy "$child"; then kill -CONT "$child"; left=yes; else kill -KILL "$child"; fi
        done
        [ "$left" ] || break
        sleep 0.2
    done
fi
systemctl stop {render.UNIT}"""

# distplusplusd drains on the first SIGTERM, and stops running jobs on the second.
_DRAIN_DISTPLUSPLUSD = f"""
systemctl disable -q {render.UNIT}
main=$(systemctl show -p MainPID --value {render.UNIT})
systemctl stop --no-block {render.UNIT}
deadline=$(($(date +%s) + LIMIT_S))
while [ $(date +%s) -lt $deadline ] && ! systemctl is-failed -q {render.UNIT}; do
    [ "$(systemctl show -p ActiveState --value {render.UNIT})" != inactive ] || exit 0
    sleep 0.2
done
kill -TERM "$main" 2>/dev/null
systemctl stop {render.UNIT}"""

DISTCCD = DaemonKind(
    name="distccd",
    usual_ports=(DISTCC_PORT, STATS_PORT),
    packages=lambda family: family.distcc,
    links=(
        "daemon=$(command -v distccd) || exit 1\n"
        # The directory was chosen when distccd was built.
        r"grep -aoE '/[a-z0-9_/.-]*lib[a-z0-9_/.-]*/distcc' $daemon | grep -v /debug/ | sort -u | head -n 1"
        "\ncommand -v distcc || echo $daemon"
    ),
    program='"$(command -v distccd)"',
    version=r"distccd --version 2>/dev/null | sed -n '1s/^\(distccd [^ ]*\).*/\1/p'",
    drain=_DRAIN_DISTCCD,
    stop_s=0,
    image="distcc-auto-worker:bookworm",
    health="python3 -m distcc_worker health",
)

DISTPLUSPLUSD = DaemonKind(
    name="distplusplusd",
    usual_ports=(GRPC_PORT,),
    packages=lambda family: family.python,
    links=f"echo {render.SERVER_LINKS_DIR} itself",
    program=render.SOFTWARE_FILE,
    version=(
        f"{{ sed 's/ .*//; s/^/distplusplusd /' {render.SOFTWARE_FILE} || distplusplusd --version; }} 2>/dev/null"
    ),
    drain=_DRAIN_DISTPLUSPLUSD,
    stop_s=render.STOP_S,
    image="distcc-auto-distplusplusd:bookworm",
    health="distplusplusd-health",
)

KINDS = {kind.name: kind for kind in (DISTCCD, DISTPLUSPLUSD)}


def kind_of(spec: HostSpec) -> DaemonKind:
    """The daemon that serves this entry."""
    return DISTPLUSPLUSD if isinstance(spec, GrpcHost) else DISTCCD


def ports_of(spec: HostSpec) -> tuple[int, ...]:
    """The ports in the entry, in the order of `DaemonKind.usual_ports`."""
    return (spec.port,) if isinstance(spec, GrpcHost) else (spec.distcc_port, spec.stats_port)
