"""Changing and extending a booking: previewed, and carried out at the previewed price."""

from __future__ import annotations

from typing import Any

from app.api.auth import current_actor, current_customer_id
from app.api.endpoints import Blueprint, Keyed
from app.api.guards import own_order
from app.api.refusals import CHANGE_CODES, EXTENSION_CODES
from app.api.schemas.orders import (
    ChangePreviewSchema,
    ChangeRequestSchema,
    ExtendRequestSchema,
    OrderSchema,
)
from app.domain.clock import utc_now
from app.services import changes, extensions, orders

blueprint = Blueprint("changes", "Changes")


@blueprint.operation(
    "POST",
    "/orders/<no:no>/change-preview",
    body=ChangeRequestSchema,
    answer=ChangePreviewSchema,
    guard=own_order,
    codes=CHANGE_CODES,
)
def preview_change(body: dict[str, Any], no: str) -> dict[str, Any]:
    """Return what another time or room would cost; the fee follows the policy that was frozen at purchase."""
    request = changes.ChangeRequest(**body)
    return changes.preview_change(no, request, actor=current_actor(), now=utc_now())


@blueprint.operation(
    "POST",
    "/orders/<no:no>/change",
    body=ChangeRequestSchema,
    answer=OrderSchema,
    guard=own_order,
    keyed=Keyed.REMOTE,
    codes=CHANGE_CODES,
)
def change_order(body: dict[str, Any], no: str) -> dict[str, Any]:
    """Change the booking at once, or hold the new time until `due_fen` is paid when it costs more."""
    now = utc_now()
    changes.change_order(no, changes.ChangeRequest(**body), actor=current_actor(), now=now)
    return orders.get_order(no, customer_id=current_customer_id(), now=now)


@blueprint.operation(
    "POST",
    "/orders/<no:no>/extend-preview",
    body=ExtendRequestSchema,
    answer=ChangePreviewSchema,
    guard=own_order,
    codes=EXTENSION_CODES,
)
def preview_extension(body: dict[str, Any], no: str) -> dict[str, Any]:
    """Return what staying longer would cost."""
    return extensions.preview_extension(no, body["end_at"], actor=current_actor(), now=utc_now())


@blueprint.operation(
    "POST",
    "/orders/<no:no>/extend",
    body=ExtendRequestSchema,
    answer=OrderSchema,
    guard=own_order,
    keyed=Keyed.REMOTE,
    codes=EXTENSION_CODES,
)
def extend_order(body: dict[str, Any], no: str) -> dict[str, Any]:
    """Hold more time in the same room until `due_fen` is paid."""
    now = utc_now()
    extensions.extend_order(no, body["end_at"], actor=current_actor(), now=now)
    return orders.get_order(no, customer_id=current_customer_id(), now=now)
