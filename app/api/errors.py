"""Refusals and failures as problem documents (RFC 9457), for everything under the interface's prefix."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response
from flask_babel import lazy_gettext as _l
from marshmallow import fields
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, default_exceptions

from app.api.answers import PROBLEM, json_bytes
from app.api.schemas.base import AnswerSchema
from app.domain import errors
from app.services.unit_of_work import refusal_of

log = logging.getLogger(__name__)

RETRY_SECONDS = 3
# The first class that fits decides.
STATUSES: tuple[tuple[type[errors.DomainError], int], ...] = (
    (errors.Malformed, 400),
    (errors.Unauthenticated, 401),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.RateLimited, 429),
    (errors.Unavailable, 503),
    (errors.Conflict, 409),
    (errors.DomainError, 422),
)
# Codes and texts of refusals that the web framework makes before anything of ours is asked.
FRAMEWORK: dict[int, tuple[str, Any]] = {
    400: ("malformed", errors.Malformed.default_message),
    404: ("not_found", errors.NotFound.default_message),
    405: ("method_not_allowed", _l("This address does not answer to this method.")),
    413: ("too_large", _l("The request is too large.")),
    415: ("unsupported_media_type", _l("Please send JSON.")),
    429: ("rate_limited", errors.RateLimited.default_message),
    500: ("internal_error", _l("Something went wrong on our side. Please try again.")),
    503: ("unavailable", errors.Unavailable.default_message),
}


class ProblemSchema(AnswerSchema):
    """A refusal or failure. `code` is stable, `detail` is for people in the language that was asked for."""

    type = fields.String(metadata={"example": "urn:quefang:problem:room_taken"})
    title = fields.String(metadata={"example": "Conflict"})
    status = fields.Integer(metadata={"example": 409})
    detail = fields.String(metadata={"example": "这个时段的包间刚刚被订走了。"})
    code = fields.String(metadata={"example": "room_taken"})
    errors = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        allow_none=True,
        metadata={"description": "Messages by field, for code invalid_field."},
    )
    data = fields.Dict(
        keys=fields.String(),
        allow_none=True,
        metadata={"description": "Facts about the refusal, such as rule, limit and alternatives."},
    )


def status_of(error: errors.DomainError) -> int:
    """Return the HTTP status of a refusal."""
    return next(status for kind, status in STATUSES if isinstance(error, kind))


def problem(
    status: int,
    code: str,
    detail: Any,
    *,
    field_errors: dict[str, list[Any]] | None = None,
    data: dict[str, Any] | None = None,
) -> Response:
    """Return a problem document."""
    document = {
        "type": f"urn:quefang:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": str(detail),
        "code": code,
        "errors": field_errors,
        "data": data,
    }
    answer = Response(json_bytes(document), status, content_type=PROBLEM)
    answer.headers["Cache-Control"] = "no-store"
    if status == 401:
        answer.headers["WWW-Authenticate"] = f'Bearer realm="quefang", error="{code}"'
    if status in (429, 503):
        answer.headers["Retry-After"] = str((data or {}).get("retry_after_seconds", RETRY_SECONDS))
    return answer


def refusal_answer(error: errors.DomainError) -> Response:
    """Return the problem document of a refusal."""
    return problem(status_of(error), error.code, error.message, field_errors=error.errors, data=error.data)


def http_answer(error: HTTPException) -> Response:
    """Return the problem document of a refusal by the web framework."""
    status = error.code or 500
    status = status if status >= 400 else 404
    code, detail = FRAMEWORK.get(status) or (HTTPStatus(status).phrase.lower().replace(" ", "_"), "")
    answer = problem(status, code, detail or HTTPStatus(status).phrase)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        answer.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return answer


def failure_answer(error: Exception) -> Response:
    """Return the problem document of anything else that was raised; only the log learns what it was."""
    if isinstance(error, DBAPIError):
        refusal = refusal_of(error)
        if isinstance(refusal, errors.DomainError):
            log.warning("refused by the database: %s", type(error.orig).__name__)
            return refusal_answer(refusal)
    log.error("unexpected failure", exc_info=error)
    return problem(500, *FRAMEWORK[500])


def register_error_handlers(blueprint: Blueprint) -> None:
    """Make every refusal and failure inside *blueprint* a problem document.

    Single statuses are registered too, because handlers of the whole application would win otherwise.
    """
    blueprint.register_error_handler(errors.DomainError, refusal_answer)
    for status in default_exceptions:
        blueprint.register_error_handler(status, http_answer)
    blueprint.register_error_handler(HTTPException, http_answer)
    blueprint.register_error_handler(Exception, failure_answer)
