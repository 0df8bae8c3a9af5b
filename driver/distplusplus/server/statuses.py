"""The gRPC status of each reason for refusing a call: the one place where the two meet."""

from __future__ import annotations

from typing import Any, NoReturn

import grpc

from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol import refusals
from distplusplus.protocol.refusals import CallRefused

_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_R = pb.Refusal

STATUS_OF = {
    _R.FULL: grpc.StatusCode.RESOURCE_EXHAUSTED,
    _R.QUEUE_FULL: grpc.StatusCode.RESOURCE_EXHAUSTED,
    _R.DRAINING: grpc.StatusCode.UNAVAILABLE,
    _R.UNKNOWN_RESERVATION: grpc.StatusCode.FAILED_PRECONDITION,
    _R.EXPIRED_RESERVATION: grpc.StatusCode.FAILED_PRECONDITION,
    _R.USED_RESERVATION: grpc.StatusCode.FAILED_PRECONDITION,
    _R.COMPILER_NOT_ALLOWED: _INVALID,
    _R.COMPILER_MISMATCH: grpc.StatusCode.FAILED_PRECONDITION,
    _R.ARGUMENT_NOT_ALLOWED: _INVALID,
    _R.NOT_A_COMPILE: _INVALID,
    _R.BAD_NAME: _INVALID,
    _R.UNKNOWN_COMPRESSION: _INVALID,
    _R.BAD_FRAME: _INVALID,
    _R.INPUT_TOO_LARGE: _INVALID,
    _R.FURTHER_OUTPUTS: _INVALID,
    _R.FURTHER_INPUT_MISSING: _INVALID,
    _R.OUTPUT_TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    _R.JOB_TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
    _R.TRANSFER_TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
    _R.SERVER_FAULT: grpc.StatusCode.INTERNAL,
    _R.BAD_TOKEN: grpc.StatusCode.UNAUTHENTICATED,
    _R.LANGUAGE_NOT_SUPPORTED: _INVALID,
    _R.BAD_PATH: _INVALID,
    _R.MALFORMED_MESSAGE: _INVALID,
    _R.CLIENT_NOT_ALLOWED: grpc.StatusCode.PERMISSION_DENIED,
    _R.OUT_OF_MEMORY: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_MAX_MESSAGE = 2000


async def abort(context: Any, message: str, detail: pb.Refusal) -> NoReturn:
    """Ends a call with the status and the trailer of a refusal.

    It takes no exception: one that is kept while the call ends keeps its frames, and in them the call's message.
    """
    status, message = STATUS_OF[detail.reason], message[:_MAX_MESSAGE]
    await context.abort(status, message, (refusals.to_trailer(status.value[0], message, detail),))
    raise AssertionError("abort never returns")


def told(refused: CallRefused) -> tuple[str, pb.Refusal]:
    """What `abort` needs to know of an exception."""
    return str(refused), refused.detail
