"""The Idempotency-Key header: a repeated request gets the first answer again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Response, request
from flask_babel import lazy_gettext as _l

from app.api.answers import raw_answer
from app.api.auth import current_actor_or_none
from app.api.errors import refusal_answer
from app.domain.clock import utc_now
from app.domain.errors import DomainError, InvalidField
from app.services.idempotency import (
    NOT_KEPT,
    Answer,
    Keep,
    KeyedRequest,
    answer_in_transaction,
    answer_under_claim,
    keep_refusal,
)

HEADER = "Idempotency-Key"
MAX_LENGTH = 64
View = Callable[..., Any]


def idempotent(*, remote: bool = False) -> Callable[[View], View]:
    """Give a repetition under the same key the first answer, byte for byte; without a key nothing changes.

    By default claim, effect and answer are one transaction. With *remote* the handler speaks with services
    outside, so the claim is committed before.
    """
    answer_keyed = answer_under_claim if remote else answer_in_transaction

    def decorate(view: View) -> View:
        @wraps(view)
        def run(*args: Any, **kwargs: Any) -> Any:
            key = request.headers.get(HEADER)
            if key is None:
                return view(*args, **kwargs)
            kept = answer_keyed(
                _keyed_request(key), lambda: _as_answer(view(*args, **kwargs)), _refused, now=utc_now()
            )
            return raw_answer(kept.status, kept.body)

        return run

    return decorate


def keeping(make: Callable[[Any], Response]) -> Callable[[View], View]:
    """As `idempotent`, for a handler whose service keeps the answer itself; it gets `keep` to do so.

    *make* turns what the operation shows into its response. A refusal is kept here, after its work has been
    rolled back.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def run(*args: Any, **kwargs: Any) -> Any:
            key = request.headers.get(HEADER)
            keyed = None if key is None else _keyed_request(key)
            keep = Keep(keyed, lambda data: _as_answer(make(data)))
            try:
                return view(*args, **kwargs, keep=keep)
            except DomainError as refusal:
                if keyed is None or isinstance(refusal, NOT_KEPT):
                    raise
                answer = keep_refusal(keyed, _refused(refusal), now=utc_now())
            return raw_answer(answer.status, answer.body)

        return run

    return decorate


def _keyed_request(key: str) -> KeyedRequest:
    if not 0 < len(key) <= MAX_LENGTH or not key.isascii() or not key.isprintable():
        raise InvalidField.of(HEADER, _l("A key has 1 to %(count)s printable characters.", count=MAX_LENGTH))
    return KeyedRequest(
        owner=_owner(),
        method=request.method,
        path=request.path,
        key=key,
        body_hash=hashlib.sha256(request.get_data()).hexdigest(),
    )


def _owner() -> str:
    actor = current_actor_or_none()
    if actor is not None:
        return f"customer:{actor.id}"
    address = hashlib.sha256((request.remote_addr or "").encode()).hexdigest()
    return f"address:{address[:32]}"


def _as_answer(answer: Any) -> Answer:
    return Answer(answer.status_code, answer.get_data())


def _refused(refusal: DomainError) -> Answer:
    return _as_answer(refusal_answer(refusal))
