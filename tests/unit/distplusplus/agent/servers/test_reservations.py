"""Which job goes where, without a process: workers that grant reservations when a test says so."""

from __future__ import annotations

import asyncio

import pytest

from distplusplus.agent.remote_compile import reserve_and_send
from distplusplus.agent.servers import reservations
from distplusplus.agent.servers.diagnosis import Trouble
from distplusplus.agent.servers.remote_worker import Mismatch, WorkerFullError
from distplusplus.agent.servers.scheduler import NoWorkerError
from tests.unit.distplusplus.agent.servers.farm import Farm, prepared, run, until


def test_jobs_go_to_the_server_with_the_lowest_share_taken() -> None:
    async def test() -> None:
        farm = Farm(2, 4)
        jobs = [farm.start() for _ in range(6)]
        await until(lambda: sum(len(server.running) for server in farm.servers) == 6)
        assert [len(server.running) for server in farm.servers] == [2, 4]
        for job in jobs:
            job.cancel()
        await asyncio.wait(jobs)
        assert [server.active for server in farm.servers] == [0, 0]

    run(test)


def test_patience_is_for_the_slot_and_not_for_the_compile() -> None:
    async def test() -> None:
        farm = Farm(1)
        (server,) = farm.servers
        patient = asyncio.ensure_future(reserve_and_send(farm.scheduler, farm.job(), prepared(), 0.05))
        await until(lambda: len(server.running) == 1)
        with pytest.raises(NoWorkerError, match=r"no slot became free within 0\.05 s") as caught:
            await reserve_and_send(farm.scheduler, farm.job(), prepared(), 0.05)
        assert caught.value.refused
        server.end_job()
        assert (await patient)[0] is server
        await until(lambda: server.active == 0)

    run(test)


def test_a_job_that_goes_before_its_reservation_was_asked_for_leaves_nothing() -> None:
    async def test() -> None:
        farm = Farm(1)
        job = farm.start()
        before = asyncio.all_tasks()
        await asyncio.sleep(0)
        (asking,) = asyncio.all_tasks() - before
        assert (farm.servers[0].active, farm.servers[0].asked) == (1, 0), "it has not begun"
        asking.cancel()
        job.cancel()
        await asyncio.wait([job])
        await until(lambda: farm.servers[0].active == 0)

    run(test)


def test_a_reservation_that_comes_too_late_is_for_the_next_job() -> None:
    async def test() -> None:
        farm = Farm(1)
        (server,) = farm.servers
        server.free = 0
        late = farm.start()
        await until(lambda: len(server.queue) == 1)
        late.cancel()
        await asyncio.wait([late])
        server.free_slot()
        await until(lambda: not server.queue)
        job = farm.start()
        await until(lambda: len(server.running) == 1)
        assert server.asked == 1
        server.end_job()
        assert (await job)[0] is server
        assert server.active == 0

    run(test)


def test_a_reservation_that_no_job_wants_is_forgotten_before_its_server_does() -> None:
    async def test() -> None:
        farm = Farm(1)
        (server,) = farm.servers
        server.reservation_s = 0.04
        job = farm.start()
        await until(lambda: len(server.running) == 1)
        server.end_job(hands_on=True)
        await job
        assert server.active == 1
        async with asyncio.timeout(reservations.SPARE_S / 2):
            await until(lambda: server.active == 0)
        server.free_slot()
        asked = server.asked
        job = farm.start()
        await until(lambda: len(server.running) == 1)
        assert server.asked == asked + 1
        server.end_job()
        await job

    run(test)


def test_the_slot_of_a_job_is_handed_on_to_the_next_without_a_call() -> None:
    async def test() -> None:
        farm = Farm(1)
        (server,) = farm.servers
        first = farm.start()
        await until(lambda: len(server.running) == 1)
        second = farm.start()
        await until(lambda: len(server.queue) == 1)  # it has a place in the queue, too
        asked = server.asked
        server.end_job(hands_on=True)
        await first
        await until(lambda: len(server.running) == 1)
        assert server.asked == asked
        server.end_job()
        await second

    run(test)


def test_places_in_queues_are_kept_for_the_next_job_and_then_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reservations, "REST_S", 0.05)

    async def test() -> None:
        farm = Farm(1)
        (server,) = farm.servers
        running = farm.start()
        await until(lambda: len(server.running) == 1)
        waiting = farm.start()
        await until(lambda: len(server.queue) == 1)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert len(server.queue) == 1
        another = farm.start()
        await asyncio.sleep(0.1)
        assert (len(server.queue), server.asked) == (1, 2)
        another.cancel()
        await until(lambda: not server.queue and server.active == 1)
        server.end_job()
        await running

    run(test)


def test_a_slot_that_becomes_free_is_asked_for_while_another_server_keeps_the_job_waiting() -> None:
    async def test() -> None:
        farm = Farm(1, 1)
        first, second = farm.servers
        jobs = [farm.start() for _ in range(2)]
        await until(lambda: len(first.running) == len(second.running) == 1)
        third = farm.start()
        await until(lambda: len(first.queue) + len(second.queue) == 1)
        free = second if first.queue else first
        await asyncio.sleep(reservations.BLOCKED_S * 1.5)
        free.end_job()
        assert (await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED))[0]
        await until(lambda: len(free.running) == 1)
        free.end_job()
        assert (await third)[0] is free
        (first if free is second else second).end_job()
        await asyncio.wait(jobs)

    run(test)


def test_a_job_waits_at_more_than_one_full_server_but_not_at_many() -> None:
    async def test() -> None:
        farm = Farm(1, 1, 1, 1, 1)
        for server in farm.servers:
            server.free, server.others_load = 0, 1
        job = farm.start()
        await until(lambda: sum(bool(server.queue) for server in farm.servers) == 3)
        await asyncio.sleep(reservations.BLOCKED_S * 1.5)
        assert sum(server.asked for server in farm.servers) == 3
        last = [server for server in farm.servers if server.queue][-1]
        last.free_slot()
        await until(lambda: len(last.running) == 1)
        last.end_job()
        assert (await job)[0] is last

    run(test)


def test_a_lost_worker_loses_the_job_to_the_next() -> None:
    async def test() -> None:
        farm = Farm(1, 1)
        first, second = farm.servers
        job = farm.start()
        await until(lambda: len(first.running) == 1)
        first.running.pop().set_exception(first.lose(Trouble("compile", "it fell over")))
        await until(lambda: len(second.running) == 1)
        second.end_job()
        assert (await job)[0] is second
        assert farm.said == ["server-0:1: compile: it fell over; its jobs go elsewhere"]

    run(test)


def test_a_job_that_every_worker_refuses_is_refused() -> None:
    async def test() -> None:
        farm = Farm(1)
        (server,) = farm.servers
        server.mismatch = Mismatch("its gcc is another", 1e9)
        with pytest.raises(NoWorkerError, match="its gcc is another") as caught:
            await farm.start()
        assert caught.value.refused

    run(test)


def test_a_reservation_that_has_run_out_is_asked_for_again() -> None:
    async def test() -> None:
        farm = Farm(2)
        (server,) = farm.servers
        server.errors = [WorkerFullError("expired")]
        job = farm.start()
        await until(lambda: len(server.running) == 1)
        server.end_job()
        await job
        assert (server.asked, server.active, server.errors) == (2, 0, [])

    run(test)


def test_no_worker_is_down_for_a_reason_that_is_told() -> None:
    async def test() -> None:
        farm = Farm(1)
        (server,) = farm.servers
        server.lose(Trouble("connect", "connection refused"))
        with pytest.raises(NoWorkerError, match="server-0:1: connect: connection refused") as caught:
            await farm.start()
        assert not caught.value.refused

    run(test)


def test_text_with_macros_goes_only_to_workers_that_expand_them() -> None:
    async def test() -> None:
        farm = Farm(1, 8)
        first, second = farm.servers
        second.expands_macros = False
        jobs = [farm.start(unexpanded=True) for _ in range(2)]
        await until(lambda: len(first.running) == 1)
        first.end_job()
        await until(lambda: len(first.running) == 1)
        assert second.asked == 0
        first.lose(Trouble("compile", "it fell over"))
        first.running.pop().set_exception(first.lose(Trouble("compile", "it fell over")))
        done = await asyncio.gather(*jobs, return_exceptions=True)
        assert sum(isinstance(outcome, NoWorkerError) for outcome in done) == 1
        assert farm.scheduler.usable_now(farm.job()) == (second,)

    run(test)


def test_a_slot_granted_to_a_job_that_leaves_goes_to_the_next() -> None:
    async def test() -> None:
        farm = Farm(1)
        (server,) = farm.servers
        server.free = 0
        leaving, staying = farm.start(), farm.start()
        await until(lambda: len(server.queue) == 2)
        server.free_slot()
        while len(server.queue) == 2:
            await asyncio.sleep(0)
        leaving.cancel()  # granted, and not yet told
        await asyncio.wait([leaving])
        assert leaving.cancelled()
        await until(lambda: len(server.running) == 1)
        server.end_job()
        assert (await staying)[0] is server
        assert len(server.received) == 1

    run(test)


def test_a_reservation_that_is_left_over_is_used_once() -> None:
    async def test() -> None:
        farm = Farm(2)
        (server,) = farm.servers
        first = farm.start()
        await until(lambda: len(server.running) == 1)
        server.end_job(hands_on=True)
        await first
        asked = server.asked
        jobs = [farm.start() for _ in range(2)]
        await until(lambda: len(server.running) == 2)
        assert server.asked == asked + 1
        for job in jobs:
            server.end_job()
            await asyncio.wait([job])
        assert server.active == 0

    run(test)


def test_a_job_that_waits_ends_when_its_last_worker_is_lost() -> None:
    async def test() -> None:
        farm = Farm(1, 1)
        for server in farm.servers:
            server.free = 0
        job = farm.start()
        await until(lambda: any(server.queue for server in farm.servers))
        for server in farm.servers:
            server.lose(Trouble("compile", "it fell over"))
        with pytest.raises(NoWorkerError, match="it fell over"):
            await job

    run(test)


def test_a_worker_lost_while_a_job_waits_for_it_is_told_to_that_job() -> None:
    async def test() -> None:
        farm = Farm(1, 1)
        first, second = farm.servers
        first.reserve_errors = [first.lose(Trouble("reserve", "it fell over"))]
        first.trouble = None
        job = farm.start()
        await until(lambda: first.asked >= 1)
        await until(lambda: bool(second.running or first.running))
        assert farm.said == ["server-0:1: reserve: it fell over; its jobs go elsewhere"]
        job.cancel()
        await asyncio.wait([job])

    run(test)


def test_a_full_worker_is_asked_again_when_it_says_so_and_not_before() -> None:
    async def test() -> None:
        farm = Farm(1)
        (server,) = farm.servers
        server.full_until_s = asyncio.get_running_loop().time() + 0.1
        job = farm.start()
        await asyncio.sleep(0)
        await until(lambda: len(server.running) == 1)
        assert asyncio.get_running_loop().time() >= server.full_until_s
        assert server.asked == 1
        server.end_job()
        await job

    run(test)


def test_a_worker_that_is_found_later_takes_a_job_that_waits_already() -> None:
    async def test() -> None:
        farm = Farm(1, 1)
        first, second = farm.servers
        first.free = 0
        second.conceal()
        job = farm.start()
        await until(lambda: bool(first.queue))
        assert second.asked == 0
        second.reveal()
        await until(lambda: len(second.running) == 1)
        second.end_job()
        assert (await job)[0] is second

    run(test)
