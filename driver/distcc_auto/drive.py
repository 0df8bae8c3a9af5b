"""Driving a build: reach and ask the workers, plan, and run the build command under the plan."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from distcc_auto import settings
from distcc_auto.build import advice, build_tree, environment, process
from distcc_auto.build.command import PlacedCommand, build_place, place_jobs
from distcc_auto.plan import Plan, make_plan
from distcc_auto.reach.open import open_reach
from distcc_auto.survey import take_survey
from distcc_common import limits, messages
from distcc_common.errors import CommandError, ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from distcc_auto.reach.protocol import Reach


@dataclass(frozen=True)
class DriverOptions:
    """The options that the user gave before the build command."""

    dry_run: bool = False
    explain: bool = False
    json: bool = False
    report: bool = False
    launcher: bool = False

    @property
    def is_run(self) -> bool:
        """Whether the command is to be run, not only shown."""
        return not (self.explain or self.dry_run)


def drive(command: Sequence[str], options: DriverOptions, environ: Mapping[str, str]) -> int:
    """Runs `command` across the workers and returns its exit status; with --explain or --dry-run only shows it.

    Raises DistccAutoError when there is nothing that could be run.
    """
    _check_options(command, options)
    configured = settings.load(environ)
    _check_tools(command, environ, "distplusplus" if options.launcher else "distcc")
    with open_reach(configured, environ) as reach:
        return _drive(command, options, environ, configured, reach)


def _drive(
    command: Sequence[str],
    options: DriverOptions,
    environ: Mapping[str, str],
    configured: settings.DriverSettings,
    reach: Reach,
) -> int:
    messages.trace(f"asking {len(configured.hosts)} hosts")
    survey = take_survey(configured, reach)
    if options.launcher:
        survey = survey.for_launcher()
    for line in survey.refusals():
        messages.say(line)
    plan = make_plan(survey.workers, configured, limits.memory())
    placed = place_jobs(command, plan.jobs, environ) if command else None
    if options.launcher:
        changes = environment.for_launcher(plan, placed, environ, list(build_tree.links_to(environ, "distplusplus")))
    else:
        changes = environment.for_distcc(plan, placed, environ, list(build_tree.links_to(environ, "distcc")))
    for note in (*changes.notes, *_advice(command, plan, options, environ)):
        messages.say(note)
    if placed is None or not options.is_run:
        from distcc_auto.show import explain  # noqa: PLC0415  (a build does not need it)

        explain.show(survey, plan, placed, changes, with_reasons=options.explain, as_json=options.json)
        return 0
    status = _run_build(plan, placed, changes.apply(environ), reach.pids)
    if options.report:
        from distcc_auto.show import report  # noqa: PLC0415  (only for those who ask)

        for line in report.what_ran_where(plan, configured):
            messages.say(line)
    return status


def _advice(command: Sequence[str], plan: Plan, options: DriverOptions, environ: Mapping[str, str]) -> Iterator[str]:
    """What the build's tree shows that will go wrong on the workers."""
    place = build_place(command) if command and plan.workers else None
    if place is None:
        return
    tree = build_tree.look(place)
    if options.launcher:
        yield from advice.for_launcher(tree, environ)
    else:
        loses_files = any(entry.worker.host.returns_object_only for entry in plan.workers)
        yield from advice.for_distcc(tree, environ, loses_files=loses_files)


def _check_options(command: Sequence[str], options: DriverOptions) -> None:
    """Raises ConfigurationError for options that contradict each other, and without a command where one is needed."""
    if not command and (options.is_run or options.dry_run):
        raise ConfigurationError("no build command; for example: distcc-auto make (distcc-auto --help tells more)")
    if options.json and options.is_run:
        raise ConfigurationError("--json goes with --explain, --dry-run or the sub-command hosts")
    if options.report and not options.is_run:
        raise ConfigurationError("--report tells about a build, --explain and --dry-run do not build")
    if options.report and options.launcher:
        raise ConfigurationError("--report counts the jobs of distcc, which a build with --launcher does not use")


def _check_tools(command: Sequence[str], environ: Mapping[str, str], client: str) -> None:
    try:
        process.find_command(client, environ)
    except CommandError:
        how = (
            "apt-get install distcc"
            if client == "distcc"
            else "pip install 'distcc-auto[distplusplus]', with a C compiler"
        )
        raise ConfigurationError(
            f"the {client} client is not in PATH; install it ({how}) or add its directory to PATH"
        ) from None
    if command:
        process.find_command(command[0], environ)


def _run_build(plan: Plan, placed: PlacedCommand, environ: Mapping[str, str], spared: Sequence[int]) -> int:
    if placed.note:
        messages.say(placed.note)
    messages.say(_summary(plan, placed))
    messages.trace(f"DISTCC_HOSTS={plan.distcc_hosts}")
    status = process.run(placed.argv, environ, spared)
    messages.trace(f"the build ended with status {status}")
    return status


def _summary(plan: Plan, placed: PlacedCommand) -> str:
    command = shlex.join(placed.argv)
    if not plan.workers:
        return f"no worker can be used, building with {plan.local_jobs} local jobs: {command}"
    workers = "1 worker" if len(plan.workers) == 1 else f"{len(plan.workers)} workers"
    slots = "1 slot" if plan.remote_slots == 1 else f"{plan.remote_slots} slots"
    return f"{workers} with {slots}: {command}"
