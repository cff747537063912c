"""A store's configuration is kept in the process, and every change of it counts at once, whoever writes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, text

from app.domain.actor import StoreScope
from app.domain.price_books import PriceBook
from app.extensions import db, use_scope
from app.models import (
    BookingPolicy,
    BookingSession,
    CalendarDay,
    DiscountRule,
    OpeningHours,
    PriceRule,
    Room,
    RoomBlock,
    RoomType,
    Store,
)
from app.services import store_config
from app.services.locks import lock_rooms
from app.services.store_config import (
    load_price_book,
    load_room,
    load_room_config,
    load_store_config,
    load_store_rooms,
)
from app.services.unit_of_work import run_in_transaction
from tests import factories
from tests.services.counter import refused
from tests.services.shop import Shop

ON = date(2026, 3, 4)
Make = Callable[[Store, Room], Any]

# One row of each table that configures a store.
ROWS: dict[str, Make] = {
    "rooms": lambda store, room: Room(store_id=store.id, room_type_id=room.room_type_id, name="Another"),
    "room_blocks": lambda store, room: RoomBlock(
        store_id=store.id, room_id=room.id, start_at=factories.NOW, end_at=factories.NOW + timedelta(hours=1)
    ),
    "opening_hours": lambda store, room: OpeningHours(store_id=store.id, on_date=ON, is_closed=True),
    "booking_policies": lambda store, room: BookingPolicy(store_id=store.id, room_id=room.id),
    "booking_sessions": lambda store, room: BookingSession(
        store_id=store.id, name="Night", start_minute=1380, length_minutes=540
    ),
    "price_rules": lambda store, room: PriceRule(store_id=store.id, name="Other", amount_fen=1),
    "discount_rules": lambda store, room: DiscountRule(store_id=store.id, name="Off", off_fen=1),
    "calendar_days": lambda store, room: CalendarDay(store_id=store.id, on_date=ON, kind="holiday"),
}
CHAIN_ROWS: dict[str, Make] = {
    "discount_rules": lambda store, room: DiscountRule(name="Off", off_fen=1),
    "calendar_days": lambda store, room: CalendarDay(on_date=ON, kind="holiday"),
    "room_types": lambda store, room: RoomType(name="Palace"),
}
# They count what happens to a row or to its time, which configures nothing.
COUNTERS = {"id", "version", "updated_at", "state_version", "config_version"}
MODELS: dict[str, Any] = {"stores": Store} | {
    row.__tablename__: row
    for row in (
        Room, RoomBlock, OpeningHours, BookingPolicy, BookingSession, PriceRule, DiscountRule, CalendarDay,
        RoomType,
    )
}  # fmt: skip


def configuring_columns(model: Any) -> list[str]:
    return [column.name for column in model.__table__.columns if column.name not in COUNTERS]


def version_of(store: Store) -> int:
    """What any other connection sees as the store's version."""
    with db.engine.connect() as connection:
        query = text("SELECT config_version FROM stores WHERE id = :id")
        return int(connection.execute(query, {"id": store.id}).scalar_one())


def write(statement: str, **values: Any) -> None:
    """Change rows as another process or a hand with a database shell would."""
    with db.engine.begin() as connection:
        connection.execute(text(statement), values)


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect what the database is asked inside the block."""
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *args: Any) -> None:
        if not statement.startswith("BEGIN"):
            seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


def save(row: Any) -> int:
    db.session.add(row)
    db.session.commit()
    return int(row.id)


@contextmanager
def renewing(*stores: Store, kept: tuple[Store, ...] = ()) -> Iterator[None]:
    """Assert that the block renews the versions of *stores* and leaves those of *kept* alone."""
    before = {store.id: version_of(store) for store in (*stores, *kept)}
    yield
    assert all(version_of(store) != before[store.id] for store in stores)
    assert all(version_of(store) == before[store.id] for store in kept)


@pytest.mark.parametrize("table", ROWS)
def test_every_change_of_a_stores_rows_renews_its_version(shop: Shop, table: str) -> None:
    other = factories.make_store()
    with renewing(shop.store, kept=(other,)):
        row_id = save(ROWS[table](shop.store, shop.room))
    for column in configuring_columns(MODELS[table]):
        with renewing(shop.store, kept=(other,)):
            # Set to what it was: the triggers ask which columns a statement names.
            write(f"UPDATE {table} SET {column} = {column} WHERE id = :id", id=row_id)
    with renewing(shop.store, kept=(other,)):
        write(f"DELETE FROM {table} WHERE id IN (:id)", id=row_id)


@pytest.mark.parametrize("table", CHAIN_ROWS)
def test_every_change_of_the_chains_rows_renews_all_versions(shop: Shop, table: str) -> None:
    other = factories.make_store()
    with renewing(shop.store, other):
        row_id = save(CHAIN_ROWS[table](shop.store, shop.room))
    for column in configuring_columns(MODELS[table]):
        with renewing(shop.store, other):
            write(f"UPDATE {table} SET {column} = {column} WHERE id = :id", id=row_id)
    with renewing(shop.store, other):
        write(f"DELETE FROM {table} WHERE id = :id", id=row_id)


def test_every_column_of_a_store_renews_its_version(shop: Shop) -> None:
    other = factories.make_store()
    for column in configuring_columns(Store):
        with renewing(shop.store, kept=(other,)):
            write(f"UPDATE stores SET {column} = {column} WHERE id = :id", id=shop.store.id)


@pytest.mark.parametrize("table", ["opening_hours", "calendar_days"])
def test_a_row_that_changes_hands_renews_both_stores(shop: Shop, table: str) -> None:
    other, third = factories.make_store(hours=[]), factories.make_store()
    row_id = save(ROWS[table](shop.store, shop.room))
    with renewing(shop.store, other, kept=(third,)):
        write(f"UPDATE {table} SET store_id = :other WHERE id = :id", other=other.id, id=row_id)


def test_bulk_statements_renew_every_store_that_they_touch(shop: Shop) -> None:
    other, third = factories.make_store(hours=[]), factories.make_store(hours=[])
    factories.make_price(other)
    with renewing(shop.store, other, kept=(third,)):
        write("UPDATE price_rules SET amount_fen = amount_fen + 1")
    with renewing(shop.store, other, kept=(third,)):
        write("DELETE FROM price_rules")


def test_bookings_do_not_throw_the_configuration_away(shop: Shop) -> None:
    with renewing(kept=(shop.store,)):
        shop.paid_booking()
        run_in_transaction(lambda: lock_rooms([shop.room.id]))


CHANGES: list[tuple[str, str, Callable[[Shop], Any]]] = [
    ("zone", "UPDATE stores SET time_zone = 'UTC'", lambda shop: load_room(shop.room.id).tz.key),
    ("name", "UPDATE stores SET name = 'Pine'", lambda shop: load_room(shop.room.id).store_name),
    ("cleaning", "UPDATE rooms SET cleaning_minutes = 77", lambda shop: rules_of(shop).buffer_after_minutes),
    ("room out of use", "UPDATE rooms SET is_active = FALSE", lambda shop: load_store_rooms(shop.store.id)),
    ("type", "UPDATE room_types SET name = 'Palace'", lambda shop: load_room(shop.room.id).room_type),
    ("policy", "UPDATE booking_policies SET min_minutes = 90", lambda shop: rules_of(shop).min_minutes),
    ("no policy", "DELETE FROM booking_policies", lambda shop: load_store_config(shop.store.id).policy),
    ("hours", "UPDATE opening_hours SET opens_minute = 1", lambda shop: load_room(shop.room.id).opening),
    ("no hours", "DELETE FROM opening_hours", lambda shop: load_store_config(shop.store.id).opening),
    ("price", "UPDATE price_rules SET amount_fen = 1", lambda shop: load_price_book(shop.store.id).rules),
    ("draft", "UPDATE price_rules SET is_active = FALSE", lambda shop: load_price_book(shop.store.id)),
]


def rules_of(shop: Shop) -> Any:
    return load_room(shop.room.id).policy


@pytest.mark.parametrize(("label", "statement", "ask"), CHANGES, ids=[row[0] for row in CHANGES])
def test_a_change_by_another_process_counts_at_once(
    shop: Shop, label: str, statement: str, ask: Callable[[Shop], Any]
) -> None:
    before = ask(shop)
    db.session.rollback()
    write(statement)
    changed = ask(shop)
    assert changed != before
    # What is kept equals what is loaded anew.
    store_config.config_at.cache_clear()
    assert ask(shop) == changed


def test_what_is_read_is_what_the_triggers_watch(shop: Shop) -> None:
    store_config.config_at.cache_clear()
    with statements() as seen:
        load_store_config(shop.store.id)

    tables = {name for statement in seen for name in re.findall(r"(?:FROM|JOIN) (\w+)", statement)}
    assert tables == MODELS.keys() - {"room_blocks"}


def test_a_warm_read_is_one_statement(shop: Shop) -> None:
    load_store_config(shop.store.id)
    for ask in (
        lambda: load_store_config(shop.store.id),
        lambda: load_room_config(shop.room.id),
        lambda: load_room(shop.room.id),
        lambda: load_store_rooms(shop.store.id),
        lambda: load_price_book(shop.store.id),
    ):
        with statements() as seen:
            ask()
        assert len(seen) == 1


def test_what_was_rolled_back_is_not_kept(shop: Shop) -> None:
    class Undone(Exception):
        pass

    def rename(name: str) -> None:
        db.session.execute(text("UPDATE stores SET name = :name"), {"name": name})
        assert load_store_config(shop.store.id).name == name
        raise Undone

    for name in ("First", "Second"):
        with pytest.raises(Undone):
            run_in_transaction(lambda name=name: rename(name))
        assert load_store_config(shop.store.id).name == shop.store.name


def test_the_scope_of_staff_holds_for_what_is_kept(shop: Shop) -> None:
    other = factories.make_store()
    load_room(shop.room.id)
    with use_scope(StoreScope(store_ids=frozenset({other.id}))):
        for ask in (
            lambda: load_store_config(shop.store.id),
            lambda: load_room_config(shop.room.id),
            lambda: load_room(shop.room.id),
        ):
            with refused("not_found"):
                ask()
        assert load_store_rooms(shop.store.id) == ()
        assert load_price_book(shop.store.id) == PriceBook()
        # Who may see little loads all of it for the others.
        assert load_store_config(other.id).opening
    store_config.config_at.cache_clear()
    with use_scope(StoreScope(store_ids=frozenset({shop.store.id}))):
        narrow = load_store_config(shop.store.id)
    store_config.config_at.cache_clear()
    assert load_store_config(shop.store.id) == narrow


@pytest.mark.parametrize("statement", ["UPDATE stores SET is_active = FALSE", "DELETE FROM rooms"])
def test_what_is_not_in_service_is_not_there(shop: Shop, statement: str) -> None:
    room_id, store_id = shop.room.id, shop.store.id
    load_room(room_id)
    write(statement)
    db.session.rollback()
    with refused("not_found"):
        load_room(room_id)
    assert load_store_rooms(store_id) == ()
    assert load_price_book(store_id).rules


def test_unknown_stores_and_rooms(app: Flask) -> None:
    for ask in (load_store_config, load_room_config, load_room):
        with refused("not_found"):
            ask(4711)
    assert load_store_rooms(4711) == ()


def test_parts_of_a_store(shop: Shop) -> None:
    last = factories.make_room(shop.store, position=9)
    first = factories.make_room(shop.store, position=-1, is_active=False)
    save(BookingSession(store=shop.store, name="Night", start_minute=1380, length_minutes=540))
    save(BookingSession(store=shop.store, name="Old", start_minute=0, length_minutes=60, is_active=False))
    save(BookingPolicy(store=shop.store, room_id=last.id, min_minutes=240))

    config = load_store_config(shop.store.id)

    assert [room.room_id for room in config.rooms] == [shop.room.id, last.id]
    assert config.policy is not None and config.policy.min_minutes == 60
    assert config.room(last.id).policy.min_minutes == 240
    with refused("not_found"):
        config.room(first.id)
    assert [each.name for each in config.sessions] == ["Night"]
    assert config.session(config.sessions[0].id) == config.sessions[0]
    assert config.session(4711) is None
    assert load_room_config(last.id) is config
