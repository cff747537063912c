"""Reading orders: who may, which, and everything that is shown of one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import joinedload, selectinload

from app.domain.actor import Actor
from app.domain.changes import line_label
from app.domain.errors import InvalidField, NotFound
from app.domain.events import event_label
from app.domain.states import BookingState, LabelledEnum, OrderKind, OrderStatus
from app.models import Booking, Order, OrderChange, Payment, Refund
from app.services import doors, overtime, refunds, vouchers
from app.services.cursors import after_id, page_of
from app.services.order_actions import refuse_change, refuse_entry, refuse_extension, refuse_refund_request
from app.services.quotes import describe_policy
from app.services.room_rules import frozen_policy
from app.services.stay_status import status_of_stay
from app.services.unit_of_work import session

DEFAULT_ZONE = ZoneInfo("Asia/Shanghai")
# What is still owed on these is nothing, whatever their sums say.
SETTLED = (OrderStatus.CANCELLED, OrderStatus.REFUNDING, OrderStatus.REFUNDED, OrderStatus.EXPIRED)


def _check_number(no: str) -> None:
    """Numbers are plain letters and digits; other signs, which a database may refuse, name no order."""
    if not (no.isascii() and no.isalnum()):
        raise NotFound()


def find_own_order(no: str, *, customer_id: int | None) -> int:
    """Return the id of a customer's own order; raises NotFound, also for somebody else's."""
    _check_number(no)
    order_id = session().scalar(
        select(Order.id).where(
            Order.no == no, Order.customer_id == customer_id, Order.customer_id.is_not(None)
        )
    )
    if order_id is None:
        raise NotFound()
    return order_id


def find_order(no: str, *, actor: Actor) -> int:
    """Return the id of an order that the actor may touch: the customer's own, or one in the staff's scope."""
    if actor.is_customer:
        return find_own_order(no, customer_id=actor.id)
    _check_number(no)
    query = select(Order.id).where(Order.no == no)
    if not actor.scope.is_all:
        query = query.where(Order.store_scope_clause(actor.scope.store_ids))
    order_id = session().scalar(query)
    if order_id is None:
        raise NotFound()
    return order_id


def get_order(no: str, *, customer_id: int, now: datetime) -> dict[str, Any]:
    """Return a customer's own order as the JSON interface shows it; raises NotFound."""
    _check_number(no)
    orders = _load(Order.no == no, Order.customer_id == customer_id)
    if not orders:
        raise NotFound()
    return describe_order(orders[0], now=now)


def list_orders(
    *,
    customer_id: int,
    now: datetime,
    status: str | None = None,
    kind: str | None = None,
    cursor: str | None = None,
    limit: int = 20,
) -> dict[str, Any]:
    """Return `{items, next_cursor}` of a customer's orders, the newest first."""
    conditions: list[Any] = [Order.customer_id == customer_id]
    if status is not None:
        conditions.append(_has_status(_member(OrderStatus, "status", status), now))
    if kind is not None:
        conditions.append(Order.kind == _member(OrderKind, "kind", kind))
    if cursor is not None:
        conditions.append(Order.id < after_id(cursor))
    page, next_cursor = page_of(_load(*conditions, limit=limit + 1), limit)
    return {"items": [describe_order(order, now=now) for order in page], "next_cursor": next_cursor}


def _member(enum: type[LabelledEnum], field: str, value: str) -> Any:
    try:
        return enum.of(value)
    except ValueError:
        raise InvalidField.of(field, _l("This value is not known.")) from None


def _load(*conditions: Any, limit: int | None = None) -> Sequence[Order]:
    query = (
        select(Order)
        .where(*conditions)
        .order_by(Order.id.desc())
        .limit(limit)
        .options(
            joinedload(Order.store),
            selectinload(Order.lines),
            selectinload(Order.events),
            selectinload(Order.payments),
            selectinload(Order.refunds),
            selectinload(Order.refund_requests),
            selectinload(Order.vouchers),
            selectinload(Order.used_vouchers),
            selectinload(Order.changes).joinedload(OrderChange.room),
            selectinload(Order.bookings).joinedload(Booking.room),
        )
        .execution_options(populate_existing=True)
    )
    return session().scalars(query).all()


def waiting_change(order: Order, *, now: datetime) -> OrderChange | None:
    """Return the change that can still be paid; one whose time ran out is none, swept or not."""
    change = order.pending_change
    is_live = change is not None and change.expires_at is not None and change.expires_at > now
    return change if is_live else None


def shown_status(order: Order, *, now: datetime) -> OrderStatus:
    """Return the status that counts at this moment: who did not pay in time has no order, swept or not.

    A payment that comes all the same may bring it back, as it does for one that was swept.
    """
    return OrderStatus.CANCELLED if _is_run_out(order, now) else order.status


def _is_run_out(order: Order, now: datetime) -> bool:
    is_waiting = order.status is OrderStatus.PENDING_PAYMENT
    return is_waiting and order.expires_at is not None and order.expires_at <= now


def _has_status(status: OrderStatus, now: datetime) -> ColumnElement[bool]:
    is_waiting = Order.status == OrderStatus.PENDING_PAYMENT
    if status is OrderStatus.CANCELLED:
        return or_(Order.status == status, and_(is_waiting, Order.expires_at <= now))
    if status is OrderStatus.PENDING_PAYMENT:
        return and_(is_waiting, Order.expires_at > now)
    return Order.status == status


def due_fen(order: Order, *, now: datetime) -> int:
    """Return what is still to be paid, in fen: for the order as it is, and for a change that waits for it."""
    if shown_status(order, now=now) in SETTLED:
        return 0
    # What a group order got back for unused vouchers is not owed again.
    if order.kind is OrderKind.GROUP_BUY and order.status is not OrderStatus.PENDING_PAYMENT:
        return 0
    change = waiting_change(order, now=now)
    kept_fen = refunds.kept_fen(order.payments)
    return max(0, order.total_fen - kept_fen) + (change.amount_fen if change is not None else 0)


def describe_order(order: Order, *, now: datetime) -> dict[str, Any]:
    """Return everything that a customer is shown of an order."""
    zone = ZoneInfo(order.store.time_zone) if order.store else DEFAULT_ZONE
    booking = order.bookings[-1] if order.bookings else None
    status = shown_status(order, now=now)
    return {
        "no": order.no,
        "kind": order.kind.value,
        "status": status.value,
        "status_label": status.label,
        "store": _brief(order.store),
        "room": _brief(booking and booking.room),
        "start_at": _local(booking and booking.start_at, zone),
        "end_at": _local(booking and overtime.booked_end(booking), zone),
        "campaign_id": order.campaign_id,
        "quantity": order.quantity,
        "team_id": order.team_id,
        "lines": [_line(line, zone) for line in order.lines],
        "base_fen": order.base_fen,
        "extra_fen": order.extra_fen,
        "discount_fen": order.discount_fen,
        "total_fen": order.total_fen,
        "paid_fen": order.paid_fen,
        "refunded_fen": order.refunded_fen,
        "cancel_fee_fen": order.cancel_fee_fen,
        "due_fen": due_fen(order, now=now),
        "note": order.note,
        "created_at": _local(order.created_at, zone),
        "expires_at": _local(_pay_by(order, now), zone),
        "policy": _policy(order),
        "pending_change": _pending(waiting_change(order, now=now), zone),
        "overtime": _overtime(order, booking, zone, now),
        "access": _access(booking, zone, now),
        "payments": [_payment(payment, zone) for payment in order.payments],
        "refunds": [_refund(refund) for refund in order.refunds],
        "vouchers": _vouchers(order),
        "timeline": [_event(event, zone) for event in order.events],
        "actions": customer_actions(order, booking, now=now),
    }


def _policy(order: Order) -> dict[str, Any] | None:
    return describe_policy(frozen_policy(order.policy)) if order.kind is OrderKind.BOOKING else None


def _pay_by(order: Order, now: datetime) -> datetime | None:
    change = waiting_change(order, now=now)
    return order.expires_at if change is None else change.expires_at


def _pending(change: OrderChange | None, zone: ZoneInfo) -> dict[str, Any] | None:
    """What the order becomes once its due amount is paid."""
    if change is None:
        return None
    return {
        "kind": change.kind.value,
        "room": _brief(change.room),
        "start_at": _local(change.start_at, zone),
        "end_at": _local(change.end_at, zone),
        "total_fen": change.total_fen,
        "fee_fen": change.fee_fen,
        "difference_fen": change.amount_fen,
        "expires_at": _local(change.expires_at, zone),
    }


def _overtime(order: Order, booking: Booking | None, zone: ZoneInfo, now: datetime) -> dict[str, Any] | None:
    found = overtime.describe_overtime(order, booking, now=now)
    return None if found is None else found | {"from_at": _local(found["from_at"], zone)}


def _access(booking: Booking | None, zone: ZoneInfo, now: datetime) -> dict[str, Any] | None:
    found = None if booking is None else doors.access_of(booking, now=now)
    return None if found is None else found | {"expires_at": _local(found["expires_at"], zone)}


def _brief(row: Any) -> dict[str, Any] | None:
    return None if row is None else {"id": row.id, "name": row.name}


def _local(at: datetime | None, zone: ZoneInfo) -> datetime | None:
    return None if at is None else at.astimezone(zone)


def _line(line: Any, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "kind": line.kind,
        "label": line_label(line.kind, line.label),
        "rule_id": line.rule_id,
        "start_at": _local(line.start_at, zone),
        "end_at": _local(line.end_at, zone),
        "minutes": line.minutes,
        "unit_fen": line.unit_fen,
        "amount_fen": line.amount_fen,
    }


def _payment(payment: Payment, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "payment_no": payment.payment_no,
        "channel": payment.channel.value,
        "status": payment.status.value,
        "amount_fen": payment.amount_fen,
        "paid_at": _local(payment.paid_at, zone),
    }


def _refund(refund: Refund) -> dict[str, Any]:
    return {
        "refund_no": refund.refund_no,
        "status": refund.status.value,
        "amount_fen": refund.amount_fen,
        "route": refund.route,
    }


def _vouchers(order: Order) -> list[dict[str, Any]]:
    """A group-buy order shows the vouchers it bought, a booking the voucher that pays it."""
    rows = order.used_vouchers if order.kind is OrderKind.BOOKING else order.vouchers
    return [vouchers.describe_brief(voucher) for voucher in rows]


def _event(event: Any, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "at": _local(event.at, zone),
        "actor": event.actor_kind,
        "event": event.event,
        "text": event_label(event.event),
    }


def customer_actions(order: Order, booking: Booking | None, *, now: datetime) -> list[dict[str, Any]]:
    """Return what the customer may do next, each with the reason why not; an empty reason is null."""
    checks = [
        ("pay", _refuse_pay(order, now)),
        ("cancel", _refuse_cancel(order, now)),
        ("refund_request", refuse_refund_request(order, booking, now=now)),
    ]
    if booking is not None:
        checks += [
            ("check_in", refuse_check_in(order, booking, now) or refuse_entry(booking, now=now)),
            ("check_out", None if booking.state is BookingState.IN_USE else _l("The room is not in use.")),
            ("change", refuse_change(order, booking, now=now)),
            ("extend", refuse_extension(order, booking, now=now)),
        ]
    return [{"name": name, "allowed": reason is None, "reason": reason} for name, reason in checks]


def _refuse_pay(order: Order, now: datetime) -> Any:
    if _is_run_out(order, now):
        return _l("The time to pay is over.")
    return None if due_fen(order, now=now) else _l("Nothing is to be paid.")


def _refuse_cancel(order: Order, now: datetime) -> Any:
    if _is_run_out(order, now):
        is_open = False
    elif order.kind is OrderKind.GROUP_BUY:
        is_open = order.status is OrderStatus.PENDING_PAYMENT
    else:
        is_open = order.status in (OrderStatus.PENDING_PAYMENT, OrderStatus.PAID, OrderStatus.AWAITING_USE)
    return None if is_open else _l("This order cannot be cancelled any more.")


def refuse_check_in(order: Order, booking: Booking, now: datetime) -> Any:
    """Return why a customer cannot check in yet or any more, or None."""
    if status_of_stay(order, booking) is not OrderStatus.AWAITING_USE:
        return _l("The order is not awaiting use.")
    early = timedelta(minutes=order.policy["check_in_early_minutes"])
    if now < booking.start_at - early:
        return _l(
            "Check-in opens %(minutes)s minutes before the start.", minutes=early // timedelta(minutes=1)
        )
    if now >= booking.end_at:
        return _l("The booked time is over.")
    return None
