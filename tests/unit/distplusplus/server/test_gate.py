"""Calls are checked before their message is read."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol import refusals
from distplusplus.protocol.methods import DESCRIBE, DISTRIBUTE, Method
from distplusplus.server import gate
from distplusplus.server.access import Tokens
from distplusplus.server.gate import Gate

HEALTH = "/grpc.health.v1.Health/Check"
NETWORKS = (ipaddress.ip_network("192.0.2.0/24"),)
NEAR, FAR = "ipv4:192.0.2.7:1000", "ipv4:198.51.100.7:1000"


class Aborted(Exception):
    """Raised as gRPC does it, to end the handler."""


class Context:
    """A call as gRPC shows it to a handler."""

    def __init__(self, message: bytes | None, peer: str = NEAR, token: str = "") -> None:
        self._message, self._peer, self._token = message, peer, token
        self.reads = 0
        self.reason = -1

    def peer(self) -> str:
        return self._peer

    def invocation_metadata(self) -> list[tuple[str, str | bytes]]:
        return [("authorization", f"Bearer {self._token}")] if self._token else []

    async def read(self) -> object:
        self.reads += 1
        if self._message is None:
            await asyncio.Event().wait()
        return self._message

    async def abort(self, _status: object, _message: str, trailers: Any) -> None:
        refusal = refusals.from_trailers(trailers)
        assert refusal is not None
        self.reason = refusal.reason
        raise Aborted


def call(context: Context, method: str = DESCRIBE.path, networks: Any = NETWORKS, tokens: Tokens | None = None) -> Any:
    """What the handler answers, None if the call was refused."""

    async def answer(request: object, _context: object) -> object:
        return request

    async def answer_job(_requests: object, _context: object) -> str:
        return "a job"

    async def continuation(_details: object) -> Any:
        if method == DISTRIBUTE.path:
            return grpc.stream_unary_rpc_method_handler(answer_job)
        return grpc.unary_unary_rpc_method_handler(answer, pb.DescribeRequest.FromString)

    async def requests() -> AsyncIterator[bytes]:
        raise AssertionError("read by gRPC")
        yield b""

    async def run() -> Any:
        details: Any = type("Details", (), {"method": method})
        handler = await Gate(networks, tokens).intercept_service(continuation, details)
        try:
            return await handler.stream_unary(requests(), context)
        except Aborted:
            return None

    return asyncio.run(run())


@pytest.mark.parametrize("method", [DESCRIBE, DISTRIBUTE])
def test_a_client_of_another_network_is_refused_unread(method: Method[Any, Any]) -> None:
    context = Context(b"", FAR)
    assert call(context, method.path) is None
    assert (context.reason, context.reads) == (pb.Refusal.CLIENT_NOT_ALLOWED, 0)


def test_health_is_asked_from_the_networks_too() -> None:
    context = Context(b"", FAR)
    assert call(context, HEALTH) is None
    assert context.reason == pb.Refusal.CLIENT_NOT_ALLOWED


@pytest.mark.parametrize("method", [DESCRIBE, DISTRIBUTE])
@pytest.mark.parametrize("token", ["", "wrong", "secret"])
def test_a_call_needs_a_token_before_it_is_read(tmp_path: Path, method: Method[Any, Any], token: str) -> None:
    (tmp_path / "tokens").write_text("me secret\n")
    context = Context(b"", token=token)
    answer = call(context, method.path, (), Tokens(str(tmp_path / "tokens")))
    if token == "secret":  # noqa: S105
        assert answer is not None
    else:
        assert answer is None
        assert (context.reason, context.reads) == (pb.Refusal.BAD_TOKEN, 0)


def test_health_needs_no_token(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("me secret\n")
    assert call(Context(b""), HEALTH, (), Tokens(str(tmp_path / "tokens"))) == pb.DescribeRequest()


@pytest.mark.parametrize("message", [pb.File(content=bytes(64 * 1024)).SerializeToString(), b"\xff\xff", grpc.aio.EOF])
def test_a_message_that_is_too_large_damaged_or_missing_is_refused(message: Any) -> None:
    context = Context(message)
    assert call(context) is None
    assert context.reason == pb.Refusal.MALFORMED_MESSAGE


@pytest.mark.parametrize("method", [DESCRIBE.path, HEALTH])
def test_a_message_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setattr(gate, "_SMALL_TIMEOUT_S", 0.05)
    monkeypatch.setattr(gate, "_OPEN_TIMEOUT_S", 0.05)
    context = Context(None)
    assert call(context, method) is None
    assert (context.reason, context.reads) == (pb.Refusal.MALFORMED_MESSAGE, 1)
