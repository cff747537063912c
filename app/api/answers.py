"""Answers: JSON bytes, entity tags, and what may be cached."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from flask import Response, request

JSON = "application/json"
PROBLEM = "application/problem+json"


def json_bytes(data: Any) -> bytes:
    """Write JSON in UTF-8; aware datetimes become RFC 3339 with their offset, lazy texts their language."""
    return orjson.dumps(data, default=str, option=orjson.OPT_OMIT_MICROSECONDS)


def json_answer(data: Any, status: int = 200) -> Response:
    """Return *data* as a JSON answer."""
    return Response(json_bytes(data), status, content_type=JSON)


def raw_answer(status: int, body: bytes) -> Response:
    """Return an answer that was kept under an idempotency key, byte for byte."""
    answer = Response(body, status)
    answer.content_type = PROBLEM if status >= 400 else JSON
    return answer


def tagged(answer: Response, tag: str | None = None) -> Response:
    """Give an answer its entity tag (default: of its bytes); 304 where the client has it already."""
    if answer.status_code != 200 or "ETag" in answer.headers:
        return answer
    answer.set_etag(tag or hashlib.blake2s(answer.get_data(), digest_size=12).hexdigest(), weak=True)
    answer.headers["Cache-Control"] = "no-cache"
    answer.make_conditional(request)
    return answer


def not_modified(tag: str) -> Response:
    """Return 304 for a tag that the client has."""
    answer = Response(status=304)
    answer.set_etag(tag, weak=True)
    answer.headers["Cache-Control"] = "no-cache"
    return answer
