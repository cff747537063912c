"""Who makes a request: the access token turned into an actor, before anything else is looked at."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import g, request

from app.domain.actor import Actor
from app.domain.clock import utc_now
from app.domain.errors import TokenInvalid, Unauthenticated
from app.services import tokens

View = Callable[..., Any]


def require_customer(view: View) -> View:
    """Run *view* for a logged-in customer only; raises Unauthenticated, TokenInvalid, TokenExpired."""

    @wraps(view)
    def run(*args: Any, **kwargs: Any) -> Any:
        token = bearer_token()
        if token is None:
            raise Unauthenticated()
        _log_in(token)
        return view(*args, **kwargs)

    return run


def accept_customer(view: View) -> View:
    """Run *view* for anybody; a token that is sent has to be a good one."""

    @wraps(view)
    def run(*args: Any, **kwargs: Any) -> Any:
        token = bearer_token()
        if token is not None:
            _log_in(token)
        return view(*args, **kwargs)

    return run


def current_actor() -> Actor:
    """Return the logged-in customer of this request."""
    actor: Actor = g.actor
    return actor


def current_actor_or_none() -> Actor | None:
    """Return the logged-in customer of this request, if there is one."""
    actor: Actor | None = g.get("actor")
    return actor


def current_customer_id() -> int:
    """Return the id of the logged-in customer."""
    customer_id = current_actor().id
    assert customer_id is not None
    return customer_id


def bearer_token() -> str | None:
    """Return the token of the request, None without one; raises TokenInvalid for another scheme."""
    header = request.headers.get("Authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise TokenInvalid()
    return token.strip()


def _log_in(token: str) -> None:
    login = tokens.authenticate(token, now=utc_now())
    g.actor = login.actor
    g.session_id = login.session_id
