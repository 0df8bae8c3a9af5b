"""Slots are taken, used, freed and handed on; whatever the order of events, the numbers hold."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused
from distplusplus.server.slots import Caller, Reservation, SlotTable, Waiter


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def table(slots: int = 2, timeout_s: float = 1.0) -> tuple[SlotTable, Clock]:
    clock = Clock()
    return SlotTable(lambda: slots, timeout_s, max_waiters=3, clock=clock), clock


def who(user: str, peer: str, origin: str = "here") -> Caller:
    return Caller(user, origin, peer)


def reason(refused: pytest.ExceptionInfo[CallRefused]) -> str:
    return pb.Refusal.Reason.Name(refused.value.reason)


def test_a_slot_is_reserved_used_and_freed() -> None:
    slots, _ = table(1)
    reservation = slots.reserve(who("u", "p"))
    with pytest.raises(CallRefused) as refused:
        slots.reserve(who("u", "p"))
    assert reason(refused) == "FULL"
    assert slots.use(reservation.uuid) is reservation
    with pytest.raises(CallRefused) as refused:
        slots.use(reservation.uuid)
    assert reason(refused) == "USED_RESERVATION"
    assert (slots.running, slots.taken) == (1, 1)
    slots.release(reservation)
    assert slots.taken == 0


def test_expiry_is_neither_early_nor_forgotten() -> None:
    slots, clock = table()
    first = slots.reserve(who("u", "p"))
    clock.now_s = 0.6
    second = slots.reserve(who("u", "p"))
    clock.now_s = 0.999
    assert slots.expire() == pytest.approx(1.0)
    assert slots.taken == 2
    clock.now_s = 1.0
    assert slots.expire() == pytest.approx(1.6)
    assert list(slots.reserved) == [second.uuid]
    with pytest.raises(CallRefused) as refused:
        slots.use(first.uuid)
    assert reason(refused) == "EXPIRED_RESERVATION"
    clock.now_s = 1.6
    assert slots.expire() is None
    assert slots.taken == 0


def test_an_upload_holds_one_reservation_of_its_connection() -> None:
    slots, clock = table(3)
    held = slots.reserve(who("u", "p"))
    other = slots.reserve(who("u", "p"))
    elsewhere = slots.reserve(who("u", "q"))
    assert slots.upload_begins("p")
    clock.now_s = 5
    assert slots.expire() is None
    assert list(slots.reserved) == [held.uuid]
    slots.upload_ends("p")
    slots.expire()
    assert not slots.reserved
    for gone in (other, elsewhere):
        with pytest.raises(CallRefused):
            slots.use(gone.uuid)


def test_waiting_is_fair_between_users() -> None:
    slots, _ = table(1)
    slots.max_waiters = 100
    running = slots.use(slots.reserve(who("x", "p")).uuid)
    order: list[str] = []
    granted: list[Reservation] = []

    def grant(reservation: Reservation) -> None:
        order.append(reservation.caller.user)
        granted.append(reservation)

    for user in ["many"] * 4 + ["few", "few", "one"]:
        slots.wait(Waiter(who(user, "p"), grant))
    with pytest.raises(CallRefused):
        slots.reserve(who("late", "p"))  # does not overtake those who wait
    for _ in range(7):
        slots.release(running)
        running = slots.use(granted[-1].uuid)
    assert order == ["many", "few", "one", "many", "few", "many", "many"]


def test_a_user_who_holds_slots_comes_after_one_who_holds_none() -> None:
    slots, _ = table(2)
    first, second = (slots.use(slots.reserve(who("greedy", "p")).uuid) for _ in range(2))
    order: list[str] = []
    for user in ("greedy", "modest"):
        slots.wait(Waiter(who(user, "p"), lambda reservation: order.append(reservation.caller.user)))
    slots.release(first)
    assert order == ["modest"]
    slots.release(second)
    assert order == ["modest", "greedy"]


def test_a_slot_is_handed_on_to_the_next_job_of_its_connection() -> None:
    slots, clock = table(1)
    running = slots.use(slots.reserve(who("u", "p")).uuid)
    clock.now_s = 5.0
    granted: list[Reservation] = []
    slots.wait(Waiter(who("u", "p"), granted.append))
    following = slots.hand_on(running)
    assert following is not None
    assert (following.caller.user, following.caller.peer, following.due_s, granted) == ("u", "p", 6.0, [])
    slots.release(slots.use(following.uuid))
    assert [reservation.caller.peer for reservation in granted] == ["p"]


@pytest.mark.parametrize(("user", "peer"), [("other", "q"), ("u", "q")])
def test_a_slot_is_not_handed_on_past_those_who_hold_no_more(user: str, peer: str) -> None:
    slots, _ = table(1)
    running = slots.use(slots.reserve(who("u", "p")).uuid)
    granted: list[Reservation] = []
    slots.wait(Waiter(who(user, peer), granted.append))
    assert slots.hand_on(running) is None
    assert [reservation.caller.peer for reservation in granted] == [peer]


def test_a_slot_is_handed_on_before_a_user_who_holds_more() -> None:
    slots, _ = table(3)
    running = slots.use(slots.reserve(who("modest", "p")).uuid)
    for _ in range(2):
        slots.reserve(who("greedy", "q"))
    slots.wait(Waiter(who("greedy", "q"), lambda _: None))
    assert slots.hand_on(running) is not None


def test_a_slot_that_went_with_the_memory_is_not_handed_on() -> None:
    limit = [1]
    slots = SlotTable(lambda: limit[0], 1.0)
    running = slots.use(slots.reserve(who("u", "p")).uuid)
    limit[0] = 0
    assert slots.hand_on(running) is None
    assert slots.taken == 0


def test_too_many_wait() -> None:
    slots, _ = table(1)
    slots.reserve(who("u", "p"))
    waiters = [Waiter(who("u", "p"), lambda _: None) for _ in range(4)]
    for waiter in waiters[:3]:
        slots.wait(waiter)
    with pytest.raises(CallRefused) as refused:
        slots.wait(waiters[3])
    assert reason(refused) == "QUEUE_FULL"
    slots.leave(waiters[0])
    slots.leave(waiters[0])
    assert slots.waiting == 2


def queue_of(slots: SlotTable, *callers: Caller) -> tuple[list[str], list[Caller]]:
    """Has the callers wait. Returns the users in the order of their turns, and those that are displaced."""
    order: list[str] = []
    displaced: list[Caller] = []
    for caller in callers:
        slots.wait(Waiter(caller, lambda given: order.append(given.caller.user), partial(displaced.append, caller)))
    return order, displaced


def test_an_origin_that_invents_users_takes_no_turn_from_another() -> None:
    slots, _ = table(1)
    slots.max_waiters = 100
    slots.reserve(who("x", "p"))
    invented = [who(f"user {number}", "p", "hostile") for number in range(20)]
    order, _ = queue_of(slots, *invented, who("a", "q", "polite"), who("b", "q", "polite"))
    for _ in range(6):
        slots.cancel(next(iter(slots.reserved.values())))
    assert order == ["user 0", "a", "user 1", "b", "user 2", "user 3"]


def test_slots_are_counted_by_origin_before_users() -> None:
    slots, _ = table(3)
    for number in range(3):
        slots.use(slots.reserve(who(f"user {number}", "p", "hostile")).uuid)
    order, _ = queue_of(slots, who("fresh", "p", "hostile"), who("a", "q", "polite"))
    slots.release(Reservation("", who("user 0", "p", "hostile"), 0))
    assert order == ["a"]


def test_a_full_queue_has_a_place_for_who_has_fewer_there() -> None:
    slots, _ = table(1)
    slots.reserve(who("x", "p"))
    _, displaced = queue_of(slots, *[who("many", f"p{number}", "hostile") for number in range(3)])
    queue_of(slots, who("few", "q", "polite"))
    assert [caller.peer for caller in displaced] == ["p2"]
    with pytest.raises(CallRefused, match="3 calls wait") as refused:
        queue_of(slots, who("few", "q", "polite"))
    assert reason(refused) == "QUEUE_FULL"
    with pytest.raises(CallRefused):
        queue_of(slots, who("many", "p", "hostile"))
    assert slots.waiting == 3


def test_a_full_queue_has_a_place_for_another_user_of_the_same_origin() -> None:
    slots, _ = table(1)
    slots.reserve(who("x", "p"))
    _, displaced = queue_of(slots, *[who("many", "p") for _ in range(3)])
    queue_of(slots, who("few", "q"))
    assert len(displaced) == 1


def test_an_upload_without_a_reservation_of_its_connection_holds_none() -> None:
    slots, clock = table(3)
    assert not slots.upload_begins("p")
    slots.reserve(who("u", "p"))
    assert slots.upload_begins("p")
    assert not slots.upload_begins("p")
    assert slots.uploading == 1
    clock.now_s = 5
    slots.expire()
    assert slots.taken == 1


def test_an_upload_that_takes_long_gives_its_slot_to_those_who_wait() -> None:
    slots, clock = table(1)
    slow = slots.reserve(who("slow", "p"))
    assert slots.upload_begins("p")
    clock.now_s = 3.5
    order, _ = queue_of(slots, who("waits", "q"))
    assert order == []
    clock.now_s = 4.0
    slots.grant_free()
    assert order == ["waits"]
    assert slots.use_parked(slow.uuid) == slow.caller
    assert slots.use_parked(slow.uuid) is None
    with pytest.raises(CallRefused, match="used before"):
        slots.use(slow.uuid)
    assert slots.taken == 1


def test_an_upload_that_takes_long_keeps_its_slot_while_nobody_waits() -> None:
    slots, clock = table(1)
    slow = slots.reserve(who("slow", "p"))
    slots.upload_begins("p")
    clock.now_s = 100.0
    slots.expire()
    slots.grant_free()
    assert slots.use(slow.uuid) is slow


def test_an_origin_parks_no_more_jobs_than_there_are_slots() -> None:
    slots, clock = table(1)
    slots.max_waiters = 10
    given = [slots.reserve(who("slow", "p"))]
    for number in range(1, 3):
        assert slots.upload_begins("p")
        slots.wait(Waiter(who("slow", "p"), given.append))
        clock.now_s = number * 10.0
        slots.grant_free()
    assert list(slots.parked) == [given[0].uuid]
    with pytest.raises(CallRefused, match="expired"):
        slots.use(given[1].uuid)


def test_a_parked_job_whose_upload_ends_unused_is_forgotten() -> None:
    slots, clock = table(1)
    slow = slots.reserve(who("slow", "p"))
    slots.upload_begins("p")
    clock.now_s = 4.0
    queue_of(slots, who("waits", "q"))
    slots.upload_ends("p")
    slots.expire()
    assert not slots.parked
    with pytest.raises(CallRefused, match="expired"):
        slots.use(slow.uuid)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "use", "release", "hand on", "cancel", "tick", "wait", "leave", "begin", "end"]),
        st.integers(0, 5),
    ),
    max_size=60,
)


@given(EVENTS)
def test_no_order_of_events_breaks_the_count(events: list[tuple[str, int]]) -> None:  # noqa: PLR0912
    slots, clock = table(3)
    known: list[Reservation] = []
    running: list[Reservation] = []
    waiters: list[Waiter] = []
    uploads: list[str] = []
    for event, number in events:
        user = "abc"[number % 3]
        try:
            if event == "reserve":
                known.append(slots.reserve(who(user, user)))
            elif event == "use" and known:
                running.append(slots.use(known[number % len(known)].uuid))
            elif event == "release" and running:
                slots.release(running.pop(number % len(running)))
            elif event == "hand on" and running:
                if following := slots.hand_on(running.pop(number % len(running))):
                    known.append(following)
            elif event == "cancel" and known:
                slots.cancel(known[number % len(known)])
            elif event == "tick":
                clock.now_s += number / 4
                slots.expire()
            elif event == "wait":
                waiters.append(Waiter(who(user, user), known.append))
                slots.wait(waiters[-1])
            elif event == "leave" and waiters:
                slots.leave(waiters[number % len(waiters)])
            elif event == "begin":
                if slots.upload_begins(user):
                    uploads.append(user)
            elif event == "end" and uploads:
                slots.upload_ends(uploads.pop())
        except CallRefused:
            pass
        assert slots.running == len(running)
        assert slots.taken == len(running) + len(slots.reserved) <= 3
        assert not slots.waiting or slots.taken == 3
        assert slots.uploading == len(uploads)
    for reservation in running:
        slots.release(reservation)
    while uploads:
        slots.upload_ends(uploads.pop())
    for waiter in waiters:
        slots.leave(waiter)
    clock.now_s += 10
    slots.expire()
    assert (slots.taken, slots.waiting) == (0, 0)
