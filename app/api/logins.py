"""Logging in, staying logged in, logging out."""

from __future__ import annotations

from typing import Any

from flask import Response, g

from app.api.auth import current_actor
from app.api.endpoints import Access, Blueprint
from app.api.guards import limit_codes
from app.api.schemas.base import NothingSchema
from app.api.schemas.customers import LoginAnswerSchema, LoginSchema, RefreshSchema, TokensSchema
from app.domain.clock import utc_now
from app.services import customers, tokens

blueprint = Blueprint("auth", "Logging in with a platform's code, and the tokens that follow")


@blueprint.operation(
    "POST",
    "/auth/login",
    body=LoginSchema,
    answer=LoginAnswerSchema,
    access=Access.PUBLIC,
    guard=limit_codes,
    codes=["forbidden"],
)
def log_in(body: dict[str, Any]) -> dict[str, Any]:
    """Log in with the one-use code of the platform; who was never here before becomes a customer."""
    return customers.log_in(body["channel"], body["code"], now=utc_now())


@blueprint.operation(
    "POST",
    "/auth/refresh",
    body=RefreshSchema,
    answer=TokensSchema,
    access=Access.PUBLIC,
    guard=limit_codes,
    codes=["token_invalid", "token_expired"],
)
def refresh(body: dict[str, Any]) -> tokens.TokenPair:
    """Exchange a refresh token for a new pair. A token that is used twice ends the session."""
    return tokens.refresh_tokens(body["refresh_token"], now=utc_now())


@blueprint.operation("POST", "/auth/logout", body=NothingSchema, status=204)
def log_out(body: dict[str, Any]) -> Response:
    """End the session: its tokens are dead at once."""
    tokens.revoke_session(g.session_id, actor=current_actor(), now=utc_now())
    return Response(status=204)
