"""A remote worker that speaks the open protocol: its slots and load, its compilers, and whether it is alive."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import getpass
import os
from collections.abc import Callable
from typing import Any, Final

import grpc
import grpc.aio

from distplusplus.agent.agent_settings import AgentSettings, WorkerSettings
from distplusplus.agent.headers.closure import DoubtError
from distplusplus.agent.headers.header_jobs import HeaderJob
from distplusplus.agent.local_compilers import LocalCompiler
from distplusplus.agent.servers import diagnosis, first_implementation
from distplusplus.agent.servers.compile_request import compile_request
from distplusplus.agent.servers.diagnosis import Trouble
from distplusplus.agent.servers.grpc_connection import GrpcConnection, retrieve
from distplusplus.agent.servers.header_request import InputTable, add_contents
from distplusplus.agent.servers.remote_worker import (
    JobRefusedError,
    Mismatch,
    PreparedCompile,
    WorkerFullError,
    WorkerLostError,
)
from distplusplus.compiler.classify import Compile
from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol import methods, refusals

# A worker with jobs of ours is asked for its load this often; one that is silent for so long is dead. Together they
# are below the 15 s after which a dead host must be noticed.
_HEARTBEAT_S: Final = 4.0
_SILENCE_S: Final = 8.0
_ANSWER_TIMEOUT_S: Final = 10.0
_FIRST_RETRY_S, _LAST_RETRY_S = 2.0, 30.0
_MISMATCH_S: Final = 60.0
_MAX_WAIT_MS = 30_000
# A worker that cannot keep a reservation waiting is asked again after this time; the end of a job counts as well.
_FULL_RETRY_S: Final = 0.25
# A header job may meet a worker that has forgotten the table, then one that lacks contents.
_MAX_HEADER_CALLS: Final = 4


class GrpcWorker:
    """`changed` is called when a slot may have become free, or the worker was lost or found again."""

    def __init__(self, settings: WorkerSettings, changed: Callable[[], None]) -> None:
        self.settings = settings
        self.name = settings.text or settings.target
        self.slots = 0
        self.others_load = 0
        self.free_memory_mib: int | None = None
        self.active = 0
        self.full_until_s = 0.0
        self.reservation_s = 1.0
        self.trouble: Trouble | None = None
        self.jobs_done = 0
        self.extended = False  # a server of ours, not of the first implementation
        self.expands_macros = False
        self.takes_header_jobs = False
        self._inputs = InputTable()
        self._changed = changed
        self._down_until_s = 0.0
        self._retry_s = _FIRST_RETRY_S
        self._max_wait_ms = 0
        self._names: dict[str, asyncio.Future[str | Mismatch]] = {}
        self._connection = GrpcConnection(settings, self._lose)
        self._heartbeat: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def is_down(self) -> bool:
        return self._loop.time() < self._down_until_s

    @property
    def retry_in_s(self) -> float:
        return max(self._down_until_s - self._loop.time(), 0.0)

    @property
    def load(self) -> float:
        return (self.active + self.others_load) / max(self.slots, 1)

    @property
    def room(self) -> int:
        """More than it has free slots: some wait in its queue, so that a slot that becomes free is taken at once."""
        if self._loop.time() < self.full_until_s:
            return 0
        ahead = max(self.slots // 4, 1) if self._max_wait_ms else 0
        return self.slots + ahead - self.active

    def refuses(self, command: Compile) -> str | None:
        return None if self.extended else first_implementation.reason_to_refuse(command)

    def knows(self, compiler: LocalCompiler) -> str | Mismatch | None:
        found = self._names.get(compiler.key)
        if found is None or not _has_result(found) or self._is_outdated(found):
            return None
        return found.result()

    async def find_compiler(self, compiler: LocalCompiler, settings: AgentSettings) -> str | Mismatch:
        found = self._names.get(compiler.key)
        if found is None or self._is_outdated(found):
            # One question for all the jobs that wait for its answer.
            found = self._names[compiler.key] = asyncio.ensure_future(self._ask_for_compiler(compiler, settings))
            found.add_done_callback(retrieve)
        if found.done():
            return found.result()
        return await asyncio.shield(found)

    def _is_outdated(self, found: asyncio.Future[str | Mismatch]) -> bool:
        result = found.result() if _has_result(found) else None
        return isinstance(result, Mismatch) and self._loop.time() > result.until_s

    async def refresh(self, settings: AgentSettings) -> None:
        """Asks for slots and load. Raises WorkerLostError."""
        # Servers of ours answer without a name, and the others only to the name of a compiler that they have.
        for name in (*self._own_names(), "", *first_implementation.LIKELY_COMPILERS):
            if await self._query(name, settings) is not None:
                return
        # It is alive. How many slots it has shows when a job asks for its compiler.
        self.slots = max(self.slots, 1)

    def _own_names(self) -> list[str]:
        """The names of the compilers that it is known to have."""
        found = [future.result() for future in self._names.values() if _has_result(future)]
        return [name for name in found if isinstance(name, str)]

    async def reserve(self, settings: AgentSettings) -> str:
        request = pb.Reservation(waitMs=self._max_wait_ms, user=_user())
        timeout_s = self._max_wait_ms / 1000 + settings.reserve_timeout_s
        try:
            answer = await self._connection.call(methods.RESERVE, request, timeout_s)
        except grpc.aio.AioRpcError as error:
            code = error.code()
            if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
                self.full_until_s = self._loop.time() + _FULL_RETRY_S
                raise WorkerFullError(error.details()) from None
            if code == grpc.StatusCode.DEADLINE_EXCEEDED:
                cause = f"no answer to a reservation within {timeout_s:g} s"
                raise self._lose(Trouble("reserve", cause)) from None
            raise self._failed("reserve", error) from None
        self._begin_heartbeat()
        return str(answer.uuid)

    async def run(self, token: str, prepared: PreparedCompile, settings: AgentSettings) -> pb.CompileAnswer:
        name = self.knows(prepared.compiler)
        if not isinstance(name, str):
            if self.is_down:
                raise WorkerLostError(str(self.trouble))
            raise WorkerFullError("its compiler is asked for again")
        request = compile_request(prepared, name, token, extended=self.extended)
        self._begin_heartbeat()
        try:
            if prepared.header_job is not None:
                answer = await self._send_header_job(request, prepared.header_job, settings)
            else:
                answer = await self._connection.send_job(request, settings)
        except grpc.aio.AioRpcError as error:
            raise self._job_failed(error, settings) from None
        self.jobs_done += 1
        if self.extended:
            self.others_load = max(answer.currentLoad - self.active + 1, 0)  # `active` still has this job
        return answer

    async def _send_header_job(
        self, request: pb.CompileRequest, job: HeaderJob, settings: AgentSettings
    ) -> pb.CompileAnswer:
        """One call, unless the worker lacks contents or has forgotten the table. Raises JobRefusedError."""
        for _ in range(_MAX_HEADER_CALLS):
            del request.headerJob.input[:]
            del request.headerJob.newInput[:]
            self._inputs.describe(job, request.headerJob)
            answer: pb.CompileAnswer = await self._connection.send_job(request, settings)
            if answer.unknownTable:
                self._inputs.reset()
            else:
                self._inputs.confirm(request.headerJob)
                if not answer.missing:
                    return answer
                try:
                    await asyncio.to_thread(
                        add_contents, job, answer.missing, request.headerJob, settings.compression_level
                    )
                except DoubtError as error:
                    raise JobRefusedError(str(error)) from None
            request.uuid = answer.next.uuid or await self.reserve(settings)
        raise JobRefusedError("it asks for the same headers again and again")

    def _job_failed(self, error: grpc.aio.AioRpcError, settings: AgentSettings) -> Exception:
        code, details = error.code(), diagnosis.shortened(error.details())
        refusal = refusals.from_trailers(error.trailing_metadata())
        reason = refusal.reason if refusal else pb.Refusal.UNKNOWN_REASON
        if code == grpc.StatusCode.FAILED_PRECONDITION and reason != pb.Refusal.COMPILER_MISMATCH:
            return WorkerFullError(details)
        if reason == pb.Refusal.COMPILER_MISMATCH:
            self._names.clear()
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED):
            return self._failed("compile", error)
        if code == grpc.StatusCode.DEADLINE_EXCEEDED and refusal is None:
            return JobRefusedError(f"compile: no answer within {settings.compile_timeout_s:g} s")
        return JobRefusedError(f"refuses the job: {details}")

    async def _ask_for_compiler(self, local: LocalCompiler, settings: AgentSettings) -> str | Mismatch:
        seen = ""
        try:
            for name in local.names:
                answer = await self._query(name, settings)
                if answer is None or not answer.compilerSupported:
                    continue
                if not answer.HasField("compilerIdentity"):
                    return name  # a server of the first implementation does not say; see docs/distplusplus.md
                if answer.compilerIdentity.digest == local.digest:
                    return name
                theirs = answer.compilerIdentity
                seen = seen or f"{name} is {theirs.version} for {theirs.target} ({theirs.digest[:12]})"
        except BaseException:
            self._names.pop(local.key, None)
            raise
        until_s = self._loop.time() + _MISMATCH_S
        wanted = f"{local.version} for {local.target} ({local.digest[:12]})"
        if seen:
            return Mismatch(f"its {seen}, the local one is {wanted}; install the same package on both", until_s)
        return Mismatch(f"it has no {local.names[0]} ({wanted}) among its allowed compilers", until_s)

    async def _query(self, compiler: str, settings: AgentSettings) -> pb.QueryAnswer | None:
        """None if it has no such compiler. Raises WorkerLostError. Connection and answer have their own deadlines."""
        request = pb.ServerQuery(
            compiler=compiler, desiredCompressionType=settings.compress, answerUnknownCompiler=True
        )
        timeout_s = settings.connect_timeout_s + _ANSWER_TIMEOUT_S
        call = asyncio.ensure_future(self._connection.call(methods.QUERY, request, timeout_s))
        call.add_done_callback(retrieve)
        try:
            await asyncio.wait([call], timeout=settings.connect_timeout_s)
            if not call.done() and not self._connection.is_ready:
                call.cancel()
                raise self._lose(diagnosis.no_connection(self.settings, settings.connect_timeout_s))
            answer: pb.QueryAnswer | None = await call
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                raise self._lose(diagnosis.no_answer(_ANSWER_TIMEOUT_S)) from None
            if error.code() != grpc.StatusCode.INVALID_ARGUMENT:
                raise self._failed("connect", error) from None
            answer = None
        finally:
            call.cancel()
        if answer is not None:
            self._learn(answer)
        self._retry_s = _FIRST_RETRY_S
        self._down_until_s = 0.0
        self.trouble = None
        return answer

    def _learn(self, answer: pb.QueryAnswer) -> None:
        self.slots = int(answer.maxJobs)
        self.extended = answer.HasField("capacity")
        load = int(answer.currentLoad)
        taken = load if self.extended else first_implementation.taken_slots(load, self.slots)
        self.others_load = max(taken - self.active, 0)
        self.expands_macros = pb.Description.DIRECTIVES_ONLY in answer.feature
        self.takes_header_jobs = pb.Description.HEADER_JOBS in answer.feature
        self.free_memory_mib = answer.capacity.freeMemoryMib if self.extended else None
        self._max_wait_ms = min(answer.capacity.maxWaitMs, _MAX_WAIT_MS)
        self.reservation_s = answer.capacity.reservationTimeoutMs / 1000 or 1.0

    def _failed(self, phase: str, error: grpc.aio.AioRpcError) -> WorkerLostError:
        refusal = refusals.from_trailers(error.trailing_metadata())
        draining = refusal is not None and refusal.reason == pb.Refusal.DRAINING
        trouble = diagnosis.of_call(phase, error.code(), error.details(), self.settings)
        return self._lose(trouble, keep_jobs=draining)

    def _lose(self, trouble: Trouble, *, keep_jobs: bool = False) -> WorkerLostError:
        """Gives the worker up for a while. Its jobs go elsewhere, unless it still runs them."""
        if self.is_down:
            return WorkerLostError(str(self.trouble))
        self.trouble = trouble
        self._down_until_s = self._loop.time() + self._retry_s
        self._retry_s = min(self._retry_s * 2, _LAST_RETRY_S)
        self._names.clear()
        loss = WorkerLostError(str(trouble))
        if not keep_jobs:
            self._connection.break_off(loss)
        self._loop.call_soon(self._changed)
        return loss

    def _begin_heartbeat(self) -> None:
        if self._heartbeat is None or self._heartbeat.done():
            self._heartbeat = self._loop.create_task(self._beat())

    async def _beat(self) -> None:
        """While it has jobs of ours: is it alive, and how busy is it?"""
        while self.active:
            await asyncio.sleep(_HEARTBEAT_S)
            if not self.active or not self._connection.is_open:
                return
            query = pb.ServerQuery(compiler=next(iter(self._own_names()), ""), answerUnknownCompiler=True)
            try:
                self._learn(await self._connection.call(methods.QUERY, query, _SILENCE_S))
            except grpc.aio.AioRpcError as error:
                if error.code() == grpc.StatusCode.INVALID_ARGUMENT:
                    continue  # it lost a compiler, but it is alive
                if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                    self._lose(Trouble("compile", f"the server has not answered for {_SILENCE_S:g} s"))
                else:
                    self._failed("compile", error)
                return
            except WorkerLostError:
                return
            self._changed()

    async def close(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._heartbeat
        await self._connection.close()


def _has_result(future: asyncio.Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


@functools.cache
def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())
