"""Quotes: what a booking would cost, without making it."""

from __future__ import annotations

from typing import Any

from app.api.auth import current_actor_or_none
from app.api.endpoints import Access, Blueprint
from app.api.guards import limit_vouchers
from app.api.refusals import QUOTE_CODES
from app.api.schemas.orders import QuoteRequestSchema, QuoteSchema
from app.domain.clock import utc_now
from app.services import quotes

blueprint = Blueprint("quotes", "Quotes")


@blueprint.operation(
    "POST",
    "/quotes",
    body=QuoteRequestSchema,
    answer=QuoteSchema,
    access=Access.OPTIONAL,
    guard=limit_vouchers,
    codes=QUOTE_CODES,
)
def quote_booking(body: dict[str, Any]) -> dict[str, Any]:
    """Return the price line by line. Refused by every rule that a booking checks, customer limits aside."""
    request = quotes.BookingRequest(**body)
    return quotes.quote_booking(request, actor=current_actor_or_none(), now=utc_now())
