"""What a remote worker can do for the agent, whichever protocol it speaks.

The scheduler sees a worker only through `RemoteWorker`. `GrpcWorker` speaks the open protocol (docs/protocol.md);
`FakeWorker` stands for any worker in tests. A further transport is one more class of this shape.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from distplusplus.agent.agent_settings import AgentSettings, WorkerSettings
from distplusplus.agent.headers.header_jobs import HeaderJob
from distplusplus.agent.local_compilers import LocalCompiler
from distplusplus.agent.servers.diagnosis import Trouble
from distplusplus.compiler.classify import Compile
from distplusplus.protocol import distplusplus_pb2 as pb


class WorkerLostError(Exception):
    """Raised when a worker cannot be used: it is not reached, does not answer, or has gone away."""


class WorkerFullError(Exception):
    """Raised when a worker has no slot, or no longer has the one that was reserved."""


class JobRefusedError(Exception):
    """Raised when a worker does not take this job; another may."""


@dataclass(frozen=True)
class Mismatch:
    """Why a worker's compiler is of no use. Somebody may install another one, so the worker is asked again after
    `until_s` (loop time).
    """

    reason: str
    until_s: float


@dataclass(frozen=True)
class PreparedCompile:
    """A compile that is ready to be sent to any worker.

    `text` is the compressed preprocessed source; its name is not set. `unexpanded`: the worker expands the macros.
    `directory` is what debug information records.
    """

    command: Compile
    compiler: LocalCompiler
    text: pb.File
    directory: str
    unexpanded: bool = False
    # Instead of `text`, for workers that take header jobs.
    header_job: HeaderJob | None = None


class RemoteWorker(Protocol):
    """One remote worker. Times ending in `_s` without a unit of their own are loop times in seconds."""

    # Our reservations, asked for or held, and our jobs. The scheduler counts them.
    active: int

    @property
    def name(self) -> str:
        """As the user wrote it."""

    @property
    def slots(self) -> int:
        """How many jobs it runs at once, as it last said."""

    @property
    def load(self) -> float:
        """The share of its slots that is taken, by us or by others. Above 1 if jobs wait."""

    @property
    def room(self) -> int:
        """How many more reservations are worth asking for now."""

    @property
    def full_until_s(self) -> float:
        """Until then it is not worth asking again, because it was full and cannot keep us waiting."""

    @property
    def reservation_s(self) -> float:
        """How long it keeps a reservation that is not used, in seconds."""

    @property
    def expands_macros(self) -> bool:
        """Whether it takes text of `-fdirectives-only`."""

    @property
    def takes_header_jobs(self) -> bool:
        """Whether it takes source and headers instead of preprocessed text."""

    @property
    def trouble(self) -> Trouble | None:
        """Why it was lost last; None while it can be used."""

    @property
    def is_down(self) -> bool:
        """Whether it was lost, and it is not yet time to try again."""

    @property
    def retry_in_s(self) -> float:
        """In how many seconds a lost worker may be tried again."""

    @property
    def jobs_done(self) -> int:
        """How many of our jobs it has answered."""

    def refuses(self, command: Compile) -> str | None:
        """Why it cannot do this compile, whatever its compilers and its load; None if it can."""

    def knows(self, compiler: LocalCompiler) -> str | Mismatch | None:
        """The answer of `find_compiler`, if it is there already."""

    async def find_compiler(self, compiler: LocalCompiler, settings: AgentSettings) -> str | Mismatch:
        """The worker's name for the same compiler, or why it has none. Raises WorkerLostError."""

    async def reserve(self, settings: AgentSettings) -> str:
        """A token for one slot; waits for a slot if the worker can. Raises WorkerFullError, WorkerLostError."""

    async def run(self, token: str, prepared: PreparedCompile, settings: AgentSettings) -> pb.CompileAnswer:
        """Uses up a reservation. Raises WorkerFullError (reserve again), JobRefusedError, WorkerLostError."""

    async def close(self) -> None:
        """Breaks the connection."""


# The second argument is called when a slot may have become free, or the worker was lost or found again.
MakeWorker: TypeAlias = Callable[[WorkerSettings, Callable[[], None]], RemoteWorker]
