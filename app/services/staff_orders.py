"""Orders for staff: one page with everything, the next legal actions, and carrying them out."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from app.domain.actor import Actor
from app.domain.errors import InvalidField, NotFound
from app.domain.states import OrderKind, OrderStatus, VoucherStatus
from app.models import Booking, Notification, Order
from app.services import adjustments, cancellations, extensions, payments, room_moves, stays
from app.services.dues import open_due
from app.services.order_actions import refuse_extension
from app.services.orders import describe_order, find_order
from app.services.redemptions import mask_name
from app.services.unit_of_work import session

CANCELLABLE = (OrderStatus.PENDING_PAYMENT, OrderStatus.PAID, OrderStatus.AWAITING_USE)


def get_order_page(no: str, *, actor: Actor, now: datetime) -> dict[str, Any]:
    """Return everything that staff see of an order in their scope; raises NotFound."""
    order_id = find_order(no, actor=actor)
    order = session().get(
        Order,
        order_id,
        populate_existing=True,
        options=[
            selectinload(Order.lines),
            selectinload(Order.events),
            selectinload(Order.payments),
            selectinload(Order.refunds),
            selectinload(Order.vouchers),
            selectinload(Order.changes),
            selectinload(Order.bookings).joinedload(Booking.room),
        ],
    )
    if order is None:
        raise NotFound()
    page = describe_order(order, now=now)
    page["customer"] = mask_name(order.customer) if order.customer else None
    page["source"] = order.source
    page["state"] = order.status
    # Members instead of their values, so that pages can show label and colour.
    for shown, row in zip(page["payments"], order.payments, strict=True):
        shown["status"], shown["channel"] = row.status, row.channel
    for shown, refund in zip(page["refunds"], order.refunds, strict=True):
        shown["status"] = refund.status
    page["campaign"] = str(order.campaign) if order.campaign else None
    page["events"] = [_event(event) for event in order.events]
    page["vouchers"] = [_voucher(voucher) for voucher in page["vouchers"]]
    page["notices"] = _notices(order)
    page["actions"] = staff_actions(order, now=now)
    page["cancel_fee_fen"] = order.cancel_fee_fen
    page["cancel_preview"] = None
    if order.paid_fen and any(each["name"] == "cancel" and each["allowed"] for each in page["actions"]):
        page["cancel_preview"] = cancellations.preview_cancel(no, actor=actor, now=now)
    return page


def _voucher(voucher: dict[str, Any]) -> dict[str, Any]:
    """Staff never see a whole code: whoever has it can use it."""
    status = VoucherStatus.of(voucher["status"])
    return voucher | {"code": f"…{voucher['code'][-4:]}", "status": status}


def _event(event: Any) -> dict[str, Any]:
    return {
        "at": event.at,
        "event": event.event,
        "actor_kind": event.actor_kind,
        "actor_name": event.actor_name,
        "to_status": event.to_status,
        "reason": event.reason,
        "data": event.data,
    }


def _notices(order: Order) -> list[dict[str, Any]]:
    rows = session().scalars(
        select(Notification).where(Notification.order_id == order.id).order_by(Notification.id)
    )
    return [
        {
            "at": row.created_at,
            "event": row.event,
            "recipient": row.recipient,
            "channel": row.channel,
            "status": row.status,
        }
        for row in rows
    ]


def staff_actions(order: Order, *, now: datetime) -> list[dict[str, Any]]:
    """Return what staff may do next, each with the reason when it is refused."""
    checks = [("cancel", None if _is_cancellable(order) else _l("This order cannot be cancelled any more."))]
    if order.kind is OrderKind.BOOKING:
        is_paid = order.status is OrderStatus.PAID
        checks = [
            ("confirm", None if is_paid else _l("Only paid bookings wait for confirmation.")),
            ("refuse", None if is_paid else _l("Only paid bookings wait for confirmation.")),
            ("take_payment", None if _owes(order, now) else _l("Nothing is to be paid.")),
            ("check_in", _refuse_check_in(order, now)),
            ("check_out", None if order.status is OrderStatus.IN_USE else _l("The room is not in use.")),
            ("move", room_moves.refuse_move(order)),
            ("add_minutes", _refuse_minutes(order, now)),
            ("adjust", adjustments.refuse_adjust(order, now)),
            *checks,
        ]
    return [{"name": name, "allowed": reason is None, "reason": reason} for name, reason in checks]


def _is_cancellable(order: Order) -> bool:
    if order.kind is OrderKind.GROUP_BUY:
        return order.status is OrderStatus.PENDING_PAYMENT
    return order.status in CANCELLABLE


def _owes(order: Order, now: datetime) -> bool:
    return open_due(order, now=now) is not None


def _refuse_minutes(order: Order, now: datetime) -> Any:
    booking = order.bookings[-1] if order.bookings else None
    return None if booking is None else refuse_extension(order, booking, now=now)


def _refuse_check_in(order: Order, now: datetime) -> Any:
    if order.status is not OrderStatus.AWAITING_USE:
        return _l("The order is not awaiting use.")
    booking = order.bookings[-1] if order.bookings else None
    if booking is None or booking.end_at <= now:
        return _l("The booked time is over.")
    return None


def perform_action(
    no: str, name: str, values: dict[str, Any], *, actor: Actor, now: datetime
) -> dict[str, Any]:
    """Carry out a staff action and return what it answers: often nothing, an access or a payment.

    Raises NotFound for an order out of scope or an unknown action, and what the action refuses.
    """
    # Whose order it is comes before what is asked of it.
    find_order(no, actor=actor)
    reason = str(values.get("reason") or "")[:200]
    if name == "confirm":
        cancellations.confirm_order(no, actor=actor, now=now)
    elif name == "refuse":
        cancellations.refuse_order(no, reason=_given(reason), actor=actor, now=now)
    elif name == "cancel":
        cancellations.cancel_order(no, reason=_given(reason), actor=actor, now=now)
    elif name == "check_in":
        return stays.check_in(no, actor=actor, now=now)
    elif name == "check_out":
        stays.check_out(no, actor=actor, now=now)
    elif name == "move":
        return room_moves.move_booking(no, values, reason=reason, actor=actor, now=now)
    elif name == "add_minutes":
        minutes = room_moves.whole_number(values, "minutes")
        return extensions.add_minutes(no, minutes, reason=reason, actor=actor, now=now)
    elif name == "adjust":
        amount_fen = _whole_fen(values.get("amount_fen"))
        return adjustments.add_adjustment(no, amount_fen, reason, actor=actor, now=now)
    elif name == "take_payment":
        channel = str(values.get("channel") or "wechat_native")
        return payments.start_payment(no, channel=channel, actor=actor, now=now)
    else:
        raise NotFound()
    return {}


def _given(reason: str) -> str:
    if not reason.strip():
        raise InvalidField.of("reason", _l("Please give a reason."))
    return reason


def _whole_fen(value: Any) -> int:
    """Read an amount as JSON (a whole number) or a form (its digits) gives it; raises InvalidField."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value):
        return int(value)
    raise InvalidField.of("amount_fen", _l("Please give the amount in fen."))
