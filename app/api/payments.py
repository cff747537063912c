"""Paying an order, and asking whether it was paid."""

from __future__ import annotations

from typing import Any

from app.api.auth import current_actor, current_customer_id
from app.api.endpoints import Blueprint, Keyed
from app.api.guards import own_order
from app.api.refusals import PAYMENT_CODES
from app.api.schemas.orders import PaymentItemSchema, PaymentRequestSchema, PaymentStartSchema
from app.domain.clock import utc_now
from app.services import payments

blueprint = Blueprint("payments", "Payments")


@blueprint.operation(
    "POST",
    "/orders/<no:no>/payments",
    body=PaymentRequestSchema,
    answer=PaymentStartSchema,
    status=201,
    guard=own_order,
    keyed=Keyed.REMOTE,
    codes=PAYMENT_CODES,
)
def start_payment(body: dict[str, Any], no: str) -> dict[str, Any]:
    """Start to pay what an order owes; `params` is what the client's payment SDK needs."""
    return payments.start_payment(no, channel=body["channel"], actor=current_actor(), now=utc_now())


@blueprint.operation("GET", "/orders/<no:no>/payments/<no:payment_no>", answer=PaymentItemSchema)
def get_payment(no: str, payment_no: str) -> dict[str, Any]:
    """Return how a payment stands."""
    return payments.get_payment(no, payment_no, customer_id=current_customer_id(), now=utc_now())
