"""Fixtures: the tea house on each engine, emptied for each test, and clients logged in by role."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, text

from app.extensions import db, metadata
from app.models.staff import Staff
from tests import servers
from tests.views.kit import cafe

Login = Callable[[str], FlaskClient]


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def cafe_app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The application of the tea house, once per engine."""
    if request.param == "sqlite":
        folder = tmp_path_factory.mktemp("cafe")
        yield from _serve(f"sqlite:///{folder / 'cafe.db'}")
        shutil.rmtree(folder, ignore_errors=True)
        return
    with servers.postgres_database(servers.start_postgres()) as url:
        yield from _serve(url.replace("postgresql://", "postgresql+psycopg://"))


def _serve(url: str) -> Iterator[Flask]:
    app = cafe.make_cafe(url)
    _watch(app)
    yield app
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def app(cafe_app: Flask) -> Flask:
    """The application with freshly filled tables; no context is pushed, requests make their own."""
    changes: list[str] = cafe_app.extensions["cafe_changes"]
    if changes:
        with cafe_app.app_context():
            _empty()
        cafe.fill(cafe_app)
        changes.clear()
    cafe_app.appbuilder.sm.login_gate.limiter.reset()  # type: ignore[attr-defined]
    return cafe_app


def _watch(app: Flask) -> None:
    """Remember what is written, so that tests that only read need no new tables."""
    changes = app.extensions.setdefault("cafe_changes", ["nothing is filled in yet"])

    def remember(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE")):
            changes.append(statement)

    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", remember)


# The screens' permissions are made once; the owner's role keeps all of them.
_KEPT = ("ab_permission", "ab_view_menu", "ab_permission_view", "ab_role", "ab_permission_view_role")
_OTHER_ROLES = "name NOT IN ('Owner', 'Public')"


def _empty() -> None:
    shared = [table.name for table in metadata.sorted_tables if table.name.startswith("ab_")]
    names = [*shared, "stores", "staff_stores", "audit_entries", *cafe.Base.metadata.tables]
    emptied = [name for name in names if name not in _KEPT]
    with db.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"TRUNCATE {', '.join(emptied)} RESTART IDENTITY CASCADE"))
        else:
            connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
            for name in emptied:
                connection.exec_driver_sql(f"DELETE FROM {name}")
        others = f"SELECT id FROM ab_role WHERE {_OTHER_ROLES}"
        connection.execute(text(f"DELETE FROM ab_permission_view_role WHERE role_id IN ({others})"))
        connection.execute(text(f"DELETE FROM ab_role WHERE {_OTHER_ROLES}"))


@pytest.fixture
def login(app: Flask) -> Login:
    """Return a client that is logged in as the named account."""

    def log_in(username: str) -> FlaskClient:
        client = app.test_client()
        with app.app_context():
            user_id = db.session.query(Staff.id).filter_by(username=username).scalar()
            db.session.remove()
        with client.session_transaction() as session:
            session["_user_id"] = str(user_id)
        return client

    return log_in


@pytest.fixture
def owner(login: Login) -> FlaskClient:
    """A client of the owner: all places."""
    return login("owner")


@pytest.fixture
def manager(login: Login) -> FlaskClient:
    """A client of the manager of place 1."""
    return login("manager")


@pytest.fixture
def clerk(login: Login) -> FlaskClient:
    """A client that may only read desks of place 1."""
    return login("clerk")


@pytest.fixture
def statements(app: Flask) -> Iterator[list[str]]:
    """The SQL statements that run during the test."""
    found: list[str] = []

    def remember(_c: object, _cursor: object, statement: str, *_: object) -> None:
        found.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", remember)
    yield found
    event.remove(engine, "before_cursor_execute", remember)
