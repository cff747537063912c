"""Errors of the back office: a page in words, or a problem document for programs."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from app.domain.errors import Unavailable
from app.services import staff_orders, today
from tests.services.counter import unchanged
from tests.services.shop import Shop
from tests.views.conftest import LogIn
from tests.views.helpers import JSON, menu_links, stranger_of, text_of


def test_an_unknown_page(shop: Shop, log_in: LogIn) -> None:
    client = log_in("Manager")
    page, told = client.get("/no-such-page"), client.get("/no-such-page", headers=JSON)

    assert (page.status_code, told.status_code) == (404, 404)
    assert "404" in text_of(page)
    # Whoever is logged in keeps the menu.
    assert "/orders/list/" in menu_links(page)
    assert told.json is not None
    assert told.json == {
        "type": "urn:quefang:problem:not_found",
        "title": "Not Found",
        "status": 404,
        "detail": told.json["detail"],
        "code": "not_found",
        "errors": None,
        "data": None,
    }
    assert told.mimetype == "application/problem+json"


def test_strangers_see_no_menu_on_error_pages(app: Flask) -> None:
    page = stranger_of(app).get("/no-such-page")
    assert page.status_code == 404
    assert menu_links(page) == []


@pytest.mark.parametrize("path", ["/redemption/preview", "/orders/B1/actions/confirm", "/rooms/delete/1"])
def test_a_form_without_its_token_is_refused(
    app: Flask, shop: Shop, log_in: LogIn, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    client = log_in("Owner")
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)
    with unchanged():
        page = client.post(path, data={"store_id": shop.store.id, "code": "x"})
        told = client.post(path, json={"store_id": shop.store.id, "code": "x"}, headers=JSON)
        forged = client.post(path, data={"csrf_token": "forged"})

    assert (page.status_code, told.status_code, forged.status_code) == (400, 400, 400)
    assert told.json is not None and told.json["code"] == "malformed"


def test_a_form_with_its_token_is_taken(
    app: Flask, shop: Shop, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = log_in("Cashier")
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)
    page = client.get("/walk-ins/").get_data(as_text=True)
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    values = {"room_id": shop.room.id, "minutes": 60}

    assert token
    assert client.post("/walk-ins/", data=values | {"csrf_token": token}).status_code == 302
    # Programs read the token from a form and send it as a header.
    told = client.post("/walk-ins/", json=values, headers={**JSON, "X-CSRFToken": token})
    assert (told.status_code, told.json and told.json["code"]) == (409, "room_taken")


def test_a_failure_of_ours_shows_nothing_of_its_cause(
    app: Flask, shop: Shop, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("SELECT secret FROM vault")

    monkeypatch.setattr(today, "get_figures", fail)
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    client = log_in("Owner")
    page, told = client.get("/"), client.get("/", headers=JSON)

    assert (page.status_code, told.status_code) == (500, 500)
    assert "500" in text_of(page)
    for answer in (page, told):
        assert "vault" not in answer.get_data(as_text=True)
        assert "RuntimeError" not in answer.get_data(as_text=True)
    assert told.json is not None and told.json["code"] == "internal_error"


def test_what_is_away_for_a_moment_says_when_to_come_back(
    shop: Shop, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise Unavailable()

    monkeypatch.setattr(today, "list_work", refuse)
    monkeypatch.setattr(staff_orders, "perform_action", refuse)
    client = log_in("Owner")
    page = client.get("/")
    told = client.post("/orders/B1/actions/take_payment", headers=JSON)

    assert (page.status_code, told.status_code) == (503, 503)
    assert int(page.headers["Retry-After"]) > 0 and int(told.headers["Retry-After"]) > 0


def test_a_body_that_is_too_large_is_refused(
    app: Flask, shop: Shop, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "MAX_CONTENT_LENGTH", 1000)
    client = log_in("Owner")
    with unchanged():
        page = client.post("/walk-ins/", data={"note": "x" * 2000})
        told = client.post("/walk-ins/", json={"note": "x" * 2000}, headers=JSON)

    assert (page.status_code, told.status_code) == (413, 413)
    assert told.json is not None and told.json["code"] == "too_large"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_other_methods_are_refused(shop: Shop, log_in: LogIn, method: str) -> None:
    client = log_in("Owner")
    with unchanged():
        answers = [client.open(path, method=method) for path in ("/", "/rooms/list/", "/redemption/")]
    assert [answer.status_code for answer in answers] == [405, 405, 405]
    assert all("GET" in answer.headers["Allow"] for answer in answers)
