"""What an approved refund does to the order: its room, its vouchers, its lines and its money."""

from __future__ import annotations

from datetime import datetime

from flask_babel import lazy_gettext as _l
from sqlalchemy import select, update

from app.domain.actor import Actor
from app.domain.errors import InvalidField, InvalidTransition
from app.domain.pricing import LineKind, QuoteLine
from app.domain.states import OrderKind, OrderStatus, VoucherStatus
from app.models import Order, Voucher
from app.services import adjustments, bookings, group_orders, pending_changes, refunds, vouchers
from app.services.order_log import move_order
from app.services.unit_of_work import change_rows, session

NOT_BEGUN = (OrderStatus.PAID, OrderStatus.AWAITING_USE)


def approve(
    order: Order, amount_fen: int, *, is_partial: bool, reason: str, actor: Actor, now: datetime
) -> None:
    """Send a locked order to refunding and its money back; the caller holds the locks of its rooms.

    `is_partial` leaves a booking as it is, cheaper by the amount. Raises InvalidField for an amount that is
    no whole number of unused vouchers.
    """
    if order.kind is OrderKind.GROUP_BUY:
        is_kept = _take_vouchers_back(order, amount_fen)
        fee_fen = 0
    else:
        is_kept = _settle_booking(
            order, amount_fen, is_partial=is_partial, reason=reason, actor=actor, now=now
        )
        fee_fen = 0 if is_kept else refunds.refundable_fen(order) - amount_fen
    move_order(
        order,
        "refund_approve",
        OrderStatus.REFUNDING,
        actor=actor,
        now=now,
        reason=reason,
        data={"amount_fen": amount_fen, "is_kept": is_kept},
        cancel_fee_fen=order.cancel_fee_fen + fee_fen,
        confirm_by_at=order.confirm_by_at if is_kept else None,
    )
    refunds.refund_order(order, amount_fen, reason=reason, actor=actor, now=now)


def _settle_booking(
    order: Order, amount_fen: int, *, is_partial: bool, reason: str, actor: Actor, now: datetime
) -> bool:
    """End a booking that nobody has begun to use, or make one that stays cheaper; tell whether it stays."""
    pending_changes.drop_pending(order, actor=actor, now=now)
    if order.status in NOT_BEGUN and not is_partial:
        bookings.release(order)
        vouchers.unlock_vouchers(order)
        return False
    if order.status is OrderStatus.COMPLETED and amount_fen >= order.total_fen:
        # Nothing is left of it; whoever still owes a part of it goes on owing that.
        return False
    # What was given back is no longer owed: the line keeps the sums of a living order true.
    adjustments.add_line(order, QuoteLine(LineKind.ADJUSTMENT, reason[:100], -amount_fen))
    return True


def _take_vouchers_back(order: Order, amount_fen: int) -> bool:
    """Take as many unused vouchers back as the amount pays, with stock and limit; tell whether some stay."""
    if order.status is OrderStatus.FORMING:
        if amount_fen != refunds.refundable_fen(order):
            raise InvalidField.of("amount_fen", _l("A team member is refunded in full."))
        group_orders.give_back(order)
        return False
    unused = session().scalars(
        select(Voucher)
        .where(Voucher.order_id == order.id, Voucher.status == VoucherStatus.ISSUED)
        .order_by(Voucher.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    taken: list[int] = []
    left_fen = amount_fen
    for voucher in unused.all():
        if left_fen >= voucher.price_fen > 0:
            taken.append(voucher.id)
            left_fen -= voucher.price_fen
    if left_fen or not taken:
        raise InvalidField.of("amount_fen", _l("Please refund whole unused vouchers."))
    mark_refunding(taken)
    group_orders.give_back(order, len(taken))
    return True


def mark_refunding(voucher_ids: list[int]) -> None:
    """Take these vouchers back if all of them are still unused; raises InvalidTransition."""
    changed = change_rows(
        update(Voucher)
        .where(Voucher.id.in_(voucher_ids), Voucher.status == VoucherStatus.ISSUED)
        .values(status=VoucherStatus.REFUNDING)
    )
    if changed != len(voucher_ids):
        raise InvalidTransition(data={"event": "refund", "status": str(VoucherStatus.ISSUED)})
