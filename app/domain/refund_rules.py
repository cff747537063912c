"""What a refund of an order comes to by its rules, and how long it may be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.booking_rules import BookingPolicy, FeeStep, cancel_fee
from app.domain.slots import MINUTE


@dataclass(frozen=True, slots=True)
class RefundOffer:
    """What the rules give back now.

    `refundable_fen` is the most that anybody can give back, `step` the one that decided.
    """

    refundable_fen: int
    policy_fen: int
    step: FeeStep | None = None

    @property
    def fee_fen(self) -> int:
        """What the rules keep."""
        return self.refundable_fen - self.policy_fen


def offer_for_booking(
    policy: BookingPolicy, refundable_fen: int, *, start_at: datetime, is_begun: bool, now: datetime
) -> RefundOffer:
    """Return what the frozen cancellation steps give back; after the start the step for that counts.

    Who has come in has begun, also before the start.
    """
    as_of = max(now, start_at + MINUTE) if is_begun else now
    preview = cancel_fee(policy.cancel_steps, refundable_fen, start_at, as_of)
    return RefundOffer(refundable_fen, preview.refund_fen, preview.step)


def is_in_window(policy: BookingPolicy, *, end_at: datetime, now: datetime) -> bool:
    """Tell whether a refund of a booking that ended (or ends) at *end_at* may still be asked for."""
    return now < end_at + timedelta(days=policy.refund_window_days)
