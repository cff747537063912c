"""The OpenAPI document is complete, and every address is under the right protection."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from app.extensions import db, metadata
from app.models import Customer
from tests import factories
from tests.api.conftest import Clock, LogIn
from tests.api.contract import ARGUMENT, ContractClient, document_of

PUBLIC = {
    "POST /auth/login",
    "POST /auth/refresh",
    "GET /stores",
    "GET /stores/{store_id}",
    "GET /stores/{store_id}/rooms",
    "GET /stores/{store_id}/availability",
    "GET /rooms/{room_id}",
    "GET /rooms/{room_id}/availability",
    "GET /rooms/{room_id}/calendar",
    "GET /campaigns",
    "GET /campaigns/{campaign_id}",
    "GET /teams/{team_id}",
    "POST /payments/{channel}/notify",
    "POST /refunds/{channel}/notify",
    "GET /openapi.json",
    "GET /docs",
}
OPTIONAL = {"POST /quotes", "POST /campaigns/{campaign_id}/views"}
CUSTOMER = {
    "POST /auth/logout",
    "GET /me",
    "PATCH /me",
    "POST /me/phone",
    "POST /me/consents",
    "POST /bookings",
    "GET /orders",
    "GET /orders/{no}",
    "POST /orders/{no}/payments",
    "GET /orders/{no}/payments/{payment_no}",
    "POST /orders/{no}/cancel-preview",
    "POST /orders/{no}/cancel",
    "POST /orders/{no}/change-preview",
    "POST /orders/{no}/change",
    "POST /orders/{no}/extend-preview",
    "POST /orders/{no}/extend",
    "POST /orders/{no}/refund-preview",
    "POST /orders/{no}/refund-requests",
    "GET /orders/{no}/refund-requests",
    "POST /orders/{no}/refund-requests/{request_id}/withdraw",
    "POST /orders/{no}/check-in",
    "POST /orders/{no}/check-out",
    "POST /campaigns/{campaign_id}/orders",
    "GET /vouchers",
    "GET /vouchers/{code}",
    "GET /vouchers/{code}/qr",
    "GET /messages",
    "POST /messages/{message_id}/read",
}
# Creates or changes, for a customer: repeatable under a key.
KEYED = {
    "POST /me/phone",
    "POST /me/consents",
    "POST /bookings",
    "POST /orders/{no}/payments",
    "POST /orders/{no}/cancel",
    "POST /orders/{no}/change",
    "POST /orders/{no}/extend",
    "POST /orders/{no}/refund-requests",
    "POST /orders/{no}/refund-requests/{request_id}/withdraw",
    "POST /orders/{no}/check-in",
    "POST /orders/{no}/check-out",
    "POST /campaigns/{campaign_id}/orders",
    "POST /campaigns/{campaign_id}/views",
    "POST /messages/{message_id}/read",
}


def _path(rule: str) -> str:
    return ARGUMENT.sub(r"{\1}", rule).removeprefix("/api/v1")


def _routes(app: Flask) -> set[str]:
    return {
        f"{method} {_path(rule.rule)}"
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def _operations(app: Flask) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path.removeprefix('/api/v1')}": operation
        for path, operations in document_of(app)["paths"].items()
        for method, operation in operations.items()
        if method != "parameters"
    }


def test_every_route_is_listed_and_documented(api: ContractClient) -> None:
    listed = PUBLIC | OPTIONAL | CUSTOMER
    assert _routes(api.application) == listed
    assert set(_operations(api.application)) == listed


def test_document_says_who_may(api: ContractClient) -> None:
    for name, operation in _operations(api.application).items():
        expected = [] if name in PUBLIC else [{"bearer": []}, {}] if name in OPTIONAL else [{"bearer": []}]
        assert operation["security"] == expected, name
        has_key = any(each["name"] == "Idempotency-Key" for each in operation["parameters"])
        assert has_key == (name in KEYED), name


def test_document_names_every_refusal(api: ContractClient) -> None:
    for name, operation in _operations(api.application).items():
        responses = operation["responses"]
        needed = {"413", "429", "500", "503"}
        needed |= {"404"} if "{" in name else set()
        needed |= {"400", "415", "422"} if "requestBody" in operation else set()
        needed |= {"401"} if name not in PUBLIC else set()
        needed |= {"409"} if name in KEYED else set()
        assert needed <= set(responses), name
        assert any(status.startswith("2") for status in responses), name
        assert operation["summary"].endswith("."), name
        for status, response in responses.items():
            if status >= "400" and "notify" not in name:
                assert set(response["content"]) == {"application/problem+json"}, (name, status)


def test_document_has_no_loose_ends(api: ContractClient) -> None:
    text = json.dumps(document_of(api.application))
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', text)):
        node: Any = document_of(api.application)
        for part in reference.split("/"):
            node = node[part]
    # The only address in it is the pattern of a profile picture.
    assert text.count("://") == text.count("(https://[^") == 1


def test_page_and_document_ask_nobody_else(api: ContractClient) -> None:
    page = api.get("/api/v1/docs")
    assert page.content_type.startswith("text/html")
    addresses = re.findall(r'(?:src|href|data-document)="([^"]+)"', page.get_data(as_text=True))
    assert len(addresses) == 5
    assert all(address.startswith("/") and not address.startswith("//") for address in addresses)
    assert "<script>" not in page.get_data(as_text=True)
    policy = page.headers["Content-Security-Policy"]
    assert "unsafe" not in policy.split("script-src")[1].split(";")[0]
    document = api.get("/api/v1/openapi.json")
    tag = {"If-None-Match": document.headers["ETag"]}
    assert api.get("/api/v1/openapi.json", headers=tag).status_code == 304


def _snapshot() -> dict[str, Any]:
    db.session.rollback()
    return {
        table.name: db.session.execute(select(table).order_by(*table.primary_key.columns)).all()
        for table in metadata.sorted_tables
        if not table.name.startswith("ab_")
    }


def _addresses(name: str) -> tuple[str, str]:
    method, path = name.split(" ")
    return method, "/api/v1" + re.sub(r"\{[a-z_]+\}", "1", path)


@pytest.mark.parametrize("name", sorted(CUSTOMER | OPTIONAL))
def test_token_that_is_not_good_changes_nothing(
    api: ContractClient, log_in: LogIn, clock: Clock, name: str
) -> None:
    method, path = _addresses(name)
    disabled = factories.make_customer()
    tokens = {"token_invalid": [{"Authorization": "Bearer x"}, log_in(disabled)]}
    db.session.execute(update(Customer).where(Customer.id == disabled.id).values(is_active=False))
    db.session.commit()
    clock.now -= timedelta(minutes=31)
    tokens["token_expired"] = [log_in()]
    clock.now += timedelta(minutes=31)
    if name in CUSTOMER:
        tokens["token_missing"] = [{}]
    before = _snapshot()
    for code, all_headers in tokens.items():
        for headers in all_headers:
            answer = api.open(path, method=method, json={}, headers=headers | {"Idempotency-Key": "k"})
            assert (answer.status_code, answer.json["code"]) == (401, code)
    assert _snapshot() == before


@pytest.mark.parametrize("name", sorted(name for name in CUSTOMER if "{" in name))
def test_what_does_not_exist_changes_nothing(api: ContractClient, log_in: LogIn, name: str) -> None:
    method, path = _addresses(name)
    headers = log_in()
    before = _snapshot()
    body = {"quantity": 1} if "campaign" in name else {}
    answer = api.open(path, method=method, json=body, headers=headers)
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    assert _snapshot() == before
