"""Checks every call before its message is read: address, token, size. For all services, reflection and health as well.

gRPC reads a call's message, and takes the memory for it, when a handler asks for it. So every handler becomes one that
reads its messages itself, after the checks.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol import methods
from distplusplus.protocol.refusals import CallRefused
from distplusplus.server import statuses
from distplusplus.server.access import Tokens, is_allowed
from distplusplus.server.log import log
from distplusplus.server.memory import Trimmer
from distplusplus.server.server_settings import Network

# Machinery that has no token asks for health, and the answer tells nothing.
_OPEN_METHODS = "/grpc.health.v1.Health/"
_JOB_METHOD = methods.DISTRIBUTE.path
# Every message but a job's is small, and comes in one packet. Larger ones are read before their size is known, so they
# must not take long.
_MAX_SMALL_BYTES = 64 * 1024
_TOO_LARGE = f"a message of {{}} bytes; calls other than Distribute take {_MAX_SMALL_BYTES} bytes"
_SMALL_TIMEOUT_S = 5.0
# Anyone may ask for health, so these messages are read by turns, and for a shorter time.
_OPEN_AT_ONCE, _OPEN_TIMEOUT_S = 4, 1.0


class Gate(grpc.aio.ServerInterceptor):
    """Lets calls through that come from `networks` (all, if there are none) and carry one of the `tokens`, if any."""

    def __init__(self, networks: tuple[Network, ...], tokens: Tokens | None) -> None:
        self._networks = networks
        self._tokens = tokens
        self._open = asyncio.Semaphore(_OPEN_AT_ONCE)
        self._trimmer = Trimmer()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """The handler behind the checks, in a form that reads no message by itself."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method: str = handler_call_details.method

        is_open = method.startswith(_OPEN_METHODS)

        async def read(context: Any) -> Any:
            if not is_open:
                return await self._small_message(handler, context, _SMALL_TIMEOUT_S)
            async with self._open:
                return await self._small_message(handler, context, _OPEN_TIMEOUT_S)

        async def check(context: Any) -> None:
            try:
                self._check(method, context)
            except CallRefused as refused:
                refusal = statuses.told(refused)
            else:
                return
            await statuses.abort(context, *refusal)

        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(
                _streaming(handler, check, read), None, handler.response_serializer
            )
        gated = _job(handler, check) if method == _JOB_METHOD else _unary(handler, check, read)
        return grpc.stream_unary_rpc_method_handler(gated, None, handler.response_serializer)

    async def _small_message(self, handler: Any, context: Any, timeout_s: float) -> Any:
        """The call's one message, parsed. Not through the iterator, which keeps it until the call ends."""
        data = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                data = await context.read()
        if not isinstance(data, bytes):  # grpc.aio.EOF
            return await _malformed(context, f"the call held no message within {timeout_s:g} s")
        if (size := len(data)) > _MAX_SMALL_BYTES:
            self._trimmer.something_went(size)
            del data  # else the error that ends the call would keep this frame, and so the message
            return await _malformed(context, _TOO_LARGE.format(size))
        return await _parsed(handler, data, context)

    def _check(self, method: str, context: Any) -> None:
        """Raises CallRefused."""
        peer = context.peer()
        if not is_allowed(peer, self._networks):
            host = peer.partition(":")[2].rpartition(":")[0]
            log.info("refused: %s is not in --allow", peer)
            message = f"this server takes no calls from {host} (its --allow)"
            raise CallRefused(pb.Refusal.CLIENT_NOT_ALLOWED, message, host)
        if self._tokens is None or method.startswith(_OPEN_METHODS):
            return
        if self._tokens.user(context.invocation_metadata()) is None:
            message = "no valid bearer token: send the metadata `authorization: Bearer TOKEN`"
            raise CallRefused(pb.Refusal.BAD_TOKEN, message)


_Check = Callable[[Any], Awaitable[None]]
_Read = Callable[[Any], Awaitable[Any]]


def _job(handler: Any, check: _Check) -> Any:
    async def job(requests: AsyncIterator[bytes], context: Any) -> Any:
        await check(context)
        return await handler.stream_unary(requests, context)

    return job


def _unary(handler: Any, check: _Check, read: _Read) -> Any:
    async def unary(_requests: object, context: Any) -> Any:
        await check(context)
        return await handler.unary_unary(await read(context), context)

    return unary


def _streaming(handler: Any, check: _Check, read: _Read) -> Any:
    async def streaming(_requests: object, context: Any) -> None:
        await check(context)
        if handler.request_streaming:
            answers = handler.stream_stream(_small_messages(handler, context), context)
        else:
            answers = handler.unary_stream(await read(context), context)
        if inspect.isasyncgen(answers):
            async for answer in answers:
                await context.write(answer)
        else:
            await answers

    return streaming


async def _small_messages(handler: Any, context: Any) -> AsyncIterator[Any]:
    while isinstance(data := await context.read(), bytes):
        if (size := len(data)) > _MAX_SMALL_BYTES:
            del data
            await _malformed(context, _TOO_LARGE.format(size))
        yield await _parsed(handler, data, context)


async def _parsed(handler: Any, data: bytes, context: Any) -> Any:
    if handler.request_deserializer is None:
        return data
    try:
        return handler.request_deserializer(data)
    except DecodeError:
        pass
    return await _malformed(context, f"the call's {len(data)} bytes are no message of this method")


async def _malformed(context: Any, message: str) -> NoReturn:
    await statuses.abort(context, message, pb.Refusal(reason=pb.Refusal.MALFORMED_MESSAGE))
