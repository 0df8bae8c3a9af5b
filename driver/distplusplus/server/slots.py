"""Slots: who holds one, by a reservation or by a running job, and who waits for one. Pure.

A slot goes from reserved to running to free, or from reserved to free when the reservation is not used in
time. The caller tells the time and calls `expire`; everything happens in one thread, so each step is atomic.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused

# Fates of ended reservations are kept to tell a late client what happened.
_REMEMBERED = 10_000


@dataclass
class Reservation:
    """A slot kept for one job."""

    uuid: str
    user: str
    # The connection it was made on. A first-generation client uploads on the same one.
    peer: str
    # When it is freed unless its job has come, in the caller's seconds.
    due_s: float
    # How long its call waited in the queue.
    waited_s: float = 0.0


@dataclass(eq=False)
class Waiter:
    """A Reserve call that waits. `grant` is called with its reservation when its turn comes."""

    user: str
    peer: str
    grant: Callable[[Reservation], None]


@dataclass
class SlotTable:
    """`limit` tells how many slots there are now; `timeout_s` is how long a reservation is kept."""

    limit: Callable[[], int]
    timeout_s: float
    max_waiters: int = 1000
    clock: Callable[[], float] = field(default=lambda: 0.0)

    def __post_init__(self) -> None:
        self.reserved: OrderedDict[str, Reservation] = OrderedDict()
        self.running = 0
        self._held: dict[str, int] = {}
        self._waiting: OrderedDict[str, deque[Waiter]] = OrderedDict()
        self._fates: OrderedDict[str, pb.Refusal.Reason] = OrderedDict()
        self._uploads: dict[str, int] = {}

    @property
    def taken(self) -> int:
        return len(self.reserved) + self.running

    @property
    def uploading(self) -> int:
        return sum(self._uploads.values())

    @property
    def waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    def reserve(self, user: str, peer: str) -> Reservation:
        """A slot, now. Raises CallRefused FULL if none is free or others wait for one."""
        taken, limit = self.taken, self.limit()
        if taken >= limit or self._waiting:
            raise CallRefused(
                pb.Refusal.FULL,
                f"all {limit} slots are taken ({self.running} jobs running, {len(self.reserved)} reserved,"
                f" {self.waiting} waiting)",
                retry_after_ms=50,
            )
        return self._take(user, peer)

    def wait(self, waiter: Waiter) -> None:
        """Puts `waiter` in the queue; it is granted a slot at once if it can be. Raises CallRefused
        QUEUE_FULL."""
        if self.waiting >= self.max_waiters:
            raise CallRefused(
                pb.Refusal.QUEUE_FULL, f"{self.waiting} clients wait for a slot already", retry_after_ms=1000
            )
        self._waiting.setdefault(waiter.user, deque()).append(waiter)
        self.grant_free()

    def leave(self, waiter: Waiter) -> None:
        """Takes `waiter` out of the queue, if it is still there."""
        queue = self._waiting.get(waiter.user)
        if queue and waiter in queue:
            queue.remove(waiter)
            if not queue:
                del self._waiting[waiter.user]

    def use(self, identifier: str) -> Reservation:
        """Turns a reservation into a running job. Raises CallRefused if it is unknown, expired or used."""
        reservation = self.reserved.pop(identifier, None)
        if reservation is not None:
            self.running += 1
            self._remember(identifier, pb.Refusal.USED_RESERVATION)
            return reservation
        reason = self._fates.get(identifier, pb.Refusal.UNKNOWN_RESERVATION)
        message = {
            pb.Refusal.USED_RESERVATION: "the reservation has been used before",
            pb.Refusal.EXPIRED_RESERVATION: f"the reservation has expired, unused for {self.timeout_s:g} s",
        }.get(reason, "no such reservation")
        raise CallRefused(reason, message, identifier)

    def release(self, reservation: Reservation) -> None:
        """Ends a running job."""
        self.running -= 1
        self._give_up(reservation.user)
        self.grant_free()

    def hand_on(self, reservation: Reservation) -> Reservation | None:
        """Ends a running job and keeps its slot for the same connection; None where that would be unfair, because
        somebody else waits who holds no more slots, or the slot has gone.
        """
        self.running -= 1
        self._give_up(reservation.user)
        own = self._held.get(reservation.user, 0)
        is_fair = all(
            waiter.peer == reservation.peer or self._held.get(user, 0) > own
            for user, queue in self._waiting.items()
            for waiter in queue
        )
        following = None
        if is_fair and self.taken < self.limit():
            following = self._take(reservation.user, reservation.peer)
        self.grant_free()
        return following

    def cancel(self, reservation: Reservation) -> None:
        """Frees a reservation that nobody can use, because its answer was not delivered."""
        if self.reserved.pop(reservation.uuid, None) is not None:
            self._give_up(reservation.user)
            self.grant_free()

    def upload_begins(self, peer: str) -> None:
        """A job is on its way on this connection: its oldest reservation does not expire meanwhile."""
        self._uploads[peer] = self._uploads.get(peer, 0) + 1

    def upload_ends(self, peer: str) -> None:
        self._uploads[peer] -= 1
        if not self._uploads[peer]:
            del self._uploads[peer]

    def expire(self) -> float | None:
        """Frees what is due. Returns when to call again, in the clock's seconds; None if nothing is
        reserved."""
        now = self.clock()
        uploading = dict(self._uploads)
        due = []
        for reservation in self.reserved.values():
            # As many of a connection's oldest reservations as it uploads jobs are in use.
            if uploading.get(reservation.peer, 0) > 0:
                uploading[reservation.peer] -= 1
            elif reservation.due_s <= now:
                due.append(reservation)
        for reservation in due:
            del self.reserved[reservation.uuid]
            self._remember(reservation.uuid, pb.Refusal.EXPIRED_RESERVATION)
            self._give_up(reservation.user)
        if due:
            self.grant_free()
        pending = [reservation.due_s for reservation in self.reserved.values() if reservation.due_s > now]
        # What is overdue and uploading is looked at again when the upload ends.
        return min(pending, default=None)

    def grant_free(self) -> None:
        """Hands free slots to waiters: to the user who holds fewest, among equals to who was served longest
        ago."""
        while self._waiting and self.taken < self.limit():
            user = min(self._waiting, key=lambda name: self._held.get(name, 0))
            queue = self._waiting[user]
            waiter = queue.popleft()
            if queue:
                self._waiting.move_to_end(user)
            else:
                del self._waiting[user]
            waiter.grant(self._take(waiter.user, waiter.peer))

    def _take(self, user: str, peer: str) -> Reservation:
        reservation = Reservation(str(uuid.uuid4()), user, peer, self.clock() + self.timeout_s)
        self.reserved[reservation.uuid] = reservation
        self._held[user] = self._held.get(user, 0) + 1
        return reservation

    def _give_up(self, user: str) -> None:
        self._held[user] -= 1
        if not self._held[user]:
            del self._held[user]

    def _remember(self, identifier: str, fate: pb.Refusal.Reason) -> None:
        self._fates[identifier] = fate
        if len(self._fates) > _REMEMBERED:
            self._fates.popitem(last=False)
