"""Slots: who holds one, by a reservation or by a running job, and who waits for one. Pure.

A slot goes from reserved to running to free, or from reserved to free when the reservation is not used in time. The
caller tells the time and calls `expire`. Everything happens in one thread, so each step is atomic.

Free slots go round the origins (a token, a certificate, an address) that wait, and among those of one origin round its
users. So a client that invents users takes nothing from other origins.
"""

from __future__ import annotations

import uuid
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused

# Fates of ended reservations are kept to tell a late client what happened.
_REMEMBERED = 10_000
# While others wait, an upload keeps the slot of its overdue reservation for this long. Then it goes on without a slot.
_UPLOAD_GRACE_S = 3.0


@dataclass(frozen=True)
class Caller:
    """Who calls. `user` is what slots are counted for, within `origin`, which the client cannot choose: the name of
    its token or certificate, or its address. `peer` is the connection.
    """

    user: str
    origin: str
    peer: str

    @property
    def account(self) -> tuple[str, str]:
        return self.origin, self.user


@dataclass
class Reservation:
    """A slot kept for one job."""

    uuid: str
    caller: Caller
    # When it is freed unless its job has come, in the caller's seconds.
    due_s: float
    # How long its call waited in the queue.
    waited_s: float = 0.0


@dataclass(eq=False)
class Waiter:
    """A Reserve call that waits. `grant` is called with its reservation when its turn comes, or `displace` when the
    queue is full and others need the place more.
    """

    caller: Caller
    grant: Callable[[Reservation], None]
    displace: Callable[[], object] = lambda: None


class _Queue:
    """Waiters by origin and user, each in the order of their last turns."""

    def __init__(self) -> None:
        self._origins: OrderedDict[str, OrderedDict[str, deque[Waiter]]] = OrderedDict()
        self._count: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._count.total()

    def __iter__(self) -> Iterator[Waiter]:
        return (waiter for users in self._origins.values() for queue in users.values() for waiter in queue)

    def add(self, waiter: Waiter) -> None:
        users = self._origins.setdefault(waiter.caller.origin, OrderedDict())
        users.setdefault(waiter.caller.user, deque()).append(waiter)
        self._count[waiter.caller.origin] += 1

    def remove(self, waiter: Waiter) -> None:
        """Takes `waiter` out, if it is there."""
        users = self._origins.get(waiter.caller.origin)
        queue = users.get(waiter.caller.user) if users else None
        if queue and waiter in queue:
            queue.remove(waiter)
            self._forget_empty(waiter.caller)

    def next(self, origin_holds: Counter[str], user_holds: Counter[tuple[str, str]]) -> Waiter:
        """Takes out the waiter whose turn it is: of the origin that holds fewest slots and among its users the one
        who holds fewest; among equals the one served longest ago.
        """
        origin = min(self._origins, key=lambda name: origin_holds[name])
        users = self._origins[origin]
        user = min(users, key=lambda name: user_holds[origin, name])
        waiter = users[user].popleft()
        users.move_to_end(user)
        self._origins.move_to_end(origin)
        self._forget_empty(waiter.caller)
        return waiter

    def displaced_by(self, newcomer: Caller) -> Waiter | None:
        """Takes out the last waiter of who has most in the queue, unless `newcomer` would then have as many."""
        origin, count = self._count.most_common(1)[0]
        if origin != newcomer.origin and self._count[newcomer.origin] + 1 >= count:
            return None
        users = self._origins[origin]
        user = max(users, key=lambda name: len(users[name]))
        if origin == newcomer.origin and len(users.get(newcomer.user, ())) + 1 >= len(users[user]):
            return None
        waiter = users[user].pop()
        self._forget_empty(waiter.caller)
        return waiter

    def _forget_empty(self, caller: Caller) -> None:
        """After one waiter of `caller` was taken out."""
        self._count[caller.origin] -= 1
        users = self._origins[caller.origin]
        if not users[caller.user]:
            del users[caller.user]
        if not users:
            del self._origins[caller.origin]
            del self._count[caller.origin]


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
        # Reservations whose jobs are still uploaded, but whose slots went to others.
        self.parked: OrderedDict[str, Reservation] = OrderedDict()
        self._user_holds: Counter[tuple[str, str]] = Counter()
        self._origin_holds: Counter[str] = Counter()
        self._queue = _Queue()
        self._fates: OrderedDict[str, pb.Refusal.Reason] = OrderedDict()
        self._uploads: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        return len(self.reserved) + self.running

    @property
    def uploading(self) -> int:
        """Uploads of jobs that have a reservation."""
        return self._uploads.total()

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def reserve(self, caller: Caller) -> Reservation:
        """A slot, now. Raises CallRefused FULL if none is free or others wait for one."""
        taken, limit = self.taken, self.limit()
        if taken >= limit or self.waiting:
            raise CallRefused(
                pb.Refusal.FULL,
                f"all {limit} slots are taken ({self.running} jobs running, {len(self.reserved)} reserved,"
                f" {self.waiting} waiting)",
                retry_after_ms=50,
            )
        return self._take(caller)

    def wait(self, waiter: Waiter) -> None:
        """Puts `waiter` in the queue. It is granted a slot at once if one is free.

        In a full queue it takes the place of one whose origin or user has more there. Raises CallRefused QUEUE_FULL.
        """
        if self.waiting >= self.max_waiters:
            displaced = self._queue.displaced_by(waiter.caller)
            if displaced is None:
                raise self.queue_full()
            displaced.displace()
        self._queue.add(waiter)
        self.grant_free()

    def queue_full(self) -> CallRefused:
        """The refusal of a call for which the queue has no place."""
        message = f"{self.waiting} calls wait for a slot already"
        return CallRefused(pb.Refusal.QUEUE_FULL, message, retry_after_ms=1000)

    def leave(self, waiter: Waiter) -> None:
        """Takes `waiter` out of the queue, if it is still there."""
        self._queue.remove(waiter)

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

    def use_parked(self, identifier: str) -> Caller | None:
        """Whose job this is if its slot went to others while it was uploaded, else None. It needs a new slot."""
        reservation = self.parked.pop(identifier, None)
        if reservation is None:
            return None
        self._remember(identifier, pb.Refusal.USED_RESERVATION)
        return reservation.caller

    def release(self, reservation: Reservation) -> None:
        """Ends a running job."""
        self.running -= 1
        self._give_up(reservation.caller)
        self.grant_free()

    def hand_on(self, reservation: Reservation) -> Reservation | None:
        """Ends a running job and keeps its slot for the same connection. Returns None where that would be unfair,
        because somebody else waits who holds no more slots, or where the slot has gone.
        """
        self.running -= 1
        self._give_up(reservation.caller)
        following = None
        if self.taken < self.limit() and not any(
            self._comes_first(waiter, reservation.caller) for waiter in self._queue
        ):
            following = self._take(reservation.caller)
        self.grant_free()
        return following

    def cancel(self, reservation: Reservation) -> None:
        """Frees a reservation that nobody can use, because its answer was not delivered."""
        if self.reserved.pop(reservation.uuid, None) is not None:
            self._give_up(reservation.caller)
            self.grant_free()

    def upload_begins(self, peer: str) -> bool:
        """A job is on its way on this connection. Returns whether that is for a reservation, which then does not
        expire meanwhile: the oldest of the connection.
        """
        held = sum(one.caller.peer == peer for kept in (self.reserved, self.parked) for one in kept.values())
        if held <= self._uploads[peer]:
            return False
        self._uploads[peer] += 1
        return True

    def upload_ends(self, peer: str) -> None:
        """The upload of a job with a reservation has ended."""
        self._uploads[peer] -= 1
        if not self._uploads[peer]:
            del self._uploads[peer]

    def expire(self) -> float | None:
        """Frees what is due. Returns when to call again, in the clock's seconds; None if nothing is reserved."""
        now = self.clock()
        uploading = Counter(self._uploads)
        uploading.subtract(reservation.caller.peer for reservation in self.parked.values())
        due = []
        for reservation in self.reserved.values():
            # As many of a connection's oldest reservations as it uploads jobs are in use.
            if uploading[reservation.caller.peer] > 0:
                uploading[reservation.caller.peer] -= 1
            elif reservation.due_s <= now:
                due.append(reservation)
        for reservation in due:
            del self.reserved[reservation.uuid]
            self._remember(reservation.uuid, pb.Refusal.EXPIRED_RESERVATION)
            self._give_up(reservation.caller)
        for reservation in list(self.parked.values()):
            if not self._uploads[reservation.caller.peer]:
                del self.parked[reservation.uuid]
                self._remember(reservation.uuid, pb.Refusal.EXPIRED_RESERVATION)
        if due:
            self.grant_free()
        pending = [reservation.due_s for reservation in self.reserved.values() if reservation.due_s > now]
        # What is overdue and uploading is looked at again when the upload ends, or when somebody waits.
        return min(pending, default=None)

    def grant_free(self) -> None:
        """Hands free slots to waiters. While there are waiters it is to be called once a second."""
        while self.waiting and (self.taken < self.limit() or self._park_overdue()):
            waiter = self._queue.next(self._origin_holds, self._user_holds)
            waiter.grant(self._take(waiter.caller))

    def _park_overdue(self) -> bool:
        """Frees the slot of a job whose upload takes too long while others wait. Returns whether there was one.

        Its job needs a new slot when it has come. An origin that has many such jobs loses them.
        """
        latest_s = self.clock() - _UPLOAD_GRACE_S
        overdue = [reservation for reservation in self.reserved.values() if reservation.due_s <= latest_s]
        if self.taken > self.limit() or not overdue:
            return False
        reservation = overdue[0]
        del self.reserved[reservation.uuid]
        self._give_up(reservation.caller)
        parked = sum(other.caller.origin == reservation.caller.origin for other in self.parked.values())
        if parked < self.limit():
            self.parked[reservation.uuid] = reservation
        else:
            self._remember(reservation.uuid, pb.Refusal.EXPIRED_RESERVATION)
        return True

    def _comes_first(self, waiter: Waiter, caller: Caller) -> bool:
        """Whether a free slot is the waiter's rather than `caller`'s, who just had it."""
        if waiter.caller.account == caller.account:
            return waiter.caller.peer != caller.peer
        if waiter.caller.origin != caller.origin:
            return self._origin_holds[waiter.caller.origin] <= self._origin_holds[caller.origin]
        return self._user_holds[waiter.caller.account] <= self._user_holds[caller.account]

    def _take(self, caller: Caller) -> Reservation:
        reservation = Reservation(str(uuid.uuid4()), caller, self.clock() + self.timeout_s)
        self.reserved[reservation.uuid] = reservation
        self._user_holds[caller.account] += 1
        self._origin_holds[caller.origin] += 1
        return reservation

    def _give_up(self, caller: Caller) -> None:
        self._user_holds[caller.account] -= 1
        self._origin_holds[caller.origin] -= 1
        # Names that hold nothing are not kept: clients choose them.
        if not self._user_holds[caller.account]:
            del self._user_holds[caller.account]
        if not self._origin_holds[caller.origin]:
            del self._origin_holds[caller.origin]

    def _remember(self, identifier: str, fate: pb.Refusal.Reason) -> None:
        self._fates[identifier] = fate
        if len(self._fates) > _REMEMBERED:
            self._fates.popitem(last=False)
