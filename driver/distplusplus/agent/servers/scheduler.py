"""Which remote workers can do a job, and a slot on one of them. reservations.py decides who gets a slot when."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from distplusplus.agent.agent_settings import AgentSettings, WorkerSettings
from distplusplus.agent.servers.grpc_worker import GrpcWorker
from distplusplus.agent.servers.remote_worker import (
    MakeWorker,
    Mismatch,
    PreparedCompile,
    RemoteWorker,
    WorkerLostError,
)
from distplusplus.agent.servers.reservations import JobNeeds, Reservations, Slot, Waiting
from distplusplus.protocol import distplusplus_pb2 as pb


class NoWorkerError(Exception):
    """Raised when no worker takes the job. `refused`: they can be used, but none of them for this job."""

    def __init__(self, reason: str, *, refused: bool) -> None:
        super().__init__(reason)
        self.refused = refused


class ReservedSlot:
    """A slot for one job, held for as long as the `async with` of `Scheduler.reservation`."""

    def __init__(self, slot: Slot, settings: AgentSettings, reservations: Reservations) -> None:
        self.worker = slot.worker
        self._token = slot.token
        self._settings = settings
        self._reservations = reservations

    async def run(self, prepared: PreparedCompile) -> pb.CompileAnswer:
        """The worker's answer. Raises WorkerFullError (reserve again), JobRefusedError, WorkerLostError."""
        answer = await self.worker.run(self._token, prepared, self._settings)
        if answer.next.uuid:
            self.worker.active += 1
            self._reservations.grant(Slot(self.worker, answer.next.uuid))
        return answer


class Scheduler:
    """All workers that any job has named, and all jobs that wait."""

    def __init__(self, make_worker: MakeWorker = GrpcWorker) -> None:
        self._loop = asyncio.get_running_loop()
        self._make_worker = make_worker
        self._workers: dict[WorkerSettings, RemoteWorker] = {}
        self._reservations = Reservations()
        self._changed = asyncio.Event()

    def workers(self, settings: AgentSettings) -> list[RemoteWorker]:
        """The workers that these settings name."""
        return [self._worker(entry) for entry in settings.servers]

    @contextlib.asynccontextmanager
    async def reservation(self, job: JobNeeds) -> AsyncIterator[ReservedSlot]:
        """A slot on a worker that can do the job; waits for one. Raises NoWorkerError."""
        slot = await self._slot(job)
        try:
            yield ReservedSlot(slot, job.settings, self._reservations)
        finally:
            slot.worker.active -= 1
            self._wake()

    async def usable(self, job: JobNeeds) -> tuple[RemoteWorker, ...]:
        """The workers that can do the job, as far as they are known. Asks them where none is known.

        Raises NoWorkerError when there is none now.
        """
        workers = self.workers(job.settings)
        unknown: list[asyncio.Task[None]] = [
            self._loop.create_task(self._get_to_know(worker, job))
            for worker in workers
            if not worker.is_down and worker not in job.refused_by and worker.knows(job.compiler) is None
        ]
        try:
            while not (known := self.usable_now(job)) and unknown:
                # The first that answers will do; the others join for the next job.
                _, pending = await asyncio.wait(unknown, return_when=asyncio.FIRST_COMPLETED)
                unknown = list(pending)
        except asyncio.CancelledError:
            for task in unknown:
                task.cancel()
            raise
        if not known:
            raise _no_worker(workers, job)
        return known

    def usable_now(self, job: JobNeeds) -> tuple[RemoteWorker, ...]:
        """The workers that are known to be able to do the job."""
        return tuple(worker for worker in self.workers(job.settings) if _is_usable(worker, job))

    async def wait_for_change(self, settings: AgentSettings) -> None:
        """Returns when a worker may be usable again."""
        retry_in_s = min((worker.retry_in_s for worker in self.workers(settings)), default=1.0)
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), max(retry_in_s, 0.1))
        except TimeoutError:
            return

    async def close(self) -> None:
        """Breaks all connections."""
        for worker in self._workers.values():
            await worker.close()

    def _worker(self, settings: WorkerSettings) -> RemoteWorker:
        worker = self._workers.get(settings)
        if worker is None:
            worker = self._workers[settings] = self._make_worker(settings, self._wake)
        return worker

    async def _slot(self, job: JobNeeds) -> Slot:
        while True:
            waiting = Waiting(job, await self.usable(job), self._loop.create_future())
            # Where all were lost, others may have been found meanwhile.
            with contextlib.suppress(WorkerLostError):
                return await self._reservations.take(waiting)

    async def _get_to_know(self, worker: RemoteWorker, job: JobNeeds) -> None:
        try:
            found = await worker.find_compiler(job.compiler, job.settings)
        except WorkerLostError as error:
            job.notice("warning", f"{worker.name}: {error}; going on without it")
            return
        if isinstance(found, Mismatch):
            job.notice("warning", f"{worker.name}: {found.reason}; it is passed over")
        # Jobs that wait already, because the others are full, may use it, too.
        for waiting in self._reservations.waiting:
            waiting.workers = self.usable_now(waiting.job)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._reservations.pump()


def _is_usable(worker: RemoteWorker, job: JobNeeds) -> bool:
    if worker.is_down or worker in job.refused_by:
        return False
    found = worker.knows(job.compiler)
    if found is None:
        return False
    if isinstance(found, Mismatch):
        job.refused_by.setdefault(worker, f"{worker.name}: {found.reason}")
        return False
    if job.command is not None and (reason := worker.refuses(job.command)):
        job.refused_by.setdefault(worker, f"{worker.name}: {reason}")
        return False
    if job.with_headers and not worker.takes_header_jobs:
        return False
    return worker.expands_macros or not job.unexpanded


def _no_worker(workers: list[RemoteWorker], job: JobNeeds) -> NoWorkerError:
    reasons = [job.refused_by[worker] for worker in workers if worker in job.refused_by]
    refused = len(reasons) == len(workers) and bool(workers)
    if not refused:
        down = [f"{worker.name}: {worker.trouble.brief}" for worker in workers if worker.is_down and worker.trouble]
        reasons = down or reasons or ["no servers are configured"]
    return NoWorkerError("; ".join(dict.fromkeys(reasons)), refused=refused)
