"""Guests who stay on: their room follows them, and the time is charged by the policy of their purchase."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from app.domain.states import BookingState, OrderStatus
from app.extensions import db
from app.models import BookingPolicy, Notification, Recipient, Refund
from app.services import clockwork, extensions, orders, stays
from tests.services.counter import refused, unchanged
from tests.services.shop import Shop, read_room

MakeShop = Callable[..., Shop]

HALF_HOURS = {
    "has_overtime": True,
    "overtime_grace_minutes": 10,
    "overtime_unit_minutes": 30,
    "overtime_percent": 150,
}


@pytest.fixture
def late(make_shop: MakeShop) -> Shop:
    """Ten minutes are free, then begun half hours at one and a half times ¥60; half an hour of cleaning."""
    return make_shop(buffer_after_minutes=30, **HALF_HOURS)


def stay(shop: Shop) -> str:
    """Guests whose time is from 3 to 5 hours after now."""
    no = shop.paid_booking(3, 2)
    stays.check_in(no, actor=shop.guest, now=shop.at(3))
    return no


def shown(shop: Shop, no: str, at: datetime) -> dict[str, Any]:
    return orders.get_order(no, customer_id=shop.customer.id, now=at)


def tick(shop: Shop, until: float, minutes: float = 0) -> None:
    """Every minute of the clock from the booked end."""
    at = shop.at(5)
    while at <= shop.at(until, minutes):
        clockwork.advance_bookings(now=at)
        at += shop.at(minutes=1) - shop.now


COSTS = [
    ("at the end", 5, 0, None, 0),
    ("a minute over", 5, 1, 1, 0),
    ("the last minute of grace", 5, 10, 10, 0),
    ("after the grace", 5, 11, 11, 4500),
    ("a whole unit", 5, 30, 30, 4500),
    ("the next unit begins", 5, 31, 31, 9000),
    ("two hours", 7, 0, 120, 18000),
]


@pytest.mark.parametrize(("label", "hours", "minutes", "over", "fen"), COSTS, ids=[row[0] for row in COSTS])
def test_overtime_is_shown_live_and_charged_at_check_out(
    late: Shop, label: str, hours: float, minutes: float, over: int | None, fen: int
) -> None:
    no, at = stay(late), late.at(hours, minutes)
    tick(late, hours, minutes)
    live = shown(late, no, at)
    assert (live["status"], live["due_fen"], live["end_at"]) == ("in_use", 0, late.at(5))
    if over is None:
        assert live["overtime"] is None
    else:
        assert live["overtime"] == {"from_at": late.at(5), "minutes": over, "amount_fen": fen}

    stays.check_out(no, actor=late.guest, now=at)

    order = shown(late, no, at)
    assert (order["status"], order["due_fen"], order["overtime"]) == ("completed", fen, None)
    assert order["total_fen"] == 12000 + fen == sum(line["amount_fen"] for line in order["lines"])
    assert [line["kind"] for line in order["lines"]] == ["hourly", *(["overtime"] if fen else [])]


def test_overtime_is_paid_after_the_stay(late: Shop) -> None:
    no = stay(late)
    tick(late, 5, 20)
    stays.check_out(no, actor=late.guest, now=late.at(5, 20))
    assert late.notices(no)[-2:] == ["overtime_charged", "booking_completed"]
    actions = {each["name"] for each in shown(late, no, late.at(6))["actions"] if each["allowed"]}
    assert actions == {"pay", "refund_request"}

    late.pay(no, at=late.at(6))

    order = late.order(no)
    assert (order.status, order.total_fen, order.paid_fen) == (OrderStatus.COMPLETED, 16500, 16500)
    assert shown(late, no, late.at(6))["due_fen"] == 0
    assert late.rows(Refund) == []
    with refused("invalid_transition"):
        late.start_payment(no, at=late.at(6))


def test_room_follows_the_guests(late: Shop) -> None:
    no = stay(late)
    with unchanged():
        assert clockwork.advance_bookings(now=late.at(4, 59)) == 0

    tick(late, 5, 1)

    booking = late.booking(no)
    assert (booking.state, booking.end_at, booking.overtime_from_at) == (
        BookingState.IN_USE,
        late.at(5, 30),
        late.at(5),
    )
    assert booking.busy_until_at == late.at(6)
    spans = read_room(late.room.id, from_at=late.at(5), to_at=late.at(6), now=late.at(5, 1))["spans"]
    assert [span["state"] for span in spans] == ["in_use", "cleaning"]
    tick(late, 6, 40)
    assert late.booking(no).end_at == late.at(7)
    assert late.events(no).count("overtime") == 1
    assert late.notices(no).count("overtime_started") == 1
    assert late.notices(no, Recipient.SHOP).count("overtime_started") == 1
    # It is no end that anybody is warned of.
    assert clockwork.queue_warnings(now=late.at(6, 30)) == 0

    stays.check_out(no, actor=late.guest, now=late.at(6, 41))

    booking = late.booking(no)
    assert (booking.end_at, booking.busy_until_at, booking.state) == (
        late.at(6, 42),
        late.at(7, 12),
        BookingState.ENDED,
    )


def test_overtime_ends_where_somebody_follows(late: Shop) -> None:
    no = stay(late)
    follower = late.another_guest()
    next_no = late.paid_booking(6, 2, actor=follower)

    tick(late, 5, 29)
    booking = late.booking(no)
    assert (late.status(no), booking.busy_until_at) == (OrderStatus.IN_USE, late.at(6))
    tick(late, 5, 30)

    booking = late.booking(no)
    assert (late.status(no), booking.end_at, booking.busy_until_at) == (
        OrderStatus.COMPLETED,
        late.at(5, 30),
        late.at(6),
    )
    assert shown(late, no, late.at(6))["due_fen"] == 4500
    stays.check_in(next_no, actor=follower, now=late.at(6))


def test_staff_are_told_before_guests_in_overtime_meet_the_next_ones(late: Shop) -> None:
    no = stay(late)
    late.paid_booking(7, 2, actor=late.another_guest())

    for minute in range(0, 121):
        clockwork.queue_warnings(now=late.at(5, minute))
        clockwork.advance_bookings(now=late.at(5, minute))

    alerts = [
        (row.variables["minutes"], row.variables["end"][-5:])
        for row in late.rows(Notification)
        if row.event == "guests_follow"
    ]
    # Their room has to be cleaned before 19:00.
    assert alerts == [("30", "18:30"), ("15", "18:30"), ("5", "18:30")]
    assert late.status(no) is OrderStatus.COMPLETED


def test_no_overtime_where_somebody_follows_at_once(late: Shop) -> None:
    no = stay(late)
    late.paid_booking(5.5, 2, actor=late.another_guest())

    tick(late, 5, 0)

    assert (late.status(no), late.booking(no).busy_until_at) == (OrderStatus.COMPLETED, late.at(5.5))
    assert late.order(no).total_fen == 12000


def test_overtime_is_charged_although_no_job_ran(late: Shop) -> None:
    no = stay(late)

    stays.check_out(no, actor=late.guest, now=late.at(5, 40))

    booking = late.booking(no)
    assert (booking.end_at, booking.busy_until_at) == (late.at(5, 41), late.at(6, 11))
    assert shown(late, no, late.at(6))["due_fen"] == 9000


def test_jobs_that_come_late_let_the_room_follow_at_once(late: Shop) -> None:
    no = stay(late)

    assert clockwork.advance_bookings(now=late.at(7, 5)) == 1

    assert late.booking(no).end_at == late.at(7, 30)
    assert shown(late, no, late.at(7, 5))["overtime"]["amount_fen"] == 22500


def test_who_booked_meanwhile_is_not_pushed_aside(late: Shop) -> None:
    no = stay(late)
    late.paid_booking(6, 1, actor=late.another_guest())

    # The clock stood still until the next guests were due.
    assert clockwork.advance_bookings(now=late.at(6, 5)) == 1

    assert (late.status(no), late.booking(no).busy_until_at) == (OrderStatus.COMPLETED, late.at(6))
    # Charged is what they could have had.
    assert shown(late, no, late.at(7))["due_fen"] == 4500


def test_cap_ends_the_overtime(make_shop: MakeShop) -> None:
    shop = make_shop(overtime_cap_fen=10000, **HALF_HOURS)
    no = stay(shop)

    tick(shop, 6, 29)
    assert shop.status(no) is OrderStatus.IN_USE
    assert shown(shop, no, shop.at(6, 29))["overtime"]["amount_fen"] == 10000
    tick(shop, 6, 30)

    order = shown(shop, no, shop.at(6, 30))
    assert (order["status"], order["due_fen"]) == ("completed", 10000)


def test_longest_overtime_is_twelve_hours(make_shop: MakeShop) -> None:
    shop = make_shop(**HALF_HOURS | {"overtime_unit_minutes": 360})
    no = stay(shop)

    assert clockwork.advance_bookings(now=shop.at(16)) == 1
    assert shop.booking(no).end_at == shop.at(17)
    assert clockwork.advance_bookings(now=shop.at(17)) == 1

    assert shop.status(no) is OrderStatus.COMPLETED
    assert shop.order(no).total_fen == 12000 + 12 * 9000


def test_policy_of_the_purchase_counts(late: Shop) -> None:
    no = stay(late)
    policy = late.rows(BookingPolicy)[0]
    policy.has_overtime, policy.overtime_percent = False, 900
    db.session.commit()

    tick(late, 5, 20)
    stays.check_out(no, actor=late.guest, now=late.at(5, 20))

    assert late.order(no).total_fen == 16500


def test_without_overtime_the_clock_ends_the_use(shop: Shop) -> None:
    no = stay(shop)

    tick(shop, 5, 0)

    assert (shop.status(no), shop.order(no).total_fen) == (OrderStatus.COMPLETED, 12000)


def test_extension_in_overtime_charges_what_has_passed(late: Shop) -> None:
    no, at = stay(late), late.at(5, 20)
    tick(late, 5, 20)

    told = extensions.preview_extension(no, late.at(6.5), actor=late.guest, now=at)
    assert [(line["kind"], line["amount_fen"]) for line in told["lines"]] == [
        ("overtime", 4500),
        ("hourly", 6000),
    ]
    assert extensions.extend_order(no, late.at(6.5), actor=late.guest, now=at)["due_fen"] == 10500
    late.pay(no, at=at)

    booking = late.booking(no)
    assert (booking.end_at, booking.overtime_from_at) == (late.at(6.5), None)
    order = shown(late, no, at)
    assert (order["total_fen"], order["due_fen"], order["overtime"]) == (22500, 0, None)
    stays.check_out(no, actor=late.guest, now=late.at(6.5))
    assert late.order(no).total_fen == 22500


def test_extension_within_the_grace_begins_at_the_booked_end(late: Shop) -> None:
    no, at = stay(late), late.at(5, 5)
    tick(late, 5, 5)

    assert extensions.extend_order(no, late.at(6), actor=late.guest, now=at)["due_fen"] == 6000
    late.pay(no, at=at)

    assert (late.booking(no).end_at, late.order(no).total_fen) == (late.at(6), 18000)


def test_overtime_of_a_voucher_booking_is_due(late: Shop) -> None:
    voucher = late.voucher()
    no = late.book(3, 3, voucher_code=voucher.code)
    stays.check_in(no, actor=late.guest, now=late.at(3))

    stays.check_out(no, actor=late.guest, now=late.at(6, 30))

    assert (late.order(no).total_fen, shown(late, no, late.at(7))["due_fen"]) == (4500, 4500)
    variables = [row.variables for row in late.rows(Notification) if row.event == "overtime_charged"]
    assert {(each["minutes"], each["amount"]) for each in variables} == {("30", "¥45.00")}
