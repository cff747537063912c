"""Fixtures: an application on each engine with an empty, migrated database, a frozen now, HTTP clients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import upgrade

from app import create_app
from app.domain.actor import ALL_STORES
from app.domain.clock import utc_now
from app.extensions import db, metadata, use_scope
from app.gateways.ports import GatewayUnavailable, RoomAccess
from app.services import channels
from app.services.roles import sync_roles
from config import TestingSettings
from tests import servers

# Filled once by the back office; emptying them would cost every test a second.
KEPT_TABLES = frozenset(
    {
        *("ab_permission", "ab_view_menu", "ab_permission_view", "ab_role", "ab_permission_view_role"),
        "role_offers",
    }
)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database of this test process on each engine."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'test.db'}"
        return
    with servers.postgres_database(servers.start_postgres()) as url:
        yield url.replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture(scope="session")
def redis_url() -> str:
    """A Redis of the test run."""
    return servers.start_redis()


@pytest.fixture(scope="session")
def migrated_app(
    database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Flask]:
    """One application per engine, at the newest migration."""
    app = make_app(database_url, redis_url, tmp_path_factory.mktemp("instance"))
    with app.app_context(), use_scope(ALL_STORES):
        upgrade()
        app.appbuilder.add_permissions(update_perms=True)
        sync_roles(now=utc_now())
    yield app
    with app.app_context():
        db.engine.dispose()


def make_app(database_url: str, redis_url: str, instance: Path, **overrides: object) -> Flask:
    """Return an application in testing mode on the given servers."""
    settings = TestingSettings()
    settings.SQLALCHEMY_DATABASE_URI = database_url
    settings.REDIS_URL = redis_url
    settings.INSTANCE_DIR = str(instance)
    return create_app(settings, **overrides)


@pytest.fixture
def app(migrated_app: Flask) -> Iterator[Flask]:
    """The application with empty tables, its context pushed and all stores in scope."""
    with migrated_app.app_context(), use_scope(ALL_STORES):
        empty_tables()
        yield migrated_app
        db.session.remove()


def empty_tables() -> None:
    """Delete every row that tests write, on either engine, and begin the ids anew."""
    with db.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(emptying_block())
        else:
            connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
            for name in reversed(emptied_tables()):
                connection.exec_driver_sql(f"DELETE FROM {name}")
        connection.commit()


def emptied_tables() -> list[str]:
    """Return the tables that tests write, parents first."""
    return [table.name for table in metadata.sorted_tables if table.name not in KEPT_TABLES]


@cache
def emptying_block() -> str:
    """For the few rows of a test this takes a fiftieth of what TRUNCATE takes, which renews every file."""
    names = ", ".join(emptied_tables())
    deletes = " ".join(f"DELETE FROM {name};" for name in emptied_tables())
    kept = ", ".join(f"'{name}_id_seq'" for name in sorted(KEPT_TABLES))
    return f"""
DO $$ DECLARE counter regclass; BEGIN
    -- Foreign keys and triggers have nothing to say when everything goes.
    SET LOCAL session_replication_role = replica;
    -- What was deleted stays in the file and in the statistics; no plan may come of that.
    IF pg_relation_size('bookings') + pg_relation_size('orders') > 1000000 THEN TRUNCATE {names} CASCADE;
    ELSE {deletes} END IF;
    FOR counter IN SELECT sequencename::regclass FROM pg_sequences
        WHERE last_value IS NOT NULL AND sequencename <> ALL (ARRAY[{kept}])
    LOOP PERFORM setval(counter, 1, false); END LOOP;
END $$"""


@dataclass
class Door:
    """Stands in for the doors: what they take, by the number of the access."""

    codes: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    is_silent: bool = False
    asked: int = 0

    def let_in(self, room_ref: str, start_at: datetime, end_at: datetime) -> RoomAccess:
        self._answer()
        ref = str(self.asked)
        self.codes[ref] = (room_ref, end_at)
        return RoomAccess("code", f"{100000 + self.asked}", end_at, ref)

    def prolong(self, room_ref: str, access_ref: str, end_at: datetime) -> None:
        self._answer()
        assert self.codes[access_ref][0] == room_ref
        self.codes[access_ref] = (room_ref, end_at)

    def shut_out(self, room_ref: str, access_ref: str) -> None:
        self._answer()
        self.codes.pop(access_ref, None)

    def _answer(self) -> None:
        self.asked += 1
        if self.is_silent:
            raise GatewayUnavailable("no answer", outcome_unknown=False)


@pytest.fixture(autouse=True)
def door(monkeypatch: pytest.MonkeyPatch) -> Door:
    """The doors of every store."""
    door = Door()
    monkeypatch.setattr(channels, "room_control", lambda: door)
    return door


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """An HTTP client of the application."""
    return app.test_client()


@pytest.fixture
def now() -> datetime:
    """Wednesday, 2026-03-04 12:00 in Shanghai."""
    return datetime(2026, 3, 4, 4, 0, tzinfo=UTC)
