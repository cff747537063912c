"""Bare SQL beside the product: one query for a week, guarded inserts for a booking; no rules, no HTTP."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import cycle
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any

import psycopg

from benchmarks.load import Sample
from benchmarks.sites import Site

OCCUPYING = "('held', 'reserved', 'in_use', 'ended')"
WEEK_POSTGRESQL = f"""
SELECT json_agg(json_build_object('room_id', room_id, 'spans', spans)) FROM (
  SELECT room_id, json_agg(json_build_object('start_at', busy_from_at, 'end_at', busy_until_at,
    'state', state) ORDER BY busy_from_at) AS spans
  FROM bookings WHERE room_id = ANY(%(rooms)s) AND state IN {OCCUPYING}
    AND busy_until_at > %(start)s AND busy_from_at < %(end)s GROUP BY room_id) AS by_room
"""
WEEK_SQLITE = f"""
SELECT json_group_array(json_object('room_id', room_id, 'spans', json(spans))) FROM (
  SELECT room_id, json_group_array(json_object('start_at', busy_from_at, 'end_at', busy_until_at,
    'state', state)) AS spans
  FROM bookings WHERE room_id IN (SELECT value FROM json_each(:rooms)) AND state IN {OCCUPYING}
    AND busy_until_at > :start AND busy_from_at < :end GROUP BY room_id)
"""
# What no table can do without, under the lock that keeps deadlocks away.
LOCK = "UPDATE rooms SET state_version = state_version + 1 WHERE id = {room}"
ORDER = """
INSERT INTO orders (no, kind, status, source, customer_id, store_id, quantity, base_fen, extra_fen,
  discount_fen, total_fen, paid_fen, refunded_fen, cancel_fee_fen, policy, note, created_at, expires_at)
SELECT {no}, 'booking', 'pending_payment', 'mini_program', {customer}, rooms.store_id, 1, 6000, 0, 0,
  6000, 0, 0, 0, '{{}}', '', {now}, {now} FROM rooms WHERE rooms.id = {room} RETURNING id
"""
BOOKING = """
INSERT INTO bookings (order_id, store_id, room_id, state, start_at, end_at, busy_from_at, busy_until_at,
  hold_expires_at, created_at)
SELECT {order}, rooms.store_id, rooms.id, 'held', {start}, {end}, {start}, {until}, {now}, {now}
FROM rooms WHERE rooms.id = {room}
"""
SWITCH = (
    "UPDATE bookings SET state = CASE state WHEN 'reserved' THEN 'released' ELSE 'reserved' END WHERE id ="
)
# Far behind everything that customers may book, so that both can work in one table.
FIRST_YEARS = timedelta(days=3650)
PITCH_MINUTES = 75
# Everybody whom the seeding makes at least.
CUSTOMERS = 50
# Places that one process of one round may use up.
BLOCK = 100_000

Work = Callable[[int], None]
MakeWork = Callable[[], Work]
_rounds = iter(range(1, 10_000))


def next_block() -> int:
    """Return the first number of places that no round before has used."""
    return next(_rounds) * 64 * BLOCK


class Bare:
    """A contender of processes that speak to the database with its driver, each on its own connection."""

    def __init__(self, make_work: Callable[[Site], Work], site: Site) -> None:
        self._make_work = partial(make_work, site)

    def measure(self, clients: int, seconds: float) -> Sample:
        """Run so many processes for so long."""
        context = multiprocessing.get_context("fork")
        barrier = context.Barrier(clients + 1)
        first = next_block()
        pipes, processes = [], []
        for number in range(clients):
            receiver, sender = context.Pipe(duplex=False)
            arguments = (self._make_work, first + number * BLOCK, seconds, barrier, sender)
            processes.append(context.Process(target=_work, args=arguments, daemon=True))
            pipes.append(receiver)
        for process in processes:
            process.start()
        barrier.wait(60)
        begun = time.perf_counter()
        latencies = [latency for pipe in pipes for latency in pipe.recv()]
        passed = time.perf_counter() - begun
        for process in processes:
            process.join()
        return Sample(passed, latencies, Counter({200: len(latencies)}))


def _work(make_work: MakeWork, first: int, seconds: float, barrier: Barrier, pipe: Connection) -> None:
    work = make_work()
    work(first)
    latencies = []
    barrier.wait(60)
    end = time.perf_counter() + seconds
    for number in range(first + 1, first + BLOCK):
        started = time.perf_counter()
        if started >= end:
            break
        work(number)
        latencies.append(time.perf_counter() - started)
    pipe.send(latencies)


def connect_sqlite(site: Site) -> sqlite3.Connection:
    """Open the site's file as the product does."""
    connection = sqlite3.connect(site.database, timeout=15, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def week_of(site: Site) -> Work:
    """Return work that reads a week of the store as JSON."""
    start, end = (datetime.fromisoformat(text) for text in site.facts.window)
    rooms = site.facts.room_ids
    if site.engine == "postgresql":
        connection = psycopg.connect(site.database, autocommit=True)
        values: dict[str, Any] = {"rooms": rooms, "start": start, "end": end}
        return lambda number: _read(connection.execute(WEEK_POSTGRESQL, values))
    embedded = connect_sqlite(site)
    texts = {"rooms": json.dumps(rooms), "start": sqlite_text(start), "end": sqlite_text(end)}
    return lambda number: _read(embedded.execute(WEEK_SQLITE, texts))


def _read(cursor: Any) -> None:
    assert cursor.fetchone()[0], "the week is empty"


def sqlite_text(instant: datetime) -> str:
    """Return an instant in the form in which the product's columns keep it."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def create_unsafe(site: Site) -> Work:
    """As `create_of` on SQLite, without waiting until the disk has a booking: what the engine can do."""
    return create_of(site, synchronous="OFF")


def create_of(site: Site, *, synchronous: str = "FULL") -> Work:
    """Return work that books one place under the guard of the database."""
    rooms, begin = site.facts.sale_room_ids, datetime.fromisoformat(site.facts.first_free_at) + FIRST_YEARS

    def values_of(number: int) -> dict[str, Any]:
        start = begin + number // len(rooms) * timedelta(minutes=PITCH_MINUTES)
        return {
            "room": rooms[number % len(rooms)],
            "no": f"X{number}",
            "customer": 1 + number % CUSTOMERS,
            "now": begin,
            "start": start,
            "end": start + timedelta(hours=1),
            "until": start + timedelta(minutes=PITCH_MINUTES),
        }

    run = _create_postgresql(site) if site.engine == "postgresql" else _create_sqlite(site, synchronous)
    return lambda number: run(values_of(number))


def _create_postgresql(site: Site) -> Callable[[dict[str, Any]], None]:
    connection = psycopg.connect(site.database)
    lock, order, booking = (_named(statement, "%({})s") for statement in (LOCK, ORDER, BOOKING))

    def create(values: dict[str, Any]) -> None:
        connection.execute(lock, values)
        (values["order"],) = connection.execute(order, values).fetchone() or (None,)
        connection.execute(booking, values)
        connection.commit()

    return create


def _create_sqlite(site: Site, synchronous: str) -> Callable[[dict[str, Any]], None]:
    connection = connect_sqlite(site)
    connection.execute(f"PRAGMA synchronous={synchronous}")
    lock, order, booking = (_named(statement, ":{}") for statement in (LOCK, ORDER, BOOKING))

    def create(values: dict[str, Any]) -> None:
        values |= {name: sqlite_text(values[name]) for name in ("now", "start", "end", "until")}
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(lock, values)
        (values["order"],) = connection.execute(order, values).fetchone()
        connection.execute(booking, values)
        connection.execute("COMMIT")

    return create


NAMES = ("room", "order", "no", "customer", "now", "start", "end", "until")


def _named(statement: str, style: str) -> str:
    """Put a driver's placeholders into a statement."""
    return statement.format(**{name: style.format(name) for name in NAMES})


class Switch:
    """Changes one booking in the window at each call: the rooms' take turns to be let go and booked again.

    It writes what the product would write, so that no cache may answer the next read as the one before.
    """

    def __init__(self, stack: ExitStack, site: Site) -> None:
        self._site = site
        self._turns = cycle(range(len(site.facts.switch_ids)))
        is_postgresql = site.engine == "postgresql"
        self._change = self._postgresql(stack) if is_postgresql else self._sqlite(stack)

    def __call__(self) -> None:
        """Change the next room's booking."""
        self.room(next(self._turns))

    def room(self, index: int) -> None:
        """Change the booking of the room of this index."""
        self._change(self._site.facts.switch_ids[index])

    def _postgresql(self, stack: ExitStack) -> Work:
        connection = stack.enter_context(psycopg.connect(self._site.database, autocommit=True))
        statement = f"""WITH changed AS ({SWITCH} %s RETURNING room_id)
            UPDATE rooms SET state_version = state_version + 1 FROM changed
            WHERE rooms.id = changed.room_id"""

        def change(booking_id: int) -> None:
            connection.execute(statement.encode(), [booking_id], prepare=True)

        return change

    def _sqlite(self, stack: ExitStack) -> Work:
        connection = stack.enter_context(closing(connect_sqlite(self._site)))
        connection.execute("PRAGMA synchronous=OFF")

        def change(booking_id: int) -> None:
            connection.execute("BEGIN IMMEDIATE")
            (room,) = connection.execute(f"{SWITCH} ? RETURNING room_id", [booking_id]).fetchall()[0]
            connection.execute(LOCK.format(room="?"), [room])
            connection.execute("COMMIT")

        return change
