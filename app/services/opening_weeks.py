"""What opening hours come to: the coming days of each store, and the bookings that they do not cover."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from app.domain.actor import Actor
from app.domain.opening import opening_spans, rules_of_day
from app.domain.slots import Span, local_date
from app.domain.states import BookingState
from app.models import Booking, Order, Room
from app.services.board import list_stores
from app.services.store_config import StoreConfig, load_store_config
from app.services.unit_of_work import session

DAYS = 7
# Nobody books further ahead than a few weeks; what lies beyond shows when it comes nearer.
SEARCHED = timedelta(days=60)
MOST = 20


def list_weeks(*, actor: Actor, now: datetime) -> list[dict[str, Any]]:
    """Return `{store, days}` of every store: the coming seven local dates with their opening hours.

    A day is `{on, hours, is_special}`; hours are pairs of minutes from its midnight, none when it is closed.
    """
    stores = [load_store_config(store_id) for store_id, _name in list_stores(actor=actor)]
    return [{"store": config.name, "days": _week(config, now)} for config in stores]


def _week(config: StoreConfig, now: datetime) -> list[dict[str, Any]]:
    today = local_date(now, config.tz)
    special = {rule.on_date for rule in config.opening}
    dates = (today + timedelta(days=offset) for offset in range(DAYS))
    return [
        {
            "on": on,
            "hours": [(rule.opens_minute, rule.closes_minute) for rule in rules_of_day(config.opening, on)],
            "is_special": on in special,
        }
        for on in dates
    ]


def list_closed_bookings(*, actor: Actor, now: datetime) -> list[dict[str, Any]]:
    """Return `{no, store, room, start_at, end_at}` of coming bookings at times when the store is closed."""
    found: list[dict[str, Any]] = []
    for store_id, name in list_stores(actor=actor):
        config = load_store_config(store_id)
        rows = session().execute(_coming(store_id, now)).all()
        window = Span(now - timedelta(days=1), now + SEARCHED + timedelta(days=8))
        hours = opening_spans(config.opening, config.tz, window)
        found += [
            dict(row._mapping) | {"store": name}
            for row in rows
            if not any(open_.contains(Span(row.start_at, row.end_at)) for open_ in hours)
        ]
    return found[:MOST]


def _coming(store_id: int, now: datetime) -> Any:
    return (
        select(Order.no, Room.name.label("room"), Booking.start_at, Booking.end_at)
        .join(Order, Order.id == Booking.order_id)
        .join(Room, Room.id == Booking.room_id)
        .where(
            Booking.store_id == store_id,
            Booking.change_id.is_(None),
            Booking.state == BookingState.RESERVED,
            Booking.start_at > now,
            Booking.start_at < now + SEARCHED,
        )
        .order_by(Booking.start_at)
    )
