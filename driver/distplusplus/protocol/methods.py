"""The calls of the protocol, typed, for a client on a `grpc` or `grpc.aio` channel and for the server.

    QUERY.on(channel)(pb.ServerQuery(compiler="gcc"), timeout=2)

There are no generated stubs: they would import grpc for everyone who needs a name, and are not typed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from google.protobuf.message import Message

from distplusplus.protocol import distplusplus_pb2 as pb

COMPILATION_SERVICE = "distplusplus.CompilationServer"
INFORMATION_SERVICE = "distplusplus.WorkerInformation"

RequestT = TypeVar("RequestT", bound=Message)
AnswerT = TypeVar("AnswerT", bound=Message)

# Objects and preprocessed sources are far larger than gRPC's 4 MiB; both ends bound them themselves.
UNLIMITED_MESSAGES = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


class _Channel(Protocol):
    def unary_unary(self, method: str, request_serializer: Any = ..., response_deserializer: Any = ...) -> Any: ...


@dataclass(frozen=True)
class Method(Generic[RequestT, AnswerT]):
    """One unary call."""

    service: str
    name: str
    request: type[RequestT]
    answer: type[AnswerT]

    @property
    def path(self) -> str:
        return f"/{self.service}/{self.name}"

    def on(self, channel: _Channel) -> Any:
        """The multi-callable on `channel`: takes a request, `timeout=` and `metadata=`, gives the answer
        (or, on a grpc.aio channel, a call to await). Make it once a channel, not once a call.
        """
        return channel.unary_unary(
            self.path,
            request_serializer=self.request.SerializeToString,
            response_deserializer=self.answer.FromString,
        )


QUERY = Method(COMPILATION_SERVICE, "Query", pb.ServerQuery, pb.QueryAnswer)
RESERVE = Method(COMPILATION_SERVICE, "Reserve", pb.Reservation, pb.ReservationAnswer)
DISTRIBUTE = Method(COMPILATION_SERVICE, "Distribute", pb.CompileRequest, pb.CompileAnswer)
DESCRIBE = Method(INFORMATION_SERVICE, "Describe", pb.DescribeRequest, pb.Description)
