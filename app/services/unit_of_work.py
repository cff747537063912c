"""One transaction for each use case, with what the database refused turned into refusals of ours."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar, cast

from sqlalchemy import Connection, CursorResult, Engine, Executable
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from app.domain.errors import (
    DomainError,
    InvalidTransition,
    LimitReached,
    RoomTaken,
    ShiftAlreadyOpen,
    SlipUsed,
    SoldOut,
    TeamFull,
    Unavailable,
)
from app.extensions import db, standing_alone, writing
from app.models.bookings import OVERLAP_CONSTRAINT

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_SQLITE_UNIQUE = re.compile(r"UNIQUE constraint failed: (?P<columns>\w+\.\w+(, \w+\.\w+)*)")

_ACTIVE = "unit_of_work"
_AFTER_COMMIT = "after_commit_calls"

# The database has the last word; this is what its named constraints mean to people.
CONSTRAINT_REFUSALS: dict[str, type[DomainError]] = {
    OVERLAP_CONSTRAINT: RoomTaken,
    "ck_campaigns_stock_not_oversold": SoldOut,
    "ck_teams_not_overfull": TeamFull,
    "ck_payments_refunds_within": LimitReached,
    "uq_redemptions_reverses_id": InvalidTransition,
    "uq_shifts_one_open": ShiftAlreadyOpen,
    "uq_counter_entries_slip_key": SlipUsed,
}

# Partial unique indexes have names of their own; SQLite tells their columns only.
_NAMED_INDEXES = {"uq_shifts_cashier_id_store_id": "uq_shifts_one_open"}

# Deadlock, serialisation failure and lock time-out: another try may well succeed.
_RETRIED_SQLSTATES = {"40P01", "40001"}
# A twin has just kept its answer under the same key: the next try finds it.
_RETRIED_CONSTRAINTS = {"uq_idempotency_keys_owner_method_path_key"}
# Whoever is overtaken this often by moves of one booking may well come back later.
MOST_OVERTAKEN = 5


class Overtaken(Exception):
    """What had to be locked has changed while its locks were waited for: all of the work begins anew."""


def session() -> Session:
    """Return the session of this context."""
    return cast(Session, db.session())


@contextmanager
def reading() -> Iterator[Connection]:
    """Give a connection for reads that need no ORM: that of the open transaction, else one of its own.

    On PostgreSQL the latter commits by itself, which saves beginning and ending a transaction; on SQLite the
    statements of the block see one state of the database.
    """
    if db.session.registry.has() and session().in_transaction():
        yield session().connection()
        return
    engine = db.engine
    if engine.dialect.name == "postgresql":
        engine = _committing_by_itself(engine)
    with engine.connect() as connection:
        yield connection


@lru_cache(maxsize=4)
def _committing_by_itself(engine: Engine) -> Engine:
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def dialect_name() -> str:
    """Return which engine is in use: postgresql or sqlite."""
    return session().get_bind().dialect.name


def change_rows(statement: Executable) -> int:
    """Run an insert, update or delete and return how many rows it changed; loaded objects are not touched."""
    # Without being asked to, SQLAlchemy forgets how many rows an insert on PostgreSQL wrote and says -1.
    options = {"synchronize_session": False, "preserve_rowcount": True}
    result = session().execute(statement, execution_options=options)
    return cast("CursorResult[Any]", result).rowcount


def in_unit_of_work() -> bool:
    """Tell whether a unit of work is open in this context."""
    return db.session.registry.has() and bool(session().info.get(_ACTIVE))


def after_commit(call: Callable[[], None]) -> None:
    """Run *call* once the surrounding unit of work has been committed; drop it if it is rolled back."""
    session().info.setdefault(_AFTER_COMMIT, []).append(call)


def transactional(function: Callable[P, T]) -> Callable[P, T]:
    """Run *function* in one transaction, or join the one that is already open.

    A deadlock or serialisation failure is retried once with everything read again, and so is, a few times,
    work that was `Overtaken`. Violations of named constraints are raised as the DomainError that they mean;
    anything raised rolls everything back.
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        if in_unit_of_work():
            return function(*args, **kwargs)
        return run_in_transaction(lambda: function(*args, **kwargs))

    return run


def run_in_transaction(work: Callable[[], T]) -> T:
    """Run *work* as one unit of work; see `transactional`."""
    try:
        return _run_in_order(work)
    except DBAPIError as error:
        if not _is_retried(error):
            raise refusal_of(error) from error
        log.warning("transaction retried after %s", constraint_name(error) or _sqlstate(error))
    try:
        return _run_in_order(work)
    except DBAPIError as error:
        raise refusal_of(error) from error


def _run_in_order(work: Callable[[], T]) -> T:
    """Run *work* until nobody overtakes it; each time somebody else has got on."""
    for _ in range(MOST_OVERTAKEN):
        try:
            return _run_once(work)
        except Overtaken:
            continue
    raise Unavailable()


def _run_once(work: Callable[[], T]) -> T:
    current = session()
    _end_open_reads(current)
    current.info[_ACTIVE] = True
    current.info[_AFTER_COMMIT] = []
    try:
        with writing():
            result = work()
            current.commit()
    except StaleDataError as error:
        current.rollback()
        # Somebody else changed the row meanwhile.
        raise InvalidTransition() from error
    except BaseException:
        current.rollback()
        raise
    finally:
        current.info[_ACTIVE] = False
        calls = current.info.pop(_AFTER_COMMIT, [])
    for call in calls:
        call()
    return result


def _end_open_reads(current: Session) -> None:
    """A use case starts its own transaction: SQLite has to take the writer's lock at its very beginning."""
    if current.new or current.dirty or current.deleted:
        raise AssertionError("unsaved changes were left in the session before a use case")
    if current.in_transaction():
        current.rollback()
    # What earlier requests of this context read may be stale by now.
    current.expire_all()


@contextmanager
def alone() -> Iterator[None]:
    """Let each statement in the block be a transaction of its own; in a unit of work it is part of that."""
    if in_unit_of_work():
        yield
        return
    current = session()
    _end_open_reads(current)
    with standing_alone():
        try:
            yield
        finally:
            current.rollback()


@contextmanager
def savepoint_scope() -> Iterator[None]:
    """Run the block in a savepoint: a failure undoes, and sends to no worker, only what the block did."""
    calls = session().info.get(_AFTER_COMMIT, [])
    kept = len(calls)
    try:
        with session().begin_nested():
            yield
    except BaseException:
        del calls[kept:]
        raise


def constraint_name(error: DBAPIError) -> str | None:
    """Return the name of the constraint or trigger that refused, where the driver tells or writes it."""
    diagnostics = getattr(error.orig, "diag", None)
    if diagnostics is not None and diagnostics.constraint_name:
        return str(diagnostics.constraint_name)
    text = str(error.orig)
    if unique := _SQLITE_UNIQUE.match(text):
        # SQLite names the columns of a unique constraint, of which our names are made.
        columns = [column.split(".") for column in unique["columns"].split(", ")]
        name = "_".join(["uq", columns[0][0], *(name for _, name in columns)])
        return _NAMED_INDEXES.get(name, name)
    return next((name for name in CONSTRAINT_REFUSALS if name in text), None)


def refusal_of(error: DBAPIError) -> Exception:
    """Return the refusal that a database error means, or the error itself."""
    name = constraint_name(error)
    if name in CONSTRAINT_REFUSALS:
        return CONSTRAINT_REFUSALS[name]()
    if isinstance(error, OperationalError) or _sqlstate(error) in _RETRIED_SQLSTATES | {"55P03"}:
        return Unavailable()
    return error


def _is_retried(error: DBAPIError) -> bool:
    if isinstance(error, IntegrityError):
        return constraint_name(error) in _RETRIED_CONSTRAINTS
    return _sqlstate(error) in _RETRIED_SQLSTATES


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)
