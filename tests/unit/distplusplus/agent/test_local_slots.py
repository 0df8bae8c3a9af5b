"""Local slots: never more than the limit, in the order in which they were asked for, none lost."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from distplusplus.agent.local_slots import LocalSlots


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Work:
    """A task that takes a slot and holds it until it is told to end."""

    def __init__(self, slots: LocalSlots, limit: int) -> None:
        self.runs = False
        self._end = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(self._work(slots, limit))

    async def _work(self, slots: LocalSlots, limit: int) -> None:
        async with slots.taken(limit):
            self.runs = True
            try:
                await self._end.wait()
            finally:
                self.runs = False

    def end(self) -> None:
        self._end.set()


def test_slots_are_given_in_order() -> None:
    async def test() -> None:
        slots = LocalSlots()
        work = [Work(slots, 2) for _ in range(5)]
        await settle()
        assert [one.runs for one in work] == [True, True, False, False, False]
        work[1].end()
        await settle()
        assert [one.runs for one in work] == [True, False, True, False, False]
        for one in work:
            one.end()
        await asyncio.wait([one.task for one in work])
        assert slots.used == 0

    asyncio.run(test())


def test_a_newcomer_does_not_overtake_one_that_waits() -> None:
    async def test() -> None:
        slots = LocalSlots()
        first = Work(slots, 1)
        await settle()
        waiting = Work(slots, 1)
        await settle()
        newcomer = Work(slots, 2)  # there would be room for this one
        await settle()
        assert (waiting.runs, newcomer.runs) == (False, False)
        first.end()
        await settle()
        assert (waiting.runs, newcomer.runs) == (True, True)
        for one in (waiting, newcomer):
            one.end()
        await asyncio.wait([waiting.task, newcomer.task])

    asyncio.run(test())


def test_a_slot_granted_to_one_that_leaves_is_not_lost() -> None:
    async def test() -> None:
        slots = LocalSlots()
        first, leaving, staying = (Work(slots, 1) for _ in range(3))
        await settle()
        first.end()
        while slots.used and first.runs:
            await asyncio.sleep(0)
        leaving.task.cancel()
        await settle()
        assert staying.runs
        staying.end()
        await asyncio.wait([staying.task])
        assert slots.used == 0

    asyncio.run(test())


@given(st.lists(st.tuples(st.sampled_from(["start", "end", "cancel"]), st.integers(0, 7)), max_size=40))
def test_no_order_of_events_breaks_the_count(events: list[tuple[str, int]]) -> None:
    async def test() -> None:
        slots = LocalSlots()
        work: list[Work] = []
        for event, number in events:
            if event == "start":
                work.append(Work(slots, 3))
            elif work and event == "end":
                work[number % len(work)].end()
            elif work:
                work[number % len(work)].task.cancel()
            if number % 2:
                await settle()
                running = sum(one.runs for one in work)
                waiting = sum(not one.runs and not one.task.done() for one in work)
                assert running == slots.used <= 3
                assert not waiting or running == 3
        for one in work:
            one.end()
        if work:
            await asyncio.wait([one.task for one in work])
        assert slots.used == 0

    asyncio.run(test())
