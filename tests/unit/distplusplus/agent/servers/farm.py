"""Workers without a process, jobs for them, and waiting: what the tests of the scheduler share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from distplusplus.agent.agent_settings import AgentSettings, WorkerSettings
from distplusplus.agent.local_compilers import LocalCompiler
from distplusplus.agent.remote_compile import reserve_and_send
from distplusplus.agent.servers.fake_worker import FakeWorker
from distplusplus.agent.servers.remote_worker import PreparedCompile, RemoteWorker
from distplusplus.agent.servers.reservations import JobNeeds
from distplusplus.agent.servers.scheduler import Scheduler
from distplusplus.compiler.classify import Compile, classify
from distplusplus.protocol import distplusplus_pb2 as pb

GCC = LocalCompiler("/usr/bin/gcc", "gcc 1", ("gcc",), False, "1", "fake-linux-gnu", "1")


def prepared(*, unexpanded: bool = False) -> PreparedCompile:
    command = classify("gcc", ["-c", "a.c"], {}, clang=False)
    assert isinstance(command, Compile)
    return PreparedCompile(command, GCC, pb.File(), "/work", unexpanded)


class Farm:
    """Workers with so many slots, and jobs for them."""

    def __init__(self, *slots: int) -> None:
        numbers = iter(slots)
        self.scheduler = Scheduler(lambda entry, changed: FakeWorker(entry, changed, next(numbers)))
        self.settings = AgentSettings(
            servers=tuple(WorkerSettings(f"server-{number}:1") for number in range(len(slots)))
        )
        self.said: list[str] = []
        self.servers = [worker for worker in self.scheduler.workers(self.settings) if isinstance(worker, FakeWorker)]

    def job(self, *, unexpanded: bool = False) -> JobNeeds:
        return JobNeeds(GCC, self.settings, lambda _, text: self.said.append(text), unexpanded=unexpanded)

    def start(self, *, unexpanded: bool = False) -> asyncio.Task[tuple[RemoteWorker, pb.CompileAnswer]]:
        job = self.job(unexpanded=unexpanded)
        return asyncio.get_running_loop().create_task(
            reserve_and_send(self.scheduler, job, prepared(unexpanded=unexpanded))
        )


async def until(condition: Callable[[], bool]) -> None:
    """Returns when `condition` holds; the test's time limit ends what never does."""
    while not condition():
        await asyncio.sleep(0.001)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await test()

    asyncio.run(bounded())
