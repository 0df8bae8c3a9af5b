"""A worker without its RPC face: who gets a slot, waiting, expiry, uploads, running, draining, accounting.

`rpc` puts gRPC calls on top. Another face would call the same methods; nothing here knows about gRPC.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused
from distplusplus.server.capacity import Capacity
from distplusplus.server.compile import Outcome
from distplusplus.server.log import TRACE, JobLine, log, log_job
from distplusplus.server.metrics import Metrics
from distplusplus.server.server_settings import ServerSettings
from distplusplus.server.slots import Caller, Reservation, SlotTable, Waiter

# Uploads read at once from connections that hold no reservation, in all and of one origin. Their messages take memory
# and end in a refusal, unless the reservation was made on another connection. That one expires meanwhile.
_UNRESERVED_UPLOADS, _UNRESERVED_OF_ONE = 4, 2
_UNRESERVED_GRACE_S = 5.0
# A client that does not say how long it waits is one of the first implementation. It would call again at once, and
# never have a turn beside clients that wait.
_UNASKED_WAIT_S = 1.0
# An expiry timer that fires this late shows that the process was starved, and that jobs which arrived in time still
# wait to be read.
_LATE_S = 0.02
# A draining server waits this long for the jobs of reservations that it has given.
_DRAIN_PROMISE_S = 1.0


@dataclass
class Job:
    """One job from its upload to its end, as the accounting sees it. Filled in on the way."""

    caller: Caller
    compiler: str = ""
    file: str = ""
    transfer_s: float = 0.0
    reservation: Reservation | None = None
    outcome: Outcome | None = None
    begun_s: float = field(default_factory=time.monotonic)

    def arrived(self, compiler: str, file: str) -> None:
        """The upload is complete. The names are for the log."""
        self.transfer_s = time.monotonic() - self.begun_s
        self.compiler, self.file = compiler, file


class Worker:
    """The state of a running server."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self.slots = SlotTable(lambda: self.capacity.now().count, settings.reservation_timeout_s, clock=self._loop.time)
        self.capacity = Capacity(settings.jobs, settings.memory_per_job_mib, lambda: self.slots.running)
        self.metrics = Metrics(self.capacity_message)
        self.draining = False
        self.jobs_done = 0
        self.jobs_refused = 0
        self._expiry: asyncio.TimerHandle | None = None
        self._unreserved = asyncio.Semaphore(_UNRESERVED_UPLOADS)
        self._unreserved_of: Counter[str] = Counter()
        self._changed = asyncio.Event()

    def capacity_message(self) -> pb.Capacity:
        """What the worker can do now, as the protocol tells it."""
        now = self.capacity.now()
        return pb.Capacity(
            cpus=now.cpus,
            freeMemoryMib=now.free_memory_mib,
            slots=now.count,
            slotsReason=now.reason,
            runningJobs=self.slots.running,
            reservedSlots=len(self.slots.reserved),
            queuedReservations=self.slots.waiting,
            draining=self.draining,
            reservationTimeoutMs=int(self._settings.reservation_timeout_s * 1000),
            maxInputBytes=self._settings.max_input_bytes,
            maxWaitMs=int(self._settings.max_wait_s * 1000),
        )

    async def reserve(self, caller: Caller, wait_s: float) -> Reservation:
        """A slot, waiting up to `wait_s` for one; 0: about a second. Never longer than --max-wait.

        Raises CallRefused.
        """
        if self.draining:
            raise _draining()
        wait_s = min(wait_s or _UNASKED_WAIT_S, self._settings.max_wait_s)
        begun = self._loop.time()
        try:
            reservation = self.slots.reserve(caller)
        except CallRefused:
            if wait_s <= 0:
                raise
            reservation = await self._wait(caller, wait_s)
        reservation.waited_s = self._loop.time() - begun
        self.metrics.queue_s.observe(reservation.waited_s)
        return reservation

    def promise(self, reservation: Reservation) -> pb.ReservationAnswer:
        """The answer about a reservation, which can expire from now on."""
        self._schedule_expiry(reservation.due_s)
        return pb.ReservationAnswer(
            success=True,
            uuid=reservation.uuid,
            timeoutMs=int(self._settings.reservation_timeout_s * 1000),
            waitedMs=int(reservation.waited_s * 1000),
        )

    @contextlib.asynccontextmanager
    async def upload(self, caller: Caller) -> AsyncIterator[None]:
        """Within this the job of a call is read. Raises CallRefused.

        A connection that holds a reservation has --transfer-timeout for it, and the reservation does not expire
        meanwhile. Others have little time, and few of them are read at once.
        """
        if self.slots.upload_begins(caller.peer):
            reading, timeout_s = contextlib.AsyncExitStack(), self._settings.transfer_timeout_s
            reading.callback(self._upload_ended, caller.peer)
        elif self.draining:
            raise _draining()
        else:
            reading = await self._unreserved_upload(caller)
            timeout_s = min(
                self._settings.reservation_timeout_s + _UNRESERVED_GRACE_S, self._settings.transfer_timeout_s
            )
        async with reading:
            try:
                async with asyncio.timeout(timeout_s):
                    yield
            except TimeoutError:
                raise _not_arrived(timeout_s) from None

    async def _unreserved_upload(self, caller: Caller) -> contextlib.AsyncExitStack:
        if self._unreserved_of[caller.origin] >= _UNRESERVED_OF_ONE:
            raise CallRefused(
                pb.Refusal.UNKNOWN_RESERVATION,
                f"{_UNRESERVED_OF_ONE} jobs without a reservation are on their way from this client already",
            )
        reading = contextlib.AsyncExitStack()
        self._unreserved_of[caller.origin] += 1
        reading.callback(self._unreserved_ended, caller.origin)
        try:
            async with asyncio.timeout(_UNRESERVED_GRACE_S):
                await reading.enter_async_context(self._unreserved)
        except BaseException as error:
            await reading.aclose()
            if isinstance(error, TimeoutError):
                raise _not_arrived(_UNRESERVED_GRACE_S) from None
            raise
        return reading

    def _unreserved_ended(self, origin: str) -> None:
        self._unreserved_of[origin] -= 1
        if not self._unreserved_of[origin]:
            del self._unreserved_of[origin]

    def _upload_ended(self, peer: str) -> None:
        self.slots.upload_ends(peer)
        self._changed.set()
        # Not now: the reservation is used, if it is, before the loop gets to this.
        self._loop.call_soon(self._expire, self._loop.time())

    async def run(
        self, job: Job, uuid: str, compile_it: Callable[[], Awaitable[Outcome]], *, reserve_next: bool
    ) -> tuple[Outcome, Reservation | None]:
        """Runs a job on the slot of reservation `uuid`. Returns its outcome, and a reservation for the next job if
        the client wants one and gets it. Raises CallRefused.
        """
        if caller := self.slots.use_parked(uuid):
            uuid = (await self.reserve(caller, self._settings.max_wait_s)).uuid
        reservation = job.reservation = self.slots.use(uuid)
        following: Reservation | None = None
        try:
            job.outcome = await compile_it()
        finally:
            if job.outcome is not None and reserve_next and not self.draining:
                following = self.slots.hand_on(reservation)
            else:
                self.slots.release(reservation)
            self._changed.set()
        return job.outcome, following

    @contextlib.contextmanager
    def accounting(self, job: Job) -> Iterator[Job]:
        """Counts and logs what became of `job` when the block ends, however it ends."""
        result, reason = "gone", ""
        try:
            yield job
            result = "ok" if job.outcome is not None and job.outcome.return_code == 0 else "failed"
        except CallRefused as refused:
            result, reason = pb.Refusal.Reason.Name(refused.reason), str(refused)
            raise
        except Exception:
            result = "fault"
            raise
        finally:
            self._account(job, result, reason)

    async def drain(self) -> None:
        """Refuses new work. Returns when running jobs have ended and those on their way have arrived."""
        self.draining = True
        promised_until_s = self._loop.time() + _DRAIN_PROMISE_S
        while True:
            left_s = promised_until_s - self._loop.time()
            if not (self.slots.running or self.slots.uploading or (self.slots.reserved and left_s > 0)):
                return
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s if left_s > 0 else None):
                    await self._changed.wait()

    async def _wait(self, caller: Caller, wait_s: float) -> Reservation:
        granted: asyncio.Future[Reservation] = self._loop.create_future()
        waiter = Waiter(caller, granted.set_result, granted.cancel)
        self.slots.wait(waiter)
        try:
            deadline = self._loop.time() + wait_s
            while not granted.done() and (left := deadline - self._loop.time()) > 0:
                # Memory that is freed makes slots without the end of a job: look once a second.
                await asyncio.wait([granted], timeout=min(left, 1.0))
                self.slots.grant_free()
                if self.draining and not granted.done():
                    raise _draining()
        except BaseException:
            self.slots.leave(waiter)
            if granted.done() and not granted.cancelled():
                self.slots.cancel(granted.result())
            raise
        if granted.cancelled():
            raise self.slots.queue_full()
        if granted.done():
            return granted.result()
        self.slots.leave(waiter)
        raise CallRefused(
            pb.Refusal.FULL,
            f"all {self.slots.limit()} slots are taken: no slot became free within {wait_s:g} s;"
            f" {self.slots.waiting} calls wait",
            retry_after_ms=50,
        )

    def _schedule_expiry(self, due_s: float) -> None:
        if self._expiry is None or self._expiry.when() > due_s:
            if self._expiry is not None:
                self._expiry.cancel()
            self._expiry = self._loop.call_at(due_s, self._expire, due_s)

    def _expire(self, planned_s: float) -> None:
        late_s = self._loop.time() - planned_s
        if late_s > _LATE_S:
            self._expiry = self._loop.call_later(min(late_s, 1.0), self._expire_now)
        else:
            self._expire_now()

    def _expire_now(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        before = len(self.slots.reserved)
        due_s = self.slots.expire()
        if before != len(self.slots.reserved):
            log.log(TRACE, "%d reservations expired", before - len(self.slots.reserved))
            self._changed.set()
        if due_s is not None:
            self._schedule_expiry(due_s)

    def _account(self, job: Job, result: str, reason: str) -> None:
        outcome, reservation = job.outcome, job.reservation
        self.metrics.jobs.labels(result).inc()
        if outcome is None:
            self.jobs_refused += 1
        else:
            self.jobs_done += 1
            self.metrics.compile_s.observe(outcome.compile_s)
            self.metrics.transfer_s.observe(job.transfer_s)
            self.metrics.input_bytes.inc(outcome.input_bytes)
            self.metrics.output_bytes.inc(outcome.output_bytes)
        log_job(
            JobLine(
                client=job.caller.peer,
                user=reservation.caller.user if reservation else "",
                compiler=job.compiler[:100],
                file=job.file[:200],
                result=result,
                reason=reason[:500],
                queue_ms=int(reservation.waited_s * 1000) if reservation else 0,
                transfer_ms=int(job.transfer_s * 1000),
                compile_ms=int(outcome.compile_s * 1000) if outcome else 0,
                input_bytes=outcome.input_bytes if outcome else 0,
                output_bytes=outcome.output_bytes if outcome else 0,
            )
        )


def _draining() -> CallRefused:
    return CallRefused(pb.Refusal.DRAINING, "the server is ending and takes no new jobs")


def _not_arrived(timeout_s: float) -> CallRefused:
    message = f"the job did not arrive within {timeout_s:g} s (--transfer-timeout; less without a reservation)"
    return CallRefused(pb.Refusal.TRANSFER_TIMEOUT, message)
