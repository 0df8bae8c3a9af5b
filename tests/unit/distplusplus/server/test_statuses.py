"""The gRPC status with which a refused call ends."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol import refusals
from distplusplus.protocol.refusals import CallRefused
from distplusplus.server import statuses


class Aborted(Exception):
    """Raised as gRPC does it, to end the handler."""


class Context:
    async def abort(self, *what: Any) -> None:
        self.what = what
        raise Aborted


def ended_by(refused: CallRefused) -> tuple[grpc.StatusCode, str, pb.Refusal | None]:
    context = Context()
    with pytest.raises(Aborted):
        asyncio.run(statuses.abort(context, *statuses.told(refused)))
    status, message, trailers = context.what
    return status, message, refusals.from_trailers(trailers)


def test_a_refusal_becomes_a_status_a_message_and_a_trailer() -> None:
    status, message, detail = ended_by(CallRefused(pb.Refusal.FULL, "all slots are taken", "gcc", retry_after_ms=50))
    assert (status, message) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "all slots are taken")
    assert detail == pb.Refusal(reason=pb.Refusal.FULL, subject="gcc", transient=True, retryAfterMs=50)


def test_a_message_has_a_bounded_length() -> None:
    assert len(ended_by(CallRefused(pb.Refusal.BAD_NAME, "x" * 100_000))[1]) == 2000


def test_no_status_tells_a_client_that_all_went_well() -> None:
    assert grpc.StatusCode.OK not in statuses.STATUS_OF.values()
