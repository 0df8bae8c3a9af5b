"""status: the state of each worker, as one value per host."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from provisioning import record, render, service
from provisioning.host_errors import HostError
from provisioning.record import Record
from provisioning.safe_text import visible
from provisioning.steps import Host

# Prints "key=value" lines.
_SERVICE = rf"""
if [ -e {render.UNIT_FILE} ]; then
    echo "active=$(systemctl is-active {render.UNIT})"
    echo "enabled=$(systemctl is-enabled {render.UNIT} 2>/dev/null)"
    echo "jobs=$(sed -n 's/^ExecStart=.* --jobs \([0-9]*\) .*/\1/p' {render.UNIT_FILE})"
fi
echo "load=$(cut -d' ' -f1 /proc/loadavg)"
echo "cpus=$(nproc)"
echo "disk_free_mib=$(df -Pm /tmp | awk 'NR == 2 {{ print $4 }}')"
"""
# Runs where the daemon is: on the host, or in its container.
_SOFTWARE = rf"""
echo "daemon=$(VERSION)"
PATH={render.COMPILERS_DIR}:$PATH
for name in gcc g++ clang clang++; do
    if command -v $name >/dev/null; then
        echo "compiler=$name $($name --version | sed -n '1s/.*[ )]\([0-9][0-9]*\.[0-9.]*\).*/\1/p')"
    fi
done
"""


@dataclass(frozen=True)
class Status:
    """`service` is "running", "drained", "failed", "stopped", "container running", "container drained" or "none"."""

    service: str
    daemon: str
    compilers: tuple[str, ...]
    jobs: int | None
    load: float
    cpus: int
    disk_free_mib: int


def status(host: Host) -> Status:
    host.remote.open()
    known = record.read(host.remote) or Record()
    software = _SOFTWARE.replace("VERSION", known.kind.version)
    values = host.remote.run("status", _SERVICE).stdout
    if known.container:
        script = f"{service.ENGINE} inspect --format '{{{{.State.Status}}}}' {shlex.quote(known.container)}"
        values += f"container={host.ask('status', script).stdout.strip()}\n"
        software = f"{service.ENGINE} exec {shlex.quote(known.container)} sh -c {shlex.quote(software)}"
    return parse(values + host.ask("status", software).stdout)


def parse(text: str) -> Status:
    """The status in the scripts' output. Raises HostError when a number is missing or is not one."""
    lines = [line.partition("=")[::2] for line in text.split("\n") if "=" in line]
    values = dict(lines)
    jobs = values.get("jobs", "")
    try:
        return Status(
            service=_service(values),
            daemon=values.get("daemon", ""),
            compilers=tuple(value for key, value in lines if key == "compiler"),
            jobs=int(jobs) if jobs else None,
            load=float(values["load"]),
            cpus=int(values["cpus"]),
            disk_free_mib=int(values["disk_free_mib"]),
        )
    except (KeyError, ValueError) as error:
        raise HostError(f"its status cannot be read: {error}") from None


def _service(values: dict[str, str]) -> str:
    if "container" in values:
        state = values["container"]
        return f"container {'drained' if state == 'exited' else state or 'missing'}"
    active = values.get("active")
    if active is None:
        return "none"
    if active == "active":
        return "running"
    if values.get("enabled") == "disabled":
        return "drained"
    return "failed" if active in ("failed", "activating") else "stopped"


def documents(rows: Sequence[tuple[str, Status]]) -> list[dict[str, object]]:
    """The rows as JSON objects."""
    return [{"host": name, **dataclasses.asdict(row)} for name, row in rows]


def print_table(rows: Sequence[tuple[str, Status]]) -> None:
    from rich.console import Console  # noqa: PLC0415  (60 ms, only for those who want a table)
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("HOST", "SERVICE", "DAEMON", "COMPILERS"):
        table.add_column(title, no_wrap=title != "COMPILERS")
    for title in ("JOBS", "LOAD", "CPUS", "DISK FREE"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, row in rows:
        colour = "green" if row.service.endswith("running") else "yellow" if row.service.endswith("drained") else "red"
        # Text, not str: rich would take brackets in a host's answer for markup.
        table.add_row(
            Text(name),
            Text(visible(row.service), colour),
            Text(visible(row.daemon) or "-"),
            Text(visible(", ".join(row.compilers)) or "-"),
            str(row.jobs or "-"),
            f"{row.load:.2f}",
            str(row.cpus),
            f"{row.disk_free_mib / 1024:.1f} GiB",
        )
    Console(width=None if Console().is_terminal else 200, highlight=False).print(table)
