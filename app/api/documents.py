"""The OpenAPI document: what operations can answer, how one logs in, and the page that shows it all."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from app.api.answers import PROBLEM
from app.api.schemas.customers import CONSENTS_DOCUMENT
from app.domain import errors

BEARER = "bearer"
SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "customer": [{BEARER: []}],
    "optional": [{BEARER: []}, {}],
    "public": [],
}
FRAMEWORK_CODES = {
    "malformed": 400,
    "method_not_allowed": 405,
    "too_large": 413,
    "unsupported_media_type": 415,
    "rate_limited": 429,
    "internal_error": 500,
    "unavailable": 503,
}
KEY_PARAMETER = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "description": "A repetition under the same key within 24 hours gets the first answer again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[ -~]+$"},
}
LANGUAGE_PARAMETER = {
    "in": "header",
    "name": "Accept-Language",
    "required": False,
    "description": "Language of messages; Simplified Chinese by default.",
    "schema": {"type": "string", "example": "zh-CN"},
}
TAG_PARAMETER = {
    "in": "header",
    "name": "If-None-Match",
    "required": False,
    "description": "The ETag of the answer that the client has.",
    "schema": {"type": "string"},
}


def describe_operation(*, is_keyed: bool, has_tag: bool, access: str) -> dict[str, Any]:
    """Return headers and security of an operation."""
    parameters = [LANGUAGE_PARAMETER]
    if is_keyed:
        parameters.append(KEY_PARAMETER)
    if has_tag:
        parameters.append(TAG_PARAMETER)
    return {"parameters": parameters, "security": SECURITY[access]}


def describe_errors(codes: Iterable[str]) -> dict[str, Any]:
    """Return the OpenAPI answers for these codes, one for each status, naming its codes."""
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(status_of_code(code), []).append(code)
    return {str(status): _problem_answer(status, by_status[status]) for status in sorted(by_status)}


def status_of_code(code: str) -> int:
    """Return the HTTP status that a stable code always comes with."""
    return FRAMEWORK_CODES.get(code) or _domain_codes()[code]


def _domain_codes() -> dict[str, int]:
    from app.api.errors import status_of

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    return {kind.code: status_of(kind()) for kind in kinds if issubclass(kind, errors.DomainError)}


def _problem_answer(status: int, codes: list[str]) -> dict[str, Any]:
    example = {
        "type": f"urn:quefang:problem:{codes[0]}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": "…",
        "code": codes[0],
        "errors": None,
        "data": None,
    }
    answer: dict[str, Any] = {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(f'`{code}`' for code in codes)}",
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
    }
    if status in (429, 503):
        answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return answer


def complete_document(document: dict[str, Any]) -> dict[str, Any]:
    """Return the collected document with what no schema can say: logging in, and open-ended bodies."""
    components = document.setdefault("components", {})
    components["securitySchemes"] = {
        BEARER: {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The access token of POST /api/v1/auth/login; it lives 30 minutes.",
        }
    }
    components["schemas"]["Consents"]["additionalProperties"] = CONSENTS_DOCUMENT
    return document
