"""One server as the agent sees it: its channel, its compilers, its slots, and whether it lives."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import getpass
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import grpc
import grpc.aio

from distplusplus.agent.agent_settings import ServerSettings, Settings
from distplusplus.agent.local_compilers import LocalCompiler
from distplusplus.agent.servers import diagnosis
from distplusplus.agent.servers.diagnosis import Trouble
from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol import methods, refusals

# A server with work of ours is asked for its load this often; one that is silent for so long is dead. Together they
# are below the 15 s after which a dead host must be noticed.
_HEARTBEAT_S: Final = 4.0
_SILENCE_S: Final = 8.0
_ANSWER_TIMEOUT_S: Final = 10.0
_FIRST_RETRY_S, _LAST_RETRY_S = 2.0, 30.0
_MISMATCH_S: Final = 60.0
_MAX_WAIT_MS = 30_000
# Smaller uploads need no deadline of their own: that the server lives is asked anyway.
_STREAMED_BYTES: Final = 1 << 20
_OPTIONS = (
    *methods.UNLIMITED_MESSAGES,
    ("grpc.use_local_subchannel_pool", 1),  # a new channel means a new connection
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
)


class ServerLostError(Exception):
    """Raised when a server cannot be used: it is not reached, does not answer, or has gone away."""


class FullError(Exception):
    """Raised when a server has no slot."""


class JobRefusedError(Exception):
    """Raised when a server does not take this job; another may."""


@dataclass(frozen=True)
class Mismatch:
    """Why a server's compiler is of no use; somebody may install another one, so it is asked again some time."""

    reason: str
    until_s: float


class Server:
    """`changed` is called when a slot may have become free, or the server was lost or found again."""

    def __init__(self, settings: ServerSettings, changed: Callable[[], None]) -> None:
        self.settings = settings
        self.name = settings.text or settings.target
        self.slots = 0
        self.others_load = 0
        self.free_memory_mib: int | None = None
        self.active = 0  # reservations asked for or held, and jobs: ours
        self.full_until_s = 0.0
        self.reservation_s = 1.0  # so long it keeps a reservation that is not used
        self.trouble: Trouble | None = None  # of the last loss
        self.jobs_done = 0
        self._changed = changed
        self._down_until_s = 0.0
        self._retry_s = _FIRST_RETRY_S
        self._max_wait_ms = 0
        self.extended = False
        self.expands_macros = False  # takes what -fdirectives-only made
        self._names: dict[str, asyncio.Future[str | Mismatch]] = {}
        self._channel: grpc.aio.Channel | None = None
        self._calls: set[grpc.aio.Call] = set()
        self._heartbeat: asyncio.Task[None] | None = None
        self._generation = 0
        self._loop = asyncio.get_running_loop()

    @property
    def is_down(self) -> bool:
        """Whether it was lost, and it is not yet time to try again."""
        return self._loop.time() < self._down_until_s

    @property
    def down_reason(self) -> str:
        return str(self.trouble or "")

    @property
    def retry_in_s(self) -> float:
        return max(self._down_until_s - self._loop.time(), 0.0)

    @property
    def load(self) -> float:
        return (self.active + self.others_load) / max(self.slots, 1)

    @property
    def room(self) -> int:
        """How many more reservations are worth asking for. One or a quarter more than it has slots wait in its queue,
        so that a slot that becomes free is taken at once.
        """
        if self._loop.time() < self.full_until_s:
            return 0
        ahead = max(self.slots // 4, 1) if self._max_wait_ms else 0
        return self.slots + ahead - self.active

    @property
    def is_idle(self) -> bool:
        return self.active == 0

    async def compiler(self, local: LocalCompiler, settings: Settings) -> str | Mismatch:
        """The name under which the server has the same compiler. Raises ServerLostError."""
        found = self._names.get(local.key)
        if found is None or self._is_outdated(found):
            # One question for all the jobs that wait for its answer.
            found = self._names[local.key] = asyncio.ensure_future(self._find_compiler(local, settings))
            found.add_done_callback(_retrieve)
        if found.done():
            return found.result()
        return await asyncio.shield(found)

    async def refresh(self, settings: Settings) -> None:
        """Asks for slots and load. Raises ServerLostError."""
        await self._query("", settings)

    def knows(self, local: LocalCompiler) -> str | Mismatch | None:
        """The answer of `compiler` if it is there, None if it would have to be asked for."""
        found = self._names.get(local.key)
        if found is None or not _has_result(found) or self._is_outdated(found):
            return None
        return found.result()

    def _is_outdated(self, found: asyncio.Future[str | Mismatch]) -> bool:
        result = found.result() if _has_result(found) else None
        return isinstance(result, Mismatch) and self._loop.time() > result.until_s

    async def reserve(self, settings: Settings) -> str:
        """The uuid of a slot; waits for one if the server lets us. Raises FullError, ServerLostError."""
        request = pb.Reservation(waitMs=self._max_wait_ms, user=_user())
        timeout_s = self._max_wait_ms / 1000 + settings.reserve_timeout_s
        try:
            answer = await self._call(methods.RESERVE, request, timeout_s)
        except grpc.aio.AioRpcError as error:
            code = error.code()
            if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise FullError(error.details()) from None
            if code == grpc.StatusCode.DEADLINE_EXCEEDED:
                cause = f"no answer to a reservation within {timeout_s:g} s"
                raise self._lose(Trouble("reserve", cause)) from None
            raise self._failed("reserve", error) from None
        self._begin_heartbeat()
        return str(answer.uuid)

    async def distribute(self, request: pb.CompileRequest, settings: Settings) -> pb.CompileAnswer:
        """The answer to a job. Raises FullError (reserve again), JobRefusedError, ServerLostError."""
        self._begin_heartbeat()
        try:
            answer: pb.CompileAnswer = await self._send_job(request, settings)
        except grpc.aio.AioRpcError as error:
            raise self._job_failed(error, settings) from None
        self.jobs_done += 1
        self.others_load = max(answer.currentLoad - self.active + 1, 0)  # `active` still has this job
        return answer

    async def _send_job(self, request: pb.CompileRequest, settings: Settings) -> Any:
        """The upload has a deadline of its own: only a streaming call tells when it is over."""
        channel = self._open()
        if len(request.inputFile.content) < _STREAMED_BYTES:
            return await self._call(methods.DISTRIBUTE, request, settings.compile_timeout_s)
        method = methods.DISTRIBUTE
        call = channel.stream_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.answer.FromString,
        )(timeout=settings.compile_timeout_s, metadata=self._metadata())

        async def run() -> Any:
            try:
                async with asyncio.timeout(settings.transfer_timeout_s):
                    await call.write(request)
                    await call.done_writing()
            except TimeoutError:
                call.cancel()
                size_mib = len(request.inputFile.content) / 2**20
                cause = f"{size_mib:.1f} MiB were not taken within {settings.transfer_timeout_s:g} s"
                raise self._lose(Trouble("transfer", cause)) from None
            except asyncio.InvalidStateError:
                pass  # the server has answered before it read everything: the answer tells why
            return await call

        return await self._tracked(call, run())

    def _job_failed(self, error: grpc.aio.AioRpcError, settings: Settings) -> Exception:
        code, details = error.code(), diagnosis.shortened(error.details())
        refusal = refusals.from_trailers(error.trailing_metadata())
        reason = refusal.reason if refusal else pb.Refusal.UNKNOWN_REASON
        if code == grpc.StatusCode.FAILED_PRECONDITION and reason != pb.Refusal.COMPILER_MISMATCH:
            return FullError(details)
        if reason == pb.Refusal.COMPILER_MISMATCH:
            self._names.clear()
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED):
            return self._failed("compile", error)
        if code == grpc.StatusCode.DEADLINE_EXCEEDED and refusal is None:
            return JobRefusedError(f"compile: no answer within {settings.compile_timeout_s:g} s")
        return JobRefusedError(f"refuses the job: {details}")

    async def _find_compiler(self, local: LocalCompiler, settings: Settings) -> str | Mismatch:
        seen = ""
        try:
            for name in local.names:
                answer = await self._query(name, settings)
                if not answer.compilerSupported:
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
            return Mismatch(f"its {seen}, here it is {wanted}; install the same package on both", until_s)
        return Mismatch(f"it has no {local.names[0]} ({wanted}) among its allowed compilers", until_s)

    async def _query(self, compiler: str, settings: Settings) -> pb.QueryAnswer:
        """Raises ServerLostError; the connection and the answer have their own deadlines."""
        channel = self._open()
        call = asyncio.ensure_future(
            self._call(methods.QUERY, pb.ServerQuery(compiler=compiler, desiredCompressionType=settings.compress),
                       settings.connect_timeout_s + _ANSWER_TIMEOUT_S)
        )  # fmt: skip
        call.add_done_callback(_retrieve)
        try:
            await asyncio.wait([call], timeout=settings.connect_timeout_s)
            if not call.done() and channel.get_state() != grpc.ChannelConnectivity.READY:
                call.cancel()
                raise self._lose(diagnosis.no_connection(self.settings, settings.connect_timeout_s))
            answer: pb.QueryAnswer = await call
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                raise self._lose(diagnosis.no_answer(_ANSWER_TIMEOUT_S)) from None
            raise self._failed("connect", error) from None
        finally:
            call.cancel()
        self._learn(answer)
        self._retry_s = _FIRST_RETRY_S
        self._down_until_s = 0.0
        self.trouble = None
        return answer

    def _learn(self, answer: pb.QueryAnswer) -> None:
        self.slots = int(answer.maxJobs)
        self.others_load = max(int(answer.currentLoad) - self.active, 0)
        self.extended = answer.HasField("capacity")
        self.expands_macros = pb.Description.DIRECTIVES_ONLY in answer.feature
        self.free_memory_mib = answer.capacity.freeMemoryMib if self.extended else None
        self._max_wait_ms = min(answer.capacity.maxWaitMs, _MAX_WAIT_MS)
        self.reservation_s = answer.capacity.reservationTimeoutMs / 1000 or 1.0

    def _open(self) -> grpc.aio.Channel:
        """The channel. Raises ServerLostError for files that cannot be read."""
        if self._channel is None:
            try:
                self._channel = _open_channel(self.settings)
            except (OSError, ValueError) as error:
                raise self._lose(diagnosis.of_file(error, "TLS file")) from None
        return self._channel

    def _metadata(self) -> tuple[tuple[str, str], ...] | None:
        if self.settings.token_file is None:
            return None
        try:
            with open(self.settings.token_file, encoding="ascii") as file:
                return (("authorization", f"Bearer {file.readline().strip()}"),)
        except (OSError, UnicodeError) as error:
            raise self._lose(diagnosis.of_file(error, "token file")) from None

    async def _call(self, method: methods.Method[Any, Any], request: Any, timeout_s: float) -> Any:
        call = method.on(self._open())(request, timeout=timeout_s, metadata=self._metadata())
        return await self._tracked(call, call)

    async def _tracked(self, call: grpc.aio.Call, answer: Awaitable[Any]) -> Any:
        """Ends with the server's loss. Raises ServerLostError."""
        generation = self._generation
        self._calls.add(call)
        try:
            return await answer
        except asyncio.CancelledError:
            if generation != self._generation:
                raise ServerLostError(self.down_reason) from None
            call.cancel()
            raise
        finally:
            self._calls.discard(call)

    def _failed(self, phase: str, error: grpc.aio.AioRpcError) -> ServerLostError:
        refusal = refusals.from_trailers(error.trailing_metadata())
        draining = refusal is not None and refusal.reason == pb.Refusal.DRAINING
        trouble = diagnosis.of_call(phase, error.code(), error.details(), self.settings)
        return self._lose(trouble, keep_jobs=draining)

    def _lose(self, trouble: Trouble, *, keep_jobs: bool = False) -> ServerLostError:
        """Gives the server up for a while; its jobs go on elsewhere, unless it still does them."""
        if self.is_down:
            return ServerLostError(self.down_reason)
        self.trouble = trouble
        self._down_until_s = self._loop.time() + self._retry_s
        self._retry_s = min(self._retry_s * 2, _LAST_RETRY_S)
        self._names.clear()
        if not keep_jobs:
            self._generation += 1
            for call in list(self._calls):
                call.cancel()
            self._close_channel()
        self._loop.call_soon(self._changed)
        return ServerLostError(self.down_reason)

    def _close_channel(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            closing = self._loop.create_task(channel.close())
            closing.add_done_callback(_retrieve)

    def _begin_heartbeat(self) -> None:
        if self._heartbeat is None or self._heartbeat.done():
            self._heartbeat = self._loop.create_task(self._beat())

    async def _beat(self) -> None:
        """While work of ours is there: is the server alive, and how busy?"""
        while self.active:
            await asyncio.sleep(_HEARTBEAT_S)
            if not self.active or self._channel is None:
                return
            try:
                self._learn(await self._call(methods.QUERY, pb.ServerQuery(), _SILENCE_S))
            except grpc.aio.AioRpcError as error:
                if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                    self._lose(Trouble("compile", f"the server has not answered for {_SILENCE_S:g} s"))
                else:
                    self._failed("compile", error)
                return
            except ServerLostError:
                return
            self._changed()

    async def close(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._heartbeat
        if self._channel is not None:
            await self._channel.close()


def _has_result(future: asyncio.Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _retrieve(task: asyncio.Future[Any]) -> None:
    """Nobody may be left to whom its error matters."""
    if not task.cancelled():
        task.exception()


def _open_channel(settings: ServerSettings) -> grpc.aio.Channel:
    if not settings.tls:
        return grpc.aio.insecure_channel(settings.target, options=_OPTIONS)
    credentials = grpc.ssl_channel_credentials(
        _contents(settings.ca), _contents(settings.key), _contents(settings.certificate)
    )
    return grpc.aio.secure_channel(settings.target, credentials, options=_OPTIONS)


def _contents(path: str | None) -> bytes | None:
    if path is None:
        return None
    with open(path, "rb") as file:
        return file.read()


@functools.cache
def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())
