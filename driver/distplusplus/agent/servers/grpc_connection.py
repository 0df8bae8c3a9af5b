"""The gRPC connection to one worker: its channel, certificates and token, and the calls that end when it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
import grpc.aio

from distplusplus.agent.agent_settings import AgentSettings, WorkerSettings
from distplusplus.agent.servers import diagnosis
from distplusplus.agent.servers.diagnosis import Trouble
from distplusplus.agent.servers.remote_worker import WorkerLostError
from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol import methods

# Smaller uploads need no deadline of their own: the heartbeat shows that the worker is alive.
_STREAMED_BYTES: Final = 1 << 20
_OPTIONS = (
    *methods.UNLIMITED_MESSAGES,
    ("grpc.use_local_subchannel_pool", 1),  # a new channel means a new connection
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
)


class GrpcConnection:
    """Opened by the first call. `lose` is told of trouble, and returns what is to be raised."""

    def __init__(self, settings: WorkerSettings, lose: Callable[[Trouble], WorkerLostError]) -> None:
        self._settings = settings
        self._lose = lose
        self._channel: grpc.aio.Channel | None = None
        self._calls: set[grpc.aio.Call] = set()
        self._lost: WorkerLostError | None = None
        self._breaks = 0

    @property
    def is_open(self) -> bool:
        return self._channel is not None

    @property
    def is_ready(self) -> bool:
        """Whether the worker has answered the connection attempt."""
        return self._channel is not None and self._channel.get_state() == grpc.ChannelConnectivity.READY

    async def call(self, method: methods.Method[Any, Any], request: Any, timeout_s: float) -> Any:
        """The answer. Raises grpc.aio.AioRpcError, WorkerLostError."""
        call = method.on(self._open())(request, timeout=timeout_s, metadata=self._metadata())
        return await self._tracked(call, call)

    async def send_job(self, request: pb.CompileRequest, settings: AgentSettings) -> pb.CompileAnswer:
        """The upload has a deadline of its own. Raises grpc.aio.AioRpcError, WorkerLostError."""
        answer: pb.CompileAnswer
        if len(request.inputFile.content) < _STREAMED_BYTES:
            answer = await self.call(methods.DISTRIBUTE, request, settings.compile_timeout_s)
            return answer
        # Only a streaming call tells when the upload is complete.
        method = methods.DISTRIBUTE
        call = self._open().stream_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.answer.FromString,
        )(timeout=settings.compile_timeout_s, metadata=self._metadata())
        answer = await self._tracked(call, self._upload(call, request, settings))
        return answer

    async def _upload(self, call: Any, request: pb.CompileRequest, settings: AgentSettings) -> Any:
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
            pass  # the server answered before it had read everything: the answer tells why
        return await call

    def break_off(self, loss: WorkerLostError) -> None:
        """Closes the connection. Calls that are under way raise `loss`."""
        self._lost = loss
        self._breaks += 1
        for call in list(self._calls):
            call.cancel()
        channel, self._channel = self._channel, None
        if channel is not None:
            closing = asyncio.get_running_loop().create_task(channel.close())
            closing.add_done_callback(retrieve)

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()

    def _open(self) -> grpc.aio.Channel:
        """The channel. Raises WorkerLostError if certificates cannot be read."""
        if self._channel is None:
            try:
                self._channel = _open_channel(self._settings)
            except (OSError, ValueError) as error:
                raise self._lose(diagnosis.of_file(error, "TLS file")) from None
        return self._channel

    def _metadata(self) -> tuple[tuple[str, str], ...] | None:
        if self._settings.token_file is None:
            return None
        try:
            with open(self._settings.token_file, encoding="ascii") as file:
                return (("authorization", f"Bearer {file.readline().strip()}"),)
        except (OSError, UnicodeError) as error:
            raise self._lose(diagnosis.of_file(error, "token file")) from None

    async def _tracked(self, call: grpc.aio.Call, answer: Awaitable[Any]) -> Any:
        """Ends when the connection is broken off. Raises WorkerLostError."""
        breaks = self._breaks
        self._calls.add(call)
        try:
            return await answer
        except asyncio.CancelledError:
            if breaks != self._breaks and self._lost is not None:
                raise WorkerLostError(str(self._lost)) from None
            call.cancel()
            raise
        finally:
            self._calls.discard(call)


def retrieve(task: asyncio.Future[Any]) -> None:
    """A callback for tasks whose error may concern nobody any more: asyncio would complain at their end."""
    if not task.cancelled():
        task.exception()


def _open_channel(settings: WorkerSettings) -> grpc.aio.Channel:
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
