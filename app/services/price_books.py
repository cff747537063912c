"""The price system of a store as the rules need it, and what is known of the customer who asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    true,
)

from app.domain.actor import Actor
from app.domain.calendar import PUBLIC_CALENDAR, DayCalendar, DayKind
from app.domain.discounts import ANYBODY, Buyer, DiscountRule, segments_of
from app.domain.price_books import PriceBook
from app.domain.price_trials import OwnDay
from app.domain.states import OrderKind, OrderStatus
from app.models import CalendarDay, Customer, Order
from app.models import DiscountRule as DiscountRow
from app.models import PriceRule as PriceRuleRow
from app.services.room_rules import price_rule_of_row
from app.services.unit_of_work import session

_PLAIN = (
    "id", "name", "version", "off_percent", "off_fen", "room_type_id", "room_id", "band_start_minute",
    "valid_from_on", "valid_until_on", "first_order_only", "segment",
)  # fmt: skip
_MINE, _CHAIN = "1", "0"
STORE: Any = bindparam("store", type_=Integer)


def read_price_book(store_id: int, *, with_drafts: bool = False) -> PriceBook:
    """Read the active price rules, the calendar and the active discounts of a store from the database.

    `store_config.load_price_book` keeps what this returns. *with_drafts* takes inactive rules too. The days
    have no labels, see `load_own_days`.
    """
    statements = _statements(with_drafts)
    rows = session().execute(statements.prices, {"store": store_id}).mappings().all()
    if not rows:
        # Without a single price there is nothing for a calendar or a discount to change.
        return PriceBook()
    discounts: list[DiscountRule] = []
    if rows[0]["has_discounts"]:
        found = session().execute(statements.discounts, {"store": store_id}).mappings()
        discounts = [_discount(row) for row in found]
    return PriceBook(
        rules=tuple(price_rule_of_row(row) for row in rows),
        calendar=_read_calendar(rows[0]["own_days"]),
        discounts=tuple(discounts),
    )


@dataclass(frozen=True, slots=True)
class _Statements:
    """What a book is read with; the store is the parameter `store`."""

    prices: Select[Any]
    discounts: Select[Any]


@cache
def _statements(with_drafts: bool) -> _Statements:
    """Made once: building them costs more than the database takes to answer."""
    rules, discounts = PriceRuleRow.__table__, DiscountRow.__table__
    offered = and_(_counts_in(discounts, STORE), true() if with_drafts else discounts.c.is_active)
    has_discounts = select(select(discounts.c.id).where(offered).exists()).scalar_subquery()
    prices = select(rules, _own_days_text().label("own_days"), has_discounts.label("has_discounts"))
    return _Statements(
        prices.where(rules.c.store_id == STORE, true() if with_drafts else rules.c.is_active).order_by(
            rules.c.id
        ),
        select(discounts).where(offered).order_by(discounts.c.id),
    )


def load_own_days(store_id: int) -> dict[date, OwnDay]:
    """Return the owner's calendar of a store with the labels of its days."""
    days = CalendarDay.__table__
    # The chain's days come first, so that the store's own replace them.
    query = select(days).where(_counts_in(days, store_id)).order_by(days.c.store_id.is_not(None))
    return {
        row.on_date: OwnDay(DayKind(row.kind.value), row.label, row.store_id is not None)
        for row in session().execute(query)
    }


def _counts_in(table: Any, store: Any) -> ColumnElement[bool]:
    return or_(table.c.store_id == store, table.c.store_id.is_(None))


def _own_days_text() -> Any:
    """The days of a store in one text, ``0:2026-10-01:holiday,…``, to come in the rows of the rules."""
    days = CalendarDay.__table__
    owner = case((days.c.store_id.is_(None), literal(_CHAIN)), else_=literal(_MINE))
    day = owner + ":" + cast(days.c.on_date, String) + ":" + cast(days.c.kind, String)
    return select(func.aggregate_strings(day, ",")).where(_counts_in(days, STORE)).scalar_subquery()


def _read_calendar(text: str | None) -> DayCalendar:
    if not text:
        return PUBLIC_CALENDAR
    # Sorted, the chain's days come first and the store's own replace them.
    entries = [entry.split(":") for entry in sorted(text.split(","))]
    return DayCalendar({date.fromisoformat(on): DayKind(kind) for _owner, on, kind in entries})


def _discount(row: Any) -> DiscountRule:
    return DiscountRule(
        **{name: row[name] for name in _PLAIN},
        scope=row["scope"].value,
        day_kind=row["day_kind"].value,
        weekdays=tuple(row["weekdays"] or ()),
        band_end_minute=row["band_end_minute"] % 1440,
    )


def buyer_of(
    book: PriceBook, actor: Actor | None, *, now: datetime, except_order_id: int | None = None
) -> Buyer:
    """Return what the discounts of a book need to know of a customer; anybody else is nobody to them."""
    if actor is None or not actor.is_customer or actor.id is None:
        return ANYBODY
    is_first_order = book.has_first_order_discount and not has_ordered_before(
        actor.id, now=now, except_order_id=except_order_id
    )
    return Buyer(is_first_order, _segments(actor.id) if book.has_segment_discount else frozenset())


def _segments(customer_id: int) -> frozenset[str]:
    return segments_of(session().scalar(select(Customer.segment).where(Customer.id == customer_id)))


def has_ordered_before(customer_id: int, *, now: datetime, except_order_id: int | None = None) -> bool:
    """Tell whether a customer has a paid booking order, or one that still waits to be paid.

    The waiting one counts so that two orders made side by side cannot both be the first; it no longer does
    once its time has run out. *except_order_id* is an order that is priced anew: only those made before it
    count, so that what was the first order stays it.
    """
    query = earlier_orders(customer_id, now)
    if except_order_id is not None:
        query = query.where(Order.id < except_order_id)
    return session().scalar(query.limit(1)) is not None


def earlier_orders(customer_id: Any, now: Any) -> Select[Any]:
    """Return the query that `has_ordered_before` asks; a customer and a moment, or parameters for them."""
    orders = Order.__table__
    is_waiting = and_(orders.c.status == OrderStatus.PENDING_PAYMENT, orders.c.expires_at > now)
    return select(orders.c.id).where(
        orders.c.customer_id == customer_id,
        orders.c.kind == OrderKind.BOOKING,
        or_(orders.c.paid_at.is_not(None), is_waiting),
    )
