"""The driver: ask the workers, plan, and run the build under the plan."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distcc_auto import build, limits, messages, settings
from distcc_auto.command import PlacedCommand, place_jobs
from distcc_auto.errors import CommandError, ConfigurationError
from distcc_auto.plan import Plan, WorkerSlots, make_plan, rank, worker_slots
from distcc_auto.probe import Ready, Refused, probe

_OWN_PREFIXES = (settings.PREFIX, "DCCSH_")


@dataclass(frozen=True)
class Options:
    """What the user asked for in front of the build command."""

    dry_run: bool = False
    explain: bool = False
    json: bool = False
    report: bool = False


@dataclass(frozen=True)
class Survey:
    """Every host once: those that take jobs, in the order of the plan, and those that do not."""

    workers: tuple[WorkerSlots, ...]
    refused: tuple[Refused, ...]


@dataclass(frozen=True)
class Environment:
    """How the build's environment differs from ours."""

    changes: Mapping[str, str]
    removed: tuple[str, ...]

    def apply(self, environ: Mapping[str, str]) -> dict[str, str]:
        return {key: value for key, value in environ.items() if key not in self.removed} | dict(self.changes)


def take_survey(configured: settings.Settings) -> Survey:
    """Asks all configured hosts what they can take."""
    workers, refused = [], []
    for answer in probe(configured.hosts, configured.connect_timeout_s, configured.answer_timeout_s):
        outcome: WorkerSlots | Refused
        if isinstance(answer, Ready):
            messages.trace(f"{answer.host.text}: {answer.stats} in {answer.latency_s * 1000:.1f} ms")
            outcome = worker_slots(answer, configured.compiler_memory_mib)
        else:
            outcome = answer
        if isinstance(outcome, WorkerSlots):
            workers.append(outcome)
        else:
            refused.append(outcome)
    return Survey(rank(workers), tuple(refused))


def drive(command: Sequence[str], options: Options, environ: Mapping[str, str]) -> int:
    """Runs `command` across the workers and returns its exit status; with --explain or --dry-run only tells.

    Raises DistccAutoError when there is nothing that could be run.
    """
    is_run = not (options.explain or options.dry_run)
    if not command and (is_run or options.dry_run):
        raise ConfigurationError("no build command; for example: distcc-auto make (distcc-auto --help tells more)")
    if options.json and is_run:
        raise ConfigurationError("--json goes with --explain, --dry-run or the sub-command hosts")
    if options.report and not is_run:
        raise ConfigurationError("--report tells about a build, --explain and --dry-run do not build")
    configured = settings.load(environ)
    _check_tools(command, environ)
    messages.trace(f"asking {len(configured.hosts)} hosts")
    survey = take_survey(configured)
    for refused in survey.refused:
        messages.say(str(refused))
    plan = make_plan(survey.workers, configured, limits.memory())
    placed = place_jobs(command, plan.jobs, environ) if command else None
    changes = build_environment(plan, placed, environ)
    if not is_run or placed is None:
        from distcc_auto import explain  # noqa: PLC0415  (a build does not need it)

        explain.show(survey, plan, placed, changes, options)
        return 0
    return _run_build(plan, placed, changes.apply(environ), options, configured)


def _run_build(
    plan: Plan, placed: PlacedCommand, environ: Mapping[str, str], options: Options, configured: settings.Settings
) -> int:
    if placed.note:
        messages.say(placed.note)
    messages.say(_summary(plan, placed))
    messages.trace(f"DISTCC_HOSTS={plan.distcc_hosts}")
    status = build.run(placed.argv, environ)
    messages.trace(f"the build ended with status {status}")
    if options.report:
        from distcc_auto import report  # noqa: PLC0415  (only for those who ask)

        for line in report.what_ran_where(plan, configured):
            messages.say(line)
    return status


def _summary(plan: Plan, placed: PlacedCommand) -> str:
    command = shlex.join(placed.argv)
    if not plan.workers:
        return f"no worker can be used, building with {plan.local_jobs} local jobs: {command}"
    workers = "1 worker" if len(plan.workers) == 1 else f"{len(plan.workers)} workers"
    slots = "1 slot" if plan.remote_slots == 1 else f"{plan.remote_slots} slots"
    return f"{workers} with {slots}: {command}"


def _check_tools(command: Sequence[str], environ: Mapping[str, str]) -> None:
    try:
        build.find_command("distcc", environ)
    except CommandError:
        raise ConfigurationError(
            "the distcc client is not in PATH; install it (apt-get install distcc) or add its directory to PATH"
        ) from None
    if command:
        build.find_command(command[0], environ)


def build_environment(plan: Plan, placed: PlacedCommand | None, environ: Mapping[str, str]) -> Environment:
    """What the build gets besides the user's environment, and which of our own variables it does not get."""
    if environ.get("DISTCC_HOSTS"):
        messages.say("DISTCC_HOSTS is set and ignored: the hosts come from DISTCC_AUTO_HOSTS")
    if environ.get("CCACHE_PREFIX", "distcc") != "distcc":
        messages.say(f"CCACHE_PREFIX={environ['CCACHE_PREFIX']} is replaced by distcc")
    changes = {"DISTCC_HOSTS": plan.distcc_hosts, "CCACHE_PREFIX": "distcc"}
    if not environ.get("DISTCC_PAUSE_TIME_MSEC"):
        changes["DISTCC_PAUSE_TIME_MSEC"] = str(plan.pause_time_ms)
    if placed:
        changes |= placed.environment
    return Environment(changes, tuple(sorted(key for key in environ if key.startswith(_OWN_PREFIXES))))
