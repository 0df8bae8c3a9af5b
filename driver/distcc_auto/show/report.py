"""What ran where: how many jobs each worker has completed during the build."""

from __future__ import annotations

from collections.abc import Iterator

from distcc_auto.answers import Ready
from distcc_auto.plan import Plan
from distcc_auto.probe import probe
from distcc_auto.settings import DriverSettings


def what_ran_where(plan: Plan, configured: DriverSettings) -> Iterator[str]:
    """One line for each worker, from its `dcc_compile_ok` before and after. Jobs of other clients count, too."""
    hosts = [entry.worker.host for entry in plan.workers]
    after = probe(hosts, configured.connect_timeout_s, configured.answer_timeout_s)
    done = [
        _jobs_done(entry.worker, answer if isinstance(answer, Ready) else None)
        for entry, answer in zip(plan.workers, after, strict=True)
    ]
    total = sum(count or 0 for count in done)
    for entry, count in zip(plan.workers, done, strict=True):
        name = f"{entry.worker.host.text} ({entry.slots} slots)"
        if count is None:
            yield f"{name}: unknown, it restarted or does not answer any more"
        else:
            yield f"{name}: {count} jobs, {100 * count / max(total, 1):.0f} %"
    # Where a worker cannot be asked any more, nobody knows whether it had jobs.
    if plan.workers and not total and None not in done:
        yield "no worker got a job: was there anything to compile, and does the build call its compiler through distcc?"


def _jobs_done(before: Ready, after: Ready | None) -> int | None:
    if after is None or before.stats.compile_ok is None or after.stats.compile_ok is None:
        return None
    done = after.stats.compile_ok - before.stats.compile_ok
    return done if done >= 0 else None
