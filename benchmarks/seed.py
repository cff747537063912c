"""Fills a database with a chain of shops and a given number of bookings; run as a process of its own."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select

from app import create_app
from app.domain.actor import ALL_STORES, customer_actor
from app.domain.clock import utc_now
from app.domain.slots import local_date, local_instant
from app.extensions import db, use_scope
from app.models import (
    Booking,
    BookingPolicy,
    Customer,
    DayKind,
    OpeningHours,
    Order,
    OrderLine,
    PriceRule,
    Room,
    RoomType,
    Store,
)
from app.services import bookings, tokens
from app.services.quotes import BookingRequest
from app.services.unit_of_work import run_in_transaction
from benchmarks.bulk import Plan, copy_bookings
from benchmarks.sites import Facts

ZONE = ZoneInfo("Asia/Shanghai")
ROOMS = 20
# At most; a small database has fewer.
STORES = 51
CUSTOMERS, LOGINS = 20_000, 1_000
WINDOW_DAYS, SALE_DAY, LAST_DAY = 7, 8, 13
WINDOW_BOOKINGS = 2_000
STEPS = [
    {"minutes_before": 120, "fee_percent": 0},
    {"minutes_before": 0, "fee_percent": 30},
    {"minutes_before": None, "fee_percent": 100},
]
# Name, kind of day, first and last minute of the day, fen an hour.
PRICES = (
    ("日场", DayKind.WEEKDAY, 480, 1080, 4800),
    ("夜场", DayKind.WEEKDAY, 1080, 480, 6800),
    ("周末", DayKind.WEEKEND, 0, 0, 8800),
    ("节假日", DayKind.HOLIDAY, 0, 0, 9800),
    ("其他", DayKind.ANY, 0, 0, 6000),
)


def main(work: str, size: int = 0) -> None:
    """Seed, or only log the customers in again, and print what a run needs to know as one line of JSON."""
    app = create_app()
    if work == "seed":
        answer = app.test_cli_runner().invoke(args=["setup", "--no-demo"])
        assert answer.exit_code == 0, answer.output
    with app.app_context(), use_scope(ALL_STORES):
        found = {"tokens": log_in()} if work == "login" else asdict(seed(size, now=utc_now()))
    print(json.dumps(found))


def seed(size: int, *, now: datetime) -> Facts:
    """Make shops, customers and *size* bookings, half of them at most in the window under test."""
    stores = _furnish(STORES if size >= 1_000 else 3)
    customers = _add_customers(min(CUSTOMERS, max(50, 2 * size)), now)
    room_ids = list(db.session.scalars(select(Room.id).order_by(Room.id)))
    own = room_ids[:ROOMS]
    first_at = _midnight(1, now)
    model = _book_model(own[0], _midnight(LAST_DAY, now) + timedelta(hours=20), now)
    plan = Plan(
        room_ids=room_ids,
        own_rooms=ROOMS,
        stores_first_id=stores[0],
        customers=customers,
        in_window=min(WINDOW_BOOKINGS, size // 2),
        total=size,
        window_at=first_at,
        now=now,
    )
    copy_bookings(db, plan, models={"orders": model[0], "order_lines": model[1], "bookings": model[2]})
    return Facts(
        store_id=stores[0],
        room_ids=own,
        sale_room_ids=room_ids[ROOMS:],
        window=(_text(first_at), _text(_midnight(1 + WINDOW_DAYS, now))),
        first_free_at=_text(_midnight(SALE_DAY, now)),
        switch_ids=_switches(own),
        customer_id=1,
        tokens=log_in(),
    )


def _midnight(days: int, now: datetime) -> datetime:
    return local_instant(local_date(now, ZONE) + timedelta(days=days), 0, ZONE)


def _text(instant: datetime) -> str:
    return instant.astimezone(ZONE).isoformat()


def _furnish(number: int) -> list[int]:
    """Save shops that are open around the clock, each with prices for every kind of day."""
    kinds = [RoomType(name=name) for name in ("小包", "中包", "大包", "豪包")]
    stores = [_store(each, kinds) for each in range(number)]
    db.session.add_all(kinds)
    for rows in stores:
        db.session.add_all(rows)
        # Store after store, so that the ids of a store's rooms follow one another.
        db.session.flush()
    db.session.commit()
    return [row.id for rows in stores for row in rows if isinstance(row, Store)]


def _store(number: int, kinds: list[RoomType]) -> list[object]:
    store = Store(
        name=f"{number + 1} 号店", city="上海", address=f"南京西路 {number + 1} 号", lat=31.2, lng=121.4
    )
    policy = BookingPolicy(
        store=store,
        min_minutes=30,
        start_step_minutes=15,
        length_step_minutes=15,
        hold_minutes=1440,
        max_open_holds=100_000,
        max_bookings_per_day=100_000,
        cancel_steps=STEPS,
        change_steps=STEPS[:2],
    )
    hours = [OpeningHours(store=store, weekday=day, opens_minute=0, closes_minute=1440) for day in range(7)]
    prices = [
        PriceRule(
            store=store,
            name=name,
            day_kind=kind,
            band_start_minute=start,
            band_end_minute=end,
            amount_fen=amount_fen,
        )
        for name, kind, start, end, amount_fen in PRICES
    ]
    rooms = [
        Room(
            store=store, room_type=kinds[each % len(kinds)], name=f"{each + 1:02}", capacity=4, position=each
        )
        for each in range(ROOMS)
    ]
    return [store, policy, *hours, *prices, *rooms]


def _add_customers(number: int, now: datetime) -> int:
    rows = [{"nickname": f"客人 {each}", "created_at": now} for each in range(number)]
    db.session.execute(Customer.__table__.insert(), rows)
    db.session.commit()
    return number


def _book_model(room_id: int, start_at: datetime, now: datetime) -> tuple[int, int, int]:
    """Book once as a customer does and return the ids of order, line and booking, which are then copied."""
    request = BookingRequest(room_id, start_at, start_at + timedelta(hours=1))
    no = bookings.create_booking(request, actor=customer_actor(1, "客人 0"), now=now)
    order_id = db.session.scalar(select(Order.id).where(Order.no == no))
    line_id = db.session.scalar(select(OrderLine.id).where(OrderLine.order_id == order_id).limit(1))
    booking_id = db.session.scalar(select(Booking.id).where(Booking.order_id == order_id))
    db.session.commit()
    return order_id, line_id, booking_id


def _switches(room_ids: list[int]) -> list[int]:
    """Return the last reserved booking of each room in the window."""
    query = select(Booking.id).where(Booking.state == "reserved").order_by(Booking.start_at.desc()).limit(1)
    return [db.session.scalar(query.where(Booking.room_id == room_id)) for room_id in room_ids]


def log_in() -> list[str]:
    """Open sessions for some customers and return their access tokens."""
    now = utc_now()
    ids = list(db.session.scalars(select(Customer.id).order_by(Customer.id.desc()).limit(LOGINS)))
    pairs = run_in_transaction(lambda: [tokens.open_session(each, now=now) for each in ids])
    return [pair.access_token for pair in pairs]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
