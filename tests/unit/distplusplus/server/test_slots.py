"""Slots are taken, used, freed and handed on; whatever the order of events, the numbers hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused
from distplusplus.server.slots import Reservation, SlotTable, Waiter


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def table(slots: int = 2, timeout_s: float = 1.0) -> tuple[SlotTable, Clock]:
    clock = Clock()
    return SlotTable(lambda: slots, timeout_s, max_waiters=3, clock=clock), clock


def reason(refused: pytest.ExceptionInfo[CallRefused]) -> str:
    return pb.Refusal.Reason.Name(refused.value.reason)


def test_a_slot_is_reserved_used_and_freed() -> None:
    slots, _ = table(1)
    reservation = slots.reserve("u", "p")
    with pytest.raises(CallRefused) as refused:
        slots.reserve("u", "p")
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
    first = slots.reserve("u", "p")
    clock.now_s = 0.6
    second = slots.reserve("u", "p")
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
    held = slots.reserve("u", "p")
    other = slots.reserve("u", "p")
    elsewhere = slots.reserve("u", "q")
    slots.upload_begins("p")
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
    running = slots.use(slots.reserve("x", "p").uuid)
    order: list[str] = []
    granted: list[Reservation] = []

    def grant(reservation: Reservation) -> None:
        order.append(reservation.user)
        granted.append(reservation)

    for user in ["many"] * 4 + ["few", "few", "one"]:
        slots.wait(Waiter(user, "p", grant))
    with pytest.raises(CallRefused):
        slots.reserve("late", "p")  # does not overtake those who wait
    for _ in range(7):
        slots.release(running)
        running = slots.use(granted[-1].uuid)
    assert order == ["many", "few", "one", "many", "few", "many", "many"]


def test_a_user_who_holds_slots_comes_after_one_who_holds_none() -> None:
    slots, _ = table(2)
    first, second = (slots.use(slots.reserve("greedy", "p").uuid) for _ in range(2))
    order: list[str] = []
    for user in ("greedy", "modest"):
        slots.wait(Waiter(user, "p", lambda reservation: order.append(reservation.user)))
    slots.release(first)
    assert order == ["modest"]
    slots.release(second)
    assert order == ["modest", "greedy"]


def test_a_slot_is_handed_on_to_the_next_job_of_its_connection() -> None:
    slots, clock = table(1)
    running = slots.use(slots.reserve("u", "p").uuid)
    clock.now_s = 5.0
    granted: list[Reservation] = []
    slots.wait(Waiter("u", "p", granted.append))
    following = slots.hand_on(running)
    assert following is not None
    assert (following.user, following.peer, following.due_s, granted) == ("u", "p", 6.0, [])
    slots.release(slots.use(following.uuid))
    assert [reservation.peer for reservation in granted] == ["p"]


@pytest.mark.parametrize(("user", "peer"), [("other", "q"), ("u", "q")])
def test_a_slot_is_not_handed_on_past_those_who_hold_no_more(user: str, peer: str) -> None:
    slots, _ = table(1)
    running = slots.use(slots.reserve("u", "p").uuid)
    granted: list[Reservation] = []
    slots.wait(Waiter(user, peer, granted.append))
    assert slots.hand_on(running) is None
    assert [reservation.peer for reservation in granted] == [peer]


def test_a_slot_is_handed_on_before_a_user_who_holds_more() -> None:
    slots, _ = table(3)
    running = slots.use(slots.reserve("modest", "p").uuid)
    for _ in range(2):
        slots.reserve("greedy", "q")
    slots.wait(Waiter("greedy", "q", lambda _: None))
    assert slots.hand_on(running) is not None


def test_a_slot_that_went_with_the_memory_is_not_handed_on() -> None:
    limit = [1]
    slots = SlotTable(lambda: limit[0], 1.0)
    running = slots.use(slots.reserve("u", "p").uuid)
    limit[0] = 0
    assert slots.hand_on(running) is None
    assert slots.taken == 0


def test_too_many_wait() -> None:
    slots, _ = table(1)
    slots.reserve("u", "p")
    waiters = [Waiter("u", "p", lambda _: None) for _ in range(4)]
    for waiter in waiters[:3]:
        slots.wait(waiter)
    with pytest.raises(CallRefused) as refused:
        slots.wait(waiters[3])
    assert reason(refused) == "QUEUE_FULL"
    slots.leave(waiters[0])
    slots.leave(waiters[0])
    assert slots.waiting == 2


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
                known.append(slots.reserve(user, user))
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
                waiters.append(Waiter(user, user, known.append))
                slots.wait(waiters[-1])
            elif event == "leave" and waiters:
                slots.leave(waiters[number % len(waiters)])
            elif event == "begin":
                uploads.append(user)
                slots.upload_begins(user)
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
