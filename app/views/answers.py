"""Pages with fixed addresses that also speak JSON: the same facts, errors as problem documents."""

from __future__ import annotations

from datetime import date, datetime
from http import HTTPStatus
from typing import Any

from flask import jsonify, request
from werkzeug.wrappers import Response

from app.domain.errors import DomainError, InvalidField, Malformed
from app.views.kit.values import InvalidText, parse_yuan

RETRY_SECONDS = 5
# What the column of every id holds; larger numbers in an address name nothing.
MOST_ID = 2**31 - 1


def id_in(name: str) -> str:
    """Return the part of an address that is the id of a row."""
    return f"<int(max={MOST_ID}):{name}>"


def wants_json() -> bool:
    """Tell whether the client asked for JSON rather than a page."""
    best = request.accept_mimetypes.best_match(["text/html", "application/json"])
    return best == "application/json"


def plain(value: Any) -> Any:
    """Return a value as JSON has it: instants as text, labels translated, ids of relations as text."""
    if isinstance(value, dict):
        return {key: _as_id(key, plain(each)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | float | str):
        return str(value) if isinstance(value, str) else value
    return str(value)


def _as_id(key: Any, value: Any) -> Any:
    is_id = isinstance(key, str) and (key == "id" or key.endswith("_id"))
    if is_id and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(key, str) and key.endswith("_ids") and isinstance(value, list):
        return [str(each) for each in value]
    return value


def json_answer(value: Any, status: int = 200) -> Response:
    """Return *value* as JSON."""
    answer = jsonify(plain(value))
    answer.status_code = status
    return answer


def problem(error: DomainError) -> Response:
    """Return a refusal as a problem document (RFC 9457)."""
    return problem_document(
        error.status, error.code, error.message, field_errors=error.errors, data=error.data
    )


def problem_document(
    status: int,
    code: str,
    detail: Any,
    *,
    field_errors: dict[str, list[Any]] | None = None,
    data: dict[str, Any] | None = None,
) -> Response:
    """Return a problem document in the shape that the customers' interface uses too."""
    body = {
        "type": f"urn:quefang:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": str(detail),
        "code": code,
        "errors": field_errors
        and {name: [str(text) for text in texts] for name, texts in field_errors.items()},
        "data": data,
    }
    answer = json_answer(body, status)
    answer.mimetype = "application/problem+json"
    if status in (429, 503):
        answer.headers["Retry-After"] = str(retry_seconds(data))
    return answer


def retry_seconds(data: dict[str, Any] | None) -> int:
    """Return after how many seconds another try makes sense."""
    return int((data or {}).get("retry_after_seconds", RETRY_SECONDS))


def refusal_text(error: DomainError) -> str:
    """Return a refusal as one sentence, with what is wrong with the fields."""
    details = [str(text) for texts in (error.errors or {}).values() for text in texts]
    return " ".join(details) or str(error.message)


def told_refusal(body: dict[str, Any]) -> str:
    """Return what a problem document says as one sentence, as `refusal_text` does for its refusal."""
    details = [text for texts in (body["errors"] or {}).values() for text in texts]
    return " ".join(details) or str(body["detail"])


def posted_values() -> dict[str, Any]:
    """Return the fields of a posted form or JSON object; raises Malformed, also for unstorable text."""
    body = request.get_json(silent=True) if request.is_json else request.form.to_dict()
    if not isinstance(body, dict) or not all(is_storable(value) for value in body.values()):
        raise Malformed()
    return body


def in_fen(values: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return posted values with each named amount in yuan that was given as `…_fen`; raises InvalidField."""
    found = dict(values)
    for name in names:
        if values.get(name) in (None, ""):
            continue
        try:
            found[f"{name}_fen"] = parse_yuan(str(values[name]))
        except InvalidText as wrong:
            raise InvalidField.of(f"{name}_fen", wrong.args[0]) from None
    return found


def is_storable(value: Any) -> bool:
    """Tell whether a database takes a text: no NUL, no half of a surrogate pair; other values pass."""
    if not isinstance(value, str):
        return True
    return "\x00" not in value and not any("\ud800" <= sign <= "\udfff" for sign in value)


def whole_number(values: dict[str, Any], name: str, message: Any) -> int:
    """Return a field that must be a positive whole number; raises InvalidField."""
    text = str(values.get(name) or "").strip()
    if not (text.isascii() and text.isdecimal() and 0 < len(text) <= 9):
        raise InvalidField.of(name, message)
    return int(text)
