"""Refusals, and the trailer that carries them."""

from __future__ import annotations

import grpc
import pytest

from distplusplus.compiler.not_allowed import NotAllowedError, Reason
from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol import refusals
from distplusplus.protocol.refusals import CallRefused


def test_refusal_survives_the_trailer() -> None:
    refusal = refusals.refusal(pb.Refusal.FULL, "x" * 1000, transient=True, retry_after_ms=50)
    trailer = refusals.to_trailer(grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], "full", refusal)
    found = refusals.from_trailers([("other", "x"), trailer])
    assert found is not None
    assert (found.reason, found.subject, found.retryAfterMs) == (pb.Refusal.FULL, "x" * 200, 50)


@pytest.mark.parametrize("trailers", [None, [], [("a", "b")], [(refusals.TRAILER, b"\xff\xff")]])
def test_no_refusal_among_trailers(trailers: list[tuple[str, str | bytes]] | None) -> None:
    assert refusals.from_trailers(trailers) is None


def test_a_trailer_of_another_kind_holds_no_refusal() -> None:
    other = refusals.to_trailer(1, "", pb.Refusal(reason=pb.Refusal.FULL))[1].replace(b"Refusal", b"Another")
    assert refusals.from_trailers([(refusals.TRAILER, other)]) is None


@pytest.mark.parametrize(
    ("reason", "transient"),
    [
        (pb.Refusal.FULL, True),
        (pb.Refusal.QUEUE_FULL, True),
        (pb.Refusal.EXPIRED_RESERVATION, True),
        (pb.Refusal.OUT_OF_MEMORY, True),
        (pb.Refusal.ARGUMENT_NOT_ALLOWED, False),
    ],
)
def test_what_may_succeed_later_is_transient(reason: pb.Refusal.Reason, transient: bool) -> None:
    refused = CallRefused(reason, "a message", "a subject", retry_after_ms=20)
    assert refused.detail == pb.Refusal(reason=reason, subject="a subject", transient=transient, retryAfterMs=20)


def test_a_compile_that_is_not_allowed_is_refused_with_its_reason_and_subject() -> None:
    error = NotAllowedError(Reason.BAD_NAME, "file name -x would be read as an argument", "-x")
    refused = refusals.not_allowed(error)
    assert str(refused) == str(error)
    assert refused.detail == pb.Refusal(reason=pb.Refusal.BAD_NAME, subject="-x")
