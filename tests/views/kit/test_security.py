"""Logging in and out: equal answers for everybody who is wrong, limits on failures, sessions that end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.domain.actor import ALL_STORES
from app.extensions import db, use_scope
from app.models.staff import Staff
from app.views import security
from tests.views.kit import cafe
from tests.views.kit.forms import audit, errors, rows

WRONG = "Invalid login. Please try again."
NEW_PASSWORD = "new-tea-and-tiles-2"


def try_login(
    client: FlaskClient, username: str, password: str, *, address: str = "10.0.0.1", path: str = "/login/"
) -> Any:
    """Post the login form from an address."""
    data = {"username": username, "password": password}
    return client.post(path, data=data, environ_base={"REMOTE_ADDR": address})


def change(app: Flask, username: str, **values: Any) -> None:
    """Change columns of an account behind the screens' back."""
    with app.app_context(), use_scope(ALL_STORES):
        for name, value in values.items():
            setattr(db.session.query(Staff).filter_by(username=username).one(), name, value)
        db.session.commit()


def is_in(client: FlaskClient) -> bool:
    """Tell whether the client is logged in."""
    return client.get("/profile/").status_code == 200


@pytest.mark.parametrize("name", ["manager", " manager ", "manager@example.com", "MANAGER@example.com"])
def test_login_by_name_or_email(app: Flask, name: str) -> None:
    client = app.test_client()

    assert try_login(client, name, cafe.PASSWORD).location == "/"
    assert is_in(client)
    account = rows(app, Staff, username="manager")[0]
    assert (account["login_count"], account["fail_login_count"]) == (1, 0)
    assert account["last_login"] is not None


@pytest.mark.parametrize(
    ("wanted", "location"),
    [
        ("/deskview/list/?a=1", "/deskview/list/?a=1"),
        ("http://localhost/deskview/list/", "/deskview/list/"),
        ("https://evil.example/", "/"),
        ("http://localhost.evil.example/", "/"),
        ("//evil.example", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_login_goes_on_to_a_page_of_this_site_only(app: Flask, wanted: str, location: str) -> None:
    answer = app.test_client().post(
        "/login/", query_string={"next": wanted}, data={"username": "owner", "password": cafe.PASSWORD}
    )

    assert answer.location == location


@pytest.mark.parametrize(
    ("label", "username", "password", "changes"),
    [
        ("wrong password", "manager", "wrong", {}),
        ("unknown name", "nobody", cafe.PASSWORD, {}),
        ("inactive account", "manager", cafe.PASSWORD, {"active": False}),
        ("account without a password", "manager", cafe.PASSWORD, {"password": None}),
        ("NUL password", "manager", "\x00", {}),
        ("very long name", "x" * 320, "wrong", {}),
    ],
)
def test_everybody_who_is_wrong_gets_the_same_answer_at_the_same_cost(
    app: Flask,
    statements: list[str],
    monkeypatch: pytest.MonkeyPatch,
    label: str,
    username: str,
    password: str,
    changes: dict[str, Any],
) -> None:
    change(app, "manager", **changes)
    hashed: list[str] = []
    plain = security.check_password_hash

    def remember(stored: str, typed: str) -> bool:
        hashed.append(stored)
        return plain(stored, typed)

    monkeypatch.setattr(security, "check_password_hash", remember)
    client = app.test_client()
    statements.clear()

    answer = try_login(client, username, password)

    assert answer.status_code == 401
    assert WRONG in answer.text
    assert password not in answer.text.replace("password", "")
    verbs = [
        statement.split()[0] for statement in statements if not statement.startswith(("BEGIN", "PRAGMA"))
    ]
    assert verbs == ["SELECT", "UPDATE"]
    assert len(hashed) == 1
    assert not is_in(client)


def test_failures_are_limited_for_an_account_and_an_address(app: Flask) -> None:
    client = app.test_client()
    for _ in range(10):
        assert try_login(client, "manager", "wrong").status_code == 401

    blocked = try_login(client, "manager", cafe.PASSWORD)

    assert blocked.status_code == 429
    assert 1 <= int(blocked.headers["Retry-After"]) <= 61
    assert not is_in(client)
    assert try_login(client, " MANAGER", cafe.PASSWORD).status_code == 429
    assert try_login(client, "owner", "wrong").status_code == 401
    assert try_login(app.test_client(), "manager", cafe.PASSWORD, address="10.0.0.2").status_code == 302


def test_unknown_accounts_are_limited_like_known_ones(app: Flask) -> None:
    client = app.test_client()

    codes = [try_login(client, "nobody", "wrong").status_code for _ in range(12)]

    assert codes == [401] * 10 + [429] * 2


def test_successful_login_forgets_earlier_failures(app: Flask) -> None:
    for _ in range(3):
        for _ in range(9):
            assert try_login(app.test_client(), "manager", "wrong").status_code == 401
        assert try_login(app.test_client(), "manager", cafe.PASSWORD).status_code == 302


def test_limit_holds_while_the_shared_counter_is_away(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = app.appbuilder.sm.login_gate  # type: ignore[attr-defined]

    class Away:
        @property
        def limiter(self) -> Any:
            raise ConnectionError("Redis is gone")

    monkeypatch.setattr(gate, "limiter", Away())
    gate.fallback.storage.reset()

    codes = [try_login(app.test_client(), "manager", "wrong").status_code for _ in range(11)]

    assert codes == [401] * 10 + [429]
    gate.fallback.storage.reset()


@pytest.mark.parametrize("data", [{}, {"username": "owner"}, {"username": "x" * 999, "password": "x"}])
def test_incomplete_login_is_refused(app: Flask, data: dict[str, str]) -> None:
    assert app.test_client().post("/login/", data=data).status_code == 422


def test_login_keeps_nothing_of_an_older_session_but_the_language(app: Flask) -> None:
    client = app.test_client()
    with client.session_transaction() as session:
        session.update(locale="zh", planted="x")

    try_login(client, "owner", cafe.PASSWORD)

    with client.session_transaction() as session:
        assert session["locale"] == "zh"
        assert "planted" not in session


def test_logout_is_by_post_only(app: Flask) -> None:
    client = app.test_client()
    try_login(client, "owner", cafe.PASSWORD)

    assert client.get("/logout/").status_code == 405
    assert is_in(client)
    assert client.post("/logout/").location == "/login/"
    assert not is_in(client)


def test_session_of_a_deactivated_account_ends(app: Flask) -> None:
    client = app.test_client()
    try_login(client, "manager", cafe.PASSWORD)

    change(app, "manager", active=False)

    assert not is_in(client)


def profile(old: str, new: str, again: str | None = None) -> dict[str, str]:
    return {"old_password": old, "new_password": new, "password_again": new if again is None else again}


def test_changing_the_own_password_ends_all_other_sessions(app: Flask) -> None:
    here, elsewhere = app.test_client(), app.test_client()
    for client in (here, elsewhere):
        try_login(client, "manager", cafe.PASSWORD)

    assert here.post("/profile/", data=profile(cafe.PASSWORD, NEW_PASSWORD)).status_code == 302

    assert is_in(here)
    assert not is_in(elsewhere)
    assert try_login(app.test_client(), "manager", cafe.PASSWORD).status_code == 401
    assert try_login(app.test_client(), "manager", NEW_PASSWORD).status_code == 302
    entry = audit(app)[0]
    assert (entry["action"], entry["before"], entry["after"]) == ("change_password", None, None)


@pytest.mark.parametrize(
    ("label", "data", "wrong"),
    [
        ("wrong old one", profile("wrong", NEW_PASSWORD), "old_password"),
        ("no old one", profile("", NEW_PASSWORD), "old_password"),
        ("short", profile(cafe.PASSWORD, "a1b2c3"), "new_password"),
        ("letters only", profile(cafe.PASSWORD, "teaandtilesandtea"), "new_password"),
        ("endless", profile(cafe.PASSWORD, "a1" * 200), "new_password"),
        ("typed differently", profile(cafe.PASSWORD, NEW_PASSWORD, "other"), "password_again"),
    ],
)
def test_own_password_is_not_changed_when(
    app: Flask,
    manager: FlaskClient,
    label: str,
    data: dict[str, str],
    wrong: str,
) -> None:
    answer = manager.post("/profile/", data=data)

    assert answer.status_code == 422
    assert list(errors(answer.text)) == [wrong]
    assert NEW_PASSWORD not in answer.text
    assert rows(app, Staff, username="manager")[0]["password"] == cafe.PASSWORD_HASH
    assert audit(app) == []


def test_profile_needs_a_login(app: Flask) -> None:
    assert app.test_client().get("/profile/").location == "/login/?next=/profile/"


def test_permissions_are_asked_once_a_request(
    app: Flask,
    manager: FlaskClient,
    statements: list[str],
) -> None:
    statements.clear()
    manager.get("/deskview/show/11")

    assert sum("ab_permission_view" in statement for statement in statements) == 1


@pytest.fixture
def public_desk(app: Flask) -> Iterator[None]:
    """Everybody may read the list of guests."""
    from flask_appbuilder.security.sqla.models import PermissionView, Role

    def grant(names: list[tuple[str, str]]) -> None:
        with app.app_context():
            everybody = db.session.query(Role).filter_by(name="Public").one()
            every = db.session.query(PermissionView).all()
            everybody.permissions = [
                row for row in every if (row.permission.name, row.view_menu.name) in names
            ]
            db.session.commit()

    grant([("can_read", "GuestView")])
    yield
    grant([])


@pytest.mark.usefixtures("public_desk")
def test_public_permission_is_everybodys(app: Flask) -> None:
    assert app.test_client().get("/guestview/list/").status_code == 200
    assert app.test_client().get("/deskview/list/").status_code == 302


def test_session_with_an_odd_account_number_is_nobody(app: Flask) -> None:
    for number in ("abc", "-1", "999999", ""):
        client = app.test_client()
        with client.session_transaction() as session:
            session["_user_id"] = number
        assert not is_in(client)
