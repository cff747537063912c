"""The customer's inbox."""

from __future__ import annotations

from typing import Any

from flask import Response

from app.api.auth import current_customer_id
from app.api.endpoints import Blueprint, Keyed
from app.api.schemas.base import NothingSchema
from app.api.schemas.common import PageQuery, page_schema
from app.api.schemas.messages import MessageSchema
from app.domain.clock import utc_now
from app.services import notifications

blueprint = Blueprint("messages", "Messages")


@blueprint.operation("GET", "/messages", query=PageQuery, answer=page_schema(MessageSchema))
def list_messages(query: dict[str, Any]) -> dict[str, Any]:
    """List one's own messages, the newest first."""
    items, next_cursor = notifications.list_messages(current_customer_id(), **query)
    return {"items": items, "next_cursor": next_cursor}


@blueprint.operation(
    "POST", "/messages/<id:message_id>/read", body=NothingSchema, status=204, keyed=Keyed.LOCAL
)
def mark_read(body: dict[str, Any], message_id: int) -> Response:
    """Note that a message was read."""
    notifications.mark_read(current_customer_id(), message_id, now=utc_now())
    return Response(status=204)
