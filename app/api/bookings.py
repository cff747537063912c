"""Bookings: a quote that the customer accepts becomes an order that holds the room."""

from __future__ import annotations

from typing import Any

from app.api.auth import current_actor
from app.api.endpoints import Blueprint, Keyed
from app.api.guards import limit_vouchers
from app.api.refusals import BOOKING_CODES
from app.api.schemas.orders import BookingRequestSchema, OrderSchema
from app.domain.clock import utc_now
from app.services.bookings import answer_booking
from app.services.idempotency import Answer, Keep
from app.services.orders import describe_order
from app.services.quotes import BookingRequest

blueprint = Blueprint("bookings", "Bookings")


@blueprint.operation(
    "POST",
    "/bookings",
    body=BookingRequestSchema,
    answer=OrderSchema,
    status=201,
    guard=limit_vouchers,
    keyed=Keyed.SERVICE,
    codes=BOOKING_CODES,
)
def create_booking(body: dict[str, Any], keep: Keep) -> Answer:
    """Hold a room until it is paid; with nothing due the order is confirmed at once."""
    now = utc_now()
    note = body.pop("note") or ""
    shown = Keep(keep.request, lambda order: keep.answer(describe_order(order, now=now)))
    return answer_booking(BookingRequest(**body), shown, note=note, actor=current_actor(), now=now)
