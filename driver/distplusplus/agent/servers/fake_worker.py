"""A remote worker without a process: it grants reservations and ends jobs when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from distplusplus.agent.agent_settings import AgentSettings, WorkerSettings
from distplusplus.agent.local_compilers import LocalCompiler
from distplusplus.agent.servers.diagnosis import Trouble
from distplusplus.agent.servers.remote_worker import Mismatch, PreparedCompile, WorkerLostError
from distplusplus.compiler.classify import Compile
from distplusplus.protocol import distplusplus_pb2 as pb


class FakeWorker:
    """Grants `free` reservations at once and keeps further ones waiting.

    `find_errors`, `reserve_errors` and `errors` are raised by the next questions for a compiler, reservations and jobs.
    After `conceal`, its compilers are unknown until `reveal`.
    """

    def __init__(self, settings: WorkerSettings, changed: Callable[[], None], slots: int = 1) -> None:
        self.name = settings.target
        self.slots = self.free = slots
        self.active = self.others_load = self.jobs_done = 0
        self.full_until_s = self.retry_in_s = 0.0
        self.reservation_s = 1.0
        self.takes_header_jobs = False
        self.expands_macros = True
        self.refusal: str | None = None
        self.trouble: Trouble | None = None
        self.mismatch: Mismatch | None = None
        self.asked = 0
        self.queue: list[asyncio.Future[None]] = []
        self.running: list[asyncio.Future[pb.CompileAnswer]] = []
        self.received: list[PreparedCompile] = []
        self.questions = 0
        self.is_closed = False
        self.find_errors: list[Exception] = []
        self.reserve_errors: list[Exception] = []
        self.errors: list[Exception] = []
        self._revealed = asyncio.Event()
        self._revealed.set()
        self._changed = changed

    @property
    def is_down(self) -> bool:
        return self.trouble is not None

    @property
    def load(self) -> float:
        return (self.active + self.others_load) / max(self.slots, 1)

    @property
    def room(self) -> int:
        if asyncio.get_running_loop().time() < self.full_until_s:
            return 0
        return self.slots + max(self.slots // 4, 1) - self.active

    def refuses(self, command: Compile) -> str | None:  # noqa: ARG002
        return self.refusal

    def knows(self, compiler: LocalCompiler) -> str | Mismatch | None:
        return (self.mismatch or compiler.names[0]) if self._revealed.is_set() else None

    async def find_compiler(self, compiler: LocalCompiler, settings: AgentSettings) -> str | Mismatch:  # noqa: ARG002
        self.questions += 1
        if self.find_errors:
            raise self.find_errors.pop(0)
        await self._revealed.wait()
        return self.mismatch or compiler.names[0]

    async def reserve(self, settings: AgentSettings) -> str:  # noqa: ARG002
        self.asked += 1
        if self.reserve_errors:
            raise self.reserve_errors.pop(0)
        if self.free <= 0:
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.queue.append(place)
            try:
                await place
            finally:
                self.queue.remove(place)
        self.free -= 1
        return f"{self.name} {self.asked}"

    async def run(self, token: str, prepared: PreparedCompile, settings: AgentSettings) -> pb.CompileAnswer:  # noqa: ARG002
        if not token:
            raise AssertionError("a job without a reservation")
        self.received.append(prepared)
        if self.errors:
            raise self.errors.pop(0)
        end: asyncio.Future[pb.CompileAnswer] = asyncio.get_running_loop().create_future()
        self.running.append(end)
        answer = await end
        self.jobs_done += 1
        return answer

    async def close(self) -> None:
        self.is_closed = True

    def conceal(self) -> None:
        """From now on nobody knows its compilers."""
        self._revealed.clear()

    def reveal(self) -> None:
        """It tells its compilers."""
        self._revealed.set()

    def end_job(self, *, hands_on: bool = False, return_code: int = 0) -> None:
        """Answers the oldest job; its slot becomes free, or is kept for our next job."""
        answer = pb.CompileAnswer(returnCode=return_code)
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

    def lose(self, trouble: Trouble) -> WorkerLostError:
        """From now on it is down."""
        self.trouble = trouble
        asyncio.get_running_loop().call_soon(self._changed)
        return WorkerLostError(str(trouble))

    def find_again(self) -> None:
        """It can be used again."""
        self.trouble = None
        asyncio.get_running_loop().call_soon(self._changed)
