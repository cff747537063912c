"""Connections: one that has rested is asked whether its server lives, one that was just used is not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from app import extensions
from app.extensions import db
from app.services.unit_of_work import reading, run_in_transaction
from tests import factories
from tests.servers import postgres_database, start_postgres


@pytest.fixture
def postgres_engine() -> Iterator[extensions.Engine]:
    """An engine with one connection to a PostgreSQL of its own database."""
    with postgres_database(start_postgres()) as url:
        engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"), pool_size=1)
        extensions.prepare_engine(engine, 5)
        yield engine
        engine.dispose()


def use(engine: extensions.Engine) -> int:
    """Use the pool's connection and return the process behind it."""
    with engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())


def kill(engine: extensions.Engine, process: int) -> None:
    """End a connection from the server's side, as its restart does."""
    other = create_engine(engine.url)
    with other.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:process, 5000)"), {"process": process})
    other.dispose()


def test_a_rested_connection_that_died_is_replaced(
    postgres_engine: extensions.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extensions, "TRUSTED_SECONDS", 0)
    first = use(postgres_engine)
    assert use(postgres_engine) == first
    kill(postgres_engine, first)
    assert use(postgres_engine) != first


def test_a_connection_in_use_is_trusted_and_replaced_after_one_failure(
    postgres_engine: extensions.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extensions, "TRUSTED_SECONDS", 1e9)
    first = use(postgres_engine)
    kill(postgres_engine, first)
    with pytest.raises(OperationalError):
        use(postgres_engine)
    assert use(postgres_engine) != first


def test_reads_see_what_their_transaction_wrote(app: Flask) -> None:
    store = factories.make_store(name="Old")

    def name_of() -> str:
        with reading() as connection:
            return str(connection.execute(text("SELECT name FROM stores")).scalar_one())

    def rename() -> str:
        store.name = "New"
        db.session.flush()
        seen = name_of()
        store.name = "Old"
        return seen

    db.session.remove()
    db.session.add(store)
    assert run_in_transaction(rename) == "New"
    assert name_of() == "Old"


def test_reads_leave_no_transaction_behind(app: Flask) -> None:
    db.session.remove()
    with reading() as connection:
        connection.execute(text("SELECT 1"))
        assert connection.dialect.name == "sqlite" or connection.connection.driver_connection.autocommit
    assert not db.session.registry.has()
    # The next user of the connection has transactions again.
    with db.engine.connect() as plain:
        assert plain.dialect.name == "sqlite" or not plain.connection.driver_connection.autocommit
