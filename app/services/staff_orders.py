"""Orders for staff: one page with everything, the next legal actions, and carrying them out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from app.domain.actor import Actor
from app.domain.errors import InvalidField, NotFound
from app.domain.states import OrderKind, OrderStatus, PaymentChannel, RefundStatus, VoucherStatus
from app.models import Booking, Notification, Order, OrderChange, Room
from app.services import (
    abnormal_refunds,
    adjustments,
    cancellations,
    changes,
    channels,
    counter,
    extensions,
    payments,
    room_blocks,
    room_moves,
    stay_previews,
    stays,
)
from app.services.dues import open_due
from app.services.order_actions import refuse_entry, refuse_extension
from app.services.orders import describe_order, find_order, shown_status, waiting_change
from app.services.redemptions import mask_name
from app.services.stay_status import status_of_stay
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
            selectinload(Order.changes).joinedload(OrderChange.room),
            selectinload(Order.bookings).joinedload(Booking.room),
        ],
    )
    if order is None:
        raise NotFound()
    page = describe_order(order, now=now)
    page["customer"] = mask_name(order.customer) if order.customer else None
    # Whose code it is sees it; staff open the door themselves.
    page["access"] = None
    page["source"] = order.source
    page["state"] = shown_status(order, now=now)
    # Members instead of their values, so that pages can show label and colour.
    for shown, row in zip(page["payments"], order.payments, strict=True):
        shown["status"], shown["channel"] = row.status, row.channel
    for shown, refund in zip(page["refunds"], order.refunds, strict=True):
        shown["status"] = refund.status
    for line, kept in zip(page["lines"], order.lines, strict=True):
        line["rule_version"] = kept.rule_version
    page["campaign"] = str(order.campaign) if order.campaign else None
    page["events"] = [_event(event) for event in order.events]
    page["room_names"] = _room_names(order)
    page["vouchers"] = [_voucher(voucher) for voucher in page["vouchers"]]
    page["notices"] = _notices(order)
    page["actions"] = staff_actions(order, now=now)
    page["cancel_fee_fen"] = order.cancel_fee_fen
    page["abnormal_refunds"] = _abnormal_refunds(order, actor)
    page["counter"] = counter.describe_desk(order, actor=actor, now=now)
    page["cancel_preview"] = None
    if order.paid_fen and any(each["name"] == "cancel" and each["allowed"] for each in page["actions"]):
        page["cancel_preview"] = cancellations.preview_cancel(no, actor=actor, now=now)
    return page | _stay_facts(order, now=now)


def _abnormal_refunds(order: Order, actor: Actor) -> list[dict[str, Any]]:
    if all(refund.status is not RefundStatus.ABNORMAL for refund in order.refunds):
        return []
    return abnormal_refunds.list_abnormal(actor=actor, order_id=order.id)


def _stay_facts(order: Order, *, now: datetime) -> dict[str, Any]:
    """What only bookings have: deadlines, what leaving means now, who follows, and a door that is silent."""
    names = ("confirm_by_at", "check_out_preview", "ahead", "door_failed_at", "block")
    facts: dict[str, Any] = dict.fromkeys(names)
    booking = order.bookings[-1] if order.bookings else None
    status = status_of_stay(order, booking)
    if status is OrderStatus.PAID:
        facts["confirm_by_at"] = order.confirm_by_at
    if booking is None or status not in (OrderStatus.AWAITING_USE, OrderStatus.IN_USE):
        return facts
    facts["block"] = room_blocks.find_block(booking) if booking.end_at > now else None
    facts["ahead"] = stay_previews.describe_ahead(booking, now=now)
    if status is OrderStatus.IN_USE:
        facts["check_out_preview"] = stay_previews.preview_check_out(order, booking, now=now)
        facts["door_failed_at"] = _door_failed_at(order)
    return facts


def _door_failed_at(order: Order) -> datetime | None:
    """When the door did not answer, unless it was opened since."""
    last = next((each for each in reversed(order.events) if each.event.startswith("door_")), None)
    return last.at if last is not None and last.event == "door_failed" else None


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


def _room_names(order: Order) -> dict[str, str]:
    """The names of the rooms that the order's events speak of, by their ids."""
    places = [(event.data or {}).get(name) for event in order.events for name in ("from", "to")]
    ids = {int(place["room_id"]) for place in places if isinstance(place, dict)}
    if not ids:
        return {}
    rows = session().execute(select(Room.id, Room.name).where(Room.id.in_(ids)))
    return {str(row.id): row.name for row in rows}


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
        status = status_of_stay(order, order.bookings[-1] if order.bookings else None)
        is_paid, is_in_use = status is OrderStatus.PAID, status is OrderStatus.IN_USE
        not_paid, not_in_use = _l("Only paid bookings wait for confirmation."), _l("The room is not in use.")
        checks = [
            ("confirm", None if is_paid else not_paid),
            ("refuse", None if is_paid else not_paid),
            ("take_payment", None if open_due(order, now=now) else _l("Nothing is to be paid.")),
            ("check_in", _refuse_check_in(order, now)),
            ("check_out", None if is_in_use else not_in_use),
            ("open_door", None if is_in_use else not_in_use),
            ("move", room_moves.refuse_move(order)),
            ("add_minutes", _refuse_minutes(order, now)),
            ("drop_change", None if waiting_change(order, now=now) else changes.NOTHING_WAITS),
            ("adjust", adjustments.refuse_adjust(order, now)),
            *checks,
        ]
    return [{"name": name, "allowed": reason is None, "reason": reason} for name, reason in checks]


def _is_cancellable(order: Order) -> bool:
    if order.kind is OrderKind.GROUP_BUY:
        return order.status is OrderStatus.PENDING_PAYMENT
    return order.status in CANCELLABLE


def _refuse_minutes(order: Order, now: datetime) -> Any:
    booking = order.bookings[-1] if order.bookings else None
    return None if booking is None else refuse_extension(order, booking, now=now)


def _refuse_check_in(order: Order, now: datetime) -> Any:
    booking = order.bookings[-1] if order.bookings else None
    if status_of_stay(order, booking) is not OrderStatus.AWAITING_USE:
        return _l("The order is not awaiting use.")
    if booking is None or booking.end_at <= now:
        return _l("The booked time is over.")
    return refuse_entry(booking, now=now)


@dataclass(frozen=True, slots=True)
class _Wish:
    """An action with what somebody gave to it."""

    no: str
    values: Mapping[str, Any]
    reason: str
    actor: Actor
    now: datetime

    @property
    def who(self) -> dict[str, Any]:
        """Actor and time, as every service takes them."""
        return {"actor": self.actor, "now": self.now}

    def given_reason(self) -> str:
        """Return the reason; raises InvalidField when there is none."""
        if not self.reason.strip():
            raise InvalidField.of("reason", _l("Please give a reason."))
        return self.reason


def perform_action(
    no: str, name: str, values: Mapping[str, Any], *, actor: Actor, now: datetime
) -> dict[str, Any]:
    """Carry out a staff action and return what it answers: often nothing, an access or a payment.

    Raises NotFound for an order out of scope or an unknown action, and what the action refuses.
    """
    # Whose order it is comes before what is asked of it.
    find_order(no, actor=actor)
    if name not in _ACTIONS:
        raise NotFound()
    reason = str(values.get("reason") or "")[:200]
    return _ACTIONS[name](_Wish(no, values, reason, actor, now)) or {}


def _add_minutes(wish: _Wish) -> dict[str, Any]:
    minutes = room_moves.whole_number(wish.values, "minutes")
    return extensions.add_minutes(wish.no, minutes, reason=wish.reason, **wish.who)


def _adjust(wish: _Wish) -> dict[str, Any]:
    amount_fen = whole_fen(wish.values.get("amount_fen"))
    return adjustments.add_adjustment(wish.no, amount_fen, wish.reason, **wish.who)


def _take_payment(wish: _Wish) -> dict[str, Any]:
    channel = str(wish.values.get("channel") or _code_channel(wish))
    if counter.is_counter_channel(channel):
        return counter.take_payment(wish.no, counter.read_tender(wish.values), **wish.who)
    return payments.start_payment(wish.no, channel=channel, **wish.who)


def _code_channel(wish: _Wish) -> str:
    """Return the first way of paying by a code that the order's store offers."""
    order = session().get_one(Order, find_order(wish.no, actor=wish.actor))
    offered = channels.code_channels(order.store_id)
    return (offered[0] if offered else PaymentChannel.WECHAT_NATIVE).value


_ACTIONS: dict[str, Callable[[_Wish], dict[str, Any] | None]] = {
    "confirm": lambda wish: cancellations.confirm_order(wish.no, **wish.who),
    "refuse": lambda wish: cancellations.refuse_order(wish.no, reason=wish.given_reason(), **wish.who),
    "cancel": lambda wish: cancellations.cancel_order(wish.no, reason=wish.given_reason(), **wish.who),
    "check_in": lambda wish: stays.check_in(wish.no, **wish.who),
    "check_out": lambda wish: stays.check_out(wish.no, **wish.who),
    "open_door": lambda wish: stays.open_door(wish.no, **wish.who),
    "move": lambda wish: room_moves.move_booking(wish.no, wish.values, reason=wish.reason, **wish.who),
    "add_minutes": _add_minutes,
    "drop_change": lambda wish: changes.drop_change(wish.no, reason=wish.reason, **wish.who),
    "adjust": _adjust,
    "take_payment": _take_payment,
}


def whole_fen(value: Any) -> int:
    """Read an amount as JSON (a whole number) or a form (its digits) gives it; raises InvalidField."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value):
        return int(value)
    raise InvalidField.of("amount_fen", _l("Please give the amount in fen."))
