"""Accounts and roles: for owners only, without a password hash anywhere, and never without an owner."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_appbuilder.security.sqla.models import PermissionView, Role

from app.domain.actor import ALL_STORES
from app.extensions import db, use_scope
from app.models.staff import Staff
from tests.views.kit import cafe
from tests.views.kit.conftest import Login
from tests.views.kit.forms import audit, count, errors, linked, offered, rows, value_of

PASSWORD = "tea-and-cards-7"


def role_id(app: Flask, name: str) -> str:
    return str(rows(app, Role, name=name)[0]["id"])


def of_owner(app: Flask, address: str) -> str:
    """Return *address* with the key of the owner's account in it."""
    return address.format(staff=rows(app, Staff, username="owner")[0]["id"])


def account(app: Flask, **changes: Any) -> dict[str, Any]:
    """Return a complete form of a new account."""
    values = {
        "username": "lili",
        "last_name": "李",
        "first_name": "丽",
        "email": "lili@example.com",
        "roles": [role_id(app, "Manager")],
        "stores": ["1"],
        "active": "y",
        "new_password": PASSWORD,
        "password_again": PASSWORD,
    }
    return {name: value for name, value in (values | changes).items() if value is not None}


@pytest.mark.parametrize(
    "address",
    [
        "/staff/list/",
        "/staff/add",
        "/staff/show/{staff}",
        "/staff/edit/{staff}",
        "/staff/export",
        "/staff/lookup/roles",
        "/roles/list/",
        "/roles/add",
        "/roles/show/1",
        "/roles/edit/1",
    ],
)
def test_screens_over_permissions_are_closed_to_whoever_is_limited_to_stores(
    app: Flask,
    manager: FlaskClient,
    owner: FlaskClient,
    address: str,
) -> None:
    """The manager's role here grants every permission; the stores decide."""
    assert manager.get(of_owner(app, address)).status_code == 403
    assert owner.get(of_owner(app, address)).status_code == 200


def test_manager_cannot_make_accounts_or_change_roles(app: Flask, manager: FlaskClient) -> None:
    before = count(app, Staff), count(app, Role)

    assert manager.post("/staff/add", data=account(app)).status_code == 403
    promoted = account(app, roles=[role_id(app, "Owner")])
    assert manager.post(of_owner(app, "/staff/edit/{staff}"), data=promoted).status_code == 403
    assert manager.post("/roles/add", data={"name": "Mine"}).status_code == 403
    assert (count(app, Staff), count(app, Role)) == before


def test_new_account_can_log_in_with_its_role_and_stores(app: Flask, owner: FlaskClient) -> None:
    answer = owner.post("/staff/add", data=account(app))
    assert answer.status_code == 302, errors(answer.text)

    row = rows(app, Staff, username="lili")[0]
    assert row["password"].startswith("scrypt:")
    assert linked(app, Staff, row["id"], "stores") == [1]
    client = app.test_client()
    assert client.post("/login/", data={"username": "lili", "password": PASSWORD}).status_code == 302
    page = client.get("/deskview/list/").text
    assert "李丽" in page
    assert "Desk 1-1" in page
    assert "Desk 2-1" not in page


def test_audit_of_an_account_holds_no_hash(app: Flask, owner: FlaskClient) -> None:
    owner.post("/staff/add", data=account(app))

    entry = audit(app)[0]
    assert (entry["action"], entry["entity"]) == ("create", "ab_user")
    assert entry["after"]["password"] == "***"
    assert entry["after"]["roles"] == [int(role_id(app, "Manager"))]
    assert "scrypt" not in str(entry)


@pytest.mark.parametrize(
    ("label", "changes", "wrong"),
    [
        ("short password", {"new_password": "a1", "password_again": "a1"}, ["new_password"]),
        ("letters only", {"new_password": "teaandtiles", "password_again": "teaandtiles"}, ["new_password"]),
        ("typed differently", {"password_again": "other-tea-1"}, ["password_again"]),
        ("no password", {"new_password": "", "password_again": ""}, ["new_password"]),
        ("no role", {"roles": None}, ["roles"]),
        ("a role that is none", {"roles": ["999"]}, ["roles"]),
        ("a store that is none", {"stores": ["999"]}, ["stores"]),
        ("a bad address", {"email": "nowhere"}, ["email"]),
        ("a name that is taken", {"username": "manager"}, ["username"]),
        ("an address that is taken", {"email": "manager@example.com"}, ["email"]),
    ],
)
def test_account_is_refused(
    app: Flask,
    owner: FlaskClient,
    label: str,
    changes: dict[str, Any],
    wrong: list[str],
) -> None:
    answer = owner.post("/staff/add", data=account(app, **changes))

    assert answer.status_code == 422
    assert list(errors(answer.text)) == wrong
    assert value_of(answer.text, "last_name") == "李"
    assert PASSWORD not in answer.text
    assert count(app, Staff) == 3


def test_role_of_everybody_is_not_offered(app: Flask, owner: FlaskClient) -> None:
    assert offered(owner.get("/staff/add").text, "roles") == ["Clerk", "Manager", "Owner"]
    public = role_id(app, "Public")
    assert owner.post("/staff/add", data=account(app, roles=[public])).status_code == 422


def test_password_hash_is_nowhere(app: Flask, owner: FlaskClient) -> None:
    orders = "?_oc_StaffView=password&_od_StaffView=asc&_flt_0_password=pbkdf2&q=pbkdf2"
    pages = [
        *(
            "/staff/list/",
            f"/staff/list/{orders}",
            "/staff/show/{staff}",
            "/staff/edit/{staff}",
            "/staff/add",
            "/staff/export",
        ),
        f"/staff/export{orders}",
    ]
    for address in pages:
        answer = owner.get(of_owner(app, address))
        assert answer.status_code == 200
        assert "pbkdf2:" not in answer.text
    names = [
        line.split(",")[0]
        for line in owner.get("/staff/export?_oc_StaffView=password&_od_StaffView=desc").text.splitlines()
    ]
    assert names[1:] == ["clerk", "manager", "owner"]


def test_blank_password_stays_and_a_new_one_ends_sessions(app: Flask, owner: FlaskClient) -> None:
    client = app.test_client()
    client.post("/login/", data={"username": "manager", "password": cafe.PASSWORD})
    key = rows(app, Staff, username="manager")[0]["id"]
    same = account(app, username="manager", email="manager@example.com", new_password="", password_again="")

    assert owner.post(f"/staff/edit/{key}", data=same).status_code == 302
    assert client.get("/deskview/list/").status_code == 200

    assert owner.post(f"/staff/edit/{key}", data=same | account(app, username="manager")).status_code == 302
    assert client.get("/deskview/list/").status_code == 302


@pytest.mark.parametrize(("label", "changes"), [("switched off", {"active": None}), ("other role", {})])
def test_last_owner_stays_owner(app: Flask, owner: FlaskClient, label: str, changes: dict[str, Any]) -> None:
    row = rows(app, Staff, username="owner")[0]
    roles = [role_id(app, "Manager")] if label == "other role" else [role_id(app, "Owner")]
    data = account(app, username="owner", roles=roles, new_password="", password_again="", **changes)

    answer = owner.post(f"/staff/edit/{row['id']}", data=data)

    assert answer.status_code == 422
    assert errors(answer.text) == {"roles": "At least one active owner must remain."}
    assert rows(app, Staff, username="owner") == [row]
    assert owner.get("/staff/list/").status_code == 200


def test_owner_may_go_when_another_one_is_there(app: Flask, owner: FlaskClient) -> None:
    assert owner.post("/staff/add", data=account(app, roles=[role_id(app, "Owner")])).status_code == 302
    key = rows(app, Staff, username="clerk")[0]["id"]
    data = account(
        app, username="clerk", email="c@example.com", active=None, new_password="", password_again=""
    )

    assert owner.post(f"/staff/edit/{key}", data=data).status_code == 302
    assert rows(app, Staff, username="clerk")[0]["active"] is False


def test_accounts_are_not_deleted(app: Flask, owner: FlaskClient) -> None:
    assert owner.post(of_owner(app, "/staff/delete/{staff}")).status_code == 404
    assert count(app, Staff) == 3


def permission_ids(app: Flask, *names: str) -> list[str]:
    """Return the keys of permissions given as ``name on view``."""
    with app.app_context(), use_scope(ALL_STORES):
        every = db.session.query(PermissionView).all()
        found = [str(row.id) for row in every if f"{row.permission.name} on {row.view_menu.name}" in names]
        db.session.remove()
    assert len(found) == len(names)
    return found


def test_role_is_made_with_permissions_in_plain_words(app: Flask, owner: FlaskClient) -> None:
    page = owner.get("/roles/add").text
    words = offered(page, "permissions")
    assert "Desks · View" in words
    assert "Desks · Add and edit" in words
    assert "Ledger · close" in words
    assert "js-remote-select" not in page

    granted = permission_ids(app, "can_read on VisitView", "can_read on DeskView")
    assert owner.post("/roles/add", data={"name": "Reader", "permissions": granted}).status_code == 302

    made = rows(app, Role, name="Reader")[0]
    assert [str(key) for key in linked(app, Role, made["id"], "permissions")] == sorted(granted, key=int)
    assert audit(app)[0]["after"]["permissions"] == sorted(int(key) for key in granted)


def test_changed_role_counts_at_the_next_request(app: Flask, owner: FlaskClient, login: Login) -> None:
    clerk = login("clerk")
    assert clerk.get("/visitview/list/").status_code == 403
    granted = permission_ids(app, "can_read on VisitView")

    changed = owner.post(
        f"/roles/edit/{role_id(app, 'Clerk')}", data={"name": "Clerk", "permissions": granted}
    )

    assert changed.status_code == 302
    assert clerk.get("/visitview/list/").status_code == 200
    assert clerk.get("/deskview/list/").status_code == 403


@pytest.mark.parametrize("name", ["Owner", "Public"])
@pytest.mark.parametrize("new_name", ["same", "Other"])
def test_roles_of_the_product_cannot_be_changed(
    app: Flask, owner: FlaskClient, name: str, new_name: str
) -> None:
    key = role_id(app, name)
    before = linked(app, Role, int(key), "permissions")

    wanted = name if new_name == "same" else new_name
    answer = owner.post(f"/roles/edit/{key}", data={"name": wanted, "permissions": []})

    assert answer.status_code == 422
    assert errors(answer.text) == {"": "This role belongs to the product and cannot be changed."}
    assert linked(app, Role, int(key), "permissions") == before
    assert owner.post(f"/roles/delete/{key}").status_code == 302
    assert rows(app, Role, name=name)


def test_role_that_somebody_has_is_not_deleted(app: Flask, owner: FlaskClient) -> None:
    assert owner.post(f"/roles/delete/{role_id(app, 'Clerk')}").status_code == 302
    with owner.session_transaction() as session:
        assert session["_flashes"] == [("danger", "Staff members still have this role.")]
    assert rows(app, Role, name="Clerk")

    owner.post("/roles/add", data={"name": "Unused"})
    assert owner.post(f"/roles/delete/{role_id(app, 'Unused')}").status_code == 302
    assert rows(app, Role, name="Unused") == []
