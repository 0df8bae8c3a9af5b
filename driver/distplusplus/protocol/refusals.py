"""Why a call is refused: an exception inside the server, and a trailer on the wire. Needs no gRPC.

CallRefused      a call that the server answers with a status and a `Refusal` (docs/protocol.md lists them)

The trailer `grpc-status-details-bin` holds a google.rpc.Status whose one detail is the Refusal, as in gRPC's richer
error model, so that tools like grpcurl show it. Servers of the first implementation send no trailer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from distplusplus.compiler.not_allowed import NotAllowedError
from distplusplus.protocol import distplusplus_pb2 as pb

TRAILER = "grpc-status-details-bin"
_MAX_SUBJECT = 200
_R = pb.Refusal
_TRANSIENT = frozenset({_R.FULL, _R.QUEUE_FULL, _R.EXPIRED_RESERVATION, _R.OUT_OF_MEMORY})


class CallRefused(Exception):
    """Raised when a call is refused. The text is the status message, for a person."""

    def __init__(self, reason: pb.Refusal.Reason, message: str, subject: str = "", *, retry_after_ms: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.subject = subject
        self.retry_after_ms = retry_after_ms

    @property
    def transient(self) -> bool:
        """Whether the same call may succeed later."""
        return self.reason in _TRANSIENT

    @property
    def detail(self) -> pb.Refusal:
        """The refusal as the trailer carries it."""
        return refusal(self.reason, self.subject, transient=self.transient, retry_after_ms=self.retry_after_ms)


def not_allowed(error: NotAllowedError) -> CallRefused:
    """The refusal of a compile that the rules of distplusplus.compiler do not allow."""
    return CallRefused(cast("pb.Refusal.Reason", int(error.reason)), str(error), error.subject)


def refusal(
    reason: pb.Refusal.Reason, subject: str = "", *, transient: bool = False, retry_after_ms: int = 0
) -> pb.Refusal:
    """A Refusal, its subject cut to what a trailer should carry."""
    return pb.Refusal(reason=reason, subject=subject[:_MAX_SUBJECT], transient=transient, retryAfterMs=retry_after_ms)


def to_trailer(code: int, message: str, detail: pb.Refusal) -> tuple[str, bytes]:
    """The trailer for a call that ends with gRPC status number `code` and `message`."""
    status = status_pb2.Status(code=code, message=message)
    status.details.add().Pack(detail)
    return TRAILER, status.SerializeToString()


def from_trailers(trailers: Iterable[tuple[str, str | bytes]] | None) -> pb.Refusal | None:
    """The Refusal among a failed call's trailing metadata, None if there is none or it is no such thing."""
    for key, value in trailers or ():
        if key == TRAILER and isinstance(value, bytes):
            try:
                details = status_pb2.Status.FromString(value).details
                found = pb.Refusal()
                if any(detail.Unpack(found) for detail in details):
                    return found
            except DecodeError:
                return None
    return None
