"""Asking for money back."""

from __future__ import annotations

from typing import Any

from app.api.auth import current_actor
from app.api.endpoints import Blueprint, Keyed
from app.api.guards import own_order
from app.api.refusals import REFUND_CODES, TRANSITION_CODES
from app.api.schemas.base import NothingSchema
from app.api.schemas.refund_requests import (
    RefundPreviewSchema,
    RefundRequestBodySchema,
    RefundRequestSchema,
    RefundRequestsSchema,
)
from app.domain.clock import utc_now
from app.services import refund_requests

blueprint = Blueprint("refund_requests", "Refund requests")


@blueprint.operation(
    "POST",
    "/orders/<no:no>/refund-preview",
    body=NothingSchema,
    answer=RefundPreviewSchema,
    guard=own_order,
    codes=REFUND_CODES,
)
def preview_refund(body: dict[str, Any], no: str) -> dict[str, Any]:
    """Return what a refund asked for now would come to by the rules of the order."""
    return refund_requests.preview_refund(no, actor=current_actor(), now=utc_now())


@blueprint.operation(
    "POST",
    "/orders/<no:no>/refund-requests",
    body=RefundRequestBodySchema,
    answer=RefundRequestSchema,
    status=201,
    guard=own_order,
    keyed=Keyed.LOCAL,
    codes=REFUND_CODES,
)
def create_request(body: dict[str, Any], no: str) -> dict[str, Any]:
    """Ask the store for a refund; staff review it."""
    return refund_requests.create_request(no, **body, actor=current_actor(), now=utc_now())


@blueprint.operation("GET", "/orders/<no:no>/refund-requests", answer=RefundRequestsSchema, guard=own_order)
def list_requests(no: str) -> dict[str, Any]:
    """List the refund requests of an order, the newest first."""
    return {"items": refund_requests.list_requests(no, actor=current_actor()), "next_cursor": None}


@blueprint.operation(
    "POST",
    "/orders/<no:no>/refund-requests/<id:request_id>/withdraw",
    body=NothingSchema,
    answer=RefundRequestSchema,
    guard=own_order,
    keyed=Keyed.LOCAL,
    codes=TRANSITION_CODES,
)
def withdraw_request(body: dict[str, Any], no: str, request_id: int) -> dict[str, Any]:
    """Take a request back before it is decided."""
    return refund_requests.withdraw_request(no, request_id, actor=current_actor(), now=utc_now())
