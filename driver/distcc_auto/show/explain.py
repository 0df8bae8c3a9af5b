"""What --explain and --dry-run show: the plan with its reasons, and the exact command."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from distcc_auto.build.command import PlacedCommand
from distcc_auto.build.environment import Environment
from distcc_auto.plan import Plan
from distcc_auto.show import documents
from distcc_auto.survey import Survey


def show(
    survey: Survey,
    plan: Plan,
    placed: PlacedCommand | None,
    environment: Environment,
    *,
    with_reasons: bool,
    as_json: bool,
) -> None:
    """Prints the command, before it the plan `with_reasons`; or everything `as_json`."""
    if as_json:
        documents.print_json(documents.of_build(survey, plan, placed, environment))
        return
    if with_reasons:
        print("\n".join(_explanation(survey, plan)))
    if placed:
        print("\n".join(_command_lines(placed, environment)))


def _explanation(survey: Survey, plan: Plan) -> Iterator[str]:
    """Each host with the reason for its slots, this machine with the reasons for its jobs, and the sum."""
    for entry in survey.workers:
        yield f"{entry.worker.host.text}: {entry.slots} slots: {entry.reason}"
    for entry in survey.workers:
        if stand_in := entry.worker.host.stand_in:
            address = entry.worker.host.distcc_address
            yield f"{entry.worker.host.text}: distcc reaches it through {stand_in} at {address}"
    for refused in survey.refused:
        yield f"{refused.host.text}: no slots: {refused.phase}: {refused.cause} ({refused.remedy})"
    yield f"this machine: {plan.local_jobs} local jobs: {plan.local_reason}"
    yield f"this machine: {plan.saturation_jobs} saturation jobs, which wait for a slot to become free"
    yield (
        f"-j {plan.jobs} = {plan.remote_slots} remote slots + {plan.local_jobs} local jobs"
        f" + {plan.saturation_jobs} saturation jobs"
    )
    yield f"DISTCC_HOSTS={shlex.quote(plan.distcc_hosts)}"


def _command_lines(placed: PlacedCommand, environment: Environment) -> Iterator[str]:
    """The command as a line for a shell, with the changes to its environment; before it, a remark as a comment."""
    if placed.note:
        yield f"# {placed.note}"
    words = ["env"]
    for name in environment.removed:
        words += ["-u", name]
    words += [f"{name}={value}" for name, value in environment.changes.items()]
    yield shlex.join([*words, *placed.argv])
