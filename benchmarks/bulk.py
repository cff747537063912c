"""Many bookings at once: copies of one real order, spread over rooms and time by SQL, on either engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, inspect, text

# In the window: three hours with their cleaning close together every five hours, so 100 fit into a week.
# Before it: one every two hours.
CLOSE_SECONDS, CLUSTER_SECONDS, PAST_PITCH_SECONDS = 4_500, 18_000, 7_200
CLEANING_SECONDS, HOUR = 900, 3_600
MOST_PER_ROOM_IN_WINDOW = 100

STRAYS = """
SELECT count(*) FROM bookings AS b LEFT JOIN rooms AS r ON r.id = b.room_id AND r.store_id = b.store_id
LEFT JOIN orders AS o ON o.id = b.order_id AND o.store_id = b.store_id
LEFT JOIN order_lines AS l ON l.order_id = o.id LEFT JOIN customers AS c ON c.id = o.customer_id
WHERE r.id IS NULL OR o.id IS NULL OR l.id IS NULL OR c.id IS NULL
"""
# One row for each booking: where, the how manieth there, whose, when, and how far it has come.
PLAN = """
INSERT INTO bench_plan (n, room, k, customer, start_s, end_s, state)
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :total)
SELECT n,
  CASE WHEN n <= :own THEN n % :own_rooms
    WHEN n <= :own + :others THEN :own_rooms + n % (:rooms - :own_rooms) ELSE n % :rooms END,
  CASE WHEN n <= :own THEN (n - 1) / :own_rooms
    WHEN n <= :own + :others THEN (n - 1 - :own) / (:rooms - :own_rooms)
    ELSE (n - 1 - :own - :others) / :rooms END,
  1 + (n % :customers) * 7919 % :customers,
  0, 0,
  CASE WHEN n <= :own + :others THEN CASE WHEN n % 9 = 0 THEN 'held' ELSE 'reserved' END
    WHEN n % 19 = 0 THEN 'released' WHEN n % 23 = 0 THEN 'expired' ELSE 'ended' END
FROM numbers
"""
TIMES = """
UPDATE bench_plan SET
  start_s = CASE WHEN n <= :own + :others THEN :window_s + (k / 3) * :cluster + (k % 3) * :close
    ELSE :past_s - (1 + k) * :past_pitch END
"""
ENDS = """
UPDATE bench_plan
SET end_s = start_s + :hour + CASE WHEN start_s < :past_s THEN (n % 2) * 1800 ELSE 0 END
"""

LIVE = "p.state IN ('held', 'reserved')"
PAID = "p.state IN ('reserved', 'ended')"
STATUS = """CASE p.state WHEN 'held' THEN 'pending_payment' WHEN 'reserved' THEN 'awaiting_use'
  WHEN 'ended' THEN 'completed' ELSE 'cancelled' END"""


@dataclass(frozen=True)
class Plan:
    """What is to be made; the first `own_rooms` rooms are those of the store under test."""

    room_ids: list[int]
    own_rooms: int
    stores_first_id: int
    customers: int
    in_window: int
    total: int
    window_at: datetime
    now: datetime

    @property
    def numbers(self) -> dict[str, int]:
        """The parameters of the statements; instants are whole seconds since 1970."""
        rooms = len(self.room_ids)
        # Other shops have a future too, as dense as the one under test at most.
        others = min(self.total // 10, MOST_PER_ROOM_IN_WINDOW * (rooms - self.own_rooms))
        window_s = int(self.window_at.timestamp())
        return {
            "total": self.total,
            "own": self.in_window,
            "others": others,
            "own_rooms": self.own_rooms,
            "rooms": rooms,
            "customers": self.customers,
            "window_s": window_s,
            # Everything is over by yesterday's midnight.
            "past_s": window_s - 2 * 86_400,
            "cluster": CLUSTER_SECONDS,
            "close": CLOSE_SECONDS,
            "past_pitch": PAST_PITCH_SECONDS,
            "hour": HOUR,
        }


def copy_bookings(db: Any, plan: Plan, *, models: Mapping[str, int]) -> None:
    """Save the bookings of *plan* with their orders and lines, as changed copies of the rows *models*."""
    first, last = plan.room_ids[0], plan.room_ids[-1]
    assert last - first + 1 == len(plan.room_ids), "the ids of rooms follow one another"
    with db.engine.connect() as connection:
        _make_plan(connection, plan)
        if connection.dialect.name == "postgresql":
            # Looking up every reference would double the time; _check does it once for all.
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        for table in ("orders", "order_lines", "bookings"):
            _copy(connection, table, models[table], _changes(connection, table, plan))
        _check(connection)
        connection.execute(text("DROP TABLE bench_plan"))
        connection.commit()
        _settle(connection)


def _make_plan(connection: Connection, plan: Plan) -> None:
    columns = "n INTEGER PRIMARY KEY, room INTEGER, k INTEGER, customer INTEGER"
    columns += ", start_s BIGINT, end_s BIGINT, state TEXT"
    connection.execute(text(f"CREATE TEMPORARY TABLE bench_plan ({columns})"))
    for statement in (PLAN, TIMES, ENDS):
        wanted = {name: value for name, value in plan.numbers.items() if f":{name}" in statement}
        connection.execute(text(_literal(statement, wanted)))


def _literal(statement: str, values: Mapping[str, int]) -> str:
    """Write numbers into the text: drivers would guess types that arithmetic does not bear."""
    for name in sorted(values, key=len, reverse=True):
        statement = statement.replace(f":{name}", str(values[name]))
    return statement


def _copy(connection: Connection, table: str, model_id: int, changes: Mapping[str, str]) -> None:
    columns = [column["name"] for column in inspect(connection).get_columns(table)]
    assert set(changes) <= set(columns), sorted(set(changes) - set(columns))
    values = ", ".join(changes.get(name, f"t.{name}") for name in columns)
    connection.execute(
        text(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM bench_plan AS p"
            f" CROSS JOIN {table} AS t WHERE t.id = {model_id} ORDER BY p.n"
        )
    )


def _check(connection: Connection) -> None:
    """Raise unless every booking belongs to a room of its store, a customer's order and its line."""
    strays = connection.scalar(text(STRAYS))
    assert strays == 0, f"{strays} bookings belong to nothing"


def _changes(connection: Connection, table: str, plan: Plan) -> dict[str, str]:
    """Return what a copy has of its own: column -> SQL."""
    at = _postgresql_instant if connection.dialect.name == "postgresql" else _sqlite_instant
    first_room, numbers = plan.room_ids[0], plan.numbers
    hold = at(str(int(plan.now.timestamp()) + 86_400))
    start, end, until = at("p.start_s"), at("p.end_s"), at(f"p.end_s + {CLEANING_SECONDS}")
    # Bought two days before, but never in the future.
    bought = f"CASE WHEN p.start_s < {numbers['past_s']} THEN p.start_s ELSE {numbers['past_s']} END - 172800"
    base = connection.scalar(text("SELECT max(id) FROM orders"))
    if table != "orders":
        base -= numbers["total"]
    order_id = f"p.n + {base}"
    store = f"{plan.stores_first_id} + p.room / {plan.own_rooms}"
    paid_at = f"CASE WHEN {PAID} THEN {at(bought)} END"
    hold_at = f"CASE WHEN p.state = 'held' THEN {hold} END"
    by_table = {
        "orders": {
            "id": order_id,
            "no": "'S' || (p.n + 1000000000)",
            "status": STATUS,
            "customer_id": "p.customer",
            "store_id": store,
            "paid_fen": f"CASE WHEN {PAID} THEN t.total_fen ELSE 0 END",
            "created_at": at(bought),
            "expires_at": hold_at,
            "paid_at": paid_at,
            "finished_at": f"CASE WHEN NOT {LIVE} THEN {end} END",
        },
        "order_lines": {
            "id": _next_id(connection, "order_lines"),
            "order_id": order_id,
            "start_at": start,
            "end_at": end,
        },
        "bookings": {
            "id": _next_id(connection, "bookings"),
            "order_id": order_id,
            "store_id": store,
            "room_id": f"{first_room} + p.room",
            "state": "p.state",
            "start_at": start,
            "end_at": end,
            "busy_from_at": start,
            "busy_until_at": until,
            "hold_expires_at": hold_at,
            "created_at": at(bought),
        },
    }
    return by_table[table]


def _next_id(connection: Connection, table: str) -> str:
    return f"p.n + {connection.scalar(text(f'SELECT max(id) FROM {table}'))}"


def _postgresql_instant(seconds: str) -> str:
    return f"to_timestamp({seconds})"


def _sqlite_instant(seconds: str) -> str:
    # The one fixed-width form of instants: the triggers insist on it.
    return f"(strftime('%Y-%m-%d %H:%M:%S', {seconds}, 'unixepoch') || '.000000')"


def _settle(connection: Connection) -> None:
    """Leave the database as it is after weeks of use: sequences behind the ids, statistics taken.

    SQLite gets no statistics, because nothing in production takes them there.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return
    for table in ("orders", "order_lines", "bookings"):
        connection.execute(text(f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))"))
    connection.commit()
    connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM ANALYZE")
