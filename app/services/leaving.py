"""Leaving early, and never coming: what the policy gives back, and the room that is free again."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select

from app.domain.actor import SYSTEM, Actor
from app.domain.changes import UNUSED_TIME, unused_fen
from app.domain.money import percent_of
from app.domain.pricing import LineKind, QuoteLine
from app.domain.slots import MINUTE, Span, floor_minute
from app.domain.states import BookingState, OrderStatus
from app.models import Booking, Order
from app.services import notifications, pending_changes, refunds, vouchers
from app.services.booking_rows import lock_booking
from app.services.order_lines import lines_of, write_lines
from app.services.order_log import record_event
from app.services.refund_decisions import drop_open_request
from app.services.room_rules import frozen_policy
from app.services.stay_status import move_stay, status_of_stay
from app.services.sweeps import sweep
from app.services.unit_of_work import session, transactional


def give_back_unused(order: Order, booking: Booking, *, actor: Actor, now: datetime) -> int:
    """Take unused time off an order that ends now as its policy says and return what it was worth in fen.

    What is paid beyond the new total goes back. The caller holds the locks of the room and the order, and
    completes it afterwards.
    """
    amount_fen = unused_amount(order, booking, now=now)
    if amount_fen <= 0:
        return 0
    refund_fen = unused_refund(order, amount_fen)
    line = QuoteLine(LineKind.ADJUSTMENT, UNUSED_TIME, -amount_fen)
    _set_sums(order, write_lines(order, [*lines_of(order), line]))
    record_event(order, "unused_time", actor=actor, now=now, data={"amount_fen": amount_fen})
    if refund_fen:
        refunds.refund_order(order, refund_fen, reason="left early", actor=actor, now=now)
    return amount_fen


def unused_amount(order: Order, booking: Booking, *, now: datetime) -> int:
    """Return in fen what comes off the price for unused time if the guests left at this moment."""
    if booking.overtime_from_at is not None or now >= booking.end_at:
        return 0
    left_at = (
        max(floor_minute(now) + MINUTE, booking.start_at) if now > booking.start_at else booking.start_at
    )
    span = Span(booking.start_at, booking.end_at)
    worth_fen = unused_fen(lines_of(order), span, left_at, frozen_policy(order.policy))
    return max(0, min(worth_fen, order.total_fen))


def unused_refund(order: Order, amount_fen: int) -> int:
    """Return what goes back when *amount_fen* comes off: what is still owed is settled with it first."""
    return max(0, refunds.refundable_fen(order) - (order.total_fen - amount_fen))


def _set_sums(order: Order, sums: dict[str, int]) -> None:
    order.base_fen, order.extra_fen = sums["base_fen"], sums["extra_fen"]
    order.discount_fen, order.total_fen = sums["discount_fen"], sums["total_fen"]
    session().flush()


def release_no_shows(*, now: datetime, limit: int = 500) -> int:
    """Free the rooms that nobody came to in the minutes their orders allow; returns how many."""
    rows = session().execute(
        select(Booking.order_id, Booking.start_at, Order.policy)
        .join(Order, Order.id == Booking.order_id)
        .where(
            Booking.state == BookingState.RESERVED,
            Booking.start_at <= now,
            Booking.end_at > now,
            or_(
                Order.status == OrderStatus.AWAITING_USE,
                # A part of the money is on its way back; who is confirmed is awaited all the same.
                and_(Order.status == OrderStatus.REFUNDING, Order.confirm_by_at.is_(None)),
            ),
        )
        .order_by(Booking.start_at)
        .limit(limit)
    )
    due = [row.order_id for row in rows.all() if _is_no_show(row.policy, row.start_at, now)]
    return sweep(due, lambda order_id: _release(order_id, now=now))


def _is_no_show(policy: dict[str, object], start_at: datetime, now: datetime) -> bool:
    minutes = frozen_policy(policy).no_show_release_minutes
    return minutes is not None and start_at + timedelta(minutes=minutes) <= now


@transactional
def _release(order_id: int, *, now: datetime) -> bool:
    order, booking = lock_booking(order_id)
    is_awaited = status_of_stay(order, booking) is OrderStatus.AWAITING_USE
    if not is_awaited or not _is_no_show(order.policy, booking.start_at, now):
        return False
    # Who is about to pay for another time is no guest who never came.
    if pending_changes.is_awaited(order, now=now):
        return False
    close_no_show(order, booking, now=now)
    return True


def close_no_show(order: Order, booking: Booking, *, now: datetime) -> None:
    """End an order whose guests never came: the room is free, the policy's part of the money goes back.

    Where all of the money is kept the voucher counts as used too. The caller holds the locks of room and
    order.
    """
    pending_changes.drop_pending(order, actor=SYSTEM, now=now)
    drop_open_request(order, actor=SYSTEM, now=now)
    percent = frozen_policy(order.policy).no_show_refund_percent
    refund_fen = percent_of(refunds.refundable_fen(order), percent)
    is_early = now < booking.end_at
    target, facts = OrderStatus.REFUNDING if refund_fen else OrderStatus.COMPLETED, {"refund_fen": refund_fen}
    move_stay(order, booking, "no_show", target, actor=SYSTEM, now=now, data=facts, finished_at=now)
    booking.state = BookingState.RELEASED if is_early else BookingState.ENDED
    booking.ended_at = now
    if percent:
        vouchers.unlock_vouchers(order)
    else:
        vouchers.redeem_for_booking(order, actor=SYSTEM, now=now)
    if refund_fen:
        refunds.refund_order(order, refund_fen, reason="no_show", actor=SYSTEM, now=now)
    notice = "no_show" if is_early or refund_fen else "booking_completed"
    notifications.queue_notice(notice, order=order, variables={"amount": refund_fen}, now=now)
