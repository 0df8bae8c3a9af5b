"""`distcc-auto hosts`: asks every host and shows what it answers; or names the hosts of an inventory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from distcc_auto import inventory, settings
from distcc_auto.parser import Parser
from distcc_auto.reach.open import open_reach
from distcc_auto.show import documents
from distcc_auto.survey import take_survey
from distcc_common.errors import ConfigurationError

_ALL_REFUSED = 1


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Exit status 0 when at least one host takes jobs, 1 when none does."""
    parser = Parser(prog="distcc-auto hosts", description="Asks every host and prints its answer.")
    parser.add_argument("--json", action="store_true", help="print JSON (docs/json.md)")
    parser.add_argument(
        "--inventory",
        nargs="?",
        const="",
        metavar="FILE",
        help="use the hosts in FILE instead of DISTCC_AUTO_HOSTS (docs/provisioning.md); default for FILE: "
        f"${inventory.VARIABLE} or inventory.toml next to config.toml",
    )
    parser.add_argument("--group", help="use only this group of the inventory")
    parser.add_argument("--entries", action="store_true", help="ask no host; print the value for DISTCC_AUTO_HOSTS")
    options = parser.parse_args(arguments)
    if options.group and options.inventory is None:
        raise ConfigurationError("--group goes with --inventory")
    if options.inventory is not None:
        environ = {**environ, "DISTCC_AUTO_HOSTS": _inventory_hosts(options.inventory, options.group, environ)}
    configured = settings.load(environ)
    if options.entries:
        print(" ".join(host.text for host in configured.hosts))
        return 0
    with open_reach(configured, environ) as reach:
        survey = take_survey(configured, reach)
    if options.json:
        documents.print_json({"hosts": documents.of_hosts(survey)})
    else:
        from distcc_auto.show import tables  # noqa: PLC0415  (rich takes 60 ms to import: here it is worth it)

        tables.print_hosts(survey)
    return 0 if survey.workers else _ALL_REFUSED


def _inventory_hosts(path: str, group: str | None, environ: Mapping[str, str]) -> str:
    path = path or inventory.default_path(environ) or ""
    if not path:
        raise ConfigurationError(f"--inventory: neither a FILE nor ${inventory.VARIABLE} nor a home directory is given")
    entries = inventory.load(path).select(group)
    if not entries:
        raise ConfigurationError(f"{path}: no hosts{f' in group {group}' if group else ''}")
    return " ".join(entry.spec.text for entry in entries)
