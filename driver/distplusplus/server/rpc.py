"""The gRPC face: calls in, answers and statuses out. What they do is in `slots` and `compile`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from distcc_common import __version__
from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol import methods, refusals
from distplusplus.server.access import TokenInterceptor, is_allowed
from distplusplus.server.capacity import Capacity
from distplusplus.server.compile import Compiler
from distplusplus.server.compilers import Compilers
from distplusplus.server.log import TRACE, JobLine, log, log_job
from distplusplus.server.metrics import Metrics
from distplusplus.server.server_settings import Settings
from distplusplus.server.slots import Reservation, SlotTable, Waiter
from distplusplus.server.statuses import Refused

PROTOCOL_REVISION = 1
_FEATURES = (
    pb.Description.WAITING,
    pb.Description.FURTHER_OUTPUTS,
    pb.Description.FURTHER_INPUTS,
    pb.Description.NEXT_RESERVATION,
    pb.Description.DIRECTIVES_ONLY,
)
# Uploads read at once from connections that hold no reservation: their messages take memory and end in a
# refusal.
_UNRESERVED_UPLOADS = 4
# A timer that comes this late says that the process was starved, and that jobs which came in time wait to be
# read.
_LATE_S = 0.02
_MAX_USER = 200
# A server that is told to end waits so long for the jobs of reservations that it has given.
_DRAIN_PROMISE_S = 1.0

RequestT = TypeVar("RequestT", bound=Message)
AnswerT = TypeVar("AnswerT")


def _parse(kind: type[RequestT], data: bytes) -> RequestT:
    try:
        return kind.FromString(data)
    except DecodeError:
        name = kind.DESCRIPTOR.name
        raise Refused(pb.Refusal.MALFORMED_MESSAGE, f"the call's {len(data)} bytes are no {name}", name) from None


class Service:
    """The state of a running server and the handlers of its calls."""

    def __init__(
        self,
        settings: Settings,
        compilers: Compilers,
        compiler: Compiler,
        tokens: TokenInterceptor | None,
    ) -> None:
        self._settings = settings
        self._compilers = compilers
        self._compiler = compiler
        self._tokens = tokens
        self._loop = asyncio.get_running_loop()
        self.slots = SlotTable(lambda: self.capacity.now().count, settings.reservation_timeout_s, clock=self._loop.time)
        self.capacity = Capacity(settings.jobs, settings.memory_per_job_mib, lambda: self.slots.running)
        self.metrics = Metrics(self.capacity_message)
        self.draining = False
        self._jobs_done = 0
        self._jobs_refused = 0
        self._expiry: asyncio.TimerHandle | None = None
        self._unreserved = asyncio.Semaphore(_UNRESERVED_UPLOADS)
        self._idle = asyncio.Event()

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """The handlers of both services. Distribute reads its one message itself, to know when it begins to
        come."""
        unary = grpc.unary_unary_rpc_method_handler
        calls: list[tuple[methods.Method[Any, Any], Any, Any]] = [
            (methods.QUERY, unary, self._parsed(pb.ServerQuery, self._query)),
            (methods.RESERVE, unary, self._parsed(pb.Reservation, self._reserve)),
            (methods.DISTRIBUTE, grpc.stream_unary_rpc_method_handler, self._guarded(self._distribute)),
            (methods.DESCRIBE, unary, self._parsed(pb.DescribeRequest, self._describe)),
        ]
        return [
            grpc.method_handlers_generic_handler(
                service,
                {
                    method.name: make(behaviour, None, method.answer.SerializeToString)
                    for method, make, behaviour in calls
                    if method.service == service
                },
            )
            for service in (methods.COMPILATION_SERVICE, methods.INFORMATION_SERVICE)
        ]

    async def drain(self) -> None:
        """Refuses new work and waits until running jobs are done, and those on their way have come."""
        self.draining = True
        promised_until_s = self._loop.time() + _DRAIN_PROMISE_S
        while True:
            left_s = promised_until_s - self._loop.time()
            if not (self.slots.running or self.slots.uploading or (self.slots.reserved and left_s > 0)):
                return
            self._idle.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s if left_s > 0 else None):
                    await self._idle.wait()

    def capacity_message(self) -> pb.Capacity:
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

    def _parsed(
        self, kind: type[RequestT], call: Callable[[RequestT, Any], Coroutine[Any, Any, AnswerT]]
    ) -> Callable[[Any, Any], Coroutine[Any, Any, AnswerT]]:
        async def parsed(data: bytes, context: Any) -> AnswerT:
            return await call(_parse(kind, data), context)

        return self._guarded(parsed)

    def _guarded(
        self, call: Callable[[Any, Any], Coroutine[Any, Any, AnswerT]]
    ) -> Callable[[Any, Any], Coroutine[Any, Any, AnswerT]]:
        """Turns a refusal into its status, and a fault of ours into INTERNAL: neither ends the server."""

        async def guarded(request: Any, context: Any) -> AnswerT:
            try:
                self._check_client(context.peer())
                return await call(request, context)
            except Refused as refused:
                refusal = refused
            except (grpc.aio.AbortError, asyncio.CancelledError):
                raise
            except Exception:
                log.exception("fault in a call from %s", context.peer())
                refusal = Refused(pb.Refusal.SERVER_FAULT, "the server made a mistake; its log says more")
            self.metrics.refusals.labels(pb.Refusal.Reason.Name(refusal.reason)).inc()
            detail = refusals.refusal(
                refusal.reason,
                refusal.subject,
                transient=refusal.transient,
                retry_after_ms=refusal.retry_after_ms,
            )
            message = str(refusal)[:2000]
            trailer = refusals.to_trailer(refusal.status.value[0], message, detail)
            await context.abort(refusal.status, message, (trailer,))
            raise AssertionError("abort returns never")

        return guarded

    def _check_client(self, peer: str) -> None:
        if not is_allowed(peer, self._settings.allow):
            host = peer.partition(":")[2].rpartition(":")[0]
            log.info("refused: %s is not in --allow", peer)
            raise Refused(pb.Refusal.CLIENT_NOT_ALLOWED, f"this server takes no calls from {host} (its --allow)", host)

    async def _query(self, request: pb.ServerQuery, _context: Any) -> pb.QueryAnswer:
        answer = pb.QueryAnswer(
            compressionTypeSupported=request.desiredCompressionType in pb.CompressionType.values(),
            currentLoad=self.slots.taken,
            maxJobs=self.capacity.now().count,
            capacity=self.capacity_message(),
            feature=_FEATURES,
        )
        if request.compiler:
            with contextlib.suppress(Refused):
                program, identity = await self._compilers.resolve(request.compiler)
                answer.compilerSupported = True
                answer.compilerIdentity.CopyFrom(identity.message(program.name))
        return answer

    async def _reserve(self, request: pb.Reservation, context: Any) -> pb.ReservationAnswer:
        if self.draining:
            raise Refused(pb.Refusal.DRAINING, "the server is ending and takes no new jobs")
        user, peer = self._user(request, context), context.peer()
        wait_s = min(request.waitMs / 1000, self._settings.max_wait_s)
        begun = self._loop.time()
        try:
            reservation = self.slots.reserve(user, peer)
        except Refused:
            if wait_s <= 0:
                raise
            reservation = await self._wait(user, peer, wait_s)
        waited_s = self._loop.time() - begun
        self.metrics.queue_s.observe(waited_s)
        reservation.waited_s = waited_s
        return self._promise(reservation)

    def _promise(self, reservation: Reservation) -> pb.ReservationAnswer:
        self._schedule_expiry(reservation.due_s)
        return pb.ReservationAnswer(
            success=True,
            uuid=reservation.uuid,
            timeoutMs=int(self._settings.reservation_timeout_s * 1000),
            waitedMs=int(reservation.waited_s * 1000),
        )

    async def _wait(self, user: str, peer: str, wait_s: float) -> Reservation:
        granted: asyncio.Future[Reservation] = self._loop.create_future()
        waiter = Waiter(user, peer, granted.set_result)
        self.slots.wait(waiter)
        # Memory that is freed frees slots without a job's end.
        try:
            deadline = self._loop.time() + wait_s
            while not granted.done() and (left := deadline - self._loop.time()) > 0:
                await asyncio.wait([granted], timeout=min(left, 1.0))
                self.slots.grant_free()
                if self.draining and not granted.done():
                    raise Refused(pb.Refusal.DRAINING, "the server is ending and takes no new jobs")
        except BaseException:
            self.slots.leave(waiter)
            if granted.done():
                self.slots.cancel(granted.result())
            raise
        if granted.done():
            return granted.result()
        self.slots.leave(waiter)
        raise Refused(
            pb.Refusal.FULL,
            f"no slot became free within {wait_s:g} s; {self.slots.waiting} clients wait",
            retry_after_ms=50,
        )

    async def _distribute(self, requests: AsyncIterator[bytes], context: Any) -> pb.CompileAnswer:
        begun = time.monotonic()
        peer = context.peer()
        request, transfer_s = pb.CompileRequest(), 0.0
        result, reason = "gone", ""
        reservation: Reservation | None = None
        following: Reservation | None = None
        outcome = None
        try:
            request = await self._receive(requests, peer)
            transfer_s = time.monotonic() - begun
            reservation = self.slots.use(request.uuid)
            outcome = await self._compiler.compile(request)
            result = "ok" if outcome.return_code == 0 else "failed"
        except Refused as refused:
            result, reason = pb.Refusal.Reason.Name(refused.reason), str(refused)
            raise
        except grpc.aio.AbortError:
            raise
        except Exception:
            result = "fault"
            raise
        finally:
            if reservation is not None:
                if outcome is not None and request.reserveNext and not self.draining:
                    following = self.slots.hand_on(reservation)
                else:
                    self.slots.release(reservation)
                self._idle.set()
            self._report(peer, request, reservation, outcome, transfer_s, result, reason)
        answer = outcome.answer
        answer.currentLoad = self.slots.taken
        answer.report.transferMs = int(transfer_s * 1000)
        if following is not None:
            answer.next.CopyFrom(self._promise(following))
        return answer

    async def _receive(self, requests: AsyncIterator[bytes], peer: str) -> pb.CompileRequest:
        """The one message of a Distribute call, within --transfer-timeout. Its reservation is kept
        meanwhile."""
        has_slot = any(reservation.peer == peer for reservation in self.slots.reserved.values())
        self.slots.upload_begins(peer)
        try:
            async with asyncio.timeout(self._settings.transfer_timeout_s):
                async with contextlib.nullcontext() if has_slot else self._unreserved:
                    async for data in requests:
                        return _parse(pb.CompileRequest, data)
        except TimeoutError:
            raise Refused(
                pb.Refusal.TRANSFER_TIMEOUT,
                f"the job did not arrive within {self._settings.transfer_timeout_s:g} s (--transfer-timeout)",
            ) from None
        finally:
            self.slots.upload_ends(peer)
            self._idle.set()
            # Not now: the reservation is used, if it is, before the loop comes to this.
            self._loop.call_soon(self._expire, self._loop.time())
        raise Refused(pb.Refusal.MALFORMED_MESSAGE, "the call held no message")

    async def _describe(self, _request: pb.DescribeRequest, _context: Any) -> pb.Description:
        description = pb.Description(
            serverVersion=__version__,
            protocolRevision=PROTOCOL_REVISION,
            capacity=self.capacity_message(),
            jobsDone=self._jobs_done,
            jobsRefused=self._jobs_refused,
            feature=_FEATURES,
        )
        for name in self._compilers.names():
            with contextlib.suppress(Refused):
                program, identity = await self._compilers.resolve(name)
                description.compiler.append(identity.message(program.name))
        return description

    def _user(self, request: pb.Reservation, context: Any) -> str:
        """Who a slot is counted for: the token's or certificate's name before what the client says."""
        if self._tokens is not None and (name := self._tokens.user(context.invocation_metadata())):
            return name
        identities = context.peer_identities()
        if identities:
            return str(next(iter(identities)).decode("utf-8", "replace"))[:_MAX_USER]
        return request.user[:_MAX_USER] or context.peer().rpartition(":")[0]

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
            self._idle.set()
        if due_s is not None:
            self._schedule_expiry(due_s)

    def _report(
        self,
        peer: str,
        request: pb.CompileRequest,
        reservation: Reservation | None,
        outcome: Any,
        transfer_s: float,
        result: str,
        reason: str,
    ) -> None:
        self.metrics.jobs.labels(result).inc()
        if outcome is None:
            self._jobs_refused += 1
        else:
            self._jobs_done += 1
            self.metrics.compile_s.observe(outcome.compile_s)
            self.metrics.transfer_s.observe(transfer_s)
            self.metrics.input_bytes.inc(outcome.input_bytes)
            self.metrics.output_bytes.inc(outcome.output_bytes)
        log_job(
            JobLine(
                client=peer,
                user=reservation.user if reservation else "",
                compiler=request.compiler[:100],
                file=request.inputFile.name[:200],
                result=result,
                reason=reason[:500],
                queue_ms=int(reservation.waited_s * 1000) if reservation else 0,
                transfer_ms=int(transfer_s * 1000),
                compile_ms=int(outcome.compile_s * 1000) if outcome else 0,
                input_bytes=outcome.input_bytes if outcome else 0,
                output_bytes=outcome.output_bytes if outcome else 0,
            )
        )
