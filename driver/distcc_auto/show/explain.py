"""What --explain and --dry-run show: the hosts, the plan with its reasons, the exact command. Text or JSON."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

from distcc_auto.build.command import PlacedCommand
from distcc_auto.driver import Environment, Options, Survey
from distcc_auto.plan import Plan, WorkerSlots
from distcc_auto.probe import Refused

# Raised when a key changes its meaning or goes away; new keys do not raise it. See docs/json.md.
JSON_VERSION = 1


def show(survey: Survey, plan: Plan, placed: PlacedCommand | None, environment: Environment, options: Options) -> None:
    if options.json:
        print_json(
            {
                "hosts": host_documents(survey),
                "plan": _plan_document(plan),
                "command": _command_document(placed, environment) if placed else None,
            }
        )
        return
    if options.explain:
        print("\n".join(_explanation(survey, plan)))
    if placed and placed.note:
        print(f"# {placed.note}")
    if placed:
        print(_shell_line(placed, environment))


def print_json(document: dict[str, object]) -> None:
    print(json.dumps({"version": JSON_VERSION} | document, indent=2))


def host_documents(survey: Survey) -> list[dict[str, object]]:
    """One object a host, first those that take jobs; every object has every key."""
    return [_worker_document(entry) for entry in survey.workers] + [_refused_document(r) for r in survey.refused]


def _worker_document(entry: WorkerSlots) -> dict[str, object]:
    worker = entry.worker
    return {
        "host": worker.host.text,
        "kind": worker.host.kind,
        "state": "ready",
        "slots": entry.slots,
        "load": worker.stats.average_load,
        "free_memory_mib": worker.stats.free_memory_mib,
        "latency_ms": round(worker.latency_s * 1000, 3),
        "phase": None,
        "reason": entry.reason,
        "remedy": None,
    }


def _refused_document(refused: Refused) -> dict[str, object]:
    return {
        "host": refused.host.text,
        "kind": refused.host.kind,
        "state": "refused",
        "slots": 0,
        "load": None,
        "free_memory_mib": None,
        "latency_ms": None,
        "phase": refused.phase,
        "reason": refused.cause,
        "remedy": refused.remedy,
    }


def _plan_document(plan: Plan) -> dict[str, object]:
    return {
        "jobs": plan.jobs,
        "remote_slots": plan.remote_slots,
        "local_jobs": plan.local_jobs,
        "local_reason": plan.local_reason,
        "saturation_jobs": plan.saturation_jobs,
        "distcc_hosts": plan.distcc_hosts,
    }


def _command_document(placed: PlacedCommand, environment: Environment) -> dict[str, object]:
    return {
        "argv": list(placed.argv),
        "environment": dict(environment.changes),
        "removed_environment": list(environment.removed),
        "note": placed.note,
    }


def _explanation(survey: Survey, plan: Plan) -> Iterator[str]:
    for entry in survey.workers:
        yield f"{entry.worker.host.text}: {entry.slots} slots: {entry.reason}"
    for entry in survey.workers:
        if entry.worker.host.kind == "ssh":
            yield f"{entry.worker.host.text}: distcc calls its tunnel {entry.worker.host.distcc_address}"
    for refused in survey.refused:
        yield f"{refused.host.text}: no slots: {refused.phase}: {refused.cause} ({refused.remedy})"
    yield f"this machine: {plan.local_jobs} local jobs: {plan.local_reason}"
    yield f"this machine: {plan.saturation_jobs} saturation jobs, which wait for a slot to become free"
    yield (
        f"-j {plan.jobs} = {plan.remote_slots} remote slots + {plan.local_jobs} local jobs"
        f" + {plan.saturation_jobs} saturation jobs"
    )
    yield f"DISTCC_HOSTS={shlex.quote(plan.distcc_hosts)}"


def _shell_line(placed: PlacedCommand, environment: Environment) -> str:
    """The command as a line for a shell, with what its environment gains and loses."""
    words = ["env"]
    for name in environment.removed:
        words += ["-u", name]
    words += [f"{name}={value}" for name, value in environment.changes.items()]
    return shlex.join([*words, *placed.argv])
