"""How many slots there are now: by CPUs, and by free memory as it changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from distcc_common import limits

# Reading /proc and the control groups costs 0.2 ms; memory does not change much faster.
_REFRESH_S = 0.5


@dataclass(frozen=True)
class Slots:
    """A number of slots and the limit that set it."""

    count: int
    reason: str
    cpus: int
    free_memory_mib: int


class Capacity:
    """The slots of this server. `jobs` is the user's own number, or None to find one out."""

    def __init__(
        self,
        jobs: int | None,
        memory_per_job_mib: int,
        running: Callable[[], int],
        cpus: Callable[[], limits.CpuLimit] = limits.cpus,
        memory: Callable[[], limits.MemoryLimit] = limits.memory,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._jobs = jobs
        self._memory_per_job_mib = memory_per_job_mib
        self._running = running
        self._cpus, self._memory, self._clock = cpus, memory, clock
        self._slots: Slots | None = None
        self._read_s = 0.0

    def now(self) -> Slots:
        """Slots, at most half a second old. Never less than one: a lone job may use what memory is left."""
        if self._slots is None or self._clock() - self._read_s > _REFRESH_S:
            self._slots = self._read()
            self._read_s = self._clock()
        return self._slots

    def _read(self) -> Slots:
        cpu, memory = self._cpus(), self._memory()
        count, reason = cpu.cpus, f"{cpu.cpus} CPUs ({cpu.reason})"
        if self._jobs is not None:
            count, reason = self._jobs, "--jobs"
        if self._memory_per_job_mib:
            # What running jobs hold is gone from the free memory already.
            fitting = self._running() + memory.available_mib // self._memory_per_job_mib
            if fitting < count:
                count = max(fitting, 1)
                reason = (
                    f"{memory.available_mib} MiB of memory free ({memory.reason}),"
                    f" {self._memory_per_job_mib} MiB for each job"
                )
        return Slots(count, reason, cpu.cpus, memory.available_mib)
