"""Everything the simulated services remember: JSON records in one SQLite file behind one lock."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Record = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (kind, key)
);
CREATE TABLE IF NOT EXISTS tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    due_at REAL NOT NULL,
    UNIQUE (kind, key)
);
CREATE INDEX IF NOT EXISTS tasks_due_at ON tasks (due_at);
"""


class Store:
    """Records by (kind, key), kept in creation order; safe to use from every thread."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # WAL with NORMAL survives a killed process without an fsync for every payment.
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the lock and commit at the outermost exit, or roll everything back on an exception."""
        with self._lock:
            if self._depth == 0:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._leave("ROLLBACK")
                raise
            self._leave("COMMIT")

    def _leave(self, verb: str) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._connection.execute(verb)

    def execute(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one statement under the lock and return all its rows."""
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()

    def get(self, kind: str, key: str) -> Record | None:
        """Return the record, or None."""
        rows = self.execute("SELECT body FROM records WHERE kind = ? AND key = ?", (kind, key))
        return json.loads(rows[0][0]) if rows else None

    def put(self, kind: str, key: str, body: Record) -> None:
        """Create or replace the record; a replaced one keeps its place in the order."""
        self.execute(
            "INSERT INTO records (kind, key, body) VALUES (?, ?, ?)"
            " ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body",
            (kind, key, json.dumps(body)),
        )

    def delete(self, kind: str, key: str) -> None:
        """Remove the record if it is there."""
        self.execute("DELETE FROM records WHERE kind = ? AND key = ?", (kind, key))

    def delete_kind(self, kind: str) -> None:
        """Remove every record of *kind*."""
        self.execute("DELETE FROM records WHERE kind = ?", (kind,))

    def all(self, kind: str) -> list[Record]:
        """Return every record of *kind*, oldest first."""
        rows = self.execute("SELECT body FROM records WHERE kind = ? ORDER BY seq", (kind,))
        return [json.loads(body) for (body,) in rows]

    def newest(self, kind: str, limit: int) -> list[Record]:
        """Return the last *limit* records of *kind*, newest first."""
        rows = self.execute(
            "SELECT body FROM records WHERE kind = ? ORDER BY seq DESC LIMIT ?", (kind, limit)
        )
        return [json.loads(body) for (body,) in rows]

    def count(self, kind: str) -> int:
        """Return the number of records of *kind*."""
        return int(self.execute("SELECT count(*) FROM records WHERE kind = ?", (kind,))[0][0])

    def clear(self) -> None:
        """Forget every record and task except access tokens, which merchants keep like keys."""
        with self.transaction():
            self.execute("DELETE FROM records WHERE kind NOT IN ('token', 'current_token')")
            self.execute("DELETE FROM tasks")

    def close(self) -> None:
        """Close the file; whoever still holds the store gets sqlite3.ProgrammingError."""
        with self._lock:
            self._connection.close()
