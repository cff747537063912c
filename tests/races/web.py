"""The product behind gunicorn on a database of its own, by a fast clock, for races over HTTP."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import text

from app.domain.actor import ALL_STORES
from app.domain.slots import local_date, local_instant
from app.extensions import db, use_scope
from app.services import channels, notifications, tokens
from scripts.instance import free_port
from scripts.processes import Process, session_members, tail, wait_until
from tests import factories
from tests.conftest import make_app
from tests.races.builds import UNPROTECTED
from tests.races.clients import Buyer, Slot, send
from tests.races.fast_clock import VARIABLE, WALL_CLOCK, FastClock
from tests.races.unprotected import NO_CHECK, NO_LOCK

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
WORKERS = 4
ZONE = ZoneInfo("Asia/Shanghai")
BUFFER_MINUTES = 15
SLOT_MINUTES = 60
# Logins last longer than any race.
LOGIN_MINUTES = 60 * 24 * 60
OVERLAPS = """
SELECT count(*) FROM (
    SELECT busy_from_at, max(busy_until_at) OVER (
        PARTITION BY room_id ORDER BY busy_from_at, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS taken_until_at
    FROM bookings WHERE state IN ('held', 'reserved', 'in_use', 'ended')
) AS taken WHERE busy_from_at < taken_until_at
"""


@dataclass(frozen=True, slots=True)
class PayService:
    """The running sandbox of the payment service."""

    port: int
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def credentials(self) -> Path:
        return self.folder / "credentials.json"

    @property
    def state(self) -> Path:
        return self.folder / "state.db"


@dataclass
class Site:
    """A running product; the test process looks into its database through `app`."""

    app: Flask
    port: int
    process: Process
    clock: FastClock
    pay_service: PayService | None
    room_ids: tuple[int, ...]
    # How many places of each room have been handed out.
    used_rounds: int = 0

    def buyers(self, count: int) -> list[Buyer]:
        """Return logged-in customers."""
        with self.look():
            # Who pays is known to the service by the identity in its application.
            identity = {"app_id": channels.wechat_app_id()} if self.pay_service else {}
            rows = [factories.make_customer(**identity) for _ in range(count)]
            pairs = [tokens.open_session(row.id, now=self.clock.now()) for row in rows]
            return [Buyer(self.port, pair.access_token) for pair in pairs]

    def slots(self, count: int) -> list[Slot]:
        """Return new places whose buffers touch, spread over the rooms, from tomorrow on."""
        first_at = local_instant(local_date(self.clock.now(), ZONE) + timedelta(days=1), 0, ZONE)
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
        """Return the processes that serve requests."""
        return children_of(self.process)

    def log(self) -> str:
        return self.process.log.read_text(errors="replace")

    @contextmanager
    def sweeping(self) -> Iterator[Process]:
        """Let the clockwork sweep beside the product."""
        command = [sys.executable, "-m", "tests.races.sweeper"]
        process = Process("sweeper", command, env=self.process.env, log=self.process.log)
        process.cwd = ROOT
        process.start()
        try:
            yield process
        finally:
            process.stop(0, with_signal=signal.SIGKILL)


def children_of(process: Process) -> list[int]:
    """Return everything in the session of a process but the process itself."""
    master = process.pid
    assert master is not None
    return [pid for pid in session_members(master) if pid != master]


def _slot(room_id: int, start_at: datetime) -> Slot:
    end_at = start_at + timedelta(minutes=SLOT_MINUTES)
    return Slot(str(room_id), start_at.isoformat(), end_at.isoformat())


@contextmanager
def serve_payments(folder: Path, clock: FastClock) -> Iterator[PayService]:
    """Run the sandbox by the clock of the race."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "tests.races.fast_sandbox",
        "--port",
        str(port),
        "--data-dir",
        str(folder),
    ]
    env = dict(os.environ) | {VARIABLE: clock.in_words(), "PYTHONDONTWRITEBYTECODE": "1"}
    process = Process("sandbox", command, env=env, log=folder / "sandbox.log")
    process.cwd = ROOT
    process.start()
    try:
        _wait_for(process, lambda: send(port, "GET", "/_control/health", None).status == 200)
        yield PayService(port, folder)
    finally:
        process.stop(0, with_signal=signal.SIGKILL)


@contextmanager
def serve(
    database_url: str,
    redis_url: str,
    folder: Path,
    *,
    pay_service: PayService | None = None,
    clock: FastClock = WALL_CLOCK,
    rooms: int = 20,
    is_protected: bool = True,
    options: Sequence[str] = (),
) -> Iterator[Site]:
    """Run the product with four workers on an empty database with one store, by the clock of the race.

    Without protection the constraint or the triggers are dropped, and the services neither lock nor, on
    SQLite, whose writers come one after the other anyway, look before they write.
    """
    app = make_app(database_url, redis_url, folder, ACCESS_TOKEN_MINUTES=LOGIN_MINUTES)
    with app.app_context(), use_scope(ALL_STORES):
        upgrade()
        room_ids = _furnish(rooms)
        if pay_service is not None:
            channels.register_credentials(pay_service.credentials, now=clock.now())
        notifications.seed_templates(now=clock.now())
        is_sqlite = db.engine.dialect.name == "sqlite"
        if not is_protected:
            _drop_guard(is_sqlite)
        db.session.remove()
        db.engine.dispose()
    env = _environment(app, clock)
    if pay_service is not None:
        env["SANDBOX_URL"] = pay_service.url
    if not is_protected:
        env[UNPROTECTED] = NO_CHECK if is_sqlite else NO_LOCK
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", *options]
    process = Process("web", [*command, "tests.races.builds:create_app()"], env=env, log=folder / "web.log")
    process.cwd = ROOT
    process.start()
    port = int(env["PORT"])
    try:
        _wait_for(process, lambda: Buyer(port, "").get("/stores").status == 200)
        yield Site(app, port, process, clock, pay_service, room_ids)
    finally:
        # Nothing is left to be finished, and leaving politely takes seconds.
        process.stop(0, with_signal=signal.SIGKILL)
        with app.app_context():
            db.engine.dispose()


def _wait_for(process: Process, answers: Any) -> None:
    wait_until(lambda: answers() or not process.is_running(), START_SECONDS)
    assert process.is_running() and answers(), f"no answer:\n{tail(process.log)}"


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


def _environment(app: Flask, clock: FastClock) -> dict[str, str]:
    config, port = app.config, free_port()
    url = f"http://127.0.0.1:{port}"
    return dict(os.environ) | {
        VARIABLE: clock.in_words(),
        "QUEFANG_MODE": "development",
        "DATABASE_URL": str(config["SQLALCHEMY_DATABASE_URI"]),
        "REDIS_URL": str(config["REDIS_URL"]),
        "INSTANCE_DIR": str(config["INSTANCE_DIR"]),
        "SECRET_KEY": str(config["SECRET_KEY"]),
        "ENCRYPTION_KEYS": ",".join(config["ENCRYPTION_KEYS"]),
        "HASH_KEY": str(config["HASH_KEY"]),
        "API_RATE_LIMIT": "1000000 per second",
        "PORT": str(port),
        "BIND": f"127.0.0.1:{port}",
        "PUBLIC_BASE_URL": url,
        "WEB_CONCURRENCY": str(WORKERS),
        "LOG_LEVEL": "warning",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
