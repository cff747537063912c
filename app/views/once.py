"""A form that is sent twice acts once: its nonce is a key under which the first answer is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from flask import Response, g, request

from app.domain.clock import utc_now
from app.domain.errors import DomainError
from app.services import idempotency
from app.views.answers import json_answer, problem

MOST_SIGNS = 64


def answer_once(values: dict[str, Any], work: Callable[[], Any], *, status: int = 200) -> Any:
    """Return what *work* answers as JSON, or its refusal as a problem document.

    Posted *values* with a `nonce` are carried out once: sent again, they get the first answer. A page carries
    a fresh nonce each time it is shown, so only a double click, a reload or a lost answer repeats it.
    """
    nonce = str(values.get("nonce") or "")[:MOST_SIGNS]
    try:
        if not nonce:
            return json_answer(work(), status)
        kept = idempotency.answer_under_claim(
            _keyed(nonce, values),
            lambda: _kept(json_answer(work(), status)),
            lambda refusal: _kept(problem(refusal)),
            now=utc_now(),
        )
    except DomainError as refusal:
        return problem(refusal)
    kind = "application/json" if kept.status < 400 else "application/problem+json"
    return Response(kept.body, kept.status, mimetype=kind)


def _kept(answer: Any) -> idempotency.Answer:
    return idempotency.Answer(answer.status_code, answer.get_data())


def _keyed(nonce: str, values: dict[str, Any]) -> idempotency.KeyedRequest:
    """The key covers what was filled in: a form that was corrected in place is another request."""
    rest = {name: value for name, value in values.items() if name != "csrf_token"}
    body = hashlib.sha256(json.dumps(rest, sort_keys=True, default=str).encode()).hexdigest()
    return idempotency.KeyedRequest(f"staff:{g.user.id}", "POST", request.path[:200], body, body)
