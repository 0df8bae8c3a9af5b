"""The gRPC status of each reason for refusing a call: the one place where the two meet."""

from __future__ import annotations

import grpc

from distplusplus.protocol import distplusplus_pb2 as pb

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
