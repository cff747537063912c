"""A chain with very many bookings, written by the database itself in a few statements."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from app.extensions import db
from app.models import Order, OrderSource, Store
from app.models.types import UtcDateTime
from tests import factories

STORES, ROOMS = 50, 20
PER_ROOM_AND_WEEK = 100
# A week in so many stays: 90 minutes and what is left between them.
PACE = timedelta(days=7) / PER_ROOM_AND_WEEK

NUMBERS = "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {count})"
LATER = {
    "postgresql": "CAST(:until AS timestamptz) - make_interval(mins => :pace * (n / :rooms + 1) - {plus})",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%S.000000', :until,"
    " (({plus} - :pace * (n / :rooms + 1)) || ' minutes'))",
}
FILL = """
{numbers}
INSERT INTO bookings (order_id, store_id, room_id, state, start_at, end_at, busy_from_at, busy_until_at,
                      created_at)
SELECT :order, r.store_id, r.id, 'reserved', {start}, {end}, {start}, {end}, :now
FROM numbers JOIN (SELECT id, store_id, row_number() OVER (ORDER BY id) - 1 AS place FROM rooms) AS r
  ON r.place = n % :rooms
ORDER BY n DESC
"""


def make_chain(now: datetime, count: int, *, stores: int = STORES) -> Store:
    """Save *stores* stores of 20 rooms with *count* bookings in all and return one in the middle.

    Every room has a stay each 100.8 minutes up to a week from now, so 2,000 lie in a store's coming week as
    soon as *count* is 2,000 for each store. Rows lie in the order of time, those of one room far apart.
    """
    chain = [factories.make_store() for _ in range(stores)]
    for store in chain:
        factories.make_policy(store, max_ahead_days=30)
        factories.make_price(store)
    room_type = factories.make_room_type()
    order = Order(
        no="B1", kind="booking", status="awaiting_use", source=OrderSource.COUNTER, created_at=now, policy={}
    )
    db.session.add(order)
    db.session.commit()
    with db.engine.begin() as connection:
        _make_rooms(connection, room_type.id, now)
        _make_bookings(connection, order.id, now, count, stores * ROOMS)
    _gather_statistics()
    return chain[stores // 2]


def _make_rooms(connection: Connection, room_type_id: int, now: datetime) -> None:
    connection.execute(
        text(
            NUMBERS.format(count=ROOMS)
            + " INSERT INTO rooms (store_id, room_type_id, name, capacity, decor_style, description,"
            " cleaning_minutes, position, is_active, state_version, version, updated_at)"
            " SELECT s.id, :type, CAST(n AS varchar), 4, '', '', 0, n, TRUE, 0, 1, :now"
            " FROM stores AS s CROSS JOIN numbers ORDER BY s.id, numbers.n"
        ).bindparams(type=room_type_id, now=_stored(connection, now))
    )


def _make_bookings(connection: Connection, order_id: int, now: datetime, count: int, rooms: int) -> None:
    later = LATER[connection.dialect.name]
    statement = FILL.format(
        numbers=NUMBERS.format(count=count), start=later.format(plus=0), end=later.format(plus=90)
    )
    values = {
        "order": order_id,
        "rooms": rooms,
        "pace": int(PACE.total_seconds() // 60),
        "until": _stored(connection, now + timedelta(days=7)),
        "now": _stored(connection, now),
    }
    connection.execute(text(statement), values)


def _stored(connection: Connection, at: datetime) -> object:
    """SQLite keeps instants as text of one width."""
    at = UtcDateTime().process_bind_param(at, connection.dialect) or at
    return at.strftime("%Y-%m-%d %H:%M:%S.%f") if connection.dialect.name == "sqlite" else at


def _gather_statistics() -> None:
    """Do what PostgreSQL does by itself soon after so many rows, and SQLite never does."""
    if db.engine.dialect.name == "postgresql":
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM (ANALYZE) bookings, rooms, stores")
