"""What the rules of an order give back, now and for a request that was asked some time ago."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select

from app.domain.refund_rules import RefundOffer, offer_for_booking
from app.domain.states import OrderKind, OrderStatus, VoucherStatus
from app.models import Order, RefundRequest, Voucher
from app.services import refunds
from app.services.booking_rows import booking_of
from app.services.room_rules import frozen_policy
from app.services.unit_of_work import session


def offer_of(order: Order, *, now: datetime) -> RefundOffer:
    """Return what the rules of an order give back now."""
    refundable_fen = refunds.refundable_fen(order)
    if order.kind is OrderKind.BOOKING:
        booking = booking_of(order)
        return offer_for_booking(
            frozen_policy(order.policy),
            refundable_fen,
            start_at=booking.start_at,
            is_begun=booking.checked_in_at is not None,
            now=now,
        )
    if order.status is OrderStatus.ISSUED:
        refundable_fen = min(refundable_fen, _unused_fen(order))
    return RefundOffer(refundable_fen, refundable_fen)


def _unused_fen(order: Order) -> int:
    unused = select(func.sum(Voucher.price_fen)).where(
        Voucher.order_id == order.id, Voucher.status == VoucherStatus.ISSUED
    )
    return session().scalar(unused) or 0


def by_rules_fen(request: RefundRequest, order: Order, *, now: datetime) -> int:
    """Return what approving a request by the rules gives back.

    That is what they gave when it was asked for, or give now if that is more: a slow review makes nothing
    worse. Guests who have come in since have used what they asked their money for, so for them the rules of a
    stay that has begun count.
    """
    offer = offer_of(order, now=now)
    if order.kind is OrderKind.BOOKING:
        checked_in_at = booking_of(order).checked_in_at
        if checked_in_at is not None and request.created_at < checked_in_at:
            return offer.policy_fen
    return max(offer.policy_fen, min(request.policy_fen, offer.refundable_fen))
