"""What the database is asked, and how it finds it: counts and plans, without a clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
from flask import Flask
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from app.domain.slots import Span
from app.extensions import db
from app.models import Store
from app.services import availability, catalog, orders
from app.services.occupancy import read_use
from app.services.store_config import load_store_rooms
from app.services.unit_of_work import reading
from tests import factories
from tests.services.many_bookings import make_chain
from tests.services.shop import Shop

WEEK = timedelta(days=7)
MOST_BUFFERS = 300
# A store with this many bookings in the coming week, of this many in all.
IN_WEEK, IN_ALL = 2_000, 100_000


@contextmanager
def statements() -> Iterator[list[tuple[str, Any]]]:
    """Collect what the database is asked inside the block, with its values."""
    seen: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, values: Any, *args: Any) -> None:
        if not statement.startswith("BEGIN"):
            seen.append((statement, values))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


def count(work: Callable[[], Any]) -> int:
    """How many statements a request costs once the process knows the store."""
    work()
    db.session.remove()
    with statements() as seen:
        work()
    db.session.remove()
    return len(seen)


def test_reading_availability_costs_two_statements_at_most(shop: Shop) -> None:
    for _ in range(3):
        factories.make_room(shop.store)
    shop.book(3, 2)
    window = {"from_at": shop.now, "to_at": shop.at(48), "now": shop.now}
    store_id, room_id = shop.store.id, shop.room.id
    far = {"from_at": shop.at(200), "to_at": shop.at(300), "now": shop.now}
    for ask in (
        lambda: availability.read_store_availability(store_id, **window),
        lambda: availability.read_room_availability(room_id, **window),
        lambda: availability.read_store_availability(store_id, **far),
    ):
        availability.forget_kept()
        tag = ask().tag
        assert count(lambda ask=ask: (availability.forget_kept(), ask())) == 2
        assert count(ask) == 1
        assert tag == ask().tag


def test_what_a_client_knows_costs_one_statement(shop: Shop) -> None:
    window = {"from_at": shop.now, "to_at": shop.at(48), "now": shop.now}
    store_id, room_id = shop.store.id, shop.room.id
    for read, which in (
        (availability.read_store_availability, store_id),
        (availability.read_room_availability, room_id),
    ):
        tag = read(which, **window).tag
        # Another process answers, which has painted nothing yet.
        availability.forget_kept()
        with statements() as seen:
            assert read(which, **window, known=[tag]).body is None
        assert len(seen) == 1


LISTS: list[tuple[str, int, Callable[[Shop], Any]]] = [
    ("month", 2, lambda s: availability.get_room_calendar(s.room.id, month="2026-03", now=s.now)),
    ("stores", 3, lambda s: catalog.list_stores(now=s.now)),
    ("rooms", 4, lambda s: catalog.list_rooms(s.store.id, now=s.now)),
    ("room", 4, lambda s: catalog.get_room(s.room.id, now=s.now)),
    ("store", 6, lambda s: catalog.get_store(s.store.id, now=s.now)),
]


@pytest.mark.parametrize(("label", "most", "ask"), LISTS, ids=[row[0] for row in LISTS])
def test_lists_cost_a_handful_however_long(
    shop: Shop, label: str, most: int, ask: Callable[[Shop], Any]
) -> None:
    # Attributes of these are read in every call; they are no part of the request.
    db.session.refresh(shop.store)
    db.session.refresh(shop.room)
    db.session.expunge(shop.store)
    db.session.expunge(shop.room)
    few = count(lambda: ask(shop))
    for number in range(5):
        store = db.session.get_one(Store, shop.store.id)
        factories.make_room(store)
        factories.make_price(store, 100 + number)
        factories.make_room()
    assert few == count(lambda: ask(shop)) <= most


def test_a_customers_orders_cost_the_same_however_many(shop: Shop) -> None:
    def ask() -> Any:
        return orders.list_orders(customer_id=shop.customer.id, now=shop.now)

    campaign = shop.campaign()
    for number in range(2):
        shop.paid_booking(3 + 24 * number)
        no = shop.group_order(campaign)
        shop.pay(no)
    assert len(ask()["items"]) == 4
    few = count(ask)
    for number in range(2, 6):
        shop.paid_booking(3 + 24 * number)
        shop.pay(shop.group_order(campaign))
    assert len(ask()["items"]) == 12
    assert count(ask) == few <= 13


def plan_of(seen: list[tuple[str, Any]], place: int) -> list[str]:
    """How SQLite answers one of the statements."""
    statement, values = seen[place]
    with db.engine.connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        return [row[3] for row in rows]


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every node of a plan of PostgreSQL."""
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes_of(child)


def explain(seen: list[tuple[str, Any]], *, is_generic: bool = False) -> list[dict[str, Any]]:
    """Run statements again on PostgreSQL and return their plans with what they touched."""
    found = []
    with db.engine.connect() as connection:
        if is_generic:
            connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
        for statement, values in seen:
            ask = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
            rows = connection.exec_driver_sql(ask, values).scalar_one()
            found.append(rows[0]["Plan"])
    return found


def read_week(store: Store, now: datetime) -> list[tuple[str, Any]]:
    """Read a store's coming week anew and return what was asked."""
    availability.forget_kept()
    store_id = store.id
    availability.read_store_availability(store_id, from_at=now, to_at=now + WEEK, now=now)
    availability.forget_kept()
    db.session.remove()
    with statements() as seen:
        answer = availability.read_store_availability(store_id, from_at=now, to_at=now + WEEK, now=now)
    body = orjson.loads(answer.body or b"")
    reserved = [span for room in body["rooms"] for span in room["spans"] if span["state"] == "reserved"]
    assert len(reserved) >= IN_WEEK - 20
    return seen


def check_plans(now: datetime, bookings: int) -> None:
    """Assert that reading a week of a store stays small among so many bookings."""
    store = make_chain(now, bookings)
    seen = read_week(store, now)
    assert len(seen) == 2
    if db.engine.dialect.name == "sqlite":
        plan = plan_of(seen, 1)
        assert not [line for line in plan if line.startswith("SCAN bookings")], plan
        # By the index, or the single rows that it named.
        found = [line for line in plan if line.startswith("SEARCH bookings")]
        assert all("ix_bookings_room_busy" in line or "INTEGER PRIMARY KEY" in line for line in found), plan
        return
    plans = [*explain(seen), *explain(seen[1:], is_generic=True)]
    for plan in plans:
        scans = [node for node in nodes_of(plan) if node.get("Relation Name") == "bookings"]
        assert not [node for node in scans if node["Node Type"] == "Seq Scan"], scans
        touched = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        assert touched <= MOST_BUFFERS, plan
    # Hence what is shown was read from the index alone.
    assert {node["Node Type"] for node in nodes_of(plans[1]) if node.get("Relation Name") == "bookings"} == {
        "Index Only Scan"
    }


def test_a_week_stays_small_among_many_bookings(app: Flask, now: datetime) -> None:
    check_plans(now, IN_ALL)


@pytest.mark.prove
def test_a_week_stays_small_among_a_million_bookings(app: Flask, now: datetime) -> None:
    check_plans(now, 1_000_000)


def test_the_control_finds_a_scan_without_the_index(app: Flask, now: datetime) -> None:
    """Without the index that all this rests on, the same check fails."""
    store = make_chain(now, IN_WEEK * 3, stores=3)
    seen = read_week(store, now)
    dropped = ["DROP INDEX ix_bookings_room_busy"]
    if db.engine.dialect.name == "postgresql":
        dropped.append("ALTER TABLE bookings DROP CONSTRAINT ex_bookings_room_overlap")
    with db.engine.connect() as connection:
        for statement in dropped:
            connection.execute(text(statement))
        if connection.dialect.name == "sqlite":
            # It is told to take the index, so it rather says no than read the whole table.
            with pytest.raises(OperationalError, match="no such index"):
                connection.exec_driver_sql(seen[1][0], seen[1][1])
        else:
            ask = f"EXPLAIN (ANALYZE, FORMAT JSON) {seen[1][0]}"
            plan = connection.exec_driver_sql(ask, seen[1][1]).scalar_one()[0]["Plan"]
            assert any(node["Node Type"] == "Seq Scan" for node in nodes_of(plan))
        connection.rollback()


@pytest.mark.parametrize(("label", "days"), [("long ago", -60), ("far ahead", 200)])
def test_other_times_cost_no_more(app: Flask, now: datetime, label: str, days: int) -> None:
    """Neither the past in front of a window nor the future behind it is read."""
    store = make_chain(now, IN_WEEK * 9, stores=1)
    ids = [room.room_id for room in load_store_rooms(store.id)]
    start = now + timedelta(days=days)
    with statements() as seen, reading() as connection:
        read_use(connection, ids, Span(start, start + timedelta(days=1)), now=now)
    db.session.remove()
    if db.engine.dialect.name == "postgresql":
        (plan,) = explain(seen[-1:])
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= MOST_BUFFERS, plan
    else:
        plan_lines = plan_of(seen, -1)
        assert any("busy_until_at>? AND busy_until_at<?" in line for line in plan_lines), plan_lines


def test_a_booking_reads_its_customer_not_the_table(app: Flask, shop: Shop) -> None:
    """SQLite plans by the shape of indexes alone, so a small table shows what a large one gets."""
    with statements() as seen:
        shop.book(3, 2)
    connection = db.session.connection()
    (asked,) = [pair for pair in seen if "is_blacklisted" in pair[0] and "AS mine" in pair[0]]
    if db.engine.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked[0]}", asked[1]).all()
        plan = [str(row[3]) for row in rows]
    else:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = [str(row[0]) for row in connection.exec_driver_sql(f"EXPLAIN {asked[0]}", asked[1])]
    assert any("bookings" in line for line in plan)
    bad = ("SCAN bookings", "Seq Scan on bookings", "ix_bookings_change_id", "ix_bookings_state_end_at")
    assert [line for line in plan if any(sign in line for sign in bad)] == []
