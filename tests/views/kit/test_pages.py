"""What pages cost and how values look: cells, titles, exports, FAB's own addresses (traps 12, 18–20)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient
from markupsafe import Markup

from app.domain.actor import ALL_STORES
from app.extensions import db, use_scope
from app.views.kit.cells import badge, cell_formatter, plain_value
from app.views.kit.export import guarded
from tests.views.kit.cafe import Desk, Kind, Visit, Weather
from tests.views.kit.conftest import Login
from tests.views.kit.forms import csv_rows


def add_visits(app: Flask, number: int) -> None:
    """Add visits with every relation set, alternating between two desks and sixty guests."""
    with app.app_context(), use_scope(ALL_STORES):
        for n in range(number):
            links = {"store_id": 1, "desk_id": 11 if n % 2 else 12, "guest_id": n % 60 + 1}
            db.session.add(Visit(**links, note=f"many {n}", amount_fen=n * 100))
        db.session.commit()


@pytest.mark.parametrize(
    ("who", "address", "most"),
    [
        ("owner", "/visitview/list/", 12),
        ("manager", "/visitview/list/?psize_VisitView=100", 12),
        ("manager", "/visitview/list/?q=many&_flt_0_desk=11&_oc_VisitView=desk.name&_od_VisitView=asc", 12),
        ("manager", "/visitledgerview/list/", 8),
        ("manager", "/deskview/list/", 12),
        ("manager", "/visitview/add", 10),
        ("owner", "/staff/list/", 12),
    ],
)
def test_page_costs_few_queries_whatever_it_lists(
    app: Flask, login: Login, statements: list[str], who: str, address: str, most: int
) -> None:
    add_visits(app, 90)
    client = login(who)
    client.get(address)
    statements.clear()

    assert client.get(address).status_code == 200

    asked = [statement for statement in statements if not statement.startswith(("BEGIN", "PRAGMA"))]
    assert len(asked) <= most, "\n".join(asked)


def test_list_does_not_grow_with_the_children(app: Flask, owner: FlaskClient) -> None:
    before = len(owner.get("/deskview/list/").text)
    add_visits(app, 500)

    assert len(owner.get("/deskview/list/").text) < before + 100


def test_cells_are_drawn_by_the_type_of_their_column(app: Flask, owner: FlaskClient) -> None:
    with app.app_context(), use_scope(ALL_STORES):
        first = db.session.get(Desk, 11)
        first.fee_fen, first.opens_minute, first.is_active = 123450, 1500, False
        first.open_at = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
        first.name = "<b>Desk</b>"
        first.extra = {"x": "<i>"}
        db.session.commit()

    page = owner.get("/deskview/show/11").text

    assert "¥1,234.50" in page
    assert "next day 01:00" in page
    assert "2026-11-23 07:00" in page
    assert '<span class="badge bg-green-lt">Round</span>' in page
    assert "&lt;b&gt;Desk&lt;/b&gt;" in page
    assert "<b>Desk</b>" not in page
    assert "<i>" not in page
    assert "+00:00" not in page
    assert ">True<" not in page
    assert ">False<" not in page
    assert "None<" not in page
    row = csv_rows(owner, "/deskview/export?_flt_0_name=Desk%3C")[0]
    assert row == "<b>Desk</b>,Place 1,Round,1234.50,next day 01:00,No,2026-11-23 07:00"


def test_value_without_a_column_is_drawn_by_what_it_is(app: Flask) -> None:
    draw = cell_formatter(Desk, "nothing_mapped")
    with app.test_request_context("/"):
        assert draw(None) == "–"
        assert draw("<x>") == "&lt;x&gt;"
        assert draw(Markup("<x>")) == "<x>"
        assert "✓" in draw(True)
        assert draw(Kind.SQUARE) == badge(Kind.SQUARE)
        assert "secondary" in draw(Weather.SUNNY)
        assert plain_value(Desk, "nothing_mapped", Weather.SUNNY) == "sunny"
        assert plain_value(Desk, "nothing_mapped", Markup("<b>x</b>")) == "x"
        assert plain_value(Desk, "pin", "secret") == "••••••"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+86 10", "'+86 10"),
        ("-2", "'-2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("  =1", "'  =1"),
        ("＝1", "'＝1"),
        ("plain", "plain"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_formula_in_an_export_is_text(text: str, written: str) -> None:
    assert guarded(text) == written


def test_export_is_csv_for_spreadsheets(app: Flask, owner: FlaskClient) -> None:
    with app.app_context(), use_scope(ALL_STORES):
        db.session.add(Visit(store_id=1, desk_id=11, note='=cmd|"/C calc"!A0', amount_fen=-150))
        db.session.commit()

    answer = owner.get("/visitview/export?_oc_VisitView=id&_od_VisitView=desc")

    assert answer.headers["Content-Type"].startswith("text/csv")
    assert re.fullmatch(
        r'attachment; filename="visit-\d{8}-\d{4}\.csv"', answer.headers["Content-Disposition"]
    )
    text = answer.get_data()
    assert text.startswith(b"\xef\xbb\xbf")
    first = text.decode("utf-8-sig").splitlines()[1]
    assert '"\'=cmd|""/C calc""!A0"' in first
    assert ",-1.50," in first


def test_export_is_capped(app: Flask, owner: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    add_visits(app, 30)
    view = next(view for view in app.appbuilder.baseviews if type(view).__name__ == "VisitView")  # type: ignore[attr-defined]
    monkeypatch.setattr(view, "export_row_cap", 10)

    lines = csv_rows(owner, "/visitview/export")

    assert len(lines) == 11
    assert lines[-1] == "Only the first 10 rows are shown."


def test_export_releases_its_connection_when_it_is_broken_off(app: Flask, owner: FlaskClient) -> None:
    add_visits(app, 30)
    with app.app_context():
        pool = db.engine.pool
    busy = pool.checkedout()  # type: ignore[attr-defined]

    answer = owner.get("/visitview/export", buffered=False)
    next(answer.iter_encoded())
    answer.close()

    assert pool.checkedout() == busy  # type: ignore[attr-defined]


def test_export_needs_its_own_right(owner: FlaskClient, clerk: FlaskClient) -> None:
    assert "/deskview/export" in owner.get("/deskview/list/").text
    assert "/deskview/export" in clerk.get("/deskview/list/").text
    assert clerk.get("/deskview/export").status_code == 200
    assert clerk.get("/visitview/export").status_code == 403


def test_buttons_follow_the_rights(owner: FlaskClient, clerk: FlaskClient) -> None:
    assert "/deskview/add" in owner.get("/deskview/list/").text
    page = clerk.get("/deskview/list/").text
    for address in ("/deskview/add", "/deskview/edit/", "/deskview/delete/"):
        assert address not in page


@pytest.mark.parametrize(
    "address",
    [
        "/api/v1/security/login",
        "/api/v1/security/refresh",
        "/api/v1/security/users/",
        "/api/v1/security/roles/",
        "/api/v1/security/permissions/",
        "/api/v1/menu/",
        "/api/v1/_openapi",
        "/api/v1/_info",
        "/swagger/v1",
        "/users/list/",
        "/users/userinfo/",
        "/userstatschartview/chart/",
        "/permissions/list/",
        "/viewmenus/list/",
        "/permissionviews/list/",
        "/groups/list/",
        "/registeruser/list/",
        "/resetpassword/form?pk=1",
        "/resetmypassword/form",
        "/userinfoeditview/form",
    ],
)
def test_address_of_fab_does_not_exist(owner: FlaskClient, address: str) -> None:
    assert owner.get(address).status_code == 404
    assert (
        owner.post(address, json={"username": "owner", "password": "x", "provider": "db"}).status_code == 404
    )


@pytest.mark.parametrize(
    ("referrer", "location"),
    [
        ("http://localhost/deskview/edit/11?x=1", "/deskview/list/"),
        ("http://localhost/visitledgerview/show/1", "/visitledgerview/list/"),
        ("http://localhost/deskview/list/", "/"),
        ("http://localhost/nowhere", "/"),
        ("http://evil.example/deskview/edit/11", "/"),
        (None, "/"),
    ],
)
def test_back_leads_from_a_form_to_its_list(owner: FlaskClient, referrer: str | None, location: str) -> None:
    answer = owner.get("/back", headers={"Referer": referrer} if referrer else {})

    assert (answer.status_code, answer.location) == (302, location)


def test_pages_keep_no_history_in_the_cookie(owner: FlaskClient) -> None:
    for address in ("/deskview/list/", "/deskview/show/11", "/deskview/edit/11", "/visitview/list/"):
        owner.get(address)

    with owner.session_transaction() as session:
        assert "page_history" not in session


def test_language_that_is_not_offered_any_more_is_forgotten(owner: FlaskClient) -> None:
    with owner.session_transaction() as session:
        session["locale"] = "tlh"

    assert owner.get("/deskview/list/").status_code == 200
