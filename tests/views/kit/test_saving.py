"""A refusal gives the form back as filled in, changes nothing and quotes no database (FAB trap 13)."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.domain.actor import ALL_STORES
from app.extensions import db, use_scope
from tests.views.kit.cafe import Desk, Guest, Place, Tag, Visit
from tests.views.kit.forms import audit, count, desk, errors, rows, selected, shows_no_database, value_of


def flashes(client: FlaskClient) -> list[str]:
    """Return and clear the waiting messages."""
    with client.session_transaction() as session:
        return [text for _, text in session.pop("_flashes", [])]


def assert_kept(page: str, name: str) -> None:
    """What was typed into `desk(name=…, fee_fen="77.70", tags=["2"], pin="secret")` is still there."""
    assert value_of(page, "name") == name
    assert value_of(page, "fee_fen") == "77.70"
    assert value_of(page, "opens_minute") == "09:30"
    assert selected(page, "store") == ["1"]
    assert selected(page, "kind") == ["square"]
    assert selected(page, "tags") == ["2"]


WRONG_NUMBER = "Please choose between 1 and 200 rows."
STALE = "Somebody else has changed this in the meantime. Please check and save again."
TYPED: dict[str, Any] = {"fee_fen": "77.70", "tags": ["2"], "pin": "secret"}


@pytest.mark.parametrize("address", ["/deskview/add", "/deskview/edit/12"])
@pytest.mark.parametrize(
    ("label", "typed", "expected"),
    [
        ("unique key", {"name": "Desk 1-1"}, {"name": "This name is taken in the store."}),
        ("check", {"name": "Big", "capacity": "21"}, {"capacity": "This value is not allowed here."}),
    ],
)
def test_violated_constraint_is_an_error_of_its_field(
    app: Flask, owner: FlaskClient, address: str, label: str, typed: dict[str, str], expected: dict[str, str]
) -> None:
    before = rows(app, Desk)

    answer = owner.post(address, data=desk(**TYPED, **typed))

    assert answer.status_code == 422
    assert errors(answer.text) == expected
    assert_kept(answer.text, typed["name"])
    assert shows_no_database(answer.text)
    assert flashes(owner) == []
    assert rows(app, Desk) == before
    assert audit(app) == []


@pytest.mark.parametrize(
    ("label", "address", "typed", "expected"),
    [
        ("before an insert", "/deskview/add", {"name": "refused"}, {"name": "Not this one."}),
        ("before an update", "/deskview/edit/12", {"name": "refused"}, {"": "This name is refused."}),
        (
            "after an update",
            "/deskview/edit/12",
            {"name": "New", "remark": "refuse late"},
            {"": "Refused after the write."},
        ),
    ],
)
def test_refusal_of_a_hook_rolls_everything_back(
    app: Flask, owner: FlaskClient, label: str, address: str, typed: dict[str, str], expected: dict[str, str]
) -> None:
    before = rows(app, Desk)

    answer = owner.post(address, data=desk(**TYPED, **typed))

    assert answer.status_code == 422
    assert errors(answer.text) == expected
    assert_kept(answer.text, typed["name"])
    assert rows(app, Desk) == before
    # A later commit of the same thread must not store it after all.
    assert owner.post("/deskview/add", data=desk(name="Another")).status_code == 302
    assert [row for row in rows(app, Desk) if row["name"] != "Another"] == before
    assert [entry["action"] for entry in audit(app)] == ["create"]


def test_defect_in_a_hook_is_no_refusal_and_leaves_nothing(app: Flask, owner: FlaskClient) -> None:
    with pytest.raises(RuntimeError, match="a defect in a hook"):
        owner.post("/deskview/add", data=desk(name="broken"))

    assert count(app, Desk) == 4
    assert owner.post("/deskview/add", data=desk(name="Fine")).status_code == 302


def test_row_in_use_is_not_deleted_and_says_so(app: Flask, owner: FlaskClient) -> None:
    answer = owner.post("/deskview/delete/11")

    assert answer.status_code == 302
    assert flashes(owner) == ["This is still in use and cannot be deleted."]
    assert count(app, Desk) == 4
    assert audit(app) == []


def test_row_that_is_free_is_deleted(app: Flask, owner: FlaskClient) -> None:
    answer = owner.post("/deskview/delete/12")

    assert (answer.status_code, answer.location) == (302, "/deskview/list/")
    assert flashes(owner) == ["Deleted."]
    assert [row["id"] for row in rows(app, Desk)] == [11, 21, 22]
    entry = audit(app)[0]
    assert (entry["action"], entry["entity"], entry["entity_id"], entry["store_id"]) == (
        "delete",
        "cafe_desks",
        "12",
        1,
    )
    assert entry["before"]["name"] == "Desk 1-2"


def test_vanished_choice_is_an_error_not_a_crash(app: Flask, owner: FlaskClient) -> None:
    """The guest is deleted between the look-up of the form and the insert."""
    view = next(view for view in app.appbuilder.baseviews if type(view).__name__ == "VisitView")  # type: ignore[attr-defined]

    def vanish(item: Visit) -> None:
        db.session.execute(db.text("DELETE FROM cafe_guests WHERE id = 60"))

    view.pre_add, plain = vanish, view.pre_add
    try:
        answer = owner.post(
            "/visitview/add", data={"store": "1", "desk": "11", "guest": "60", "amount_fen": "1"}
        )
    finally:
        view.pre_add = plain

    assert answer.status_code == 422
    assert "does not exist any more" in answer.text
    assert shows_no_database(answer.text)
    assert count(app, Guest) == 60
    assert count(app, Visit) == 2


@pytest.mark.parametrize(
    "address", ["/deskview/delete/12", "/visitledgerview/action/close/1", "/visitledgerview/action_post"]
)
def test_nothing_changes_by_get(app: Flask, owner: FlaskClient, address: str) -> None:
    assert owner.get(address).status_code == 405
    assert count(app, Desk) == 4


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/visitledgerview/action/nonesuch/1", 404),
        ("/visitledgerview/action/__class__/1", 404),
        ("/visitledgerview/action/peek/1", 302),
    ],
)
def test_unknown_action_is_not_found(owner: FlaskClient, address: str, status: int) -> None:
    assert owner.post(address).status_code == status


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        ({}, 404, []),
        ({"action": "nonesuch", "rowid": "1"}, 404, []),
        ({"action": "peek", "rowid": "1"}, 404, []),
        ({"action": "close"}, 302, [WRONG_NUMBER]),
        (
            {"action": "close", "rowid": [str(n) for n in range(300)]},
            302,
            [WRONG_NUMBER],
        ),
    ],
)
def test_odd_choice_of_rows(owner: FlaskClient, data: dict[str, Any], status: int, said: list[str]) -> None:
    assert owner.post("/visitledgerview/action_post", data=data).status_code == status
    assert flashes(owner) == said


def test_refused_action_is_all_or_nothing(app: Flask, owner: FlaskClient) -> None:
    with app.app_context(), use_scope(ALL_STORES):
        db.session.get(Visit, 2).note = "refuse"
        db.session.commit()
    before = rows(app, Visit)

    answer = owner.post("/visitledgerview/action_post", data={"action": "close", "rowid": ["1", "2"]})

    assert answer.status_code == 302
    assert flashes(owner) == ["This visit stays open."]
    assert rows(app, Visit) == before


@pytest.mark.parametrize("method", ["add", "edit/1", "delete/1"])
def test_ledger_has_no_routes_that_write(owner: FlaskClient, method: str) -> None:
    assert owner.post(f"/visitledgerview/{method}").status_code == 404


def test_lost_update_is_refused_and_can_be_repeated(app: Flask, owner: FlaskClient) -> None:
    page = owner.get("/deskview/edit/11").text
    version = value_of(page, "version")
    assert version == "1"
    first = owner.post("/deskview/edit/11", data=desk(name="First", version=version))
    assert first.status_code == 302

    second = owner.post("/deskview/edit/11", data=desk(name="Second", version=version))

    assert second.status_code == 409
    assert errors(second.text) == {"": STALE}
    assert value_of(second.text, "name") == "Second"
    assert rows(app, Desk, id=11)[0]["name"] == "First"
    again = owner.post(
        "/deskview/edit/11", data=desk(name="Second", version=value_of(second.text, "version"))
    )
    assert again.status_code == 302
    assert (rows(app, Desk, id=11)[0]["name"], rows(app, Desk, id=11)[0]["version"]) == ("Second", 3)


@pytest.mark.parametrize("version", ["abc", "", "-1", "9" * 30])
def test_odd_version_is_a_lost_update(app: Flask, owner: FlaskClient, version: str) -> None:
    assert owner.post("/deskview/edit/11", data=desk(version=version)).status_code == 409
    assert rows(app, Desk, id=11)[0]["name"] == "Desk 1-1"


@pytest.mark.parametrize(
    ("wanted", "location"),
    [
        ("", "/deskview/list/"),
        ("?next=/placeview/show/1%23DeskView", "/placeview/show/1#DeskView"),
        ("?next=https://evil.example/", "/deskview/list/"),
        ("?next=//evil.example/", "/deskview/list/"),
        ("?next=/%5Cevil.example/", "/deskview/list/"),
        ("?next=javascript:alert(1)", "/deskview/list/"),
    ],
)
def test_after_saving_one_goes_on_to(owner: FlaskClient, wanted: str, location: str) -> None:
    assert owner.post(f"/deskview/edit/12{wanted}", data=desk()).location == location


def test_audit_tells_who_changed_what_without_secrets(app: Flask, manager: FlaskClient) -> None:
    assert manager.post("/deskview/edit/12", data=desk(pin="sesame", tags=["1"])).status_code == 302

    entry = audit(app)[0]
    assert (entry["actor_kind"], entry["actor_name"]) == ("staff", "王manager")
    assert (entry["action"], entry["entity"], entry["entity_id"], entry["store_id"]) == (
        "update",
        "cafe_desks",
        "12",
        1,
    )
    assert entry["before"]["name"] == "Desk 1-2"
    assert entry["after"] == {
        "name": "Corner",
        "kind": "square",
        "fee_fen": 1250,
        "opens_minute": 570,
        "stay_minutes": 90,
        "pin": "***",
        "tags": [1],
    }


def test_saving_without_a_change_leaves_no_entry(app: Flask, owner: FlaskClient) -> None:
    assert owner.post("/deskview/add", data=desk()).status_code == 302
    key = rows(app, Desk, name="Corner")[0]["id"]
    assert owner.post(f"/deskview/edit/{key}", data=desk()).status_code == 302
    assert [entry["action"] for entry in audit(app)] == ["create"]


def test_unique_name_of_one_column(app: Flask, owner: FlaskClient) -> None:
    answer = owner.post("/placeview/add", data={"name": "Place 1"})

    assert answer.status_code == 422
    assert errors(answer.text) == {"name": "This already exists."}
    assert count(app, Place) == 2


def test_new_row_is_offered_at_once(app: Flask, owner: FlaskClient) -> None:
    with app.app_context():
        db.session.add(Tag(name="new"))
        db.session.commit()

    assert "new</option>" in owner.get("/deskview/add").text


@pytest.mark.parametrize(
    ("address", "data"),
    [
        ("/deskview/add", desk()),
        ("/deskview/edit/12", desk()),
        ("/deskview/delete/12", {}),
        ("/visitledgerview/action/close/1", {}),
        ("/visitledgerview/action_post", {"action": "close", "rowid": "1"}),
        ("/logout/", {}),
    ],
)
def test_post_from_a_foreign_page_is_refused(
    app: Flask, owner: FlaskClient, monkeypatch: pytest.MonkeyPatch, address: str, data: dict[str, Any]
) -> None:
    before = rows(app, Desk), rows(app, Visit)
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)

    assert owner.post(address, data=data).status_code == 400

    assert (rows(app, Desk), rows(app, Visit)) == before
    assert owner.get("/deskview/list/").status_code == 200


def test_form_with_its_token_is_saved(
    app: Flask, owner: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)
    token = value_of(owner.get("/deskview/add").text, "csrf_token")

    assert owner.post("/deskview/add", data=desk(csrf_token=token)).status_code == 302
    assert count(app, Desk) == 5
