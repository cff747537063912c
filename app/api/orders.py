"""Orders: reading them, leaving them, arriving and going."""

from __future__ import annotations

from typing import Any

from app.api.auth import current_actor, current_customer_id
from app.api.endpoints import Blueprint, Keyed
from app.api.guards import own_order
from app.api.refusals import TRANSITION_CODES
from app.api.schemas.base import NothingSchema
from app.api.schemas.common import page_schema
from app.api.schemas.orders import (
    CancelPreviewSchema,
    CancelRequestSchema,
    CheckInSchema,
    OrderSchema,
    OrdersQuery,
)
from app.domain.clock import utc_now
from app.services import cancellations, orders, stays

blueprint = Blueprint("orders", "Orders")


@blueprint.operation("GET", "/orders", query=OrdersQuery, answer=page_schema(OrderSchema))
def list_orders(query: dict[str, Any]) -> dict[str, Any]:
    """List one's own orders, the newest first."""
    return orders.list_orders(customer_id=current_customer_id(), **query, now=utc_now())


@blueprint.operation("GET", "/orders/<no:no>", answer=OrderSchema)
def get_order(no: str) -> dict[str, Any]:
    """Return one of one's own orders."""
    return orders.get_order(no, customer_id=current_customer_id(), now=utc_now())


@blueprint.operation(
    "POST",
    "/orders/<no:no>/cancel-preview",
    body=NothingSchema,
    answer=CancelPreviewSchema,
    guard=own_order,
    codes=TRANSITION_CODES,
)
def preview_cancel(body: dict[str, Any], no: str) -> dict[str, Any]:
    """Return what cancelling now would cost, by the policy that was frozen at purchase."""
    return cancellations.preview_cancel(no, actor=current_actor(), now=utc_now())


@blueprint.operation(
    "POST",
    "/orders/<no:no>/cancel",
    body=CancelRequestSchema,
    answer=OrderSchema,
    guard=own_order,
    keyed=Keyed.REMOTE,
    codes=TRANSITION_CODES,
)
def cancel_order(body: dict[str, Any], no: str) -> dict[str, Any]:
    """Cancel an order: its room is free again, and what the policy gives back is refunded."""
    now = utc_now()
    cancellations.cancel_order(no, reason=body["reason"] or "", actor=current_actor(), now=now)
    return orders.get_order(no, customer_id=current_customer_id(), now=now)


@blueprint.operation(
    "POST",
    "/orders/<no:no>/check-in",
    body=NothingSchema,
    answer=CheckInSchema,
    guard=own_order,
    keyed=Keyed.REMOTE,
    codes=TRANSITION_CODES,
)
def check_in(body: dict[str, Any], no: str) -> dict[str, Any]:
    """Arrive: the room is opened."""
    return stays.check_in(no, actor=current_actor(), now=utc_now())


@blueprint.operation(
    "POST",
    "/orders/<no:no>/check-out",
    body=NothingSchema,
    answer=OrderSchema,
    guard=own_order,
    keyed=Keyed.LOCAL,
    codes=TRANSITION_CODES,
)
def check_out(body: dict[str, Any], no: str) -> dict[str, Any]:
    """Leave: the order is completed at once."""
    now = utc_now()
    stays.check_out(no, actor=current_actor(), now=now)
    return orders.get_order(no, customer_id=current_customer_id(), now=now)
