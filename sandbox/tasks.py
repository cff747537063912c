"""Timed work that survives a restart: callback retries and refunds that settle by themselves."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable

from sandbox.clock import Clock
from sandbox.state import Store

log = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
IDLE_SECONDS = 30.0
WORKERS = 4

# A handler gets the key and returns the seconds until it wants to run again, or None when it is done.
Handler = Callable[[str], float | None]


class Tasks:
    """At most one task per (kind, key); a claimed task is leased, so a killed process repeats it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._handlers: dict[str, Handler] = {}
        self._wake = threading.Condition()
        self._changed = 0
        self._stopping = False
        self._threads: list[threading.Thread] = []

    def register(self, kind: str, handler: Handler) -> None:
        """Name the function that does tasks of *kind*."""
        self._handlers[kind] = handler

    def schedule(self, kind: str, key: str, delay_seconds: float) -> None:
        """Make the task due in *delay_seconds*, replacing an earlier appointment."""
        due_at = self._now() + max(delay_seconds, 0.0)
        self._store.execute(
            "INSERT INTO tasks (kind, key, due_at) VALUES (?, ?, ?)"
            " ON CONFLICT (kind, key) DO UPDATE SET due_at = excluded.due_at",
            (kind, key, due_at),
        )
        self._notify()

    def cancel(self, kind: str, key: str) -> None:
        """Forget the task if it is there."""
        self._store.execute("DELETE FROM tasks WHERE kind = ? AND key = ?", (kind, key))

    def start(self) -> None:
        """Start the workers; they are daemons and never hold up the end of the process."""
        for number in range(WORKERS):
            thread = threading.Thread(target=self._work, name=f"sandbox-task-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Let running handlers finish and end the workers."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join(LEASE_SECONDS)

    def _now(self) -> float:
        return self._clock().timestamp()

    def _notify(self) -> None:
        with self._wake:
            self._changed += 1
            self._wake.notify_all()

    def _work(self) -> None:
        while not self._stopping:
            seen = self._changed
            try:
                pause = self._run_next()
            except sqlite3.ProgrammingError:
                return  # The store was closed: the process is ending.
            with self._wake:
                if pause > 0 and not self._stopping and seen == self._changed:
                    self._wake.wait(pause)

    def _run_next(self) -> float:
        """Run one due task and return 0, or return the seconds until the next one is due."""
        now = self._now()
        lease = now + LEASE_SECONDS
        with self._store.transaction():
            rows = self._store.execute("SELECT id, kind, key, due_at FROM tasks ORDER BY due_at LIMIT 1")
            if not rows:
                return IDLE_SECONDS
            task_id, kind, key, due_at = rows[0]
            if due_at > now:
                return min(float(due_at) - now, IDLE_SECONDS)
            self._store.execute("UPDATE tasks SET due_at = ? WHERE id = ?", (lease, task_id))
        self._finish(task_id, lease, self._call(kind, key))
        return 0.0

    def _call(self, kind: str, key: str) -> float | None:
        try:
            return self._handlers[kind](key)
        except Exception:
            log.exception("The task %s of %s failed.", kind, key)
            return 5.0

    def _finish(self, task_id: int, lease: float, again_in: float | None) -> None:
        # The lease in the condition keeps an appointment that was made while the handler ran.
        if again_in is None:
            self._store.execute("DELETE FROM tasks WHERE id = ? AND due_at = ?", (task_id, lease))
        else:
            due_at = self._now() + again_in
            self._store.execute(
                "UPDATE tasks SET due_at = ? WHERE id = ? AND due_at = ?", (due_at, task_id, lease)
            )
        self._notify()
