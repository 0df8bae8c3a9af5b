"""What became of asking a host: `Ready` or `Refused`, with the phase in which it was refused. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from distcc_auto.hosts import HostSpec, TcpHost
from distcc_auto.stats import WorkerStats
from distcc_common.messages import printable


class Phase(StrEnum):
    """Where a host was refused; the values are those of `phase` in the JSON (docs/json.md)."""

    TUNNEL = "tunnel"  # ssh:// only
    BRIDGE = "bridge"  # grpc:// only: the bridge's process
    RESOLVE = "resolve"
    CONNECT = "connect"
    QUERY = "query"  # grpc:// only: the server's answer
    ANSWER = "answer"  # of the stats port
    SLOTS = "slots"
    LAUNCHER = "launcher"  # with --launcher only


@dataclass(frozen=True)
class Ready:
    """A worker that answered; `latency_s` is from the first look-up to the end of the answer."""

    host: TcpHost
    stats: WorkerStats
    latency_s: float


@dataclass(frozen=True)
class Refused:
    """A worker that the build goes on without: in which phase, what happened, and what to do about it.

    Cause and remedy may hold words that the worker chose. They are made safe for a terminal here, once for all.
    """

    host: HostSpec
    phase: Phase
    cause: str
    remedy: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "cause", printable(self.cause))
        object.__setattr__(self, "remedy", printable(self.remedy))


Answer = Ready | Refused
