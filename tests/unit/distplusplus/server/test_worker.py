"""The worker without an RPC face: waiting, expiry, uploads, running, draining and accounting."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused
from distplusplus.server.compile import Outcome
from distplusplus.server.server_settings import load
from distplusplus.server.slots import Caller
from distplusplus.server.worker import Job, Worker

P, Q = Caller("u", "here", "p"), Caller("u", "here", "q")
OUTCOME = Outcome([], return_code=0, input_bytes=3, output_bytes=5, compile_s=0.1)


def run(scenario: Callable[[Worker], Awaitable[None]], *options: str) -> None:
    """Runs `scenario` with a worker of one slot."""

    async def with_worker() -> None:
        async with asyncio.timeout(20):
            await scenario(Worker(load(["--jobs", "1", "--memory-per-job", "0", *options], {})))

    asyncio.run(with_worker())


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def done() -> Outcome:
    return OUTCOME


def test_the_core_needs_no_grpc() -> None:
    code = (
        "import sys; sys.modules['grpc'] = None\n"
        "from distplusplus.server import capacity, command_line, compile, metrics, privileges, slots, warden_client\n"
        "from distplusplus.server import worker\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_job_is_run_counted_and_its_slot_freed() -> None:
    async def scenario(worker: Worker) -> None:
        reservation = await worker.reserve(P, 0)
        with worker.accounting(Job(P)) as job:
            outcome, following = await worker.run(job, reservation.uuid, done, reserve_next=False)
        assert (outcome, following) == (OUTCOME, None)
        assert (worker.jobs_done, worker.jobs_refused, worker.slots.taken) == (1, 0, 0)

    run(scenario)


def test_a_job_that_is_refused_or_fails_frees_its_slot_and_is_counted() -> None:
    async def scenario(worker: Worker) -> None:
        async def refuse() -> Outcome:
            raise CallRefused(pb.Refusal.BAD_NAME, "bad")

        async def fail() -> Outcome:
            raise ZeroDivisionError

        for number, compile_it in enumerate((refuse, fail), 1):
            reservation = await worker.reserve(P, 0)
            with pytest.raises((CallRefused, ZeroDivisionError)), worker.accounting(Job(P)) as job:
                await worker.run(job, reservation.uuid, compile_it, reserve_next=True)
            assert (worker.jobs_done, worker.jobs_refused, worker.slots.taken) == (0, number, 0)

    run(scenario)


def test_a_waiter_is_granted_the_slot_that_expires() -> None:
    async def scenario(worker: Worker) -> None:
        worker.promise(await worker.reserve(P, 0))
        reservation = await worker.reserve(Q, 10)
        assert reservation.caller == Q
        assert 0.1 <= reservation.waited_s < 5

    run(scenario, "--reservation-timeout", "0.2")


def test_a_waiter_that_leaves_after_its_turn_came_gives_the_slot_back() -> None:
    """Its call is cancelled in the same moment as it is granted the slot, before it can see that."""

    async def scenario(worker: Worker) -> None:
        first = await worker.reserve(P, 0)
        waiting = asyncio.create_task(worker.reserve(Q, 10))
        await until(lambda: worker.slots.waiting == 1)
        worker.slots.cancel(first)
        assert (worker.slots.taken, worker.slots.waiting) == (1, 0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert worker.slots.taken == 0

    run(scenario)


def test_a_waiter_that_leaves_the_queue_is_not_granted_a_slot() -> None:
    async def scenario(worker: Worker) -> None:
        first = await worker.reserve(P, 0)
        waiting = asyncio.create_task(worker.reserve(Q, 10))
        await until(lambda: worker.slots.waiting == 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert worker.slots.waiting == 0
        worker.slots.cancel(first)
        assert worker.slots.taken == 0

    run(scenario)


def test_a_wait_ends_in_a_refusal() -> None:
    async def scenario(worker: Worker) -> None:
        await worker.reserve(P, 0)
        with pytest.raises(CallRefused, match=r"no slot became free within 0\.1 s"):
            await worker.reserve(Q, 0.1)
        assert worker.slots.waiting == 0

    run(scenario)


def test_nobody_waits_longer_than_max_wait() -> None:
    async def scenario(worker: Worker) -> None:
        await worker.reserve(P, 0)
        with pytest.raises(CallRefused, match=r"within 0\.1 s"):
            await worker.reserve(Q, 1000)

    run(scenario, "--max-wait", "0.1")


def test_a_drain_waits_for_what_runs_and_refuses_what_is_new() -> None:
    async def scenario(worker: Worker) -> None:
        reservation = await worker.reserve(P, 0)
        ended = asyncio.Event()

        async def compile_it() -> Outcome:
            await ended.wait()
            return OUTCOME

        waiting = asyncio.create_task(worker.reserve(Q, 10))
        running = asyncio.create_task(worker.run(Job(P), reservation.uuid, compile_it, reserve_next=True))
        await until(lambda: worker.slots.running == 1 and worker.slots.waiting == 1)
        draining = asyncio.create_task(worker.drain())
        with pytest.raises(CallRefused, match="is ending"):
            await waiting
        with pytest.raises(CallRefused, match="is ending"):
            await worker.reserve(Q, 0)
        assert not draining.done()
        ended.set()
        assert await running == (OUTCOME, None)
        await draining

    run(scenario)


def test_a_drain_waits_for_a_promised_job_for_a_moment_only() -> None:
    async def scenario(worker: Worker) -> None:
        worker.promise(await worker.reserve(P, 0))
        begun = asyncio.get_running_loop().time()
        await worker.drain()
        assert 0.9 <= asyncio.get_running_loop().time() - begun < 10

    run(scenario, "--reservation-timeout", "60")


def test_an_upload_that_takes_too_long_is_refused() -> None:
    async def scenario(worker: Worker) -> None:
        with pytest.raises(CallRefused, match=r"did not arrive within 0\.1 s"):
            async with worker.upload(P):
                await asyncio.Event().wait()
        assert worker.slots.uploading == 0

    run(scenario, "--transfer-timeout", "0.1")


def test_an_upload_without_a_reservation_has_little_time() -> None:
    async def scenario(worker: Worker) -> None:
        begun = asyncio.get_running_loop().time()
        with pytest.raises(CallRefused, match="did not arrive"):
            async with worker.upload(P):
                await asyncio.Event().wait()
        assert asyncio.get_running_loop().time() - begun < 15

    run(scenario, "--reservation-timeout", "0.1")


def test_one_origin_has_few_uploads_without_a_reservation() -> None:
    async def scenario(worker: Worker) -> None:
        async with worker.upload(P), worker.upload(Q):
            with pytest.raises(CallRefused, match="without a reservation"):
                async with worker.upload(P):
                    pass
            async with worker.upload(Caller("v", "elsewhere", "r")):
                pass
        async with worker.upload(P):
            pass

    run(scenario)


def test_a_client_without_a_reservation_does_not_keep_a_drain_from_ending() -> None:
    async def scenario(worker: Worker) -> None:
        async with worker.upload(P):
            await worker.drain()
            with pytest.raises(CallRefused, match="is ending"):
                async with worker.upload(Q):
                    pass

    run(scenario)


def test_a_drain_waits_for_an_upload_with_a_reservation() -> None:
    async def scenario(worker: Worker) -> None:
        worker.promise(await worker.reserve(P, 0))
        async with worker.upload(P):
            draining = asyncio.create_task(worker.drain())
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):
                    await asyncio.shield(draining)
        await draining

    run(scenario, "--reservation-timeout", "0.1")


def test_a_call_that_names_no_wait_is_held_for_a_second() -> None:
    async def scenario(worker: Worker) -> None:
        first = await worker.reserve(P, 0)
        waiting = asyncio.create_task(worker.reserve(Q, 0))
        await until(lambda: worker.slots.waiting == 1)
        worker.slots.cancel(first)
        assert (await waiting).caller == Q
        with pytest.raises(CallRefused, match=r"all 1 slots are taken: no slot became free within 1 s"):
            await worker.reserve(P, 0)

    run(scenario)


def test_a_waiter_that_is_displaced_is_told_so() -> None:
    async def scenario(worker: Worker) -> None:
        worker.slots.max_waiters = 2
        first = await worker.reserve(P, 0)
        many = [asyncio.create_task(worker.reserve(P, 10)) for _ in range(2)]
        await until(lambda: worker.slots.waiting == 2)
        few = asyncio.create_task(worker.reserve(Caller("v", "elsewhere", "r"), 10))
        with pytest.raises(CallRefused, match="wait for a slot already"):
            await many[1]
        worker.slots.cancel(first)
        worker.slots.cancel(await many[0])
        assert (await few).caller.user == "v"

    run(scenario)


def test_a_job_whose_slot_went_to_others_gets_another_one() -> None:
    async def scenario(worker: Worker) -> None:
        slow = await worker.reserve(P, 0)
        async with worker.upload(P):
            quick = await worker.reserve(Q, 10)  # 3 s after the reservation of the slow one
        worker.slots.use(quick.uuid)
        asyncio.get_running_loop().call_later(0.1, worker.slots.release, quick)
        assert (await worker.run(Job(P), slow.uuid, done, reserve_next=False))[0] == OUTCOME

    run(scenario, "--reservation-timeout", "0.05")
