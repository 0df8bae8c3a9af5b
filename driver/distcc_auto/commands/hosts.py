"""`distcc-auto hosts`: asks every host and shows what it answers; or names the hosts of an inventory."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from distcc_auto import inventory, settings
from distcc_auto.driver import Survey, opened_ways, take_survey
from distcc_auto.options import Parser
from distcc_auto.show import explain
from distcc_common.errors import ConfigurationError

_ALL_REFUSED = 1


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Exit status 0 when at least one host takes jobs, 1 when none does."""
    parser = Parser(prog="distcc-auto hosts", description="Asks every host and shows what it answers.")
    parser.add_argument("--json", action="store_true", help="as JSON (docs/json.md)")
    parser.add_argument(
        "--inventory",
        nargs="?",
        const="",
        metavar="FILE",
        help="the hosts of FILE instead of DISTCC_AUTO_HOSTS (docs/provisioning.md); without FILE, "
        f"${inventory.VARIABLE} or inventory.toml beside config.toml",
    )
    parser.add_argument("--group", help="of the inventory, the hosts of this group only")
    parser.add_argument("--entries", action="store_true", help="ask nobody, print what DISTCC_AUTO_HOSTS would hold")
    options = parser.parse_args(arguments)
    if options.group and options.inventory is None:
        raise ConfigurationError("--group goes with --inventory")
    if options.inventory is not None:
        environ = {**environ, "DISTCC_AUTO_HOSTS": _inventory_hosts(options.inventory, options.group, environ)}
    configured = settings.load(environ)
    if options.entries:
        print(" ".join(host.text for host in configured.hosts))
        return 0
    with opened_ways(configured, environ) as ways:
        survey = take_survey(configured, ways)
    if options.json:
        explain.print_json({"hosts": explain.host_documents(survey)})
    else:
        _print_table(survey)
    return 0 if survey.workers else _ALL_REFUSED


def _inventory_hosts(path: str, group: str | None, environ: Mapping[str, str]) -> str:
    path = path or inventory.default_path(environ) or ""
    if not path:
        raise ConfigurationError(f"--inventory: neither a FILE nor ${inventory.VARIABLE} nor a home directory is given")
    entries = inventory.load(path).select(group)
    if not entries:
        raise ConfigurationError(f"{path}: no hosts{f' in group {group}' if group else ''}")
    return " ".join(entry.spec.text for entry in entries)


def _print_table(survey: Survey) -> None:
    # rich takes 60 ms to import: here it is worth it.
    from rich.console import Console  # noqa: PLC0415
    from rich.markup import escape  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("HOST", no_wrap=True, overflow="ignore")
    for title in ("KIND", "STATE"):
        table.add_column(title, no_wrap=True)
    for title in ("SLOTS", "LOAD", "FREE MEMORY", "LATENCY"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("REASON", overflow="fold")
    for row in explain.host_documents(survey):
        reason = str(row["reason"])
        if row["phase"]:
            reason = f"{row['phase']}: {reason} ({row['remedy']})"
        table.add_row(
            escape(str(row["host"])),
            str(row["kind"]),
            "[green]ready[/]" if row["state"] == "ready" else "[red]refused[/]",
            str(row["slots"]),
            _cell(row["load"], ".2f", ""),
            _cell(row["free_memory_mib"], "d", " MiB"),
            _cell(row["latency_ms"], ".1f", " ms"),
            escape(reason),
        )
    # Into a pipe or a file, one line a host whatever its length.
    width = None if sys.stdout.isatty() else 400
    Console(width=width, highlight=False, markup=True).print(table)


def _cell(value: object, form: str, unit: str) -> str:
    return "-" if value is None else f"{value:{form}}{unit}"
