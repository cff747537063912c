"""What every answer carries: content policy, cookies that scripts cannot read, nothing kept in caches."""

from __future__ import annotations

import re
from http.cookies import SimpleCookie

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app import gateways
from config import TestingSettings
from tests import factories
from tests.services.shop import Shop
from tests.views.conftest import LogIn
from tests.views.helpers import stranger_of

PAGES = ("/", "/orders/list/", "/redemption/", "/rooms/add", "/no-such-page")
SCRIPT = re.compile(r"<script\b([^>]*)>(.*?)</script>", re.DOTALL)
ON_ATTRIBUTE = re.compile(r"<[^>]+\son[a-z]+=")


def policy_of(answer: TestResponse) -> dict[str, list[str]]:
    """Return the content policy, by directive."""
    parts = answer.headers["Content-Security-Policy"].split(";")
    return {words[0]: words[1:] for part in parts if (words := part.split())}


@pytest.mark.parametrize("path", PAGES)
def test_pages_say_what_a_browser_may_do(shop: Shop, log_in: LogIn, path: str) -> None:
    answer = log_in("Owner").get(path)
    policy = policy_of(answer)

    assert policy["default-src"] == ["'self'"]
    assert policy["script-src"][0] == "'self'"
    assert not {"'unsafe-inline'", "'unsafe-eval'", "*", "https:"} & set(policy["script-src"])
    assert (policy["object-src"], policy["base-uri"]) == (["'none'"], ["'self'"])
    assert (policy["frame-ancestors"], policy["form-action"]) == (["'none'"], ["'self'"])
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", PAGES)
def test_every_script_is_a_file_or_carries_the_nonce(shop: Shop, log_in: LogIn, path: str) -> None:
    answer = log_in("Owner").get(path)
    page = answer.get_data(as_text=True)
    nonces = [word for word in policy_of(answer)["script-src"] if word.startswith("'nonce-")]

    assert len(nonces) == 1
    for attributes, body in SCRIPT.findall(page):
        if "application/json" in attributes:
            continue
        assert f'nonce="{nonces[0][7:-1]}"' in attributes
        assert 'src="/static/' in attributes and not body.strip()
    assert not ON_ATTRIBUTE.search(page)
    assert "javascript:" not in page


def test_no_page_names_another_host(shop: Shop, log_in: LogIn) -> None:
    client = log_in("Owner")
    for path in PAGES:
        page = client.get(path).get_data(as_text=True)
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', page), path


def test_the_session_cookie_is_out_of_reach_of_scripts(app: Flask) -> None:
    account = factories.make_staff("Owner")
    client = stranger_of(app)
    answer = client.post("/login/", data={"username": account.username, "password": factories.PASSWORD})

    assert (answer.status_code, answer.location) == (302, "/")
    (cookie,) = SimpleCookie(answer.headers["Set-Cookie"]).values()
    assert (cookie.key, cookie["httponly"], cookie["samesite"], cookie["path"]) == (
        "quefang",
        True,
        "Lax",
        "/",
    )


def test_production_cookies_travel_over_tls_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TestingSettings, "mode", "production")
    settings = TestingSettings()
    assert settings.SESSION_COOKIE_SECURE is True
    assert settings.SESSION_COOKIE_NAME.startswith("__Host-")


@pytest.mark.parametrize("path", ["/static/css/pages.css", "/static/js/app.js", "/static/img/favicon.svg"])
def test_files_set_no_cookie(shop: Shop, log_in: LogIn, path: str) -> None:
    answer = log_in("Owner").get(path)
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers


def test_stored_pictures_are_kept_by_browsers(app: Flask) -> None:
    gateways.media_storage().save("rooms/tile.png", b"\x89PNG")
    client = stranger_of(app)
    answer = client.get("/media/rooms/tile.png")

    assert (answer.status_code, answer.mimetype, answer.data) == (200, "image/png", b"\x89PNG")
    assert "immutable" in answer.headers["Cache-Control"]
    assert "Set-Cookie" not in answer.headers
    again = client.get("/media/rooms/tile.png", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    "key",
    ["rooms/none.png", "../config.py", "..%2f..%2fquefang.db", "%2e%2e/secrets.env", "/etc/passwd", "rooms"],
)
def test_nothing_else_is_served_from_the_media_folder(app: Flask, key: str) -> None:
    answer = stranger_of(app).get(f"/media/{key}", follow_redirects=True)
    assert answer.status_code == 404
