"""The JSON of `hosts`, --explain and --dry-run (docs/json.md)."""

from __future__ import annotations

import json

from distcc_auto.answers import Refused
from distcc_auto.build.command import PlacedCommand
from distcc_auto.build.environment import Environment
from distcc_auto.plan import Plan, WorkerSlots
from distcc_auto.survey import Survey

# Raised when a key changes its meaning or goes away; new keys do not raise it. See docs/json.md.
JSON_VERSION = 1


def print_json(document: dict[str, object]) -> None:
    """Prints it with its version. JSON escapes whatever could steer a terminal."""
    print(json.dumps({"version": JSON_VERSION} | document, indent=2))


def of_build(survey: Survey, plan: Plan, placed: PlacedCommand | None, environment: Environment) -> dict[str, object]:
    """What --explain and --dry-run show."""
    return {
        "hosts": of_hosts(survey),
        "plan": _plan_document(plan),
        "command": _command_document(placed, environment) if placed else None,
    }


def of_hosts(survey: Survey) -> list[dict[str, object]]:
    """One object for each host, first those that take jobs; every object has every key."""
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
        "phase": refused.phase.value,
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
