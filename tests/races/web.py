"""The product behind gunicorn on a database of its own, for races over HTTP."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import text

from app.domain.actor import ALL_STORES
from app.domain.clock import utc_now
from app.domain.slots import local_date, local_instant
from app.extensions import db, use_scope
from app.services import tokens
from scripts.instance import free_port
from scripts.processes import Process, session_members, tail, wait_until
from tests import factories
from tests.conftest import make_app
from tests.races.clients import Buyer, Slot
from tests.races.unprotected import NO_CHECK, NO_LOCK

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
WORKERS = 4
ZONE = ZoneInfo("Asia/Shanghai")
BUFFER_MINUTES = 15
SLOT_MINUTES = 60
OCCUPYING = "('held', 'reserved', 'in_use', 'ended')"
OVERLAPS = f"""
SELECT count(*) FROM bookings AS one JOIN bookings AS other
ON one.room_id = other.room_id AND one.id < other.id
WHERE one.state IN {OCCUPYING} AND other.state IN {OCCUPYING}
AND one.busy_from_at < other.busy_until_at AND other.busy_from_at < one.busy_until_at
"""


@dataclass
class Site:
    """A running product; the test process looks into its database through `app`."""

    app: Flask
    port: int
    process: Process
    room_ids: tuple[int, ...]
    # How many places of each room have been handed out.
    used_rounds: int = 0

    def buyers(self, count: int) -> list[Buyer]:
        """Return logged-in customers."""
        with self.look():
            rows = [factories.make_customer() for _ in range(count)]
            pairs = [tokens.open_session(row.id, now=utc_now()) for row in rows]
            return [Buyer(self.port, pair.access_token) for pair in pairs]

    def slots(self, count: int) -> list[Slot]:
        """Return new places whose buffers touch, spread over the rooms, from tomorrow on."""
        first_at = local_instant(local_date(utc_now(), ZONE) + timedelta(days=1), 0, ZONE)
        first, last = self.used_rounds, self.used_rounds - (-count // len(self.room_ids))
        self.used_rounds = last
        length = timedelta(minutes=SLOT_MINUTES + BUFFER_MINUTES)
        starts = [first_at + number * length for number in range(first, last)]
        return [_slot(room_id, start_at) for start_at in starts for room_id in self.room_ids][:count]

    def scalar(self, query: str) -> int:
        """Return the one number that a query finds."""
        with self.look():
            return int(db.session.execute(text(query)).scalar_one())

    def numbers(self, query: str) -> set[str]:
        """Return the numbers of orders that a query finds."""
        with self.look():
            return {str(value) for value in db.session.execute(text(query)).scalars()}

    @contextmanager
    def look(self) -> Iterator[None]:
        """Read and write beside the running product."""
        with self.app.app_context(), use_scope(ALL_STORES):
            yield
            db.session.remove()

    def reconnect(self) -> None:
        """Forget the connections of the test process, which a crash has broken."""
        with self.app.app_context():
            db.engine.dispose()

    def worker_ids(self) -> list[int]:
        """Return the processes that serve requests: everything in the session but the master."""
        master = self.process.pid
        assert master is not None
        return [pid for pid in session_members(master) if pid != master]

    def log(self) -> str:
        return self.process.log.read_text(errors="replace")


def _slot(room_id: int, start_at: datetime) -> Slot:
    end_at = start_at + timedelta(minutes=SLOT_MINUTES)
    return Slot(str(room_id), start_at.isoformat(), end_at.isoformat())


@contextmanager
def serve(
    database_url: str,
    redis_url: str,
    folder: Path,
    *,
    rooms: int = 20,
    is_protected: bool = True,
    options: Sequence[str] = (),
) -> Iterator[Site]:
    """Run the product with four workers on an empty database with one store.

    Without protection the constraint or the triggers are dropped, and the services neither lock nor, on
    SQLite, whose writers come one after the other anyway, look before they write.
    """
    app = make_app(database_url, redis_url, folder)
    with app.app_context(), use_scope(ALL_STORES):
        upgrade()
        room_ids = _furnish(rooms)
        is_sqlite = db.engine.dialect.name == "sqlite"
        if not is_protected:
            _drop_guard(is_sqlite)
        db.session.remove()
        db.engine.dispose()
    port = free_port()
    process = Process(
        "web", _command(is_protected, options), env=_environment(app, port), log=folder / "web.log"
    )
    process.env["UNPROTECTED"] = NO_CHECK if is_sqlite else NO_LOCK
    process.cwd = ROOT
    process.start()
    site = Site(app, port, process, room_ids)
    try:
        wait_until(lambda: _answers(port) or not process.is_running(), START_SECONDS)
        assert _answers(port), f"no answer:\n{tail(process.log)}"
        yield site
    finally:
        # Nothing is left to be finished, and leaving politely takes seconds.
        process.stop(0, with_signal=signal.SIGKILL)
        with app.app_context():
            db.engine.dispose()


def _furnish(rooms: int) -> tuple[int, ...]:
    store = factories.make_store()
    limits = {"max_open_holds": 100_000, "max_bookings_per_day": 100_000}
    grid = {"start_step_minutes": 15, "min_minutes": 15, "length_step_minutes": 15}
    factories.make_policy(store, buffer_after_minutes=BUFFER_MINUTES, hold_minutes=1440, **limits, **grid)
    factories.make_price(store)
    kind = factories.make_room_type()
    return tuple(factories.make_room(store, room_type=kind).id for _ in range(rooms))


def _drop_guard(is_sqlite: bool) -> None:
    name = "ex_bookings_room_overlap"
    statements = [f"DROP TRIGGER {name}_insert", f"DROP TRIGGER {name}_update"]
    for statement in statements if is_sqlite else [f"ALTER TABLE bookings DROP CONSTRAINT {name}"]:
        db.session.execute(text(statement))
    db.session.commit()


def _command(is_protected: bool, options: Sequence[str]) -> list[str]:
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", *options]
    return command if is_protected else [*command, "tests.races.unprotected:create_app()"]


def _environment(app: Flask, port: int) -> dict[str, str]:
    config = app.config
    return dict(os.environ) | {
        "QUEFANG_MODE": "development",
        "DATABASE_URL": str(config["SQLALCHEMY_DATABASE_URI"]),
        "REDIS_URL": str(config["REDIS_URL"]),
        "INSTANCE_DIR": str(config["INSTANCE_DIR"]),
        "SECRET_KEY": str(config["SECRET_KEY"]),
        "ENCRYPTION_KEYS": ",".join(config["ENCRYPTION_KEYS"]),
        "HASH_KEY": str(config["HASH_KEY"]),
        "API_RATE_LIMIT": "1000000 per second",
        "BIND": f"127.0.0.1:{port}",
        "WEB_CONCURRENCY": str(WORKERS),
        "LOG_LEVEL": "warning",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _answers(port: int) -> bool:
    return Buyer(port, "").get("/stores").status == 200
