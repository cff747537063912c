"""Loading the example data: once, the same for everybody, at whatever time of day."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, text

from app.domain.actor import ALL_STORES, NO_STORES, staff_actor
from app.domain.slots import local_date
from app.extensions import db, metadata, use_scope
from app.services import walk_ins
from app.services.demo import load_demo
from app.services.store_config import load_store_rooms
from app.services.unit_of_work import session
from tests.conftest import empty_tables
from tests.services.free_hours import ZONE, hours_free

FIRST, LAST = 1, 3


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(datetime(2026, 2, 17, 15, 50, tzinfo=UTC), id="just before midnight of a holiday"),
        pytest.param(datetime(2026, 10, 9, 23, 0, tzinfo=UTC), id="early on a worked Saturday"),
    ],
)
def test_there_are_free_rooms_at_any_time(app: Flask, now: datetime) -> None:
    assert load_demo(now=now)
    for store_id in (FIRST, LAST):
        for offset in range(15):
            on = local_date(now, ZONE) + timedelta(days=offset)
            assert len([hours for hours in hours_free(store_id, on, now) if hours >= 3]) >= 3, on
        assert has_free_room_now(store_id, now)


def has_free_room_now(store_id: int, now: datetime) -> bool:
    """Tell whether staff can let guests in for four hours at once."""
    actor = staff_actor(1, "desk", ALL_STORES)
    quiet = load_store_rooms(store_id)[-1]
    return walk_ins.create_walk_in(quiet.room_id, minutes=240, actor=actor, now=now).startswith("B")


def digest() -> str:
    """Return a hash over what every load of one day must agree in; secrets differ each time."""
    tables = {
        "orders": "no, status, total_fen, paid_fen, refunded_fen, created_at",
        "bookings": "room_id, state, start_at, end_at",
        "payments": "payment_no, transaction_no, amount_fen",
        "refunds": "refund_no, status, amount_fen",
        "vouchers": "code_tail, status, valid_until_at",
        "redemptions": "voucher_id, order_id, redeemed_at",
        "notifications": "dedupe_key, body",
    }
    found = hashlib.sha256()
    for table, columns in tables.items():
        for row in session().execute(text(f"SELECT {columns} FROM {table} ORDER BY id")):
            found.update(repr(tuple(row)).encode())
    return found.hexdigest()


def test_second_load_does_nothing_and_a_fresh_one_is_the_same(app: Flask, now: datetime) -> None:
    assert load_demo(now=now)
    first, counts = digest(), row_counts()
    with use_scope(NO_STORES):
        assert not load_demo(now=now + timedelta(days=1))
    assert row_counts() == counts
    db.session.remove()
    empty_tables()
    assert load_demo(now=now)
    assert digest() == first


def row_counts() -> dict[str, int]:
    """Return how many rows every table has."""
    return {
        table.name: session().execute(select(func.count()).select_from(table)).scalar_one()
        for table in metadata.sorted_tables
    }
