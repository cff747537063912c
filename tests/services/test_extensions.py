"""Extending a booking: at the quoted price, never past whoever follows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.domain.states import BookingState, ChangeStatus, OrderStatus, PaymentStatus
from app.extensions import db
from app.models import Booking, BookingPolicy, OrderChange, Recipient, Refund, RoomBlock
from app.services import clockwork, extensions, orders, staff_orders, stays
from tests import factories
from tests.services.counter import refused, unchanged
from tests.services.shop import Shop

MakeShop = Callable[..., Shop]


def extend(shop: Shop, no: str, end: float, *, at: datetime | None = None, **values: Any) -> dict[str, Any]:
    actor = values.get("actor", shop.guest)
    return extensions.extend_order(no, shop.at(end), actor=actor, now=at or shop.now)


def preview(shop: Shop, no: str, end: float, *, at: datetime | None = None) -> dict[str, Any]:
    with unchanged():
        return extensions.preview_extension(no, shop.at(end), actor=shop.guest, now=at or shop.now)


def shown(shop: Shop, no: str, *, at: datetime | None = None) -> dict[str, Any]:
    return orders.get_order(no, customer_id=shop.customer.id, now=at or shop.now)


def stay(shop: Shop, start: float = 3, hours: float = 2) -> str:
    """Guests who are in their room since the start."""
    no = shop.paid_booking(start, hours)
    stays.check_in(no, actor=shop.guest, now=shop.at(start))
    return no


def test_extension_adds_its_line_once_it_is_paid(shop: Shop) -> None:
    no, at = stay(shop), shop.at(4.5)
    told = preview(shop, no, 6, at=at)
    assert (told["total_fen"], told["difference_fen"], told["fee_fen"]) == (6000, 6000, 0)
    assert [(line["kind"], line["minutes"]) for line in told["lines"]] == [("hourly", 60)]

    assert extend(shop, no, 6, at=at)["due_fen"] == 6000

    order = shown(shop, no, at=at)
    assert (order["status"], order["due_fen"], order["end_at"]) == ("in_use", 6000, shop.at(5))
    assert (order["pending_change"]["kind"], order["pending_change"]["end_at"]) == ("extend", shop.at(6))
    stranger = shop.another_guest()
    with refused("room_taken"):
        shop.book(5, 1, actor=stranger, at=at)
    shop.pay(no, at=at)

    order = shown(shop, no, at=at)
    assert (order["status"], order["due_fen"], order["end_at"]) == ("in_use", 0, shop.at(6))
    assert (order["total_fen"], [line["minutes"] for line in order["lines"]]) == (18000, [120, 60])
    assert shop.booking(no).state is BookingState.IN_USE
    assert shop.notices(no)[-1] == "booking_extended"
    assert "booking_extended" in shop.notices(no, Recipient.SHOP)
    # The clock ends the use at the new end only.
    assert clockwork.advance_bookings(now=shop.at(5)) == 0
    assert clockwork.advance_bookings(now=shop.at(6)) == 1


def test_extension_before_the_use(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)

    extend(shop, no, 6)
    shop.pay(no)

    assert (shop.status(no), shop.booking(no).end_at) == (OrderStatus.AWAITING_USE, shop.at(6))


def test_unpaid_extension_keeps_the_guests_in_until_it_runs_out(shop: Shop) -> None:
    no, at = stay(shop), shop.at(4, 50)
    extend(shop, no, 6, at=at)

    # Over, but what they asked for is still theirs to pay.
    assert clockwork.advance_bookings(now=shop.at(5, 1)) == 0
    assert shop.status(no) is OrderStatus.IN_USE
    assert clockwork.expire_changes(now=shop.at(5, 5)) == 1
    assert clockwork.advance_bookings(now=shop.at(5, 6)) == 1

    booking = shop.booking(no)
    assert (shop.status(no), booking.end_at) == (OrderStatus.COMPLETED, shop.at(5))
    assert shop.order(no).total_fen == 12000


def test_check_out_gives_up_the_extension_that_waits(shop: Shop) -> None:
    no, at = stay(shop), shop.at(4, 30)
    extend(shop, no, 6, at=at)
    payment_no = shop.start_payment(no, at=at)

    stays.check_out(no, actor=shop.guest, now=shop.at(4, 40))

    assert [each.status for each in shop.rows(OrderChange)] == [ChangeStatus.DROPPED]
    assert shown(shop, no)["due_fen"] == 0
    assert {row.state for row in shop.rows(Booking)} == {BookingState.ENDED, BookingState.RELEASED}
    # Money that comes all the same goes back.
    shop.notify(payment_no, at=shop.at(4, 41))
    assert [refund.amount_fen for refund in shop.rows(Refund)] == [6000]
    assert shop.payment(payment_no).status is PaymentStatus.SUCCEEDED


@pytest.fixture
def tidy(make_shop: MakeShop) -> Shop:
    """A shop that cleans for half an hour."""
    return make_shop(buffer_after_minutes=30)


FOLLOWED = [
    ("up to the cleaning", 6.0, True),
    ("half an hour more", 6.5, False),
    ("past the next", 9.0, False),
]


@pytest.mark.parametrize(("label", "end", "is_possible"), FOLLOWED, ids=[row[0] for row in FOLLOWED])
def test_extension_never_passes_the_next_booking(
    tidy: Shop, label: str, end: float, is_possible: bool
) -> None:
    no, at = stay(tidy), tidy.at(4)
    tidy.paid_booking(start=6.5, hours=2, actor=tidy.another_guest())
    if is_possible:
        extend(tidy, no, end, at=at)
        tidy.pay(no, at=at)
        assert tidy.booking(no).busy_until_at == tidy.at(6.5)
        return
    for attempt in (extensions.preview_extension, extensions.extend_order):
        with refused("room_taken") as caught:
            attempt(no, tidy.at(end), actor=tidy.guest, now=at)
        data = caught.value.data or {}
        assert (data["rule"], data["limit"]) == ("next_booking", tidy.at(6.5).isoformat())
        # What would be possible comes first.
        first = data["alternatives"][0]
        assert (first["room_id"], first["total_fen"]) == (str(tidy.room.id), 6000)
        assert datetime.fromisoformat(first["end_at"]) == tidy.at(6)


REFUSALS: list[tuple[str, float, str, str]] = [
    ("no more time", 5, "invalid_field", ""),
    ("less time", 4.5, "invalid_field", ""),
    ("off the step", 5.25, "off_step", "length_step_minutes"),
    ("too long", 18, "too_long", "max_minutes"),
    ("ten years", 87600, "too_long", "max_minutes"),
    ("after closing", 11, "closed", "opening_hours"),
    ("blocked", 8, "blocked", "room_block"),
]


@pytest.mark.parametrize(("label", "end", "code", "rule"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_extension_refused(make_shop: MakeShop, label: str, end: float, code: str, rule: str) -> None:
    # Open until 22:00, ten hours after now.
    shop = make_shop(hours=[(day, 600, 1320) for day in range(7)])
    no, at = stay(shop), shop.at(4)
    block = {"start_at": shop.at(7), "end_at": shop.at(9), "reason": "保养"}
    db.session.add(RoomBlock(store_id=shop.store.id, room_id=shop.room.id, **block))
    db.session.commit()

    with refused(code) as caught:
        extend(shop, no, end, at=at)
    if rule:
        data = caught.value.data or {}
        assert data["rule"] == rule
        assert 1 <= len(data["alternatives"]) <= 3


def test_extension_of_what_cannot_be_extended(shop: Shop) -> None:
    unpaid = shop.book(3, 2)
    over = stay(shop, 6, 2)
    done = stay(shop, 9, 1)
    stays.check_out(done, actor=shop.guest, now=shop.at(9.5))
    stranger = shop.another_guest()

    with refused("invalid_transition"):
        extend(shop, unpaid, 6)
    with refused("invalid_transition"):
        extend(shop, over, 9, at=shop.at(8))
    with refused("invalid_transition"):
        extend(shop, done, 11, at=shop.at(9.5))
    with refused("not_found"):
        extend(shop, over, 9, at=shop.at(7), actor=stranger)


def test_extension_of_a_voucher_booking_is_paid(shop: Shop) -> None:
    voucher = shop.voucher()
    no = shop.book(3, 3, voucher_code=voucher.code)

    assert extend(shop, no, 7)["due_fen"] == 6000
    shop.pay(no)

    order = shop.order(no)
    assert (order.total_fen, order.paid_fen, shop.booking(no).end_at) == (6000, 6000, shop.at(7))


def test_minimum_and_day_cap_are_those_of_the_whole_stay(make_shop: MakeShop) -> None:
    shop = make_shop()
    factories.make_price(shop.store, 6000, priority=9, minimum_fen=15000, day_cap_fen=20000)
    no = stay(shop, 3, 2)
    assert shop.order(no).total_fen == 15000

    # An hour costs 6000: 3000 of it were paid to reach the minimum.
    assert preview(shop, no, 6, at=shop.at(4))["total_fen"] == 3000
    told = preview(shop, no, 7, at=shop.at(4))
    assert [(line["kind"], line["amount_fen"]) for line in told["lines"]] == [
        ("hourly", 12000),
        ("day_cap", -4000),
        ("minimum", -3000),
    ]
    extend(shop, no, 7, at=shop.at(4))
    shop.pay(no, at=shop.at(4))
    # As four hours would have cost at once.
    assert shop.order(no).total_fen == 20000


def test_extension_that_is_free_happens_at_once(shop: Shop) -> None:
    factories.make_price(shop.store, 0, priority=9)
    no = shop.book(3, 2)

    assert extend(shop, no, 6) == {"due_fen": 0, "expires_at": None}

    assert shop.booking(no).end_at == shop.at(6)


def test_staff_add_minutes(shop: Shop) -> None:
    no, cashier = stay(shop), shop.cashier()

    def act(values: dict[str, Any]) -> dict[str, Any]:
        return staff_orders.perform_action(no, "add_minutes", values, actor=cashier, now=shop.at(4))

    for wrong in ({}, {"minutes": "0"}, {"minutes": "x"}, {"minutes": "721"}):
        with refused("invalid_field"):
            act(wrong)
    assert act({"minutes": "20"})["due_fen"] == 2000
    page = staff_orders.get_order_page(no, actor=cashier, now=shop.at(4))
    assert {each["name"] for each in page["actions"] if each["allowed"]} >= {"take_payment", "add_minutes"}
    started = staff_orders.perform_action(no, "take_payment", {}, actor=cashier, now=shop.at(4))
    shop.notify(started["payment_no"], at=shop.at(4))

    assert shop.booking(no).end_at == shop.at(5) + timedelta(minutes=20)
    assert shop.order(no).total_fen == 14000


def test_shop_is_alerted_where_nobody_can_extend(tidy: Shop) -> None:
    no = stay(tidy)
    tidy.paid_booking(start=5.5, hours=2, actor=tidy.another_guest())

    for minute in range(25, 60):
        clockwork.queue_warnings(now=tidy.at(4, minute))

    assert tidy.notices(no, Recipient.SHOP).count("guests_follow") == 3
    assert "guests_follow" not in tidy.notices(no)


def test_extension_by_a_customer_who_is_barred(shop: Shop) -> None:
    no = stay(shop)
    shop.customer.is_blacklisted = True
    db.session.commit()

    with refused("blacklisted"):
        extend(shop, no, 6, at=shop.at(4))
    assert extend(shop, no, 6, at=shop.at(4), actor=shop.cashier())["due_fen"] == 6000


def test_preview_tells_what_is_not_known_and_the_rules_of_the_purchase(make_shop: MakeShop) -> None:
    shop = make_shop(max_ahead_days=400)
    factories.make_price(shop.store, 8000, day_kind="holiday")
    no = shop.paid_booking(24 * 303 - 1, 1)
    policy = db.session.scalars(select(BookingPolicy)).one()
    policy.cancel_steps, policy.version = [], policy.version + 1
    db.session.commit()

    told = preview(shop, no, 24 * 303 + 1)

    # The first hours of 2027, whose holidays are not published.
    assert told["warnings"] == ["holidays_unknown"]
    assert len(told["policy"]["cancel_steps"]) == 3
