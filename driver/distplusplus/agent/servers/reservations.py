"""All waiting jobs and all servers: which job goes where, and when. No polling.

A job waits in one queue. Reservations are asked for on the servers that have room, least loaded first, never more than
jobs wait, and the first job that a granted one suits takes it. A reservation that is not granted at once waits in its
server's queue; if a slot becomes free elsewhere, one more is asked for there, and the one that is then too many is
for the next job.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from distplusplus.agent.agent_settings import ServerSettings, Settings
from distplusplus.agent.local_compilers import LocalCompiler
from distplusplus.agent.servers.remote_server import FullError, JobRefusedError, Mismatch, Server, ServerLostError
from distplusplus.protocol import distplusplus_pb2 as pb

# A reservation that is not answered by then waits for a slot.
_BLOCKED_S: Final = 0.1
# So long is waited for the next job before places in servers' queues are given up.
_REST_S: Final = 0.25
# Servers keep a reservation for about 1 s, or as long as they say. Until then the next job may want it.
_SPARE_S: Final = 0.5
# Of servers that cannot keep a reservation waiting; the end of a job of ours counts as well.
_FULL_RETRY_S: Final = 0.25
_MAX_ATTEMPTS: Final = 4


class NoServerError(Exception):
    """Raised when no server takes the job. `refused`: they are there, but none can do this one."""

    def __init__(self, reason: str, *, refused: bool) -> None:
        super().__init__(reason)
        self.refused = refused


@dataclass(eq=False)
class Job:
    """One job, ready to be sent. `request` makes the message for a server and its name of the compiler."""

    compiler: LocalCompiler
    settings: Settings
    request: Callable[[Server, str], Awaitable[pb.CompileRequest]]
    needs_extensions: bool
    notice: Callable[[str, str], None]
    refused_by: dict[Server, str] = field(default_factory=dict)


@dataclass(eq=False)
class _Waiting:
    job: Job
    servers: tuple[Server, ...]
    granted: asyncio.Future[tuple[Server, str]]


@dataclass(eq=False)
class _Ticket:
    """A reservation that is being asked for."""

    server: Server
    since_s: float
    task: asyncio.Task[None] | None = None
    is_granted: bool = False


@dataclass(frozen=True)
class _Spare:
    """A reservation that came when no job wanted it any more."""

    server: Server
    uuid: str


class Scheduler:
    """All servers that any job has named, and all jobs that wait."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._servers: dict[ServerSettings, Server] = {}
        self._queue: deque[_Waiting] = deque()
        self._tickets: set[_Ticket] = set()
        self._spares: list[_Spare] = []
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def servers(self, settings: Settings) -> list[Server]:
        """The servers that these settings name."""
        return [self._server(entry) for entry in settings.servers]

    async def compile(self, job: Job) -> tuple[Server, pb.CompileAnswer]:
        """Sends the job to one server after the other until one answers. Raises NoServerError."""
        attempts = 0
        while True:
            usable = await self.usable(job)
            try:
                server, uuid = await self._reservation(job, usable)
            except ServerLostError:
                continue
            try:
                request = await job.request(server, self._name_on(server, job))
                request.uuid = uuid
                request.reserveNext = server.extended
                answer = await server.distribute(request, job.settings)
                if answer.next.uuid:
                    server.active += 1
                    self._grant(server, answer.next.uuid)
                return server, answer
            except FullError:
                pass  # the reservation had run out: ask for another one
            except ServerLostError as error:
                job.notice("warning", _lost(server, error))
            except JobRefusedError as error:
                job.refused_by[server] = str(error)
            finally:
                server.active -= 1
                self._wake()
            attempts += 1
            if attempts >= _MAX_ATTEMPTS:
                raise NoServerError(f"{attempts} attempts failed, the last on {server.name}", refused=True)

    async def usable(self, job: Job) -> tuple[Server, ...]:
        """The servers on which the job can run. Raises NoServerError when there is none now."""
        servers = self.servers(job.settings)
        waiting = [server for server in servers if not server.is_down and server not in job.refused_by]
        unknown: list[asyncio.Task[None]] = []
        for server in waiting:
            if server.knows(job.compiler) is None:
                unknown.append(self._loop.create_task(self._get_to_know(server, job)))
        try:
            while True:
                known = self._usable_now(job)
                if known or not unknown:
                    break
                # The first that answers will do; the others join for the next job.
                _, pending = await asyncio.wait(unknown, return_when=asyncio.FIRST_COMPLETED)
                unknown = list(pending)
        except asyncio.CancelledError:
            for task in unknown:
                task.cancel()
            raise
        if known:
            return known
        reasons = [job.refused_by[server] for server in servers if server in job.refused_by]
        refused = len(reasons) == len(servers) and bool(servers)
        if not refused:
            down = [f"{server.name}: {server.trouble.brief}" for server in servers if server.is_down and server.trouble]
            reasons = down or reasons or ["no servers are configured"]
        raise NoServerError("; ".join(dict.fromkeys(reasons)), refused=refused)

    async def wait_for_change(self, settings: Settings) -> None:
        """Returns when a server may be usable again."""
        retry_in_s = min((server.retry_in_s for server in self.servers(settings)), default=1.0)
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), max(retry_in_s, 0.1))
        except TimeoutError:
            return

    async def close(self) -> None:
        for server in self._servers.values():
            await server.close()

    def _server(self, settings: ServerSettings) -> Server:
        server = self._servers.get(settings)
        if server is None:
            server = self._servers[settings] = Server(settings, self._wake)
        return server

    async def _get_to_know(self, server: Server, job: Job) -> None:
        try:
            found = await server.compiler(job.compiler, job.settings)
        except ServerLostError as error:
            job.notice("warning", f"{server.name}: {error}; going on without it")
        else:
            if isinstance(found, Mismatch):
                job.notice("warning", f"{server.name}: {found.reason}; it is passed over")
            # Jobs that wait already, because the others are full, may use it, too.
            for waiting in self._queue:
                waiting.servers = self._usable_now(waiting.job)
            self._wake()

    def _usable_now(self, job: Job) -> tuple[Server, ...]:
        return tuple(server for server in self.servers(job.settings) if self._is_usable(server, job))

    def _is_usable(self, server: Server, job: Job) -> bool:
        if server.is_down or server in job.refused_by:
            return False
        found = server.knows(job.compiler)
        if isinstance(found, Mismatch):
            job.refused_by.setdefault(server, f"{server.name}: {found.reason}")
            return False
        if found is not None and job.needs_extensions and not server.extended:
            job.refused_by.setdefault(server, f"{server.name}: cannot send further outputs back")
            return False
        return found is not None

    def _name_on(self, server: Server, job: Job) -> str:
        found = server.knows(job.compiler)
        if not isinstance(found, str):
            raise ServerLostError(server.down_reason or "its compiler is asked for anew")
        return found

    async def _reservation(self, job: Job, servers: tuple[Server, ...]) -> tuple[Server, str]:
        """A reservation; `active` of its server counts it."""
        for spare in self._spares:
            if spare.server in servers:
                self._spares.remove(spare)
                return spare.server, spare.uuid
        waiting = _Waiting(job, servers, self._loop.create_future())
        self._queue.append(waiting)
        self._pump()
        try:
            return await waiting.granted
        except asyncio.CancelledError:
            if waiting.granted.done() and not waiting.granted.cancelled() and not waiting.granted.exception():
                waiting.granted.result()[0].active -= 1
            raise
        finally:
            if waiting in self._queue:
                self._queue.remove(waiting)
            self._rest()

    def _wake(self) -> None:
        self._changed.set()
        self._pump()

    def _pump(self) -> None:
        """Asks for as many reservations as there are jobs without one, where there is room."""
        for waiting in list(self._queue):
            if all(server.is_down for server in waiting.servers):
                self._queue.remove(waiting)
                if not waiting.granted.done():
                    waiting.granted.set_exception(ServerLostError("every server was lost"))
        groups: dict[tuple[Server, ...], list[_Waiting]] = {}
        for waiting in self._queue:
            groups.setdefault(waiting.servers, []).append(waiting)
        for servers, jobs in groups.items():
            self._ask_for(servers, jobs)
        self._set_timer()

    def _ask_for(self, servers: tuple[Server, ...], jobs: list[_Waiting]) -> None:
        """Asks for these jobs, which can all use these servers."""
        now_s = self._loop.time()
        tickets = [ticket for ticket in self._tickets if ticket.server in servers]
        blocked = {ticket.server for ticket in tickets if now_s - ticket.since_s >= _BLOCKED_S}
        asked = len(tickets)
        for waiting in jobs[sum(now_s - ticket.since_s < _BLOCKED_S for ticket in tickets) :]:
            open_to = [server for server in servers if not server.is_down and server.room > 0]
            if asked >= len(jobs):
                # Enough are asked for, but they wait: one more is of use where a slot is free. What we know of the load
                # may be old, so a few wait also where none seemed to be; many would keep slots from others.
                is_few = asked <= 2 * len(jobs)
                open_to = [server for server in open_to if server not in blocked and (is_few or server.load < 1)]
            if not open_to:
                return
            self._ask(min(open_to, key=lambda server: server.load), waiting.job.settings)
            asked += 1

    def _ask(self, server: Server, settings: Settings) -> None:
        server.active += 1
        ticket = _Ticket(server, self._loop.time())
        self._tickets.add(ticket)
        ticket.task = self._loop.create_task(self._redeem(ticket, settings))
        # Not the task itself: one that is cancelled before its first step never gets to its end.
        ticket.task.add_done_callback(lambda _: self._settle(ticket))

    async def _redeem(self, ticket: _Ticket, settings: Settings) -> None:
        server = ticket.server
        try:
            uuid = await server.reserve(settings)
            ticket.is_granted = True
            self._grant(server, uuid)
        except FullError:
            server.full_until_s = self._loop.time() + _FULL_RETRY_S
        except ServerLostError as error:
            for waiting in self._queue:
                if server in waiting.servers:
                    waiting.job.notice("warning", _lost(server, error))

    def _settle(self, ticket: _Ticket) -> None:
        self._tickets.discard(ticket)
        if not ticket.is_granted:
            ticket.server.active -= 1
        self._pump()

    def _grant(self, server: Server, uuid: str) -> None:
        for waiting in self._queue:
            if server in waiting.servers and not waiting.granted.done():
                self._queue.remove(waiting)
                waiting.granted.set_result((server, uuid))
                return
        spare = _Spare(server, uuid)
        self._spares.append(spare)
        self._loop.call_later(min(_SPARE_S, server.reservation_s / 2), self._drop, spare)

    def _drop(self, spare: _Spare) -> None:
        """The server frees it, as nobody has used it."""
        if spare in self._spares:
            self._spares.remove(spare)
            spare.server.active -= 1
            self._wake()

    def _rest(self) -> None:
        """Stops waiting in servers' queues once no job has come for a while.

        Not at once: the next job takes the place over. And one that is given up in the moment in which it is granted is
        lost to all for the second that servers keep it.
        """
        if not self._queue and self._tickets:
            self._loop.call_later(_REST_S, self._give_back)

    def _give_back(self) -> None:
        if not self._queue:
            for ticket in self._tickets:
                if ticket.task is not None:
                    ticket.task.cancel()

    def _set_timer(self) -> None:
        """Looks again when a ticket turns out to wait, or a full server may be asked again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._queue:
            return
        now_s = self._loop.time()
        due = [ticket.since_s + _BLOCKED_S for ticket in self._tickets]
        due += [server.full_until_s for server in self._servers.values()]
        due = [at_s for at_s in due if at_s > now_s]
        if due:
            self._timer = self._loop.call_at(min(due) + 0.001, self._pump)


def _lost(server: Server, error: ServerLostError) -> str:
    """The same for all that lose a reservation or a job by it, so that it is told once."""
    return f"{server.name}: {error}; its jobs go elsewhere"
