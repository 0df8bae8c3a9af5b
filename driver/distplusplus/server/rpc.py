"""The gRPC face of a worker: calls in, answers and statuses out. What they do is in `worker` and `compile`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from distcc_common import __version__
from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol import methods
from distplusplus.protocol.refusals import CallRefused
from distplusplus.server import statuses
from distplusplus.server.access import Tokens
from distplusplus.server.compile import JobRunner, Outcome
from distplusplus.server.compilers import Compilers, describe
from distplusplus.server.header_runner import HeaderRunner
from distplusplus.server.log import log
from distplusplus.server.memory import Trimmer
from distplusplus.server.message_limits import check_fields
from distplusplus.server.slots import Caller
from distplusplus.server.worker import Job, Worker

PROTOCOL_REVISION = 1
_FEATURES = (
    pb.Description.WAITING,
    pb.Description.FURTHER_OUTPUTS,
    pb.Description.FURTHER_INPUTS,
    pb.Description.NEXT_RESERVATION,
    pb.Description.DIRECTIVES_ONLY,
)
_MAX_USER = 200

RequestT = TypeVar("RequestT", bound=Message)


class Service:
    """The handlers of the protocol's calls."""

    def __init__(
        self,
        worker: Worker,
        compilers: Compilers,
        runner: JobRunner,
        tokens: Tokens | None,
        header_runner: HeaderRunner | None = None,
    ) -> None:
        """`header_runner`: None for a server that takes no header jobs."""
        self._worker = worker
        self._compilers = compilers
        self._runner = runner
        self._tokens = tokens
        self._header_runner = header_runner
        self._features = (*_FEATURES, *([pb.Description.HEADER_JOBS] if header_runner else []))
        self._trimmer = Trimmer()

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """The handlers of both services. Distribute reads its one message itself, to know when it begins to arrive."""
        unary = grpc.unary_unary_rpc_method_handler
        calls: list[tuple[methods.Method[Any, Any], Any]] = [
            (methods.QUERY, unary(self._parsed(pb.ServerQuery, self._query))),
            (methods.RESERVE, unary(self._parsed(pb.Reservation, self._reserve))),
            (methods.DISTRIBUTE, grpc.stream_unary_rpc_method_handler(self._guarded(self._distribute))),
            (methods.DESCRIBE, unary(self._parsed(pb.DescribeRequest, self._describe))),
        ]
        return [
            grpc.method_handlers_generic_handler(
                service, {method.name: handler for method, handler in calls if method.service == service}
            )
            for service in (methods.COMPILATION_SERVICE, methods.INFORMATION_SERVICE)
        ]

    def _parsed(
        self, kind: type[RequestT], call: Callable[[RequestT, Any], Coroutine[Any, Any, Message]]
    ) -> Callable[[Any, Any], Coroutine[Any, Any, bytes]]:
        async def parsed(data: bytes, context: Any) -> bytes:
            return (await call(_parse(kind, data), context)).SerializeToString()

        return self._guarded(parsed)

    def _guarded(
        self, call: Callable[[Any, Any], Coroutine[Any, Any, bytes]]
    ) -> Callable[[Any, Any], Coroutine[Any, Any, bytes]]:
        """Turns a refusal into its status and a fault of ours into INTERNAL. Neither ends the server."""

        async def guarded(request: Any, context: Any) -> bytes:
            try:
                return await call(request, context)
            except CallRefused as refused:
                refusal = statuses.told(refused)
            except (grpc.aio.AbortError, asyncio.CancelledError):
                raise
            except Exception:
                log.exception("fault in a call from %s", context.peer())
                message = "the server made a mistake; its log says more"
                refusal = message, pb.Refusal(reason=pb.Refusal.SERVER_FAULT)
            self._worker.metrics.refusals.labels(pb.Refusal.Reason.Name(refusal[1].reason)).inc()
            return await statuses.abort(context, *refusal)

        return guarded

    async def _query(self, request: pb.ServerQuery, context: Any) -> pb.QueryAnswer:
        worker = self._worker
        answer = pb.QueryAnswer(
            compressionTypeSupported=request.desiredCompressionType in pb.CompressionType.values(),
            currentLoad=worker.slots.taken,
            maxJobs=worker.capacity.now().count,
            capacity=worker.capacity_message(),
            feature=self._features,
        )
        if not request.compiler:
            return answer
        try:
            program, identity = await self._compilers.resolve(request.compiler)
        except CallRefused:
            if request.answerUnknownCompiler or _is_earlier_client(context):
                return answer
            raise
        answer.compilerSupported = True
        answer.compilerIdentity.CopyFrom(describe(identity, program.name))
        return answer

    async def _reserve(self, request: pb.Reservation, context: Any) -> pb.ReservationAnswer:
        caller = self._caller(context, request.user)
        return self._worker.promise(await self._worker.reserve(caller, request.waitMs / 1000))

    async def _distribute(self, _requests: object, context: Any) -> bytes:
        worker = self._worker
        with worker.accounting(Job(self._caller(context))) as job:
            async with worker.upload(job.caller):
                data = await _only_message(context)
                self._trimmer.something_went(len(data))
                request = await asyncio.to_thread(_parse_job, data)
                del data
            job.arrived(request.compiler, request.inputFile.name)
            outcome, following = await worker.run(
                job, request.uuid, lambda: self._compile(request, job), reserve_next=request.reserveNext
            )
        late = pb.CompileAnswer(
            currentLoad=worker.slots.taken, report=pb.JobReport(transferMs=int(job.transfer_s * 1000))
        )
        if following is not None:
            late.next.CopyFrom(worker.promise(following))
        return await asyncio.to_thread(b"".join, [*outcome.answer, late.SerializeToString()])

    async def _compile(self, request: pb.CompileRequest, job: Job) -> Outcome:
        if not request.HasField("headerJob"):
            return await self._runner.compile(request)
        if self._header_runner is None or job.reservation is None:
            raise CallRefused(pb.Refusal.ARGUMENT_NOT_ALLOWED, "this server takes no header jobs")
        # As slots are counted. What a client says of its user counts only within its address.
        return await self._header_runner.compile(request, "\0".join(job.reservation.caller.account))

    async def _describe(self, _request: pb.DescribeRequest, _context: Any) -> pb.Description:
        description = pb.Description(
            serverVersion=__version__,
            protocolRevision=PROTOCOL_REVISION,
            capacity=self._worker.capacity_message(),
            jobsDone=self._worker.jobs_done,
            jobsRefused=self._worker.jobs_refused,
            feature=self._features,
        )
        for name in self._compilers.names():
            with contextlib.suppress(CallRefused):
                program, identity = await self._compilers.resolve(name)
                description.compiler.append(describe(identity, program.name))
        return description

    def _caller(self, context: Any, said: str = "") -> Caller:
        """Who calls: the name of the token or certificate, else what the client says, within its address."""
        peer = context.peer()
        known = self._tokens.user(context.invocation_metadata()) if self._tokens is not None else None
        if known is None and (identities := context.peer_identities()):
            known = str(next(iter(identities)).decode("utf-8", "replace"))
        if known is not None:
            return Caller(known[:_MAX_USER], f"known as {known}"[:_MAX_USER], peer)
        host = peer.rpartition(":")[0] if peer.startswith(("ipv4:", "ipv6:")) else peer
        return Caller(said[:_MAX_USER] or host, host, peer)


def _is_earlier_client(context: Any) -> bool:
    """Whether this is a client of this project from before `answerUnknownCompiler`, which takes a refused Query for the
    loss of the server. All of them are in Python; the first implementation is in C++.
    """
    agents = [str(value) for key, value in context.invocation_metadata() or () if key == "user-agent"]
    return any(agent.startswith("grpc-python") for agent in agents)


def _parse(kind: type[RequestT], data: bytes) -> RequestT:
    try:
        return kind.FromString(data)
    except DecodeError:
        name = kind.DESCRIPTOR.name
        raise CallRefused(pb.Refusal.MALFORMED_MESSAGE, f"the call's {len(data)} bytes are no {name}", name) from None


async def _only_message(context: Any) -> bytes:
    """The message of a Distribute call. Not through the iterator, which would keep it until the call ends."""
    data = await context.read()
    if not isinstance(data, bytes):  # grpc.aio.EOF
        raise CallRefused(pb.Refusal.MALFORMED_MESSAGE, "the call held no message")
    return data


def _parse_job(data: bytes) -> pb.CompileRequest:
    check_fields(data)
    return _parse(pb.CompileRequest, data)
