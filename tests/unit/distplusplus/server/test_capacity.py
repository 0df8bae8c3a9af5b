"""Slots follow CPUs and free memory."""

from __future__ import annotations

from distcc_common.limits import CpuLimit, MemoryLimit
from distplusplus.server.capacity import Capacity


class Machine:
    def __init__(self) -> None:
        self.memory_mib = 100_000
        self.running = 0
        self.now_s = 0.0

    def capacity(self, jobs: int | None = None, per_job_mib: int = 256) -> Capacity:
        return Capacity(
            jobs,
            per_job_mib,
            lambda: self.running,
            lambda: CpuLimit(8, "CPU affinity"),
            lambda: MemoryLimit(self.memory_mib, "MemAvailable"),
            lambda: self.now_s,
        )


def test_cpus_by_default_and_jobs_by_request() -> None:
    machine = Machine()
    assert (machine.capacity().now().count, machine.capacity().now().reason) == (8, "8 CPUs (CPU affinity)")
    assert (machine.capacity(20).now().count, machine.capacity(20).now().reason) == (20, "--jobs")


def test_short_memory_takes_slots_away_and_gives_them_back() -> None:
    machine = Machine()
    capacity = machine.capacity()
    assert capacity.now().count == 8
    machine.memory_mib = 800
    assert capacity.now().count == 8  # not read again yet
    machine.now_s = 1
    assert capacity.now().count == 3
    assert "800 MiB of memory free (MemAvailable)" in capacity.now().reason
    machine.running, machine.now_s = 2, 2
    assert capacity.now().count == 5  # what runs has its memory already
    machine.memory_mib, machine.running, machine.now_s = 0, 0, 3
    assert capacity.now().count == 1
    machine.memory_mib, machine.now_s = 100_000, 4
    assert capacity.now().count == 8


def test_it_is_read_again_half_a_second_after_the_last_time() -> None:
    machine = Machine()
    machine.now_s = 100
    capacity = machine.capacity()
    assert capacity.now().count == 8
    machine.memory_mib, machine.now_s = 800, 100.4
    assert capacity.now().count == 8
    machine.now_s = 100.6
    assert capacity.now().count == 3
    machine.memory_mib, machine.now_s = 100_000, 101
    assert capacity.now().count == 3
    machine.now_s = 101.2
    assert capacity.now().count == 8


def test_memory_is_not_looked_at_when_told_so() -> None:
    machine = Machine()
    machine.memory_mib = 1
    assert machine.capacity(per_job_mib=0).now().count == 8
