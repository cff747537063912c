"""The database itself keeps the bookings of a room disjoint, whoever writes, in plain SQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from app.domain.states import OCCUPYING_STATES, BookingState, OrderKind, OrderStatus
from app.extensions import db
from app.models import Order
from app.models.bookings import OVERLAP_CONSTRAINT
from app.services.numbers import new_number
from app.services.unit_of_work import constraint_name
from tests import factories
from tests.conftest import make_app

INSERT = """
INSERT INTO bookings (
    order_id, store_id, room_id, state, start_at, end_at, busy_from_at, busy_until_at, created_at
)
VALUES (:order_id, :store_id, :room_id, :state, :start_at, :end_at, :busy_from_at, :busy_until_at, :start_at)
"""


class Desk:
    """Writes bookings in plain SQL, around everything that services check."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self.connection, self.now = connection, now
        self.room = factories.make_room()
        self.other_room = factories.make_room(self.room.store)

    def at(self, hours: float) -> str:
        """An instant as the engine keeps it: SQLite compares texts of one width."""
        at = self.now + timedelta(hours=hours)
        is_text = self.connection.dialect.name == "sqlite"
        return f"{at:%Y-%m-%d %H:%M:%S.%f}" if is_text else at.isoformat()

    def insert(
        self,
        start: float,
        end: float,
        state: str = "reserved",
        *,
        buffer: float = 0,
        room_id: int | None = None,
    ) -> int:
        """Insert a booking with *buffer* hours after it and return its id."""
        order = Order(
            no=new_number("B", self.now),
            kind=OrderKind.BOOKING,
            status=OrderStatus.AWAITING_USE,
            store_id=self.room.store_id,
            created_at=self.now,
        )
        db.session.add(order)
        db.session.commit()
        values = {
            "order_id": order.id,
            "store_id": self.room.store_id,
            "room_id": room_id or self.room.id,
            "state": state,
            "start_at": self.at(start),
            "end_at": self.at(end),
            "busy_from_at": self.at(start),
            "busy_until_at": self.at(end + buffer),
        }
        with self.write() as connection:
            connection.execute(text(INSERT), values)
            return connection.execute(text("SELECT max(id) FROM bookings")).scalar_one()

    def update(self, booking_id: int, **values: object) -> None:
        changes = ", ".join(f"{name} = :{name}" for name in values)
        with self.write() as connection:
            connection.execute(
                text(f"UPDATE bookings SET {changes} WHERE id = :id"), {"id": booking_id, **values}
            )

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with self.connection.begin():
            yield self.connection

    def rows(self) -> list[tuple[object, ...]]:
        with self.write() as connection:
            return [tuple(row) for row in connection.execute(text("SELECT * FROM bookings ORDER BY id"))]


@pytest.fixture
def desk(app: Flask, now: datetime) -> Iterator[Desk]:
    with db.engine.connect() as connection:
        yield Desk(connection, now)


@contextmanager
def refused(desk: Desk) -> Iterator[None]:
    """The block breaks the constraint, and no row changes."""
    before = desk.rows()
    with pytest.raises(DBAPIError) as caught:
        yield
    assert constraint_name(caught.value) == OVERLAP_CONSTRAINT
    assert desk.rows() == before


# The first booking lasts from 3 to 5 hours after now and is cleaned until 5.5.
PLACES = [
    ("before", 1, 2, True),
    ("touches the start", 1, 3, True),
    ("overlaps the start", 2, 3.5, False),
    ("same start, shorter", 3, 4, False),
    ("same", 3, 5, False),
    ("inside", 3.5, 4.5, False),
    ("same end", 4, 5, False),
    ("around", 2, 6, False),
    ("overlaps the end", 4.5, 6, False),
    ("enters the cleaning", 5, 6, False),
    ("inside the cleaning", 5.1, 5.2, False),
    ("touches the cleaning", 5.5, 6, True),
    ("after", 7, 8, True),
]


@pytest.mark.parametrize(("label", "start", "end", "is_free"), PLACES, ids=[row[0] for row in PLACES])
def test_insert(desk: Desk, label: str, start: float, end: float, is_free: bool) -> None:
    desk.insert(3, 5, buffer=0.5)

    if is_free:
        desk.insert(start, end)
        assert len(desk.rows()) == 2
    else:
        with refused(desk):
            desk.insert(start, end)


@pytest.mark.parametrize(("label", "start", "end", "is_free"), PLACES, ids=[row[0] for row in PLACES])
def test_move(desk: Desk, label: str, start: float, end: float, is_free: bool) -> None:
    desk.insert(3, 5, buffer=0.5)
    moved = desk.insert(20, 21)
    values = {"start_at": desk.at(start), "end_at": desk.at(end)}
    values |= {"busy_from_at": desk.at(start), "busy_until_at": desk.at(end)}

    if is_free:
        desk.update(moved, **values)
    else:
        with refused(desk):
            desk.update(moved, **values)


def test_insert_between_two(desk: Desk) -> None:
    desk.insert(1, 2)
    desk.insert(4, 5)

    desk.insert(2, 4)
    for start, end in ((1.5, 2), (2, 2.5), (3.9, 4), (1, 5)):
        with refused(desk):
            desk.insert(start, end)


@pytest.mark.parametrize("state", list(BookingState), ids=str)
def test_only_occupying_states_count(desk: Desk, state: BookingState) -> None:
    desk.insert(3, 5, str(state))

    if state in OCCUPYING_STATES:
        with refused(desk):
            desk.insert(4, 6)
    else:
        desk.insert(4, 6)


@pytest.mark.parametrize("state", OCCUPYING_STATES, ids=str)
def test_state_change_into_an_occupied_time(desk: Desk, state: BookingState) -> None:
    gone = desk.insert(3, 5, "released")
    desk.insert(4, 6, str(state))

    for target in OCCUPYING_STATES:
        with refused(desk):
            desk.update(gone, state=str(target))
    desk.update(gone, state="expired")


def test_room_change_into_an_occupied_time(desk: Desk) -> None:
    desk.insert(3, 5)
    elsewhere = desk.insert(4, 6, room_id=desk.other_room.id)

    with refused(desk):
        desk.update(elsewhere, room_id=desk.room.id)


def test_buffers_cannot_be_widened_into_another(desk: Desk) -> None:
    first = desk.insert(3, 5)
    second = desk.insert(6, 7)

    desk.update(first, busy_until_at=desk.at(6))
    with refused(desk):
        desk.update(first, busy_until_at=desk.at(6.01))
    with refused(desk):
        desk.update(second, busy_from_at=desk.at(5.99))


def test_own_row_is_no_obstacle(desk: Desk) -> None:
    only = desk.insert(3, 5)

    desk.update(only, start_at=desk.at(3.5), busy_from_at=desk.at(3.5), busy_until_at=desk.at(5.5))
    desk.update(only, state="in_use")
    desk.update(only, state="ended", end_at=desk.at(4), busy_until_at=desk.at(4))
    desk.insert(4, 5)


def test_span_must_have_an_order(desk: Desk) -> None:
    with pytest.raises(DBAPIError, match="span_order"):
        desk.insert(5, 5)
    with pytest.raises(DBAPIError, match="busy_covers_span"):
        desk.insert(4, 5, buffer=-0.5)
    assert desk.rows() == []


def test_texts_of_another_width_are_refused_on_sqlite(desk: Desk) -> None:
    if db.engine.dialect.name != "sqlite":
        # PostgreSQL has a type for instants; any spelling of one means the same.
        booking = desk.insert(3, 5)
        desk.update(booking, busy_until_at="2026-03-04T17:00+08:00")
        with refused(desk):
            desk.insert(4.9, 6)
        return
    booking = desk.insert(3, 5)
    with refused(desk):
        desk.update(booking, busy_until_at="2026-03-04 09:00:00")


def guards() -> set[str]:
    """The names of what guards the table."""
    with db.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            query = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'bookings'"
        else:
            query = (
                "SELECT conname FROM pg_constraint WHERE conrelid = 'bookings'::regclass AND contype = 'x'"
            )
        return set(connection.execute(text(query)).scalars())


def test_guard_exists_after_the_migrations(app: Flask) -> None:
    is_sqlite = db.engine.dialect.name == "sqlite"
    assert guards() == (
        {f"{OVERLAP_CONSTRAINT}_insert", f"{OVERLAP_CONSTRAINT}_update"}
        if is_sqlite
        else {OVERLAP_CONSTRAINT}
    )


def test_migrations_go_down_and_up_again(fresh_url: str, redis_url: str, tmp_path: Path) -> None:
    app = make_app(fresh_url, redis_url, tmp_path)
    with app.app_context():
        try:
            upgrade()
            tables, names = set(inspect(db.engine).get_table_names()), guards()
            assert names
            downgrade(revision="0001")
            assert guards() == set()
            downgrade(revision="base")
            assert set(inspect(db.engine).get_table_names()) == {"alembic_version"}
            upgrade()
            assert (set(inspect(db.engine).get_table_names()), guards()) == (tables, names)
        finally:
            db.session.remove()
            db.engine.dispose()
