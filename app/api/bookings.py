"""Bookings: a quote that the customer accepts becomes an order that holds the room."""

from __future__ import annotations

from typing import Any

from app.api.auth import current_actor, current_customer_id
from app.api.endpoints import Blueprint, Keyed
from app.api.guards import limit_vouchers
from app.api.refusals import BOOKING_CODES
from app.api.schemas.orders import BookingRequestSchema, OrderSchema
from app.domain.clock import utc_now
from app.services import bookings, orders, quotes

blueprint = Blueprint("bookings", "Bookings")


@blueprint.operation(
    "POST",
    "/bookings",
    body=BookingRequestSchema,
    answer=OrderSchema,
    status=201,
    guard=limit_vouchers,
    keyed=Keyed.LOCAL,
    codes=BOOKING_CODES,
)
def create_booking(body: dict[str, Any]) -> dict[str, Any]:
    """Hold a room until it is paid; with nothing due the order is confirmed at once."""
    now = utc_now()
    note = body.pop("note") or ""
    no = bookings.create_booking(quotes.BookingRequest(**body), note=note, actor=current_actor(), now=now)
    return orders.get_order(no, customer_id=current_customer_id(), now=now)
