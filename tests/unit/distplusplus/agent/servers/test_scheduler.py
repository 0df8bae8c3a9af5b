"""Which workers can do a job, what is told of those that cannot, and when a job that waits is woken."""

from __future__ import annotations

import asyncio

import pytest

from distplusplus.agent.servers.diagnosis import Trouble
from distplusplus.agent.servers.remote_worker import Mismatch, WorkerLostError
from distplusplus.agent.servers.scheduler import NoWorkerError
from tests.unit.distplusplus.agent.servers.farm import Farm, prepared, run, until


def test_the_first_worker_that_answers_will_do_and_the_others_join() -> None:
    async def test() -> None:
        farm = Farm(1, 1)
        first, second = farm.servers
        first.conceal()
        second.conceal()
        asking = asyncio.get_running_loop().create_task(farm.scheduler.usable(farm.job()))
        await until(lambda: first.questions == second.questions == 1)
        assert not asking.done()
        second.reveal()
        assert await asking == (second,)
        first.reveal()
        await until(lambda: farm.scheduler.usable_now(farm.job()) == (first, second))

    run(test)


def test_nobody_waits_for_answers_that_no_job_wants() -> None:
    async def test() -> None:
        farm = Farm(1)
        (worker,) = farm.servers
        worker.conceal()
        asking = asyncio.get_running_loop().create_task(farm.scheduler.usable(farm.job()))
        await until(lambda: worker.questions == 1)
        before = asyncio.all_tasks()
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()
        await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})
        assert len(before) == 3, "the test, the job, and the question"

    run(test)


def test_another_compiler_is_told_and_the_worker_passed_over() -> None:
    async def test() -> None:
        farm = Farm(1, 1)
        first, second = farm.servers
        first.conceal()
        first.mismatch = Mismatch("its gcc is another", 1e9)
        second.conceal()
        asking = asyncio.get_running_loop().create_task(farm.scheduler.usable(farm.job()))
        await until(lambda: first.questions == 1)
        first.reveal()
        await until(lambda: bool(farm.said))
        second.reveal()
        assert await asking == (second,)
        assert farm.said == ["server-0:1: its gcc is another; it is passed over"]

    run(test)


def test_a_worker_that_is_lost_when_it_is_asked_is_told() -> None:
    async def test() -> None:
        farm = Farm(1, 1)
        first, second = farm.servers
        first.conceal()
        first.find_errors = [WorkerLostError("connect: refused")]
        second.conceal()
        asking = asyncio.get_running_loop().create_task(farm.scheduler.usable(farm.job()))
        await until(lambda: bool(farm.said))
        first.trouble = Trouble("connect", "refused")
        second.reveal()
        assert await asking == (second,)
        assert farm.said == ["server-0:1: connect: refused; going on without it"]

    run(test)


def test_what_a_worker_cannot_do_is_a_reason_of_its_own() -> None:
    async def test() -> None:
        farm = Farm(1)
        (worker,) = farm.servers
        worker.refusal = "refuses -S"
        job = farm.job()
        job.command = prepared().command
        with pytest.raises(NoWorkerError, match=r"^server-0:1: refuses -S$") as caught:
            await farm.scheduler.usable(job)
        assert caught.value.refused

    run(test)


def test_a_job_without_workers_is_woken_by_one_that_is_found() -> None:
    async def test() -> None:
        farm = Farm(1)
        (worker,) = farm.servers
        worker.lose(Trouble("connect", "refused"))
        worker.retry_in_s = 1000.0
        await asyncio.sleep(0)
        waiting = asyncio.get_running_loop().create_task(farm.scheduler.wait_for_change(farm.settings))
        await asyncio.sleep(0)
        assert not waiting.done()
        worker.find_again()
        await waiting

    run(test)


def test_a_job_without_workers_tries_again_when_one_may_be_back() -> None:
    async def test() -> None:
        farm = Farm(1, 1)
        first, second = farm.servers
        first.retry_in_s, second.retry_in_s = 1000.0, 0.2
        began_s = asyncio.get_running_loop().time()
        await farm.scheduler.wait_for_change(farm.settings)
        assert asyncio.get_running_loop().time() - began_s >= 0.2

    run(test)


def test_a_slot_that_becomes_free_is_for_a_job_that_waits_elsewhere() -> None:
    """The end of a job is a reason to look again, although nothing else happens."""

    async def test() -> None:
        farm = Farm(1, 1)
        first, second = farm.servers
        second.full_until_s = 1e9  # cannot keep anybody waiting
        running = farm.start()
        await until(lambda: len(first.running) == 1)
        first.full_until_s = 1e9
        waiting = farm.start()
        await asyncio.sleep(0.01)
        assert not first.queue
        first.full_until_s = 0.0
        first.end_job()
        await running
        await until(lambda: len(first.running) == 1)
        first.end_job()
        assert (await waiting)[0] is first

    run(test)


def test_closing_closes_every_worker() -> None:
    async def test() -> None:
        farm = Farm(1, 1)
        await farm.scheduler.close()
        assert [worker.is_closed for worker in farm.servers] == [True, True]

    run(test)


def test_the_answer_is_that_of_the_worker() -> None:
    async def test() -> None:
        farm = Farm(1)
        (worker,) = farm.servers
        job = farm.start()
        await until(lambda: len(worker.running) == 1)
        worker.end_job(return_code=3)
        assert (await job)[1].returnCode == 3

    run(test)
