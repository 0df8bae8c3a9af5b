"""The table of `distcc-auto hosts`."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from distcc_auto.show import documents
from distcc_auto.survey import Survey


def print_hosts(survey: Survey) -> None:
    """Prints one line for each host, with colour at a terminal.

    All cells are `Text`, so that nothing in a host's words is taken for markup.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("HOST", no_wrap=True, overflow="ignore")
    for title in ("KIND", "STATE"):
        table.add_column(title, no_wrap=True)
    for title in ("SLOTS", "LOAD", "FREE MEMORY", "LATENCY"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("REASON", overflow="fold")
    for row in documents.of_hosts(survey):
        reason = str(row["reason"])
        if row["phase"]:
            reason = f"{row['phase']}: {reason} ({row['remedy']})"
        table.add_row(
            Text(str(row["host"])),
            Text(str(row["kind"])),
            Text("ready", "green") if row["state"] == "ready" else Text("refused", "red"),
            Text(str(row["slots"])),
            _cell(row["load"], ".2f", ""),
            _cell(row["free_memory_mib"], "d", " MiB"),
            _cell(row["latency_ms"], ".1f", " ms"),
            Text(reason),
        )
    # Into a pipe or a file, a host is one line, however long.
    width = None if sys.stdout.isatty() else 400
    Console(width=width, highlight=False, markup=False).print(table)


def _cell(value: object, form: str, unit: str) -> Text:
    return Text("-" if value is None else f"{value:{form}}{unit}")
