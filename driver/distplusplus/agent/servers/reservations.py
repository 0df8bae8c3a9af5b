"""Jobs that wait for a slot, and the reservations that are asked for on their behalf. No polling.

Jobs wait in one queue. Reservations are asked for on the workers that have room, least loaded first, never more than
jobs wait, and the first job that can use a granted one takes it. A reservation that is not granted at once waits in its
worker's queue. If a slot becomes free elsewhere meanwhile, one more is asked for there; the surplus one is for the next
job.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from distplusplus.agent.agent_settings import AgentSettings
from distplusplus.agent.local_compilers import LocalCompiler
from distplusplus.agent.servers.remote_worker import RemoteWorker, WorkerFullError, WorkerLostError
from distplusplus.compiler.classify import Compile

# A reservation that is not answered by then waits for a slot.
BLOCKED_S: Final = 0.1
# How long places in workers' queues are kept for the next job.
REST_S: Final = 0.25
# How long a reservation is kept for the next job. Workers keep one for about 1 s, or as long as they say.
SPARE_S: Final = 0.5


@dataclass(frozen=True)
class Slot:
    """A reservation that was granted. `active` of its worker counts it."""

    worker: RemoteWorker
    token: str


@dataclass(eq=False)
class JobNeeds:
    """What a compile needs of a worker. `notice` tells the user something: a log level, and the text.

    `command`: None where any worker can do it. `unexpanded`: the worker must expand macros.
    `with_headers`: the worker must take header jobs.
    """

    compiler: LocalCompiler
    settings: AgentSettings
    notice: Callable[[str, str], None]
    command: Compile | None = None
    unexpanded: bool = False
    with_headers: bool = False
    refused_by: dict[RemoteWorker, str] = field(default_factory=dict)

    def tell_loss(self, worker: RemoteWorker, error: WorkerLostError) -> None:
        """The same words for all jobs that lose a reservation or a compile by it, so that it is told once."""
        self.notice("warning", f"{worker.name}: {error}; its jobs go elsewhere")


@dataclass(eq=False)
class Waiting:
    """A job that waits for a slot on one of `workers`."""

    job: JobNeeds
    workers: tuple[RemoteWorker, ...]
    granted: asyncio.Future[Slot]


@dataclass(eq=False)
class _Ticket:
    """A reservation that is being asked for."""

    worker: RemoteWorker
    since_s: float
    task: asyncio.Task[None] | None = None
    is_granted: bool = False


class Reservations:
    """The queue of jobs, the reservations under way, and those that are left over."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Waiting] = deque()
        self._tickets: set[_Ticket] = set()
        self._spares: list[Slot] = []
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        """The jobs that wait. Their `workers` may be changed, followed by `pump`."""
        return tuple(self._queue)

    async def take(self, waiting: Waiting) -> Slot:
        """A slot for a job. Raises WorkerLostError when all of its workers were lost."""
        for spare in self._spares:
            if spare.worker in waiting.workers:
                self._spares.remove(spare)
                return spare
        self._queue.append(waiting)
        self.pump()
        try:
            return await waiting.granted
        except asyncio.CancelledError:
            if waiting.granted.done() and not waiting.granted.cancelled() and not waiting.granted.exception():
                self.grant(waiting.granted.result())
            raise
        finally:
            if waiting in self._queue:
                self._queue.remove(waiting)
            self._rest()

    def grant(self, slot: Slot) -> None:
        """Gives a slot to the first job that can use it, or keeps it for the next."""
        for waiting in self._queue:
            if slot.worker in waiting.workers and not waiting.granted.done():
                self._queue.remove(waiting)
                waiting.granted.set_result(slot)
                return
        self._spares.append(slot)
        self._loop.call_later(min(SPARE_S, slot.worker.reservation_s / 2), self._drop, slot)

    def pump(self) -> None:
        """Asks for as many reservations as there are jobs without one, where there is room."""
        for waiting in list(self._queue):
            if all(worker.is_down for worker in waiting.workers):
                self._queue.remove(waiting)
                if not waiting.granted.done():
                    waiting.granted.set_exception(WorkerLostError("every worker was lost"))
        groups: dict[tuple[RemoteWorker, ...], list[Waiting]] = {}
        for waiting in self._queue:
            groups.setdefault(waiting.workers, []).append(waiting)
        for workers, jobs in groups.items():
            self._ask_for(workers, jobs)
        self._set_timer()

    def _ask_for(self, workers: tuple[RemoteWorker, ...], jobs: list[Waiting]) -> None:
        """Asks on behalf of these jobs, which can all use these workers."""
        now_s = self._loop.time()
        tickets = [ticket for ticket in self._tickets if ticket.worker in workers]
        blocked = {ticket.worker for ticket in tickets if now_s - ticket.since_s >= BLOCKED_S}
        asked = len(tickets)
        for waiting in jobs[sum(now_s - ticket.since_s < BLOCKED_S for ticket in tickets) :]:
            open_to = [worker for worker in workers if not worker.is_down and worker.room > 0]
            if asked >= len(jobs):
                # Enough are asked for, but they wait: one more is of use where a slot is free. What is known of the
                # load may be old, so a few wait also where none seemed to be; many would keep slots from others.
                is_few = asked <= 2 * len(jobs)
                open_to = [worker for worker in open_to if worker not in blocked and (is_few or worker.load < 1)]
            if not open_to:
                return
            self._ask(min(open_to, key=lambda worker: worker.load), waiting.job.settings)
            asked += 1

    def _ask(self, worker: RemoteWorker, settings: AgentSettings) -> None:
        worker.active += 1
        ticket = _Ticket(worker, self._loop.time())
        self._tickets.add(ticket)
        ticket.task = self._loop.create_task(self._redeem(ticket, settings))
        # Not in the task itself: one that is cancelled before its first step never reaches its end.
        ticket.task.add_done_callback(lambda _: self._settle(ticket))

    async def _redeem(self, ticket: _Ticket, settings: AgentSettings) -> None:
        worker = ticket.worker
        try:
            token = await worker.reserve(settings)
            ticket.is_granted = True
            self.grant(Slot(worker, token))
        except WorkerFullError:
            return  # `room` says when to ask again
        except WorkerLostError as error:
            for waiting in self._queue:
                if worker in waiting.workers:
                    waiting.job.tell_loss(worker, error)

    def _settle(self, ticket: _Ticket) -> None:
        self._tickets.discard(ticket)
        if not ticket.is_granted:
            ticket.worker.active -= 1
        self.pump()

    def _drop(self, spare: Slot) -> None:
        """The worker frees the slot itself, as nobody has used it."""
        if spare in self._spares:
            self._spares.remove(spare)
            spare.worker.active -= 1
            self.pump()

    def _rest(self) -> None:
        """Stops waiting in workers' queues once no job has come for a while.

        Not at once: the next job takes over the place. And a place that is given up while it is being granted is lost
        to everybody for the second that workers keep it.
        """
        if not self._queue and self._tickets:
            self._loop.call_later(REST_S, self._give_back)

    def _give_back(self) -> None:
        if not self._queue:
            for ticket in self._tickets:
                if ticket.task is not None:
                    ticket.task.cancel()

    def _set_timer(self) -> None:
        """Looks again when a reservation turns out to wait, or a full worker may be asked again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._queue:
            return
        now_s = self._loop.time()
        due = [ticket.since_s + BLOCKED_S for ticket in self._tickets]
        due += [worker.full_until_s for waiting in self._queue for worker in waiting.workers]
        due = [at_s for at_s in due if at_s > now_s]
        if due:
            self._timer = self._loop.call_at(min(due) + 0.001, self.pump)
