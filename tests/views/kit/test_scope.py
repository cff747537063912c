"""Nobody reaches rows of stores that are not theirs, by whatever way (FAB traps 2, 3, 4)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.extensions import db
from tests.views.kit.cafe import Deal, Desk, Place, Visit, VisitStatus
from tests.views.kit.conftest import Login
from tests.views.kit.forms import audit, count, csv_rows, desk, errors, linked, offered, rows, selected


@pytest.mark.parametrize("address", ["/deskview/show/21", "/deskview/edit/21", "/visitledgerview/show/2"])
def test_page_of_a_foreign_row_is_not_found(manager: FlaskClient, owner: FlaskClient, address: str) -> None:
    assert manager.get(address).status_code == 404
    assert owner.get(address).status_code == 200


@pytest.mark.parametrize("key", ["0", "-1", "999999", "abc", "9" * 40, "1%00", "1 OR 1=1", "%E2%91%A0"])
def test_page_of_no_row_is_not_found(owner: FlaskClient, key: str) -> None:
    assert owner.get(f"/deskview/show/{key}").status_code == 404


def test_edit_of_a_foreign_row_is_not_found(app: Flask, manager: FlaskClient) -> None:
    before = rows(app, Desk)

    answer = manager.post("/deskview/edit/21", data=desk(name="Mine now"))

    assert answer.status_code == 404
    assert rows(app, Desk) == before


def test_delete_of_a_foreign_row_is_not_found(app: Flask, manager: FlaskClient) -> None:
    assert manager.post("/deskview/delete/22").status_code == 404
    assert count(app, Desk) == 4


@pytest.mark.parametrize(
    ("label", "keys", "status"),
    [
        ("a foreign row", ["2"], 404),
        ("an own and a foreign row", ["1", "2"], 404),
        ("a row that is none", ["1", "999"], 404),
        ("no key", ["1", "abc"], 404),
        ("an own row", ["1"], 302),
    ],
)
def test_action_on_chosen_rows(
    app: Flask, manager: FlaskClient, label: str, keys: list[str], status: int
) -> None:
    answer = manager.post("/visitledgerview/action_post", data={"action": "close", "rowid": keys})

    assert answer.status_code == status
    closed = [row["id"] for row in rows(app, Visit) if row["status"] is VisitStatus.CLOSED]
    assert closed == ([1] if status == 302 else [])


@pytest.mark.parametrize(("key", "status"), [("1", 302), ("2", 404), ("999", 404), ("x", 404)])
def test_action_on_one_row(app: Flask, manager: FlaskClient, key: str, status: int) -> None:
    answer = manager.post(f"/visitledgerview/action/close/{key}")

    assert answer.status_code == status
    closed = [str(row["id"]) for row in rows(app, Visit) if row["status"] is VisitStatus.CLOSED]
    assert closed == ([key] if status == 302 else [])


def test_lists_counts_and_exports_hold_own_rows_only(manager: FlaskClient, owner: FlaskClient) -> None:
    assert "Desk 1-1" in manager.get("/deskview/list/").text
    assert "Desk 2-1" not in manager.get("/deskview/list/").text
    assert "<strong>2</strong>" in manager.get("/deskview/list/").text
    assert "<strong>4</strong>" in owner.get("/deskview/list/").text
    assert len(csv_rows(manager, "/deskview/export")) == 2
    assert len(csv_rows(owner, "/deskview/export")) == 4
    assert csv_rows(manager, "/deskview/export?_flt_0_store=2") == []


def test_choices_of_a_relation_are_own_rows_only(manager: FlaskClient, owner: FlaskClient) -> None:
    page = manager.get("/visitview/add").text

    assert offered(page, "store") == ["Please choose", "Place 1"]
    assert offered(page, "desk") == ["Please choose", "Desk 1-1", "Desk 1-2"]
    assert len(offered(owner.get("/visitview/add").text, "desk")) == 5


@pytest.mark.parametrize(
    ("label", "data", "wrong"),
    [
        ("a foreign store", {"store": "2", "desk": "11"}, "store"),
        ("a foreign desk", {"store": "1", "desk": "21"}, "desk"),
        ("a desk that is none", {"store": "1", "desk": "999"}, "desk"),
        ("no key", {"store": "1", "desk": "abc"}, "desk"),
        ("a huge key", {"store": "1", "desk": "9" * 40}, "desk"),
    ],
)
def test_forged_foreign_key_is_refused(
    app: Flask, manager: FlaskClient, label: str, data: dict[str, str], wrong: str
) -> None:
    answer = manager.post("/visitview/add", data=data | {"note": "forged", "amount_fen": "1"})

    assert answer.status_code == 422
    assert errors(answer.text) == {wrong: "Not a valid choice."}
    assert count(app, Visit) == 2


def test_forged_foreign_key_in_an_edit_is_refused(app: Flask, manager: FlaskClient) -> None:
    before = rows(app, Visit)

    answer = manager.post("/visitview/edit/1", data={"store": "2", "desk": "21", "amount_fen": "1"})

    assert answer.status_code == 422
    assert rows(app, Visit) == before


def test_forged_store_id_column_is_not_read(app: Flask, manager: FlaskClient) -> None:
    data = {"store": "1", "desk": "11", "amount_fen": "1", "store_id": "2", "desk_id": "21", "id": "77"}

    assert manager.post("/visitview/add", data=data).status_code == 302
    made = rows(app, Visit)[-1]
    assert (made["store_id"], made["desk_id"]) == (1, 11)
    assert made["id"] != 77


def test_row_that_mixes_two_stores_is_refused(app: Flask, owner: FlaskClient) -> None:
    answer = owner.post("/visitview/add", data={"store": "1", "desk": "21", "amount_fen": "1"})

    assert answer.status_code == 422
    assert errors(answer.text)["desk"] == "This belongs to another store."
    assert count(app, Visit) == 2


def test_preset_of_a_foreign_row_is_not_found(app: Flask, manager: FlaskClient) -> None:
    data = {"store": "1", "amount_fen": "1"}

    assert manager.get("/visitview/add?_flt_0_desk=21").status_code == 404
    assert manager.post("/visitview/add?_flt_0_desk=21", data=data).status_code == 404
    assert count(app, Visit) == 2


def test_row_that_a_hook_moves_out_of_scope_is_refused(
    app: Flask, manager: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = next(view for view in app.appbuilder.baseviews if type(view).__name__ == "VisitView")  # type: ignore[attr-defined]

    def move(item: Any) -> None:
        item.store, item.desk = db.session.get(Place, 2), db.session.get(Desk, 21)

    monkeypatch.setattr(view, "pre_add", move)
    answer = manager.post("/visitview/add", data={"store": "1", "desk": "11", "amount_fen": "1"})

    assert answer.status_code == 422
    assert errors(answer.text) == {"": "This belongs to a store that you do not manage."}
    assert count(app, Visit) == 2
    assert audit(app) == []


def test_many_to_many_offers_own_rows_and_keeps_the_unseen(app: Flask, manager: FlaskClient) -> None:
    page = manager.get("/dealview/edit/1").text
    assert offered(page, "places") == ["Place 1"]
    assert selected(page, "places") == ["1"]

    assert manager.post("/dealview/edit/1", data={"name": "Renamed", "places": ["1"]}).status_code == 302

    assert rows(app, Deal)[0]["name"] == "Renamed"
    assert linked(app, Deal, 1, "places") == [1, 2]


def test_many_to_many_refuses_a_foreign_row(app: Flask, manager: FlaskClient) -> None:
    answer = manager.post("/dealview/add", data={"name": "Forged", "places": ["1", "2"]})

    assert answer.status_code == 422
    assert count(app, Deal) == 1


def test_related_tab_needs_the_right_to_its_screen(owner: FlaskClient, clerk: FlaskClient) -> None:
    for address in ("/deskview/show/11", "/deskview/show/11?page_VisitView=0"):
        assert "visit of 1" in owner.get(address).text
        page = clerk.get(address).text
        assert "Desk 1-1" in page
        assert "visit of 1" not in page
        assert "VisitView" not in page


def test_related_tab_on_the_edit_page_needs_the_right_too(owner: FlaskClient) -> None:
    assert "visit of 1" in owner.get("/deskview/edit/11").text
    assert "visit of 2" not in owner.get("/deskview/edit/11").text


def test_related_tab_holds_rows_of_that_row_only(owner: FlaskClient) -> None:
    page = owner.get("/placeview/show/2").text

    assert "Desk 2-1" in page
    assert "Desk 1-1" not in page


def test_lookup_finds_rows_in_pages(owner: FlaskClient) -> None:
    first = json.loads(owner.get("/visitview/lookup/guest?q=guest").text)
    last = json.loads(owner.get("/visitview/lookup/guest?q=guest&page=2").text)

    assert [item["text"] for item in first["items"]][:2] == ["Guest 000", "Guest 001"]
    assert (len(first["items"]), first["has_more"]) == (20, True)
    assert (len(last["items"]), last["has_more"]) == (20, False)
    assert [
        item["text"] for item in json.loads(owner.get("/visitview/lookup/guest?q=059").text)["items"]
    ] == ["Guest 059"]


@pytest.mark.parametrize("query", ["q=%25", "q=_", "q=%00", "q=x&page=abc", "q=&page=-1", "q=" + "x" * 999])
def test_lookup_survives_odd_questions(owner: FlaskClient, query: str) -> None:
    assert owner.get(f"/visitview/lookup/guest?{query}").status_code == 200


def test_lookup_answers_own_rows_only(manager: FlaskClient) -> None:
    found = json.loads(manager.get("/visitview/lookup/desk?q=Desk").text)

    assert [item["text"] for item in found["items"]] == ["Desk 1-1", "Desk 1-2"]


@pytest.mark.parametrize(
    ("who", "address", "status"),
    [
        ("clerk", "/visitview/lookup/desk", 403),  # no right to the screen
        ("clerk", "/deskview/lookup/store", 200),  # a filter of a list that may be read
        ("owner", "/deskview/lookup/pin", 404),
        ("owner", "/deskview/lookup/visits", 404),
        ("owner", "/deskview/lookup/nonesuch", 404),
        ("owner", "/visitview/lookup/store", 200),
    ],
)
def test_lookup_is_for_fields_that_one_may_use(login: Login, who: str, address: str, status: int) -> None:
    assert login(who).get(address).status_code == status


@pytest.mark.parametrize(
    ("address", "data"),
    [
        ("/deskview/add", desk()),
        ("/deskview/edit/11", desk()),
        ("/deskview/delete/12", {}),
        ("/visitledgerview/action/close/1", {}),
        ("/visitledgerview/action_post", {"action": "close", "rowid": "1"}),
    ],
)
def test_without_the_right_nothing_is_changed(
    app: Flask, clerk: FlaskClient, address: str, data: dict[str, str]
) -> None:
    before = rows(app, Desk), rows(app, Visit)

    assert clerk.post(address, data=data).status_code == 403
    assert (rows(app, Desk), rows(app, Visit)) == before


@pytest.mark.parametrize(
    "address", ["/deskview/list/", "/deskview/export", "/deskview/edit/11", "/staff/list/"]
)
def test_nobody_logged_in_is_sent_to_the_login_page(app: Flask, address: str) -> None:
    answer = app.test_client().get(address)

    assert answer.status_code == 302
    assert answer.location.startswith("/login/?next=")
