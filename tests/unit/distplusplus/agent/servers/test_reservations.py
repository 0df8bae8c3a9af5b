"""Which job goes where, without a process: servers that grant reservations when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from distplusplus.agent.agent_settings import ServerSettings, Settings
from distplusplus.agent.local_compilers import LocalCompiler
from distplusplus.agent.servers import reservations as scheduling
from distplusplus.agent.servers.diagnosis import Trouble
from distplusplus.agent.servers.remote_server import FullError, Mismatch, Server, ServerLostError
from distplusplus.agent.servers.reservations import Job, NoServerError, Scheduler
from distplusplus.protocol import distplusplus_pb2 as pb

GCC = LocalCompiler("/usr/bin/gcc", "gcc 1", ("gcc",), False, "1", "fake-linux-gnu", "1")


class FakeServer(Server):
    """Grants `free` reservations at once and keeps the others waiting; a job ends when the test ends it."""

    def __init__(self, settings: ServerSettings, changed: Callable[[], None], slots: int = 1) -> None:
        super().__init__(settings, changed)
        self.slots = self.free = slots
        self.extended = True
        self._max_wait_ms = 30_000
        self.asked = 0
        self.queue: list[asyncio.Future[None]] = []
        self.running: list[asyncio.Future[pb.CompileAnswer]] = []

    def knows(self, local: LocalCompiler) -> str | Mismatch | None:
        return local.names[0]

    async def reserve(self, settings: Settings) -> str:  # noqa: ARG002
        self.asked += 1
        if self.free <= 0:
            place: asyncio.Future[None] = self._loop.create_future()
            self.queue.append(place)
            try:
                await place
            finally:
                self.queue.remove(place)
        self.free -= 1
        return f"{self.name} {self.asked}"

    async def distribute(self, request: pb.CompileRequest, settings: Settings) -> pb.CompileAnswer:  # noqa: ARG002
        assert request.uuid
        end: asyncio.Future[pb.CompileAnswer] = self._loop.create_future()
        self.running.append(end)
        return await end

    def end_job(self, *, hands_on: bool = False) -> None:
        answer = pb.CompileAnswer()
        if hands_on:
            answer.next.uuid = "next"
        else:
            self.free_slot()
        self.running.pop(0).set_result(answer)

    def free_slot(self) -> None:
        """A slot becomes free, and whoever waits gets it."""
        self.free += 1
        if self.queue:
            self.queue[0].set_result(None)


async def _request(_server: Server, _name: str) -> pb.CompileRequest:
    return pb.CompileRequest()


class Farm:
    def __init__(self, *slots: int) -> None:
        self.scheduler = Scheduler()
        self.settings = Settings(servers=tuple(ServerSettings(f"server-{number}:1") for number in range(len(slots))))
        for entry, count in zip(self.settings.servers, slots, strict=True):
            self.scheduler._servers[entry] = FakeServer(entry, self.scheduler._wake, count)
        self.said: list[str] = []

    @property
    def servers(self) -> list[FakeServer]:
        return [server for server in self.scheduler._servers.values() if isinstance(server, FakeServer)]

    def start(self) -> asyncio.Task[tuple[Server, pb.CompileAnswer]]:
        job = Job(
            GCC,
            self.settings,
            _request,
            False,
            lambda _, text: self.said.append(text),
        )
        return asyncio.get_running_loop().create_task(self.scheduler.compile(job))


async def until(condition: Callable[[], bool]) -> None:
    """Returns when `condition` holds; the test's time limit ends what never does."""
    while not condition():
        await asyncio.sleep(0.001)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await test()

    asyncio.run(bounded())


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


def test_a_job_that_goes_before_its_reservation_was_asked_for_leaves_nothing() -> None:
    async def test() -> None:
        farm = Farm(1)
        job = farm.start()
        await asyncio.sleep(0)  # it has asked, and the task that does so has not begun
        for ticket in farm.scheduler._tickets:
            assert ticket.task is not None
            ticket.task.cancel()
        job.cancel()
        await asyncio.wait([job])
        await until(lambda: not farm.scheduler._tickets)
        assert farm.servers[0].active == 0

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
        await until(lambda: not farm.scheduler._tickets)
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
        async with asyncio.timeout(scheduling._SPARE_S / 2):
            await until(lambda: server.active == 0)
        assert not farm.scheduler._spares

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
    monkeypatch.setattr(scheduling, "_REST_S", 0.05)

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
        await asyncio.sleep(scheduling._BLOCKED_S * 1.5)
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
        await asyncio.sleep(scheduling._BLOCKED_S * 1.5)
        assert sum(server.asked for server in farm.servers) == 3
        last = [server for server in farm.servers if server.queue][-1]
        last.free_slot()
        await until(lambda: len(last.running) == 1)
        last.end_job()
        assert (await job)[0] is last

    run(test)


def test_a_lost_server_loses_the_job_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        farm = Farm(1, 1)
        first, second = farm.servers

        async def lost(*_: object) -> pb.CompileAnswer:
            raise first._lose(Trouble("compile", "it fell over"))

        monkeypatch.setattr(first, "distribute", lost)
        job = farm.start()
        await until(lambda: len(second.running) == 1)
        second.end_job()
        assert (await job)[0] is second
        assert farm.said == ["server-0:1: compile: it fell over; its jobs go elsewhere"]

    run(test)


def test_a_job_that_every_server_refuses_comes_home(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        farm = Farm(1)
        (server,) = farm.servers
        monkeypatch.setattr(server, "knows", lambda _: Mismatch("its gcc is another", 1e9))
        with pytest.raises(NoServerError, match="its gcc is another") as caught:
            await farm.start()
        assert caught.value.refused

    run(test)


def test_a_reservation_that_has_run_out_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        farm = Farm(2)
        (server,) = farm.servers
        answers: list[Exception | None] = [FullError("expired"), None]

        async def distribute(*_: object) -> pb.CompileAnswer:
            if error := answers.pop(0):
                raise error
            return pb.CompileAnswer()

        monkeypatch.setattr(server, "distribute", distribute)
        await farm.start()
        assert (server.asked, server.active, answers) == (2, 0, [])

    run(test)


def test_no_server_is_down_for_a_reason_that_is_told() -> None:
    async def test() -> None:
        farm = Farm(1)
        (server,) = farm.servers
        assert isinstance(server._lose(Trouble("connect", "connection refused")), ServerLostError)
        with pytest.raises(NoServerError, match="server-0:1: connect: connection refused") as caught:
            await farm.start()
        assert not caught.value.refused

    run(test)
