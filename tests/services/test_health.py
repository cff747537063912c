"""Readiness: every part has to be there, and each missing part is named."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import text

from app.extensions import db, redis_holder
from app.services import health
from scripts.instance import free_port

READY = {"status": "ready", "database": "ok", "migrations": "ok", "redis": "ok", "worker": "ok"}


@pytest.fixture
def beat(app: Flask, now: datetime) -> Iterator[None]:
    """A worker that was heard of five seconds ago."""
    heard_at = now - timedelta(seconds=5)
    redis_holder.client.set(health.WORKER_HEARTBEAT_KEY, heard_at.isoformat())
    yield
    redis_holder.client.delete(health.WORKER_HEARTBEAT_KEY)


@pytest.mark.usefixtures("beat")
def test_ready(now: datetime) -> None:
    assert health.check_readiness(now=now) == READY


@pytest.mark.usefixtures("beat")
def test_worker_silent_for_too_long(now: datetime) -> None:
    later = now + timedelta(seconds=health.LONGEST_SILENCE_SECONDS)
    assert health.check_readiness(now=later) == READY | {"status": "unready", "worker": "missing"}


@pytest.mark.usefixtures("app")
def test_worker_never_heard_of(now: datetime) -> None:
    redis_holder.client.delete(health.WORKER_HEARTBEAT_KEY)
    assert health.check_readiness(now=now) == READY | {"status": "unready", "worker": "missing"}


@pytest.mark.usefixtures("beat")
def test_database_behind(now: datetime) -> None:
    (version,) = db.session.execute(text("SELECT version_num FROM alembic_version")).scalars()
    db.session.execute(text("UPDATE alembic_version SET version_num = 'older'"))
    db.session.commit()
    try:
        found = health.check_readiness(now=now)
    finally:
        db.session.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})
        db.session.commit()
    assert found == READY | {"status": "unready", "migrations": "behind"}


@pytest.mark.usefixtures("beat")
def test_redis_gone(app: Flask, now: datetime) -> None:
    redis_holder.configure(f"redis://127.0.0.1:{free_port()}/0", 0.5)
    try:
        found = health.check_readiness(now=now)
    finally:
        redis_holder.configure(app.config["REDIS_URL"], app.config["REDIS_TIMEOUT_SECONDS"])
    assert found == READY | {"status": "unready", "redis": "unreachable", "worker": "unknown"}
