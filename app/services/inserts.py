"""Inserts that SQLAlchemy spells differently for each engine, or that are faster together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import orjson
from sqlalchemy import JSON, Select, Table, Text, bindparam, cast, column, func, literal_column, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.sql.dml import ReturningInsert

from app.services.unit_of_work import dialect_name, session

Rows = Sequence[Mapping[str, Any]]


def insert_into(target: Any, dialect: str | None = None) -> Any:
    """Return an insert into a table or model that offers on_conflict_do_nothing and on_conflict_do_update."""
    is_postgresql = (dialect or dialect_name()) == "postgresql"
    return postgresql_insert(target) if is_postgresql else sqlite_insert(target)


@cache
def next_id(table: Table, dialect: str) -> Select[Any]:
    """Return the query for an id that a row of *table* can have, so that others can name it before.

    SQLite has no sequences; the writer's lock, which has to be held already, keeps the number ours.
    """
    if dialect == "postgresql":
        return select(literal_column(f"nextval('{table.name}_id_seq')"))
    return select(func.coalesce(func.max(table.c.id), 0) + 1)


def insert_together(groups: Mapping[Table, Rows]) -> list[int]:
    """Insert rows into several tables and return the ids of those of the last table, in their order.

    The rows of a table name the same columns, by their names in the database; parents come before children.
    PostgreSQL takes all of them in one statement, SQLite, to which nothing has to travel, row by row.
    Raises IntegrityError as any insert.
    """
    groups = {table: rows for table, rows in groups.items() if rows}
    if dialect_name() == "postgresql":
        shape = tuple((table, tuple(rows[0])) for table, rows in groups.items())
        documents = {f"rows_{number}": _document(rows) for number, rows in enumerate(groups.values())}
        return list(session().connection().execute(_joined(shape), documents).scalars())
    return [_insert_rows(table, rows) for table, rows in groups.items()][-1]


def _insert_rows(table: Table, rows: Rows) -> list[int]:
    connection, statement = session().connection(), table.insert().returning(table.c.id)
    return [connection.execute(statement, dict(row)).scalar_one() for row in rows]


@cache
def _joined(shape: tuple[tuple[Table, tuple[str, ...]], ...]) -> Select[Any]:
    """One insert for each table, fed from a document; foreign keys are looked at when all are done."""
    *steps, last = (
        _from_document(table, columns, number).cte(f"step_{number}")
        for number, (table, columns) in enumerate(shape)
    )
    return select(last.c.id).add_cte(*steps)


def _from_document(table: Table, columns: tuple[str, ...], number: int) -> ReturningInsert[Any]:
    document = cast(bindparam(f"rows_{number}", type_=Text), JSON)
    rows = func.json_populate_recordset(literal_column(f"NULL::{table.name}"), document)
    wanted: list[Any] = [column(name) for name in columns]
    found = select(*wanted).select_from(rows.alias("rows"))
    return table.insert().from_select(columns, found).returning(table.c.id)


def _document(rows: Rows) -> str:
    return orjson.dumps(rows, default=_plain).decode()


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return rf"\x{value.hex()}"
    raise TypeError(type(value).__name__)
