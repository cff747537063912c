"""Units of work: all or nothing, calls after the commit, another try, and what constraints mean."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, OperationalError

from app.domain.errors import (
    Conflict,
    DomainError,
    InvalidTransition,
    LimitReached,
    NotFound,
    RoomTaken,
    SoldOut,
    TeamFull,
    Unavailable,
)
from app.extensions import db
from app.models import Campaign, IdempotencyKey, Room, RoomType
from app.services.unit_of_work import (
    MOST_OVERTAKEN,
    Overtaken,
    after_commit,
    in_unit_of_work,
    refusal_of,
    run_in_transaction,
    savepoint_scope,
    session,
    transactional,
)
from tests import factories

pytestmark = pytest.mark.usefixtures("app")


def names() -> list[str]:
    """The names of the room types that are committed."""
    with db.engine.connect() as connection:
        return list(connection.execute(select(RoomType.name).order_by(RoomType.name)).scalars())


@transactional
def add(name: str, *, error: Exception | None = None) -> None:
    session().add(RoomType(name=name))
    session().flush()
    if error is not None:
        raise error


@pytest.mark.parametrize("error", [NotFound(), ValueError("bad"), KeyboardInterrupt()], ids=repr)
def test_anything_raised_rolls_everything_back(error: Any) -> None:
    with pytest.raises(type(error)):
        add("大包", error=error)

    assert names() == []
    assert not in_unit_of_work()
    add("小包")
    assert names() == ["小包"]


def test_nested_functions_join_the_open_unit() -> None:
    @transactional
    def outer(error: Exception | None) -> None:
        add("first")
        assert in_unit_of_work()
        add("second", error=error)

    with pytest.raises(NotFound):
        outer(NotFound())
    assert names() == []
    outer(None)
    assert names() == ["first", "second"]


def test_calls_wait_for_the_commit() -> None:
    calls: list[list[str]] = []

    def work() -> None:
        add("first")
        after_commit(lambda: calls.append(names()))
        assert calls == []

    run_in_transaction(work)

    assert calls == [["first"]]


def test_calls_of_a_failed_unit_are_dropped() -> None:
    calls: list[str] = []

    def work(error: Exception | None) -> None:
        after_commit(lambda: calls.append("done"))
        if error:
            raise error

    with pytest.raises(NotFound):
        run_in_transaction(lambda: work(NotFound()))
    assert calls == []
    run_in_transaction(lambda: work(None))
    assert calls == ["done"]


def test_savepoint_undoes_its_part_and_its_calls_only() -> None:
    calls: list[str] = []

    def work() -> None:
        add("kept")
        after_commit(lambda: calls.append("kept"))
        with pytest.raises(NotFound), savepoint_scope():
            add("undone")
            after_commit(lambda: calls.append("undone"))
            raise NotFound()

    run_in_transaction(work)

    assert (names(), calls) == (["kept"], ["kept"])


def failure(state: type[psycopg.Error]) -> OperationalError:
    """What SQLAlchemy raises for an error of PostgreSQL."""
    return OperationalError("UPDATE", {}, state())


RETRIED = [psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure]


@pytest.mark.parametrize("state", RETRIED, ids=["deadlock", "serialisation failure"])
def test_a_lost_race_is_tried_once_more(state: type[psycopg.Error]) -> None:
    errors = [failure(state)]
    calls: list[str] = []

    def work() -> str:
        session().add(RoomType(name="大包"))
        session().flush()
        after_commit(lambda: calls.append("done"))
        if errors:
            raise errors.pop()
        return "won"

    assert run_in_transaction(work) == "won"
    assert (names(), calls) == (["大包"], ["done"])


@pytest.mark.parametrize("state", RETRIED, ids=["deadlock", "serialisation failure"])
def test_a_race_lost_twice_is_unavailable(state: type[psycopg.Error]) -> None:
    tries: list[int] = []

    def work() -> None:
        tries.append(1)
        raise failure(state)

    with pytest.raises(Unavailable):
        run_in_transaction(work)
    assert len(tries) == 2


def test_a_lock_that_is_not_given_in_time_is_unavailable() -> None:
    tries: list[int] = []

    def work() -> None:
        tries.append(1)
        raise failure(psycopg.errors.LockNotAvailable)

    with pytest.raises(Unavailable):
        run_in_transaction(work)
    assert len(tries) == 1


def test_errors_that_mean_nothing_to_people_stay_what_they_are() -> None:
    add("大包")
    with pytest.raises(IntegrityError):
        add("大包")
    assert names() == ["大包"]


CONSTRAINTS: list[tuple[str, type[DomainError]]] = [
    ("ex_bookings_room_overlap", RoomTaken),
    ("ck_campaigns_stock_not_oversold", SoldOut),
    ("ck_teams_not_overfull", TeamFull),
    ("ck_payments_refunds_within", LimitReached),
]


@pytest.mark.parametrize(("name", "refusal"), CONSTRAINTS, ids=[row[0] for row in CONSTRAINTS])
def test_named_constraints_are_refusals(name: str, refusal: type[DomainError]) -> None:
    # The text is what SQLite writes for a check or a trigger.
    error = IntegrityError("UPDATE", {}, Exception(f"CHECK constraint failed: {name}"))
    assert type(refusal_of(error)) is refusal


def test_unique_constraints_are_known_by_their_columns_on_sqlite() -> None:
    error = IntegrityError("INSERT", {}, Exception("UNIQUE constraint failed: redemptions.reverses_id"))
    assert type(refusal_of(error)) is InvalidTransition
    other = IntegrityError("INSERT", {}, Exception("UNIQUE constraint failed: orders.no"))
    assert refusal_of(other) is other


def test_check_that_the_database_refuses_is_the_refusal_that_it_means() -> None:
    campaign = factories.make_campaign(factories.make_store(), stock=1)

    def oversell() -> None:
        row = session().get(Campaign, campaign.id)
        assert row is not None
        row.sold_count = 2

    with pytest.raises(SoldOut):
        run_in_transaction(oversell)


def test_row_that_somebody_else_changed_is_a_conflict() -> None:
    room = factories.make_room()

    def edit_late() -> None:
        row = session().get(Room, room.id)
        assert row is not None
        session().execute(Room.__table__.update().values(version=Room.version + 1))
        row.name = "新名字"

    with pytest.raises(Conflict):
        run_in_transaction(edit_late)


def test_unsaved_changes_before_a_unit_are_a_mistake_of_ours(app: Flask, now: datetime) -> None:
    db.session.add(RoomType(name="forgotten"))

    with pytest.raises(AssertionError):
        add("大包")
    db.session.rollback()
    assert names() == []


def test_reads_before_a_unit_are_read_again() -> None:
    add("大包")
    row = db.session.scalars(select(RoomType)).one()
    with db.engine.begin() as connection:
        connection.execute(RoomType.__table__.update().values(name="中包"))
    assert row.name == "大包"

    assert run_in_transaction(lambda: session().scalars(select(RoomType)).one().name) == "中包"


@pytest.mark.parametrize("times", [1, MOST_OVERTAKEN - 1])
def test_work_that_is_overtaken_begins_anew(times: int) -> None:
    tries = []

    @transactional
    def work() -> int:
        tries.append(add("大包"))
        if len(tries) <= times:
            raise Overtaken
        return len(tries)

    assert (work(), names()) == (times + 1, ["大包"])


def test_work_that_is_always_overtaken_may_be_tried_later() -> None:
    @transactional
    def work() -> None:
        add("大包")
        raise Overtaken

    with pytest.raises(Unavailable):
        work()

    assert names() == []


def test_key_that_a_twin_has_just_kept_is_looked_at_again() -> None:
    scope = {"owner": "customer:1", "method": "POST", "path": "/x", "key": "k", "body_hash": "h"}
    runs: list[int] = []

    @transactional
    def keep() -> int:
        found = session().scalars(select(IdempotencyKey)).all()
        runs.append(len(found))
        if len(runs) == 1:
            # As if both had looked before either wrote.
            session().add_all(IdempotencyKey(**scope, created_at=factories.NOW) for _ in range(2))
            session().flush()
        return len(found)

    assert keep() == 0
    assert runs == [0, 0]
