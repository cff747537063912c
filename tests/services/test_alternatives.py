"""What refusals offer instead: every place can be had as it is offered, at the price that is named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from app.domain.errors import REFUSALS, DomainError
from app.extensions import db
from app.models import BookingSession, DiscountRule, PriceRule, Room
from app.services import bookings, changes, extensions, quotes, stays
from app.services.changes import ChangeRequest
from app.services.quotes import BookingRequest
from tests import factories
from tests.conftest import empty_tables
from tests.services.counter import refused, register_service
from tests.services.shop import HOUR, MINUTE, Shop

MakeShop = Callable[..., Shop]
Offer = dict[str, Any]


def offers_of(refusal: DomainError) -> list[Offer]:
    """What a refusal offers; it always says which rule refused and its limit."""
    assert refusal.data is not None and {"rule", "limit"} <= set(refusal.data)
    offers: list[Offer] = refusal.data["alternatives"]
    assert len(offers) <= 3
    return offers


def request_of(offer: Offer, voucher_code: str | None = None) -> BookingRequest:
    """The request for an offer, as a client makes it."""
    return BookingRequest(
        int(offer["room_id"]),
        datetime.fromisoformat(offer["start_at"]),
        datetime.fromisoformat(offer["end_at"]),
        int(offer["session_id"]) if offer["session_id"] else None,
        voucher_code,
    )


def check_offers(shop: Shop, offers: list[Offer], voucher_code: str | None = None) -> None:
    """Every offer can be quoted at its price."""
    assert offers
    for offer in offers:
        quote = quotes.quote_booking(request_of(offer, voucher_code), actor=shop.guest, now=shop.now)
        assert quote["total_fen"] == offer["total_fen"]


def price_only(shop: Shop, **values: Any) -> None:
    """Let the shop's one price count only where *values* say."""
    db.session.execute(update(PriceRule).values(**values))
    db.session.commit()


def make_session(shop: Shop, start_minute: int = 1080, minutes: int = 240, amount_fen: int = 9900) -> int:
    """A session with its price."""
    row = BookingSession(store=shop.store, name="晚场", start_minute=start_minute, length_minutes=minutes)
    db.session.add(row)
    db.session.commit()
    factories.make_price(shop.store, amount_fen, kind="session", session=row)
    return row.id


def test_place_beside_a_gap_of_the_prices(shop: Shop) -> None:
    price_only(shop, band_start_minute=8 * 60, band_end_minute=14 * 60)

    with refused("no_price") as caught:
        quotes.quote_booking(shop.request(6, 2), actor=None, now=shop.now)

    offers = offers_of(caught.value)
    assert [offer["start_at"][8:16] for offer in offers] == ["04T12:00", "05T08:00"]
    check_offers(shop, offers)


def test_room_without_a_price_is_not_offered(shop: Shop) -> None:
    factories.make_room(shop.store)
    price_only(shop, scope="room", room_id=shop.room.id)
    shop.book(3, 2)

    with refused("room_taken") as caught:
        quotes.quote_booking(shop.request(3, 2), actor=None, now=shop.now)

    assert {offer["room_id"] for offer in offers_of(caught.value)} == {str(shop.room.id)}


def test_package_is_offered_where_hours_have_no_price(shop: Shop) -> None:
    price_only(shop, kind="package", package_minutes=180, band_start_minute=13 * 60, band_end_minute=20 * 60)

    with refused("no_price") as caught:
        quotes.quote_booking(shop.request(3, 2), actor=None, now=shop.now)

    offers = offers_of(caught.value)
    check_offers(shop, offers)
    assert [offer["start_at"][11:16] for offer in offers] == ["15:00", "15:30"]


def test_sessions_are_offered_for_a_session(shop: Shop) -> None:
    price_only(shop, is_active=False)
    session_id = make_session(shop)
    other = factories.make_room(shop.store)
    wanted = BookingRequest(shop.room.id, shop.at(6), None, session_id)
    bookings.create_booking(wanted, actor=shop.guest, now=shop.now)

    with refused("room_taken") as caught:
        quotes.quote_booking(wanted, actor=None, now=shop.now)

    offers = offers_of(caught.value)
    assert [(offer["room_id"], offer["start_at"][8:13]) for offer in offers] == [
        (str(other.id), "04T18"),
        (str(shop.room.id), "05T18"),
        (str(other.id), "05T18"),
    ]
    check_offers(shop, offers)


def test_hours_are_offered_where_the_session_has_no_place(shop: Shop) -> None:
    session_id = make_session(shop)
    for days in (0, 24, 48):
        shop.book(6 + days, 4)

    with refused("room_taken") as caught:
        quotes.quote_booking(
            BookingRequest(shop.room.id, shop.at(6), None, session_id), actor=None, now=shop.now
        )

    offers = offers_of(caught.value)
    assert {offer["session_id"] for offer in offers} == {None}
    check_offers(shop, offers)


def test_voucher_is_offered_its_own_length_rooms_and_hours(shop: Shop) -> None:
    foreign = factories.make_room(shop.store)
    campaign = shop.campaign(
        package_minutes=200, rooms=[shop.room], bands=[{"start": "10:00", "end": "20:00"}]
    )
    code = shop.voucher(campaign).code
    shop.book(3, 2)
    wanted = {"end_at": shop.at(3, 200), "voucher_code": code}

    for room in (shop.room, foreign):
        with refused("room_taken" if room is shop.room else "voucher_not_here") as caught:
            quotes.quote_booking(shop.request(3, room_id=room.id, **wanted), actor=shop.guest, now=shop.now)
        offers = offers_of(caught.value)
        assert {offer["room_id"] for offer in offers} == {str(shop.room.id)}
        assert {offer["total_fen"] for offer in offers} == {0}
        check_offers(shop, offers, code)


def test_voucher_that_is_in_use_is_explained_too(shop: Shop) -> None:
    code = shop.voucher().code
    request = shop.request(3, 3, voucher_code=code)
    bookings.create_booking(request, actor=shop.guest, now=shop.now)
    other = factories.make_room(shop.store)

    with refused("voucher_locked") as caught:
        shop.book(3, 3, room_id=other.id, voucher_code=code)

    # Without the voucher there are places enough.
    check_offers(shop, offers_of(caught.value))


def test_another_day_is_offered_where_one_day_has_enough(make_shop: MakeShop) -> None:
    shop = make_shop(max_bookings_per_day=1)
    shop.book(3, 2)

    with refused("customer_limit") as caught:
        shop.book(8, 2)

    offers = offers_of(caught.value)
    assert {offer["start_at"][:10] for offer in offers} == {"2026-03-05"}
    bookings.create_booking(request_of(offers[0]), actor=shop.guest, now=shop.now)


def test_own_time_is_free_for_a_change(make_shop: MakeShop) -> None:
    """Everything around is taken; only part of the present time is left."""
    shop = make_shop(max_ahead_days=1)
    no, other = shop.paid_booking(3, 3), shop.another_guest()
    for start, hours in ((0, 3), (6, 12), (18, 12), (30, 6)):
        shop.paid_booking(start, hours, actor=other)
    wanted = ChangeRequest(start_at=shop.at(4), end_at=shop.at(8))

    with refused("room_taken") as caught:
        changes.preview_change(no, wanted, actor=shop.guest, now=shop.now)

    assert offers_of(caught.value)
    check_changes(shop, no, offers_of(caught.value))


def check_changes(shop: Shop, no: str, offers: list[Offer]) -> None:
    """The order can be changed to every offer at its price."""
    for offer in offers:
        request = request_of(offer)
        wanted = ChangeRequest(request.room_id, request.start_at, request.end_at)
        preview = changes.preview_change(no, wanted, actor=shop.guest, now=shop.now)
        assert preview["total_fen"] == offer["total_fen"]


def test_offers_for_a_change_count_fee_words_and_first_order(make_shop: MakeShop) -> None:
    shop = make_shop(change_steps=[{"minutes_before": None, "fee_percent": 10}])
    discount = {"off_percent": 50, "first_order_only": True, "store": shop.store}
    db.session.add(DiscountRule(name="首单", **discount))
    db.session.commit()
    no = shop.paid_booking(3, 2)
    factories.make_room(shop.store)
    shop.book(6, 2, actor=shop.another_guest())

    with refused("room_taken") as caught:
        changes.change_order(no, ChangeRequest(start_at=shop.at(6)), actor=shop.guest, now=shop.now)

    offers = offers_of(caught.value)
    # Half of ¥120 and 10 % of what was paid.
    assert {offer["total_fen"] for offer in offers} == {6600}
    check_changes(shop, no, offers)


def test_offers_for_a_voucher_booking_that_moves(shop: Shop) -> None:
    code = shop.voucher(shop.campaign(package_minutes=200)).code
    no = shop.book(3, end_at=shop.at(3, 200), voucher_code=code)
    shop.book(10, 2)

    with refused("room_taken") as caught:
        changes.preview_change(no, ChangeRequest(start_at=shop.at(9)), actor=shop.guest, now=shop.now)

    assert offers_of(caught.value)
    check_changes(shop, no, offers_of(caught.value))


@pytest.mark.parametrize("status", ["in_use", "completed"])
def test_change_that_is_never_possible_is_explained(shop: Shop, status: str) -> None:
    no = shop.paid_booking(0, 2)
    stays.check_in(no, actor=shop.guest, now=shop.now)
    if status == "completed":
        stays.check_out(no, actor=shop.guest, now=shop.at(1))

    with refused("invalid_transition") as caught:
        changes.preview_change(no, ChangeRequest(start_at=shop.at(9)), actor=shop.guest, now=shop.at(1))

    assert caught.value.data is not None
    assert (caught.value.data["rule"], caught.value.data["limit"]) == ("status", ["paid", "awaiting_use"])
    assert offers_of(caught.value)


OVERTIME = {"has_overtime": True, "overtime_unit_minutes": 20, "overtime_grace_minutes": 5}


@pytest.mark.parametrize("minutes", [-30, 3, 10, 47], ids=["before", "in grace", "overtime", "much overtime"])
def test_longest_extension_is_offered_as_it_is_charged(make_shop: MakeShop, minutes: int) -> None:
    shop = make_shop(**OVERTIME)
    no = shop.paid_booking(0, 2)
    stays.check_in(no, actor=shop.guest, now=shop.now)
    shop.paid_booking(6, 2, actor=shop.another_guest())
    later = shop.at(2, minutes)
    # Where overtime that has begun ends, in units of 20 minutes.
    begin = shop.at(2, 0 if minutes < 6 else -(-minutes // 20) * 20)

    with refused("room_taken") as caught:
        extensions.preview_extension(no, begin + 5 * HOUR, actor=shop.guest, now=later)

    longest = offers_of(caught.value)[0]
    end_at = datetime.fromisoformat(longest["end_at"])
    assert shop.at(5) < end_at <= shop.at(6)
    preview = extensions.preview_extension(no, end_at, actor=shop.guest, now=later)
    assert preview["total_fen"] == longest["total_fen"]
    with refused("room_taken"):
        extensions.preview_extension(no, end_at + 30 * MINUTE, actor=shop.guest, now=later)


def test_longest_extension_ends_where_the_prices_do(make_shop: MakeShop) -> None:
    shop = make_shop()
    price_only(shop, band_start_minute=0, band_end_minute=16 * 60 + 40)
    no = shop.paid_booking(0, 2)

    with refused("no_price") as caught:
        extensions.extend_order(no, shop.at(8), actor=shop.guest, now=shop.now)

    longest = offers_of(caught.value)[0]
    assert datetime.fromisoformat(longest["end_at"]) == shop.at(4.5)
    preview = extensions.preview_extension(no, shop.at(4.5), actor=shop.guest, now=shop.now)
    assert preview["total_fen"] == longest["total_fen"] == 15000


HALF_HOURS = st.integers(-2, 60)


def test_every_offer_can_be_had(make_shop: MakeShop) -> None:
    """Random stores: prices with gaps, packages, sessions, vouchers, bookings of others."""

    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        prices=st.lists(
            st.tuples(st.integers(0, 47), st.integers(0, 47), st.sampled_from(["hourly", "package"])),
            min_size=1,
            max_size=3,
        ),
        taken=st.lists(st.tuples(st.integers(0, 2), HALF_HOURS, st.integers(2, 20)), max_size=12),
        wanted=st.tuples(st.integers(0, 2), HALF_HOURS, st.integers(1, 12)),
        steps=st.sampled_from([15, 30, 60]),
        way=st.sampled_from(["hours", "session", "voucher"]),
    )
    def ask(
        prices: list[tuple[int, int, str]],
        taken: list[tuple[int, int, int]],
        wanted: tuple[int, int, int],
        steps: int,
        way: str,
    ) -> None:
        db.session.remove()
        empty_tables()
        register_service(factories.NOW)
        shop, values = _random_shop(make_shop, prices, taken, steps, way)
        rooms = [room.id for room in shop.rows(Room)]
        start_at = shop.now + wanted[1] * 30 * MINUTE
        request = BookingRequest(
            rooms[wanted[0]],
            start_at,
            None if way == "session" else start_at + timedelta(minutes=30 * wanted[2]),
            **values,
        )
        try:
            quotes.quote_booking(request, actor=shop.guest, now=shop.now)
        except REFUSALS as refusal:
            for offer in offers_of(refusal):
                code = request.voucher_code if offer["total_fen"] == 0 else None
                quote = quotes.quote_booking(request_of(offer, code), actor=shop.guest, now=shop.now)
                assert quote["total_fen"] == offer["total_fen"]

    ask()


def _random_shop(
    make_shop: MakeShop,
    prices: list[tuple[int, int, str]],
    taken: list[tuple[int, int, int]],
    steps: int,
    way: str,
) -> tuple[Shop, dict[str, Any]]:
    shop = make_shop(start_step_minutes=steps, max_bookings_per_day=99, max_open_holds=99, max_ahead_days=2)
    price_only(shop, is_active=False)
    rooms = [shop.room, factories.make_room(shop.store), factories.make_room(shop.store)]
    for number, (start, end, kind) in enumerate(prices):
        band = {"band_start_minute": start * 30, "band_end_minute": end * 30}
        package = {"package_minutes": 120} if kind == "package" else {}
        scope = {"scope": "room", "room": rooms[number]} if number else {}
        factories.make_price(shop.store, 6000 + number, kind=kind, **band, **package, **scope)
    values: dict[str, Any] = {}
    if way == "session":
        values["session_id"] = make_session(shop, 1080 + 10, 150)
    elif way == "voucher":
        values["voucher_code"] = shop.voucher(shop.campaign(package_minutes=100, rooms=rooms[1:])).code
    for room, start, length in taken:
        start_at = shop.now + start * 30 * MINUTE
        request = BookingRequest(rooms[room].id, start_at, start_at + length * 30 * MINUTE)
        try:
            bookings.create_booking(request, actor=shop.guest, now=shop.now)
        except DomainError:
            db.session.rollback()
    return shop, values
