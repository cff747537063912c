"""Rows collected first and written with a few bulk inserts, in the order that foreign keys ask for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Column, Table, func, insert, select, text

from app.extensions import metadata
from app.services.unit_of_work import session

Row = dict[str, Any]

# Rows of one insert; large enough to be fast, small enough for every driver.
CHUNK = 2000


class Batch:
    """Collects rows with their ids given, so that rows can name each other before they are written."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._rows: dict[str, list[Row]] = defaultdict(list)
        self._next_ids: dict[str, int] = {}
        self._fillers: dict[str, dict[str, Callable[[], Any]]] = {}

    def reserve(self, model: Any) -> int:
        """Return the id of a row that is collected later."""
        return self._take_id(model.__table__)

    def add(self, model: Any, *, row_id: int | None = None, **values: Any) -> int:
        """Collect a row of a mapped class and return its id, a reserved one or the next.

        What is not given gets the column's default.
        """
        table: Table = model.__table__
        row_id = row_id or self._take_id(table)
        fillers = self._fillers.get(table.name) or self._make_fillers(table)
        row = {name: values[name] if name in values else fill() for name, fill in fillers.items()}
        unknown = values.keys() - fillers.keys()
        assert not unknown, f"{table.name} has no {sorted(unknown)}"
        self._rows[table.name].append({"id": row_id, **row})
        return row_id

    def link(self, table: Table, **values: Any) -> None:
        """Collect a row of a table without ids of its own, or with ids that the database gives."""
        self._rows[table.name].append(values)

    def write(self) -> None:
        """Insert what was collected since the last call."""
        for table in metadata.sorted_tables:
            rows = self._rows.pop(table.name, [])
            for start in range(0, len(rows), CHUNK):
                session().execute(insert(table), rows[start : start + CHUNK])
            if rows and "id" in rows[0]:
                _catch_up(table)

    def _take_id(self, table: Table) -> int:
        if table.name not in self._next_ids:
            last = session().scalar(select(func.max(table.c.id)))
            self._next_ids[table.name] = (last or 0) + 1
        row_id = self._next_ids[table.name]
        self._next_ids[table.name] = row_id + 1
        return row_id

    def _make_fillers(self, table: Table) -> dict[str, Callable[[], Any]]:
        found = {column.name: self._filler(column) for column in table.columns if column.name != "id"}
        self._fillers[table.name] = found
        return found

    def _filler(self, column: Column[Any]) -> Callable[[], Any]:
        if column.name == "updated_at":
            return lambda: self._now
        default: Any = column.default
        if default is None or column.foreign_keys:
            return lambda: None
        if default.is_callable:
            make = default.arg
            return lambda: make(None)
        return lambda: default.arg


def _catch_up(table: Table) -> None:
    """Let PostgreSQL's sequence go on behind the ids that were given here."""
    if session().get_bind().dialect.name == "postgresql":
        last = cast(int, session().scalar(select(func.max(table.c.id))))
        session().execute(
            text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)"),
            {"name": table.name, "last": last},
        )
