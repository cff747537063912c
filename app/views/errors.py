"""Error pages of the back office; the JSON interface answers for itself."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import Flask, current_app, make_response, render_template, request
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.wrappers import Response

from app.domain.errors import (
    DomainError,
    Forbidden,
    Malformed,
    NotFound,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from app.extensions import db
from app.views.answers import problem, problem_document, retry_seconds, wants_json

PAGES = frozenset({400, 403, 404, 405, 409, 413, 422, 429, 500, 503})
# Codes and texts of refusals that the web framework makes before anything of ours is asked.
FRAMEWORK: dict[int, tuple[str, Any]] = {
    400: ("malformed", Malformed.default_message),
    403: ("forbidden", Forbidden.default_message),
    404: ("not_found", NotFound.default_message),
    405: ("method_not_allowed", _l("This address does not answer to this method.")),
    413: ("too_large", _l("The request is too large.")),
    429: ("rate_limited", RateLimited.default_message),
    500: ("internal_error", _l("Something went wrong on our side. Please try again.")),
    503: ("unavailable", Unavailable.default_message),
}
# Screens for people who are not logged in.
PUBLIC_VIEWS = frozenset({"AuthDBView", "LocaleView", "UtilView"})


class LoginRequired(Unauthenticated):
    """Nobody is logged in."""

    code = "login_required"


def register_error_pages(app: Flask) -> None:
    """Show our own page for every error outside the JSON interface."""
    own: dict[int | type[Exception], Any] = dict.fromkeys(PAGES, show_error)
    own |= {DomainError: show_refusal, CSRFError: show_error}
    for kind, handler in own.items():
        app.register_error_handler(kind, handler)
    app.before_request(refuse_strangers)


def refuse_strangers() -> Response | None:
    """Programs are told that nobody is logged in; people are sent to the login page by the screens."""
    view = (request.endpoint or "").partition(".")[0]
    screens = {type(each).__name__ for each in current_app.appbuilder.baseviews}  # type: ignore[attr-defined]
    if view not in screens - PUBLIC_VIEWS or current_user.is_authenticated or not wants_json():
        return None
    return problem(LoginRequired())


def show_refusal(error: DomainError) -> Response:
    """A refusal that no screen caught: its page, or its problem document."""
    db.session.rollback()
    if wants_json():
        return problem(error)
    return _page(error.status, error.message, error.data)


def show_error(error: HTTPException) -> Response:
    """The page of an HTTP error; JSON for those who asked for it."""
    status = error.code or 500
    if wants_json() or request.path.startswith("/api/"):
        phrase = HTTPStatus(status).phrase
        code, detail = FRAMEWORK.get(status) or (phrase.lower().replace(" ", "_"), phrase)
        answer = problem_document(status, code, detail)
    else:
        answer = _page(status)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        answer.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return answer


def _page(status: int, message: Any = "", data: dict[str, Any] | None = None) -> Response:
    appbuilder = current_app.appbuilder  # type: ignore[attr-defined]
    name = status if status in PAGES else 400
    page = render_template(f"errors/{name}.html", appbuilder=appbuilder, message=str(message))
    answer = make_response(page, status)
    if status in (429, 503):
        answer.headers["Retry-After"] = str(retry_seconds(data))
    return answer
