"""Error pages of the back office; the JSON interface answers for itself."""

from __future__ import annotations

from typing import Any

from flask import Flask, current_app, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from app.domain.errors import DomainError, Forbidden, Malformed, NotFound, RateLimited, Unavailable
from app.extensions import db
from app.views.answers import problem, wants_json

PAGES = frozenset({400, 403, 404, 405, 409, 413, 422, 429, 500, 503})
REFUSALS: dict[int, type[DomainError]] = {
    400: Malformed,
    403: Forbidden,
    404: NotFound,
    429: RateLimited,
    503: Unavailable,
}


def register_error_pages(app: Flask) -> None:
    """Show our own page for every error outside the JSON interface."""
    own: dict[int | type[Exception], Any] = dict.fromkeys(PAGES, show_error)
    own |= {DomainError: show_refusal, CSRFError: show_error}
    for kind, handler in own.items():
        app.register_error_handler(kind, handler)


def show_refusal(error: DomainError) -> Any:
    """A refusal that no screen caught: its page, or its problem document."""
    db.session.rollback()
    if wants_json():
        return problem(error)
    status = error.status
    return _page(status, str(error.message)), status


def show_error(error: HTTPException) -> Any:
    """The page of an HTTP error; JSON for those who asked for it."""
    status = error.code or 500
    if wants_json() or request.path.startswith("/api/"):
        answer = problem(REFUSALS.get(status, DomainError)())
        answer.status_code = status
        return answer
    return _page(status), status


def _page(status: int, message: str = "") -> str:
    appbuilder = current_app.appbuilder  # type: ignore[attr-defined]
    name = status if status in PAGES else 400
    return render_template(f"errors/{name}.html", appbuilder=appbuilder, message=message)
