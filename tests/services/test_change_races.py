"""Changes, extensions and new bookings that race for one place: one of them gets it, whoever that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from threading import Barrier
from typing import Any

import pytest
from flask import Flask

from app.domain.actor import ALL_STORES
from app.domain.errors import DomainError
from app.domain.slots import Span
from app.domain.states import OCCUPYING_STATES, BookingState, ChangeStatus, OrderStatus, RefundStatus
from app.extensions import db, use_scope
from app.models import Booking, OrderChange, Refund, Room
from app.services import bookings, cancellations, changes, clockwork, extensions, room_moves, stays
from app.services.changes import ChangeRequest
from app.services.quotes import BookingRequest
from tests import factories
from tests.services.shop import Shop

pytestmark = pytest.mark.races

ROUNDS = 4
MakeShop = Callable[..., Shop]


def race(app: Flask, works: Sequence[Callable[[], Any]]) -> list[str]:
    """Do all at the same time, each on a connection of its own; return `done` or the code of the refusal."""
    db.session.rollback()
    start = Barrier(len(works))

    def run(work: Callable[[], Any]) -> str:
        with app.app_context(), use_scope(ALL_STORES):
            try:
                start.wait(30)
                work()
            except DomainError as refusal:
                return refusal.code
            finally:
                db.session.remove()
        return "done"

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def check_rooms(shop: Shop) -> None:
    """Whatever occupies a room is disjoint, buffers included."""
    rows = [row for row in shop.rows(Booking) if row.state in OCCUPYING_STATES]
    for one, other in combinations(rows, 2):
        if one.room_id == other.room_id:
            busy = Span(one.busy_from_at, one.busy_until_at)
            assert not busy.overlaps(Span(other.busy_from_at, other.busy_until_at))


def test_one_of_many_gets_the_place(app: Flask, shop: Shop) -> None:
    target = factories.make_room(shop.store)
    guests = [shop.another_guest() for _ in range(8)]
    cashier = shop.cashier()
    movers = [(shop.paid_booking(3 + 2 * index, 2, actor=guests[index]), guests[index]) for index in range(4)]
    for number in range(ROUNDS):
        start_at, end_at = shop.at(24 + 3 * number), shop.at(26 + 3 * number)
        change = ChangeRequest(target.id, start_at, end_at)
        request = BookingRequest(target.id, start_at, end_at)
        works = [
            lambda no=no, change=change: changes.change_order(no, change, actor=cashier, now=shop.now)
            for no, _ in movers
        ] + [
            lambda guest=guest, request=request: bookings.create_booking(request, actor=guest, now=shop.now)
            for guest in guests
        ]

        answers = race(app, works)

        assert sorted(set(answers)) == ["done", "room_taken"]
        assert answers.count("done") == 1
        check_rooms(shop)
    # Who did not win kept what they had.
    for no, _ in movers:
        assert shop.booking(no).state is BookingState.RESERVED


def test_extension_against_a_booking_and_a_move(app: Flask, shop: Shop) -> None:
    no = shop.paid_booking(3, 2)
    stays.check_in(no, actor=shop.guest, now=shop.at(3))
    other = factories.make_room(shop.store)
    guest = shop.another_guest()
    moving = shop.paid_booking(3, 2, room_id=other.id, actor=guest)
    at, guest_of_room, shop_guest = shop.at(4), guest, shop.guest
    request = BookingRequest(shop.room.id, shop.at(5), shop.at(7))
    change = ChangeRequest(shop.room.id, shop.at(5), shop.at(7))
    cashier, buyers = shop.cashier(), [shop.another_guest() for _ in range(4)]
    works = [
        lambda: extensions.extend_order(no, shop.at(6), actor=shop_guest, now=at),
        lambda: changes.change_order(moving, change, actor=cashier, now=at),
        *(lambda buyer=buyer: bookings.create_booking(request, actor=buyer, now=at) for buyer in buyers),
    ]

    answers = race(app, works)

    assert answers.count("done") == 1 and set(answers) == {"done", "room_taken"}
    check_rooms(shop)
    assert shop.booking(moving).order_id == shop.order(moving).id
    assert guest_of_room is guest


def test_two_who_want_each_others_place_both_keep_their_own(app: Flask, shop: Shop) -> None:
    other: Room = factories.make_room(shop.store)
    first = shop.paid_booking(3, 2)
    second = shop.paid_booking(3, 2, room_id=other.id, actor=shop.another_guest())
    cashier, here, there = shop.cashier(), ChangeRequest(shop.room.id), ChangeRequest(other.id)
    for _ in range(ROUNDS):
        answers = race(
            app,
            [
                lambda: changes.change_order(first, there, actor=cashier, now=shop.now),
                lambda: changes.change_order(second, here, actor=cashier, now=shop.now),
            ],
        )
        assert answers == ["room_taken", "room_taken"]
    assert (shop.booking(first).room_id, shop.booking(second).room_id) == (shop.room.id, other.id)


def test_twins_change_once(app: Flask, shop: Shop) -> None:
    no, guest, request = shop.paid_booking(3, 2), shop.guest, ChangeRequest(start_at=shop.at(6))

    answers = race(
        app, [lambda: changes.change_order(no, request, actor=guest, now=shop.now) for _ in range(6)]
    )

    # The others find it done: nothing is left to change.
    assert sorted(answers) == ["change_not_allowed"] * 5 + ["done"]
    assert [each.status for each in shop.rows(OrderChange)] == [ChangeStatus.APPLIED]


def test_payment_against_the_end_of_its_time(app: Flask, shop: Shop) -> None:
    """At the minute a held change runs out: its money, the job and a buyer of the place come together."""
    at = shop.at(minutes=15)
    for number in range(ROUNDS):
        guest, buyer = shop.another_guest(), shop.another_guest()
        start = 24 + 6 * number
        no = shop.paid_booking(start, 2, actor=guest)
        changes.change_order(no, ChangeRequest(end_at=shop.at(start + 4)), actor=guest, now=shop.now)
        payment_no = shop.start_payment(no)
        request = BookingRequest(shop.room.id, shop.at(start + 2), shop.at(start + 4))
        refunded = len(shop.rows(Refund))

        answers = race(
            app,
            [
                lambda payment_no=payment_no: shop.notify(payment_no, at=at),
                lambda: clockwork.expire_changes(now=at),
                lambda buyer=buyer, request=request: bookings.create_booking(request, actor=buyer, now=at),
            ],
        )

        order, is_changed = shop.order(no), answers[2] == "room_taken"
        assert answers[:2] == ["done", "done"]
        assert (order.total_fen, order.paid_fen) == (24000 if is_changed else 12000, 24000)
        assert len(shop.rows(Refund)) - refunded == (0 if is_changed else 1)
        assert order.status is OrderStatus.AWAITING_USE
        check_rooms(shop)
    assert {refund.status for refund in shop.rows(Refund)} <= {RefundStatus.CREATED}


def test_arriving_against_the_release_of_a_no_show(app: Flask, make_shop: MakeShop) -> None:
    """At the minute a room is given up its guests come, and two runs of the job meet."""
    shop = make_shop(no_show_release_minutes=10, no_show_refund_percent=50)
    for number in range(ROUNDS):
        start, guest = 24 + 3 * number, shop.another_guest()
        no, at = shop.paid_booking(start, 2, actor=guest), shop.at(start, 10)
        refunded = len(shop.rows(Refund))

        answers = race(
            app,
            [
                lambda no=no, guest=guest, at=at: stays.check_in(no, actor=guest, now=at),
                lambda at=at: clockwork.advance_bookings(now=at),
                lambda at=at: clockwork.advance_bookings(now=at),
            ],
        )

        is_in = answers[0] == "done"
        state = BookingState.IN_USE if is_in else BookingState.RELEASED
        assert answers[1:] == ["done", "done"]
        assert (shop.status(no), shop.booking(no).state) == (
            OrderStatus.IN_USE if is_in else OrderStatus.REFUNDING,
            state,
        )
        assert [row.amount_fen for row in shop.rows(Refund)[refunded:]] == ([] if is_in else [6000])


def test_paying_for_more_time_against_leaving(app: Flask, shop: Shop) -> None:
    """The money buys the time and the guests leave, or it goes back; it is never kept for nothing."""
    for number in range(ROUNDS):
        start, guest = 24 + 6 * number, shop.another_guest()
        no, at = shop.paid_booking(start, 2, actor=guest), shop.at(start + 1)
        stays.check_in(no, actor=guest, now=shop.at(start))
        extensions.extend_order(no, shop.at(start + 3), actor=guest, now=at)
        payment_no = shop.start_payment(no, at=at)

        answers = race(
            app,
            [
                lambda payment_no=payment_no, at=at: shop.notify(payment_no, at=at),
                lambda no=no, guest=guest, at=at: stays.check_out(no, actor=guest, now=at),
            ],
        )

        order = shop.order(no)
        back = sum(refund.amount_fen for refund in shop.rows(Refund) if refund.order_id == order.id)
        assert answers == ["done", "done"]
        assert order.status is OrderStatus.COMPLETED
        assert (order.total_fen, order.paid_fen - back) in [(18000, 18000), (12000, 12000)]
        assert all(change.status is not ChangeStatus.PENDING for change in shop.rows(OrderChange))
        check_rooms(shop)


def test_staff_against_the_deadline_of_confirmation(app: Flask, make_shop: MakeShop) -> None:
    shop = make_shop(requires_confirmation=True)
    cashier, at = shop.cashier(), shop.at(minutes=10)
    for number in range(ROUNDS):
        no = shop.paid_booking(24 + 3 * number, 2, actor=shop.another_guest())

        answers = race(
            app,
            [
                lambda no=no: cancellations.confirm_order(no, actor=cashier, now=at),
                lambda no=no: cancellations.refuse_order(no, reason="closed", actor=cashier, now=at),
                lambda: clockwork.refuse_overdue(now=at),
                lambda: clockwork.refuse_overdue(now=at),
            ],
        )

        assert set(answers) <= {"done", "invalid_transition"} and answers[2:] == ["done", "done"]
        events = [event for event in shop.events(no) if event in ("confirm", "refuse")]
        assert len(events) == 1
        is_kept = events == ["confirm"]
        assert shop.booking(no).state is (BookingState.RESERVED if is_kept else BookingState.RELEASED)
        order_id = shop.order(no).id
        back = [row.amount_fen for row in shop.rows(Refund) if row.order_id == order_id]
        assert back == ([] if is_kept else [12000])


def test_cancelling_while_staff_move_to_and_fro(app: Flask, shop: Shop) -> None:
    """Whoever waits for the rooms of a booking gets those that it has by then; nobody waits in a circle."""
    rooms = [factories.make_room(shop.store).id, shop.room.id, factories.make_room(shop.store).id]
    cashier = shop.cashier()
    for number in range(ROUNDS):
        guest = shop.another_guest()
        no = shop.paid_booking(24 + 3 * number, 2, actor=guest)
        works = [
            lambda no=no, change=change: changes.change_order(no, change, actor=cashier, now=shop.now)
            for change in map(ChangeRequest, rooms)
        ]
        works.append(lambda no=no, guest=guest: cancellations.cancel_order(no, actor=guest, now=shop.now))

        answers = race(app, works)

        assert answers[-1] == "done" and set(answers) <= {"done", "invalid_transition", "change_not_allowed"}
        assert (shop.status(no), shop.booking(no).state) == (OrderStatus.REFUNDING, BookingState.RELEASED)


def test_guests_move_into_a_room_that_is_booked_meanwhile(app: Flask, shop: Shop) -> None:
    other_id, cashier = factories.make_room(shop.store).id, shop.cashier()
    for number in range(ROUNDS):
        start, guest, buyer = 24 + 3 * number, shop.another_guest(), shop.another_guest()
        no, at = shop.paid_booking(start, 2, actor=guest), shop.at(start + 1)
        stays.check_in(no, actor=guest, now=shop.at(start))
        request = BookingRequest(other_id, shop.at(start + 1), shop.at(start + 2))

        answers = race(
            app,
            [
                lambda no=no, at=at: room_moves.move_guests(no, other_id, actor=cashier, now=at),
                lambda at=at, buyer=buyer, request=request: bookings.create_booking(
                    request, actor=buyer, now=at
                ),
                lambda no=no, guest=guest, at=at, start=start: extensions.extend_order(
                    no, shop.at(start + 3), actor=guest, now=at
                ),
            ],
        )

        assert sorted(answers[:2]) == ["done", "room_taken"]
        room_id = other_id if answers[0] == "done" else shop.room.id
        assert (shop.status(no), shop.booking(no).room_id) == (OrderStatus.IN_USE, room_id)
        check_rooms(shop)
        stays.check_out(no, actor=guest, now=at)
