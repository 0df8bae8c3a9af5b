"""Slots, jobs and DISTCC_HOSTS from what workers and user said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distcc_auto.answers import Ready, Refused
from distcc_auto.hosts import TcpHost
from distcc_auto.plan import Plan, WorkerSlots, make_plan, rank, worker_slots
from distcc_auto.settings import DriverSettings
from distcc_auto.stats import WorkerStats
from distcc_common.errors import NoCapacityError
from distcc_common.limits import MemoryLimit

PLENTY = MemoryLimit(1 << 20, "MemAvailable")


def settings(early: int = 0, fallback: int = 4, saturation: int = 0, memory_mib: int = 1024) -> DriverSettings:
    return DriverSettings(
        hosts=(),
        compiler_memory_mib=memory_mib,
        early_local_jobs=early,
        fallback_local_jobs=fallback,
        saturation_jobs=saturation,
        connect_timeout_s=5,
        answer_timeout_s=10,
    )


def ready(
    name: str = "worker",
    kids: int = 8,
    loads: tuple[float | None, float | None, float | None] = (0, 0, 0),
    free_mib: int | None = None,
    port: int = 3632,
) -> Ready:
    return Ready(TcpHost(name, port, text=name), WorkerStats(kids, loads, free_mib), latency_s=0.001)


def slots(worker: Ready, memory_mib: int = 1024) -> WorkerSlots:
    outcome = worker_slots(worker, memory_mib)
    assert isinstance(outcome, WorkerSlots)
    return outcome


def plan(*workers: Ready, configured: DriverSettings | None = None, memory: MemoryLimit = PLENTY) -> Plan:
    return make_plan([slots(worker) for worker in workers], configured or settings(), memory)


def test_the_example_of_the_specification() -> None:
    made = plan(ready("127.0.0.1", 8, port=1234), configured=settings(early=2, saturation=3))
    assert made.distcc_hosts == "localhost/2 --localslots=2 --localslots_cpp=3 127.0.0.1:1234/8,lzo"
    assert made.jobs == 13


@pytest.mark.parametrize(
    ("kids", "free_mib", "memory_mib", "expected"),
    [
        (8, None, 1024, 8),
        (8, 100_000, 1024, 8),
        (8, 8192, 1024, 8),
        (8, 8191, 1024, 7),
        (8, 1024, 1024, 1),
        (8, 1, 0, 8),
        (1, 4096, 1024, 1),
    ],
)
def test_slots_are_what_a_worker_offers_cut_to_its_memory(
    kids: int, free_mib: int | None, memory_mib: int, expected: int
) -> None:
    assert slots(ready(kids=kids, free_mib=free_mib), memory_mib).slots == expected


def test_a_cut_names_the_memory_that_made_it() -> None:
    assert slots(ready(kids=8, free_mib=3000)).reason == (
        "it offers 8, and 2 of 1024 MiB each fit into its 3000 MiB of free memory"
    )


@pytest.mark.parametrize(("kids", "free_mib", "said"), [(8, 1023, "1023 MiB"), (0, None, "dcc_max_kids 0")])
def test_a_worker_without_a_slot_is_dropped_and_says_why(kids: int, free_mib: int | None, said: str) -> None:
    outcome = worker_slots(ready("tiny", kids=kids, free_mib=free_mib), 1024)
    assert isinstance(outcome, Refused)
    assert (outcome.host.text, outcome.phase) == ("tiny", "slots")
    assert said in outcome.cause


def test_workers_are_ordered_by_slots_then_load_then_memory() -> None:
    workers = [
        ready("few", 2),
        ready("busy", 8, (4, 4, 4)),
        ready("load-unknown", 8, (None, None, None)),
        ready("idle-small", 8, (1, 0, 2), 16_000),
        ready("idle-big", 8, (0, 3, 0), 32_000),
        ready("idle-memory-unknown", 8, (1, 1, 1)),
        ready("many", 16, (50, 50, 50)),
    ]
    assert [entry.worker.host.text for entry in rank(map(slots, workers))] == [
        "many",
        "idle-big",
        "idle-small",
        "idle-memory-unknown",
        "busy",
        "load-unknown",
        "few",
    ]


@pytest.mark.parametrize(
    ("configured", "expected", "jobs"),
    [
        (settings(early=0, saturation=0), "w:3632/8,lzo", 8),
        (settings(early=0, saturation=2), "--localslots_cpp=2 w:3632/8,lzo", 10),
        (settings(early=1, saturation=0), "localhost/1 --localslots=1 w:3632/8,lzo", 9),
    ],
)
def test_local_words_stand_only_where_their_number_is_not_zero(
    configured: DriverSettings, expected: str, jobs: int
) -> None:
    made = plan(ready("w"), configured=configured)
    assert (made.distcc_hosts, made.jobs) == (expected, jobs)


def test_early_local_jobs_are_cut_by_the_memory_here() -> None:
    made = plan(ready("w"), configured=settings(early=4), memory=MemoryLimit(2500, "cgroup v2 memory limit"))
    assert made.local_jobs == 2
    assert "cgroup v2 memory limit" in made.local_reason


def test_no_memory_for_early_local_jobs_leaves_the_workers() -> None:
    made = plan(ready("w"), configured=settings(early=4), memory=MemoryLimit(100, "MemAvailable"))
    assert (made.distcc_hosts, made.jobs) == ("w:3632/8,lzo", 8)


def test_without_a_worker_the_fallback_jobs_run_here_and_nothing_is_saturated() -> None:
    made = plan(configured=settings(early=2, fallback=6, saturation=3))
    assert (made.distcc_hosts, made.jobs) == ("localhost/6 --localslots=6", 6)


def test_fallback_jobs_are_cut_by_the_memory_here() -> None:
    assert plan(configured=settings(fallback=6), memory=MemoryLimit(3 * 1024, "MemAvailable")).jobs == 3


def test_a_compiler_memory_of_zero_cuts_nothing() -> None:
    assert plan(configured=settings(fallback=6, memory_mib=0), memory=MemoryLimit(0, "MemAvailable")).jobs == 6


def test_no_worker_and_no_local_job_allowed_has_status_97() -> None:
    with pytest.raises(NoCapacityError, match="FALLBACK_LOCAL_JOBS=0") as error:
        plan(configured=settings(fallback=0))
    assert error.value.exit_status == 97


def test_no_worker_and_no_memory_has_status_97() -> None:
    with pytest.raises(NoCapacityError, match="1023 MiB of memory available here") as error:
        plan(memory=MemoryLimit(1023, "MemAvailable"))
    assert error.value.exit_status == 97


@pytest.mark.parametrize(
    ("kids", "saturation", "expected_ms"), [(16, 2, 20), (200, 0, 20), (200, 16, 640), (4000, 64, 1000)]
)
def test_many_waiting_clients_with_many_slots_look_for_a_free_one_less_often(
    kids: int, saturation: int, expected_ms: int
) -> None:
    assert plan(ready(kids=kids), configured=settings(saturation=saturation)).pause_time_ms == expected_ms


numbers = st.integers(0, 5000)


@given(
    kids=st.lists(st.tuples(st.integers(0, 4096), st.none() | st.integers(0, 1 << 20)), max_size=6),
    early=numbers,
    fallback=numbers,
    saturation=numbers,
    memory_mib=numbers,
    available_mib=st.integers(0, 1 << 20),
)
def test_a_plan_always_adds_up(
    kids: list[tuple[int, int | None]],
    early: int,
    fallback: int,
    saturation: int,
    memory_mib: int,
    available_mib: int,
) -> None:
    answers = [ready(f"w{i}", count, free_mib=free) for i, (count, free) in enumerate(kids)]
    outcomes = [worker_slots(answer, memory_mib) for answer in answers]
    workers = [outcome for outcome in outcomes if isinstance(outcome, WorkerSlots)]
    for worker in workers:
        assert 1 <= worker.slots <= worker.worker.stats.max_kids
        free_mib = worker.worker.stats.free_memory_mib
        assert free_mib is None or worker.slots * memory_mib <= free_mib
    configured = settings(early, fallback, saturation, memory_mib)
    try:
        made = make_plan(workers, configured, MemoryLimit(available_mib, "MemAvailable"))
    except NoCapacityError:
        assert not workers
        return
    assert made.jobs == sum(worker.slots for worker in workers) + made.local_jobs + made.saturation_jobs
    assert made.jobs > 0
    assert made.local_jobs <= (early if workers else fallback)
    assert made.local_jobs * memory_mib <= available_mib
    assert made.distcc_hosts.count(",lzo") == len(workers)
