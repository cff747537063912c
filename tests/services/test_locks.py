"""Locks: they keep other writers out, but not rows that merely point to what is locked."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import OperationalError

from app.domain.errors import NotFound
from app.extensions import db
from app.models import Booking, Room
from app.services import booking_rows
from app.services.locks import lock_buyer_and_room, lock_campaign, lock_customer, lock_order, lock_rooms
from app.services.unit_of_work import change_rows, run_in_transaction
from tests import factories
from tests.services.shop import Shop

LOCKED = [
    "SELECT id FROM rooms WHERE id = :room FOR NO KEY UPDATE NOWAIT",
    "SELECT id FROM customers WHERE id = :customer FOR NO KEY UPDATE NOWAIT",
    "SELECT id FROM orders WHERE id = :order FOR NO KEY UPDATE NOWAIT",
    "SELECT id FROM campaigns WHERE id = :campaign FOR NO KEY UPDATE NOWAIT",
]
# An event of the order, a notice to the customer about it, a step in the campaign's funnel.
POINTING = [
    "INSERT INTO order_events (order_id, at, event, actor_kind, actor_name, reason)"
    " VALUES (:order, now(), 'x', 'system', '', '')",
    "INSERT INTO customer_sessions (customer_id, refresh_hash, created_at, expires_at)"
    " VALUES (:customer, 'x', now(), now())",
    "INSERT INTO campaign_events (campaign_id, kind, at) VALUES (:campaign, 'view', now())",
    "INSERT INTO room_blocks (store_id, room_id, start_at, end_at, reason)"
    " VALUES (:store, :room, now(), now() + interval '1 hour', '')",
]


def beside(statement: str, ids: dict[str, int]) -> None:
    """Run a statement on a connection that waits for nobody, and undo it."""
    with db.engine.connect() as connection:
        connection.exec_driver_sql("SET LOCAL lock_timeout = '500ms'")
        connection.execute(text(statement), ids)
        connection.rollback()


def begin_to_write_on_sqlite() -> None:
    with closing(sqlite3.connect(str(db.engine.url.database), timeout=0)) as connection:
        connection.execute("BEGIN IMMEDIATE")


def test_locks_keep_out_writers_only(shop: Shop) -> None:
    order, campaign = shop.order(shop.book()), shop.campaign()
    ids = {"room": shop.room.id, "customer": shop.customer.id, "order": order.id}
    ids |= {"campaign": campaign.id, "store": shop.store.id}

    def lock_all() -> None:
        lock_customer(ids["customer"])
        lock_rooms([ids["room"]])
        lock_order(ids["order"])
        lock_campaign(ids["campaign"])
        if db.engine.dialect.name == "sqlite":
            # One writer at a time; whoever comes beside it is refused at the beginning.
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                begin_to_write_on_sqlite()
            return
        for query in LOCKED:
            with pytest.raises(OperationalError, match="could not obtain lock"):
                beside(query, ids)
        for insert in POINTING:
            beside(insert, ids)

    run_in_transaction(lock_all)


def test_buyer_and_room_are_locked_together(shop: Shop) -> None:
    ids = {"room": shop.room.id, "customer": shop.customer.id}
    before = shop.room.state_version

    def lock_both() -> None:
        lock_buyer_and_room(ids["customer"], ids["room"])
        if db.engine.dialect.name == "postgresql":
            for query in LOCKED[:2]:
                with pytest.raises(OperationalError, match="could not obtain lock"):
                    beside(query, ids)

    run_in_transaction(lock_both)
    assert [room.state_version for room in shop.rows(Room)] == [before + 1]


def test_room_is_left_alone_where_there_is_no_buyer(shop: Shop) -> None:
    before = shop.room.state_version

    run_in_transaction(lambda: lock_buyer_and_room(4711, shop.room.id))

    assert [room.state_version for room in shop.rows(Room)] == [before]


def test_lock_of_a_customer_who_is_not_there(shop: Shop) -> None:
    with pytest.raises(NotFound):
        run_in_transaction(lambda: lock_customer(4711))


def test_a_booking_that_moves_while_its_room_is_waited_for(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its new room is not taken beside the old one, out of order: the work begins anew and takes both."""
    order_id, other = shop.order(shop.book()).id, factories.make_room(shop.store)
    lock, locked = booking_rows.lock_rooms, []

    def lock_late(room_ids: set[int]) -> None:
        locked.append(set(room_ids))
        lock(room_ids)
        if len(locked) == 1:
            change_rows(update(Booking).where(Booking.order_id == order_id).values(room_id=other.id))

    monkeypatch.setattr(booking_rows, "lock_rooms", lock_late)
    order, booking = run_in_transaction(lambda: booking_rows.lock_booking(order_id))

    # The move itself was undone with the first try.
    assert locked == [{shop.room.id}] * 2
    assert (order.id, booking.room_id) == (order_id, shop.room.id)
