"""Bookings: holds, limits, refusals, and holds that have run out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from app.domain.errors import DomainError, NotFound
from app.domain.states import BookingState, OrderStatus
from app.extensions import db
from app.models import (
    Booking,
    BookingSession,
    DiscountRule,
    Order,
    PriceKind,
    PriceRule,
    Recipient,
    Room,
    RoomBlock,
)
from app.services import bookings, quotes
from tests import factories
from tests.services.counter import refused
from tests.services.shop import HOUR, MINUTE, Shop

MakeShop = Callable[..., Shop]


def test_create_holds_the_room_until_the_time_to_pay_is_over(shop: Shop) -> None:
    no = shop.book(start=3, hours=2, note="靠窗")

    order, booking = shop.order(no), shop.booking(no)
    assert (order.status, order.total_fen, order.paid_fen) == (OrderStatus.PENDING_PAYMENT, 12000, 0)
    assert order.expires_at == booking.hold_expires_at == shop.at(minutes=15)
    assert (booking.state, booking.start_at, booking.end_at) == (BookingState.HELD, shop.at(3), shop.at(5))
    assert [(line.kind, line.minutes, line.amount_fen) for line in order.lines] == [("hourly", 120, 12000)]
    assert order.lines[0].rule_version == 1
    assert shop.events(no) == ["create"]
    assert shop.notices(no) == ["order_created"]
    assert order.note == "靠窗"


def test_create_freezes_the_policy(shop: Shop) -> None:
    no = shop.book()

    policy = shop.order(no).policy
    assert policy["cancel_steps"][0] == {"minutes_before": 120, "fee_percent": 0}
    assert (policy["hold_minutes"], policy["check_in_early_minutes"]) == (15, 15)


def test_create_with_nothing_due_is_confirmed_at_once(make_shop: MakeShop) -> None:
    shop = make_shop()
    free = factories.make_price(shop.store, amount_fen=0, priority=9)

    no = shop.book()

    assert shop.status(no) is OrderStatus.AWAITING_USE
    assert shop.booking(no).state is BookingState.RESERVED
    assert shop.order(no).lines[0].rule_id == free.id
    assert shop.events(no) == ["create", "pay", "confirm"]
    assert shop.notices(no) == ["order_paid", "booking_confirmed"]
    assert "order_paid" in shop.notices(no, Recipient.SHOP)


def test_create_with_nothing_due_waits_for_staff_where_they_confirm(make_shop: MakeShop) -> None:
    shop = make_shop(requires_confirmation=True)
    factories.make_price(shop.store, amount_fen=0, priority=9)

    no = shop.book()

    assert shop.status(no) is OrderStatus.PAID
    assert shop.order(no).confirm_by_at == shop.at(minutes=10)


PLACES = [
    ("ends before", 1, 2, None),
    ("touches the start", 1, 2.0, None),
    ("overlaps the start", 2.5, 1, "room_taken"),
    ("same", 3, 2, "room_taken"),
    ("inside", 3.5, 1, "room_taken"),
    ("around", 2, 4, "room_taken"),
    ("overlaps the end", 4.5, 1, "room_taken"),
    ("touches the end", 5, 1, None),
    ("after", 6, 1, None),
]


@pytest.mark.parametrize(("label", "start", "hours", "code"), PLACES, ids=[row[0] for row in PLACES])
def test_create_beside_another(shop: Shop, label: str, start: float, hours: float, code: str | None) -> None:
    shop.book(start=3, hours=2)

    if code is None:
        assert shop.book(start, hours, actor=shop.another_guest())
    else:
        guest = shop.another_guest()
        with refused(code):
            shop.book(start, hours, actor=guest)


BUFFERS = [
    ("its cleaning enters the next", 1, 1.75, "room_taken"),
    ("its cleaning touches the next", 1, 1.5, None),
    ("starts in the cleaning of the last", 5, 1, "room_taken"),
    ("starts as cleaning ends", 5.5, 1, None),
]


@pytest.mark.parametrize(("label", "start", "hours", "code"), BUFFERS, ids=[row[0] for row in BUFFERS])
def test_create_counts_buffers(
    make_shop: MakeShop, label: str, start: float, hours: float, code: str | None
) -> None:
    shop = make_shop(buffer_after_minutes=30, length_step_minutes=15, start_step_minutes=15)
    shop.book(start=3, hours=2)

    if code is None:
        assert shop.book(start, hours, actor=shop.another_guest())
    else:
        guest = shop.another_guest()
        with refused(code):
            shop.book(start, hours, actor=guest)


def test_create_uses_the_longer_of_buffer_and_cleaning(make_shop: MakeShop) -> None:
    shop = make_shop(buffer_after_minutes=15, buffer_before_minutes=5, cleaning_minutes=40)

    booking = shop.booking(shop.book(start=3, hours=2))

    assert booking.busy_from_at == shop.at(3, minutes=-5)
    assert booking.busy_until_at == shop.at(5, minutes=40)


REFUSALS: list[tuple[str, dict[str, Any], float, float, str]] = [
    ("past", {}, -1, 2, "in_past"),
    ("end before start", {}, 3, -1, "invalid_field"),
    ("empty", {}, 3, 0, "invalid_field"),
    ("ten years", {}, 3, 87600, "too_long"),
    ("too long", {"max_minutes": 120}, 3, 2.5, "too_long"),
    ("too short", {}, 3, 0.5, "too_short"),
    ("too soon", {"min_lead_minutes": 120}, 1, 2, "too_soon"),
    ("too far", {"max_ahead_days": 3}, 24 * 5, 2, "too_far"),
    ("off the start grid", {}, 3.25, 2, "off_step"),
    ("off the length grid", {"length_step_minutes": 60}, 3, 2.5, "off_step"),
    ("closed", {"hours": [(day, 600, 840) for day in range(7)]}, 3, 2, "closed"),
]


@pytest.mark.parametrize(
    ("label", "policy", "start", "hours", "code"), REFUSALS, ids=[row[0] for row in REFUSALS]
)
def test_create_refused_by_a_rule(
    make_shop: MakeShop, label: str, policy: dict[str, Any], start: float, hours: float, code: str
) -> None:
    shop = make_shop(**policy)

    with refused(code) as caught:
        shop.book(start, hours)

    if code != "invalid_field":
        data = caught.value.data
        assert data is not None and data["rule"] and data["alternatives"]


def test_create_refused_in_a_block(shop: Shop) -> None:
    block = {"store_id": shop.store.id, "room_id": shop.room.id, "reason": "装修"}
    db.session.add(RoomBlock(start_at=shop.at(4), end_at=shop.at(6), **block))
    db.session.commit()

    with refused("blocked"):
        shop.book(start=3, hours=2)
    assert shop.book(start=2, hours=2)


def test_create_refused_without_a_price(make_shop: MakeShop) -> None:
    shop = make_shop()
    for rule in shop.rows(PriceRule):
        rule.is_active = False
    db.session.commit()

    with refused("no_price"):
        shop.book()


def test_create_refused_for_unknown_things(shop: Shop) -> None:
    with refused("not_found"):
        shop.book(room_id=999)
    with refused("invalid_field"):
        shop.book(session_id=999, end_at=None)
    with refused("invalid_field"):
        shop.book(end_at=None)
    with refused("not_found"):
        shop.book(voucher_code="2222-2222-2222-2222-2222")


def test_create_refused_in_a_room_out_of_service(shop: Shop) -> None:
    shop.room.is_active = False
    db.session.commit()

    with refused("not_found"):
        shop.book()


def test_create_refused_for_the_blacklisted(shop: Shop) -> None:
    shop.customer.is_blacklisted = True
    db.session.commit()

    with refused("blacklisted"):
        shop.book()


def test_open_holds_are_limited_until_they_run_out(make_shop: MakeShop) -> None:
    shop = make_shop(max_open_holds=2)
    shop.book(3, 1)
    shop.book(5, 1)

    with refused("customer_limit") as caught:
        shop.book(7, 1)
    assert caught.value.data is not None
    assert (caught.value.data["rule"], caught.value.data["limit"]) == ("max_open_holds", 2)
    assert shop.book(7, 1, actor=shop.another_guest())
    assert shop.book(9, 1, at=shop.at(minutes=15))


def test_paid_bookings_are_no_open_holds(make_shop: MakeShop) -> None:
    shop = make_shop(max_open_holds=1)
    shop.paid_booking(3, 1)

    assert shop.book(5, 1)


def test_bookings_of_a_day_are_limited(make_shop: MakeShop) -> None:
    # Noon in the store: 3 and 5 hours later are the same day, 24 hours later is the next.
    shop = make_shop(max_bookings_per_day=2)
    shop.paid_booking(3, 1)
    shop.paid_booking(5, 1)

    with refused("customer_limit") as caught:
        shop.book(7, 1)
    assert caught.value.data is not None and caught.value.data["rule"] == "max_bookings_per_day"
    assert shop.book(24, 1)


def test_holds_that_ran_out_do_not_count_for_the_day(make_shop: MakeShop) -> None:
    shop = make_shop(max_bookings_per_day=1)
    shop.book(3, 1)

    with refused("customer_limit"):
        shop.book(5, 1, at=shop.at(minutes=15) - MINUTE)
    assert shop.book(5, 1, at=shop.at(minutes=15))


def test_hold_is_honoured_until_its_last_moment(shop: Shop) -> None:
    first = shop.book()
    guest = shop.another_guest()

    with refused("room_taken"):
        shop.book(actor=guest, at=shop.at(minutes=15) - timedelta(microseconds=1))
    assert shop.status(first) is OrderStatus.PENDING_PAYMENT


def test_stale_hold_gives_way_to_the_next_booking(shop: Shop) -> None:
    first = shop.book()

    second = shop.book(actor=shop.another_guest(), at=shop.at(minutes=15))

    assert shop.status(first) is OrderStatus.CANCELLED
    assert shop.booking(first).state is BookingState.EXPIRED
    assert shop.events(first) == ["create", "expire"]
    assert shop.notices(first) == ["order_created", "order_expired"]
    assert shop.booking(second).state is BookingState.HELD


def test_stale_hold_stays_when_the_next_booking_is_refused(shop: Shop) -> None:
    shop.book()
    shop.customer.is_blacklisted = True
    db.session.commit()

    with refused("blacklisted"):
        shop.book(at=shop.at(minutes=20))


def test_quote_sees_through_a_stale_hold(shop: Shop) -> None:
    shop.book()

    with refused("room_taken"):
        quotes.quote_booking(shop.request(), actor=None, now=shop.at(minutes=14))
    quote = quotes.quote_booking(shop.request(), actor=None, now=shop.at(minutes=15))
    assert quote["total_fen"] == 12000


def test_room_taken_behind_the_services_back_is_a_refusal(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.book()
    guest = shop.another_guest()
    # Whoever checks badly is stopped by the database, and says the same.
    monkeypatch.setattr("app.domain.booking_rules.check_place", lambda *args, **kwargs: None)

    with refused("room_taken") as caught:
        shop.book(actor=guest)
    assert caught.value.data is not None and caught.value.data["alternatives"]


def test_create_refused_for_a_customer_who_is_gone(shop: Shop) -> None:
    with refused("not_found"):
        shop.book(actor=factories.customer_actor(999))


def test_counts_every_change_of_the_room(shop: Shop) -> None:
    before = shop.room.state_version

    shop.book()

    assert shop.rows(Room)[0].state_version == before + 1


def test_booking_of_an_order_without_one(shop: Shop) -> None:
    no = shop.group_order(shop.campaign())

    with pytest.raises(NotFound):
        bookings.booking_of(shop.order(no))


def test_alternatives_of_a_refusal_can_be_booked(shop: Shop) -> None:
    other = factories.make_room(shop.store)
    shop.book(3, 2)
    with pytest.raises(DomainError) as caught:
        shop.book(3, 2, actor=shop.another_guest())
    assert caught.value.data is not None
    offers = caught.value.data["alternatives"]

    assert len(offers) == 3
    assert {offer["room_id"] for offer in offers} == {str(shop.room.id), str(other.id)}
    for offer in offers:
        request = quotes.BookingRequest(
            int(offer["room_id"]),
            shop.now.fromisoformat(offer["start_at"]),
            shop.now.fromisoformat(offer["end_at"]),
        )
        no = bookings.create_booking(request, actor=shop.another_guest(), now=shop.now)
        assert shop.order(no).total_fen == offer["total_fen"]


def test_alternatives_are_never_empty_while_one_place_is_free(shop: Shop) -> None:
    # Everything nearby is full but for the one hour that begins in 20 hours.
    shop.paid_booking(0, 12)
    shop.paid_booking(12, 8)
    shop.paid_booking(21, 12, actor=shop.another_guest())
    shop.paid_booking(33, 12, actor=shop.another_guest())
    with pytest.raises(DomainError) as caught:
        shop.book(3, 2, actor=shop.another_guest())
    assert caught.value.data is not None

    starts = [shop.now.fromisoformat(offer["start_at"]) for offer in caught.value.data["alternatives"]]
    assert starts == [shop.at(20)]


def test_every_booking_row_belongs_to_its_order(shop: Shop) -> None:
    numbers = {shop.book(3, 1), shop.book(5, 1)}

    orders = {order.no: order for order in shop.rows(Order)}
    assert set(orders) == numbers
    assert {booking.order_id for booking in shop.rows(Booking)} == {order.id for order in orders.values()}
    assert all(order.expires_at - order.created_at == HOUR / 4 for order in orders.values())


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Let the owner change something after the price was worked out and before the room is locked."""
    lock = bookings.lock_buyer_and_room

    def arrange(change: Callable[[], None]) -> None:
        def change_and_lock(*args: Any) -> None:
            lock(*args)
            change()
            db.session.flush()

        monkeypatch.setattr(bookings, "lock_buyer_and_room", change_and_lock)

    return arrange


def test_new_discount_is_judged_by_what_it_asks(
    shop: Shop, meanwhile: Callable[[Callable[[], None]], None]
) -> None:
    shop.paid_booking(start=8, hours=1)
    meanwhile(lambda: db.session.add(DiscountRule(name="首单半价", off_percent=50, first_order_only=True)))

    assert shop.order(shop.book()).total_fen == 12000, "the customer has ordered before"


def test_new_length_of_a_session_meets_the_block(
    shop: Shop, meanwhile: Callable[[Callable[[], None]], None]
) -> None:
    session = BookingSession(store_id=shop.store.id, name="下午场", start_minute=900, length_minutes=120)
    db.session.add(session)
    db.session.commit()
    factories.make_price(shop.store, kind=PriceKind.SESSION, session=session, amount_fen=9900)
    start_at = shop.at(5)
    block = RoomBlock(store_id=shop.store.id, room_id=shop.room.id, start_at=start_at, end_at=start_at + HOUR)
    db.session.add(block)
    db.session.commit()
    session_id = session.id

    def lengthen() -> None:
        row = db.session.get(BookingSession, session_id)
        assert row is not None
        row.length_minutes = 240

    meanwhile(lengthen)
    with refused("blocked"):
        shop.book(start_at=shop.at(3), end_at=None, session_id=session_id)
