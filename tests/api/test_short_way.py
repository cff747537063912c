"""Requests of the interface pass none of the back office's checks; their answers are guarded all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from app.views.headers import register_headers
from tests import factories
from tests.api.contract import ContractClient

GUARDED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Permissions-Policy": "browsing-topics=()",
}
ANSWERS = [
    ("an answer", "GET", "/api/v1/stores", 200),
    ("a refusal", "GET", "/api/v1/me", 401),
    ("an unknown address", "GET", "/api/v1/nothing", 404),
    ("another method", "DELETE", "/api/v1/stores", 405),
    ("a page", "GET", "/api/v1/docs", 200),
]


@contextmanager
def hooked(app: Flask, seen: list[str]) -> Iterator[None]:
    """Hang something on every request, as frameworks do."""

    def before() -> None:
        seen.append("before")

    def after(answer: Response) -> Response:
        seen.append("after")
        return answer

    firsts, lasts = app.before_request_funcs[None], app.after_request_funcs[None]
    firsts.append(before)
    lasts.append(after)
    try:
        yield
    finally:
        firsts.remove(before)
        lasts.remove(after)


@pytest.mark.parametrize(("label", "method", "path", "status"), ANSWERS, ids=[row[0] for row in ANSWERS])
def test_the_interface_has_a_way_of_its_own(
    api: ContractClient, label: str, method: str, path: str, status: int
) -> None:
    seen: list[str] = []
    with hooked(api.application, seen):
        assert api.open(path, method=method).status_code == status
        assert seen == []
        # The control: everything else passes them.
        api.get("/login/")
        assert seen == ["before", "after"]


@pytest.mark.parametrize(("label", "method", "path", "status"), ANSWERS, ids=[row[0] for row in ANSWERS])
def test_every_answer_is_guarded_and_counted(
    api: ContractClient, client: FlaskClient, label: str, method: str, path: str, status: int
) -> None:
    counter = api.application.extensions["request_counter"]
    before = sum(counter.totals().values())
    answer = api.open(path, method=method)
    assert sum(counter.totals().values()) == before + 1
    assert {name: answer.headers[name] for name in GUARDED} == GUARDED
    # Word for word what pages send, but for the nonce of their scripts.
    policy = client.get("/login/").headers["Content-Security-Policy"]
    words = [word for word in policy.split(" ") if not word.startswith("'nonce-")]
    told = answer.headers["Content-Security-Policy"].split(" ")
    assert [word.rstrip(";") for word in told] == [word.rstrip(";") for word in words]
    assert len(answer.headers.getlist("X-Frame-Options")) == 1
    assert "Strict-Transport-Security" not in answer.headers


def test_in_production_answers_over_tls_ask_for_tls(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    factories.make_store()
    monkeypatch.setitem(app.config, "QUEFANG_MODE", "production")
    monkeypatch.setattr(app, "interface_headers", app.interface_headers)
    monkeypatch.setattr(app, "_got_first_request", False)
    before, after = list(app.before_request_funcs[None]), list(app.after_request_funcs[None])
    register_headers(app)
    app.before_request_funcs[None][:], app.after_request_funcs[None][:] = before, after

    tls = app.test_client().get("/api/v1/stores", headers={"X-Forwarded-Proto": "https"})
    assert tls.headers["Strict-Transport-Security"].startswith("max-age=31536000")
    plain = app.test_client().get("/api/v1/stores")
    assert "Strict-Transport-Security" not in plain.headers
