"""Answers and settings -> `Plan`: slots per worker, local jobs, `-j` and DISTCC_HOSTS, with the reasons. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from distcc_auto.answers import Phase, Ready, Refused
from distcc_common.errors import NoCapacityError

TYPE_CHECKING = False
if TYPE_CHECKING:  # both modules do I/O, which a plan must not
    from distcc_auto.settings import DriverSettings
    from distcc_common.limits import MemoryLimit

# What one look for a free slot costs a waiting distcc client, per slot; and how much of a CPU all of them may take.
_POLL_COST_PER_SLOT_MS = 0.01
_POLL_SHARE = 0.05
# Below it nothing is gained (bench/slots: 95 % busy at 20 ms, 96 % at 10 ms); above it is the client's own default.
_LEAST_PAUSE_MS = 20
_MOST_PAUSE_MS = 1000


@dataclass(frozen=True)
class WorkerSlots:
    """How many jobs a worker gets at once, and why that many."""

    worker: Ready
    slots: int
    reason: str


@dataclass(frozen=True)
class Plan:
    """How the build will be driven. `workers` are in the order in which the distcc client fills them."""

    workers: tuple[WorkerSlots, ...]
    local_jobs: int
    local_reason: str
    saturation_jobs: int

    @property
    def remote_slots(self) -> int:
        return sum(worker.slots for worker in self.workers)

    @property
    def jobs(self) -> int:
        """The N of `-j N`."""
        return self.remote_slots + self.local_jobs + self.saturation_jobs

    @property
    def io_timeout_s(self) -> int | None:
        """How long a distcc client may wait for a result (DISTCC_IO_TIMEOUT), None for its own default.

        It counts for all workers, so it is set only where each of them needs more than the default.
        """
        timeouts_s = [entry.worker.host.io_timeout_s for entry in self.workers]
        known_s = [timeout_s for timeout_s in timeouts_s if timeout_s is not None]
        return max(known_s) if known_s and len(known_s) == len(timeouts_s) else None

    @property
    def pause_time_ms(self) -> int:
        """How long a distcc client sleeps when it finds every slot taken (DISTCC_PAUSE_TIME_MSEC).

        It is short, so that no slot stays idle for long, but long enough that all waiting clients together hardly show
        up in `top`.
        """
        looks_ms = self.saturation_jobs * self.remote_slots * _POLL_COST_PER_SLOT_MS
        return min(max(_LEAST_PAUSE_MS, round(looks_ms / _POLL_SHARE)), _MOST_PAUSE_MS)

    @property
    def distcc_hosts(self) -> str:
        """The value of DISTCC_HOSTS (distcc(1), HOST SPECIFICATIONS)."""
        words = []
        if self.local_jobs:
            words += [f"localhost/{self.local_jobs}", f"--localslots={self.local_jobs}"]
        if self.saturation_jobs:
            words.append(f"--localslots_cpp={self.saturation_jobs}")
        words += [
            f"{entry.worker.host.distcc_address}/{entry.slots}{entry.worker.host.distcc_options}"
            for entry in self.workers
        ]
        return " ".join(words)


def worker_slots(worker: Ready, compiler_memory_mib: int) -> WorkerSlots | Refused:
    """A worker's slots: what it offers, reduced to what fits into its free memory; refused if none is left."""
    offered, free_mib = worker.stats.max_kids, worker.stats.free_memory_mib
    slots, reason = offered, f"it offers {offered}"
    if free_mib is not None and compiler_memory_mib:
        fitting = free_mib // compiler_memory_mib
        if fitting < offered:
            slots = fitting
            reason += f", and {fitting} of {compiler_memory_mib} MiB each fit into its {free_mib} MiB of free memory"
    if slots:
        return WorkerSlots(worker, slots, reason)
    if offered:
        cause = f"no job of {compiler_memory_mib} MiB fits into its {free_mib} MiB of free memory"
        return Refused(worker.host, Phase.SLOTS, cause, "free memory there, or lower DISTCC_AUTO_COMPILER_MEMORY")
    return Refused(worker.host, Phase.SLOTS, "it offers no job (dcc_max_kids 0)", "raise its --jobs")


def rank(workers: Iterable[WorkerSlots]) -> tuple[WorkerSlots, ...]:
    """Most slots first, then the lowest average load, then the most free memory; unknown values come last."""

    def key(entry: WorkerSlots) -> tuple[int, float, int]:
        load = entry.worker.stats.average_load
        free_mib = entry.worker.stats.free_memory_mib
        return (-entry.slots, math.inf if load is None else load, 0 if free_mib is None else -free_mib)

    return tuple(sorted(workers, key=key))


def make_plan(workers: Sequence[WorkerSlots], settings: DriverSettings, memory: MemoryLimit) -> Plan:
    """The plan for these workers, and for this machine with `memory` available to the build.

    Raises NoCapacityError when there is no worker and no local job is allowed or fits in memory.
    """
    if workers:
        local_jobs, reason = _fitting(settings.early_local_jobs, settings, memory)
        return Plan(rank(workers), local_jobs, reason, settings.saturation_jobs)
    if not settings.fallback_local_jobs:
        raise NoCapacityError(
            "no worker can be used and DISTCC_AUTO_FALLBACK_LOCAL_JOBS=0 forbids a local build; "
            "start a worker, or allow local jobs"
        )
    local_jobs, reason = _fitting(settings.fallback_local_jobs, settings, memory)
    if not local_jobs:
        raise NoCapacityError(
            f"no worker can be used and no local job of {settings.compiler_memory_mib} MiB fits into the "
            f"{memory.available_mib} MiB of memory available here ({memory.reason}); "
            "start a worker, free memory, or lower DISTCC_AUTO_COMPILER_MEMORY"
        )
    return Plan((), local_jobs, reason, 0)


def _fitting(wanted: int, settings: DriverSettings, memory: MemoryLimit) -> tuple[int, str]:
    """How many of the wanted local jobs fit into the memory available here, and why that many."""
    reason = f"{wanted} wanted"
    if not settings.compiler_memory_mib:
        return wanted, reason
    fitting = memory.available_mib // settings.compiler_memory_mib
    if fitting >= wanted:
        return wanted, reason
    return fitting, (
        f"{reason}, and {fitting} of {settings.compiler_memory_mib} MiB each fit into the "
        f"{memory.available_mib} MiB available ({memory.reason})"
    )
