"""The stored price system: the owner's calendar in every price, discounts, few statements."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, event

from app.domain.calendar import DayCalendar, DayKind
from app.domain.discounts import ANYBODY
from app.domain.price_rules import PriceRule
from app.domain.pricing import quote_span
from app.domain.slots import Span
from app.extensions import db
from app.models import CalendarDay, DiscountRule
from app.models import PriceRule as PriceRuleRow
from app.services import availability, catalog, changes, price_books, quotes, staff_orders
from app.services.changes import ChangeRequest
from app.services.price_books import load_own_days, read_price_book
from app.services.store_config import load_room
from tests import factories
from tests.domain.test_pricing_properties import hourly_rules, wanted_spans
from tests.services.counter import refused
from tests.services.shop import Shop

# The shop's clock stands at Wednesday, 2026-03-04 12:00.
TODAY = date(2026, 3, 4)


def add_day(on: date, kind: str, **values: Any) -> CalendarDay:
    row = CalendarDay(on_date=on, kind=kind, **values)
    db.session.add(row)
    db.session.commit()
    return row


def add_discount(name: str = "Discount", **values: Any) -> DiscountRule:
    row = DiscountRule(name=name, **values)
    db.session.add(row)
    db.session.commit()
    return row


def quote(shop: Shop, *args: float, actor: Any = None, **values: Any) -> dict[str, Any]:
    return quotes.quote_booking(shop.request(*args, **values), actor=actor, now=shop.now)


@pytest.fixture
def holiday_price(shop: Shop) -> PriceRuleRow:
    """¥90 an hour on holidays, instead of ¥60."""
    return factories.make_price(shop.store, 9000, name="Holiday", day_kind="holiday")


@contextmanager
def counted(*tables: str) -> Iterator[list[str]]:
    """Collect the statements that ask these tables, or those of the price system."""
    wanted = tables or ("price_rules", "calendar_days", "discount_rules")
    found: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        if any(name in statement for name in wanted):
            found.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


def test_own_day_changes_every_price(shop: Shop, holiday_price: PriceRuleRow) -> None:
    assert quote(shop)["total_fen"] == 12000
    add_day(TODAY, "holiday", label="店庆")

    assert quote(shop)["total_fen"] == 18000
    assert shop.order(shop.book()).total_fen == 18000
    month = availability.get_room_calendar(shop.room.id, month="2026-03", now=shop.now)
    assert [day["price_from_fen"] for day in month[3:5]] == [9000, 6000]
    with refused("room_taken") as caught:
        quote(shop)
    assert caught.value.data is not None
    assert {offer["total_fen"] for offer in caught.value.data["alternatives"]} == {18000}


def test_lowest_price_of_a_room_counts_own_days(shop: Shop) -> None:
    factories.make_price(shop.store, 3000, name="Weekend", day_kind="weekend")

    assert catalog.get_room(shop.room.id, now=shop.now)["price_from_fen"] == 3000
    for offset in range(7):
        add_day(TODAY + timedelta(days=offset), "weekday")
    assert catalog.get_room(shop.room.id, now=shop.now)["price_from_fen"] == 6000


@pytest.mark.parametrize(
    ("label", "days", "total", "shown"),
    [
        ("the chain's day", [("", "holiday")], 18000, "chain"),
        ("the store's day", [("own", "holiday")], 18000, "own"),
        ("another store's day", [("other", "holiday")], 12000, None),
        ("the store's day before the chain's", [("", "holiday"), ("own", "weekday")], 12000, "own"),
        ("whichever was written first", [("own", "holiday"), ("", "weekday")], 18000, "own"),
    ],
)
def test_whose_day_counts(
    shop: Shop,
    holiday_price: PriceRuleRow,
    label: str,
    days: list[tuple[str, str]],
    total: int,
    shown: str | None,
) -> None:
    stores = {"": None, "own": shop.store, "other": factories.make_store()}
    for owner, kind in days:
        add_day(TODAY, kind, store=stores[owner], label=owner or "chain")

    assert quote(shop)["total_fen"] == total
    own_day = load_own_days(shop.store.id).get(TODAY)
    assert (own_day and own_day.label) == shown


def test_own_day_in_an_unknown_year_ends_the_warning(shop: Shop, holiday_price: PriceRuleRow) -> None:
    far = date(2031, 1, 1)
    book, room = read_price_book(shop.store.id), load_room(shop.room.id).priced_room
    noon = shop.now.replace(year=2031, month=1, day=1)
    wanted = Span(noon, noon + timedelta(hours=2))

    assert [warning.detail for warning in book.quote(room, wanted).warnings] == ["2031"]
    assert book.quote(room, wanted).total_fen == 12000
    add_day(far, "holiday")
    known = read_price_book(shop.store.id).quote(room, wanted)
    assert (known.warnings, known.total_fen) == ((), 18000)


def test_warning_is_part_of_the_quote_and_refuses_nothing(shop: Shop, holiday_price: PriceRuleRow) -> None:
    shop.now = shop.now.replace(year=2031)

    assert quote(shop)["warnings"] == ["holidays_unknown"]
    assert shop.order(shop.book()).total_fen == 12000


def test_prices_and_days_come_in_one_statement_and_discounts_in_a_second(
    shop: Shop, holiday_price: PriceRuleRow
) -> None:
    add_day(TODAY, "holiday")
    with counted() as without:
        read_price_book(shop.store.id)
    add_discount(off_percent=10)
    with counted() as with_discount:
        read_price_book(shop.store.id)

    assert (len(without), len(with_discount)) == (1, 2)


def test_store_without_prices_has_an_empty_book(shop: Shop) -> None:
    add_day(TODAY, "holiday")
    add_discount(off_percent=10)
    empty = factories.make_store()

    with counted() as statements:
        book = read_price_book(empty.id)

    assert (book.rules, book.discounts, len(statements)) == ((), (), 1)


def test_discount_is_a_line_of_quote_and_order(shop: Shop) -> None:
    rule = add_discount("午后八折", off_percent=20)

    quoted = quote(shop)
    order = shop.order(shop.book())

    assert (quoted["base_fen"], quoted["discount_fen"], quoted["total_fen"]) == (12000, 2400, 9600)
    line = order.lines[-1]
    assert (line.kind, line.label, line.amount_fen) == ("discount", "午后八折", -2400)
    assert (line.rule_id, line.rule_version) == (rule.id, rule.version)
    assert (order.base_fen, order.discount_fen, order.total_fen) == (12000, 2400, 9600)
    assert shop.payment(shop.pay(order.no)).amount_fen == 9600


def test_versions_of_equal_numbers_do_not_mix(shop: Shop) -> None:
    rule = add_discount(off_percent=20)
    for percent in (30, 40):
        rule.off_percent = percent
        db.session.commit()
    price = shop.rows(PriceRuleRow)[0]
    assert (rule.id, rule.version, price.id, price.version) == (price.id, 3, price.id, 1)

    lines = shop.order(shop.book()).lines

    assert [(line.kind, line.rule_version) for line in lines] == [("hourly", 1), ("discount", 3)]


def test_editing_rules_and_days_never_touches_orders(shop: Shop, holiday_price: PriceRuleRow) -> None:
    rule, day = add_discount(off_percent=20), add_day(TODAY, "holiday")
    no = shop.book()
    before = [(line.kind, line.label, line.rule_version, line.amount_fen) for line in shop.order(no).lines]

    rule.off_percent, rule.name = 90, "Other"
    day.kind = "weekday"
    holiday_price.amount_fen = 1
    db.session.commit()
    db.session.execute(delete(DiscountRule))
    db.session.commit()

    after = [(line.kind, line.label, line.rule_version, line.amount_fen) for line in shop.order(no).lines]
    assert after == before == [("hourly", "Holiday", 1, 18000), ("discount", "Discount", 1, -3600)]


@pytest.mark.parametrize(
    ("label", "values", "applies"),
    [
        ("whole chain", {}, True),
        ("own store", {"store": "own"}, True),
        ("another store", {"store": "other"}, False),
        ("switched off", {"is_active": False}, False),
        ("a segment that nobody is in", {"segment": "vip"}, False),
        ("room type", {"scope": "room_type", "room_type": "own"}, True),
        ("one room", {"scope": "room", "room": "own", "store": "own"}, True),
        ("over already", {"valid_until_on": TODAY - timedelta(days=1)}, False),
        ("until midnight", {"band_start_minute": 720, "band_end_minute": 1440}, True),
    ],
)
def test_which_discounts_count(shop: Shop, label: str, values: dict[str, Any], applies: bool) -> None:
    rows = {"own": shop.store, "other": factories.make_store()}
    if "store" in values:
        values = values | {"store": rows[values["store"]]}
    if "room_type" in values:
        values = values | {"room_type": shop.room.room_type}
    if "room" in values:
        values = values | {"room": shop.room}
    add_discount(off_percent=50, **values)

    assert quote(shop)["total_fen"] == (6000 if applies else 12000)


def test_voucher_pays_what_the_discount_leaves(shop: Shop) -> None:
    add_discount(off_percent=50)
    voucher = shop.voucher()

    quoted = quote(shop, 3, 3, actor=shop.guest, voucher_code=voucher.code)

    assert [(line["kind"], line["amount_fen"]) for line in quoted["lines"]] == [
        ("hourly", 18000),
        ("discount", -9000),
        ("voucher", -9000),
    ]
    assert quoted["total_fen"] == 0


@pytest.fixture
def first_order(shop: Shop) -> DiscountRule:
    """¥20 off the first order."""
    return add_discount("首单立减", off_fen=2000, first_order_only=True)


def total(shop: Shop, actor: Any) -> int:
    return int(quote(shop, 8, 2, actor=actor)["total_fen"])


def test_first_order_discount_is_for_a_known_customer(shop: Shop, first_order: DiscountRule) -> None:
    assert total(shop, None) == 12000
    assert total(shop, shop.cashier()) == 12000
    assert total(shop, shop.guest) == 10000
    assert shop.order(shop.book(8)).total_fen == 10000


def test_first_order_discount_asks_for_orders_only_where_there_is_one(shop: Shop) -> None:
    book = read_price_book(shop.store.id)

    with counted("orders") as statements:
        assert price_books.buyer_of(book, shop.guest, now=shop.now) == ANYBODY
    assert statements == []


def test_paid_order_ends_it_and_other_customers_keep_it(shop: Shop, first_order: DiscountRule) -> None:
    shop.paid_booking()

    assert total(shop, shop.guest) == 12000
    assert total(shop, shop.another_guest()) == 10000


def test_order_waiting_to_be_paid_ends_it_until_its_time_is_over(
    shop: Shop, first_order: DiscountRule
) -> None:
    no = shop.book()
    assert shop.order(no).total_fen == 10000

    assert total(shop, shop.guest) == 12000
    later = shop.at(0.5)
    assert quotes.quote_booking(shop.request(8, 2), actor=shop.guest, now=later)["total_fen"] == 10000


def test_cancelled_unpaid_order_does_not_count(shop: Shop, first_order: DiscountRule) -> None:
    no = shop.book()
    staff_orders.perform_action(no, "cancel", {"reason": "x"}, actor=shop.cashier(), now=shop.now)

    assert total(shop, shop.guest) == 10000


def test_group_order_is_no_booking_order(shop: Shop, first_order: DiscountRule) -> None:
    shop.pay(shop.group_order(shop.campaign()))

    assert total(shop, shop.guest) == 10000


def test_order_that_is_priced_anew_does_not_count_against_itself(
    shop: Shop, first_order: DiscountRule
) -> None:
    order = shop.order(shop.paid_booking())

    assert price_books.has_ordered_before(shop.customer.id, now=shop.now)
    assert not price_books.has_ordered_before(shop.customer.id, now=shop.now, except_order_id=order.id)


def test_first_order_stays_the_first_when_it_is_changed(shop: Shop, first_order: DiscountRule) -> None:
    no = shop.paid_booking(3, 2)
    second = shop.paid_booking(6, 2)

    told = changes.preview_change(no, ChangeRequest(start_at=shop.at(9)), actor=shop.guest, now=shop.now)
    other = changes.preview_change(second, ChangeRequest(start_at=shop.at(9)), actor=shop.guest, now=shop.now)

    assert (told["total_fen"], told["difference_fen"]) == (10000, 0)
    assert (other["total_fen"], other["difference_fen"]) == (12000, 0)


def test_alternatives_show_the_price_for_whoever_asks(shop: Shop, first_order: DiscountRule) -> None:
    shop.book(3, 2, actor=shop.another_guest())

    for actor, expected in ((shop.guest, 10000), (None, 12000)):
        with refused("room_taken") as caught:
            quotes.quote_booking(shop.request(3, 2), actor=actor, now=shop.now)
        assert caught.value.data is not None
        assert {offer["total_fen"] for offer in caught.value.data["alternatives"]} == {expected}


own_days = st.dictionaries(
    st.dates(min_value=date(2026, 9, 23), max_value=date(2026, 10, 12)), st.sampled_from(DayKind), max_size=6
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hourly_rules(), own_days, wanted_spans())
def test_stored_rules_price_like_the_rules_themselves(
    shop: Shop, rules: list[PriceRule], days: dict[date, DayKind], wanted: Span
) -> None:
    """What the database gives back on this engine costs the same as what was put in."""
    room = load_room(shop.room.id).priced_room
    for model in (CalendarDay, PriceRuleRow):
        db.session.execute(delete(model))
    fixed = [_placed(rule, room.id, room.room_type_id) for rule in rules]
    db.session.add_all(_row(rule, shop.store.id) for rule in fixed)
    db.session.add_all(CalendarDay(on_date=on, kind=kind.value) for on, kind in days.items())
    db.session.commit()

    stored = read_price_book(shop.store.id).quote(room, wanted)
    plain = quote_span(room, wanted, fixed, calendar=DayCalendar(days))

    assert [
        (line.kind, line.label, line.start_at, line.end_at, line.amount_fen) for line in stored.lines
    ] == [(line.kind, line.label, line.start_at, line.end_at, line.amount_fen) for line in plain.lines]
    assert stored.total_fen == plain.total_fen


def _placed(rule: PriceRule, room_id: int, room_type_id: int | None) -> PriceRule:
    """The same rule for the room of the shop."""
    values = {name: getattr(rule, name) for name in PriceRule.__slots__}
    if rule.scope == "room":
        values["room_id"] = room_id
    if rule.scope == "room_type":
        values["room_type_id"] = room_type_id
    # Numbers of rows begin at 1.
    return PriceRule(**values | {"id": rule.id + 1})


def _row(rule: PriceRule, store_id: int) -> PriceRuleRow:
    names = (
        "id", "name", "amount_fen", "kind", "scope", "room_type_id", "room_id", "day_kind",
        "band_start_minute", "band_end_minute", "priority", "minimum_fen", "day_cap_fen",
    )  # fmt: skip
    values = {name: getattr(rule, name) for name in names}
    return PriceRuleRow(store_id=store_id, weekdays=list(rule.weekdays) or None, **values)
