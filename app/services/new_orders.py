"""A new booking order, made from an offer: its rows, and the one statement that writes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy.orm import make_transient_to_detached

from app.domain.actor import Actor
from app.domain.booking_rules import busy_span
from app.domain.states import BookingState, OrderKind, OrderStatus
from app.models import (
    Booking,
    IdempotencyKey,
    Notification,
    Order,
    OrderEvent,
    OrderLine,
    OrderSource,
    Room,
    Store,
)
from app.services import notifications
from app.services.inserts import Rows, insert_together, next_id
from app.services.numbers import new_number
from app.services.order_log import event_row, line_rows
from app.services.quotes import Offer, describe_policy
from app.services.unit_of_work import dialect_name, session

Values = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order with its lines, its booking and its first event, by column; not written yet."""

    offer: Offer
    order: Values
    lines: list[Values]
    booking: Values
    event: Values

    def write(self, *, notices: Rows = (), keys: Rows = ()) -> list[int]:
        """Write it, with notices and repetition keys that belong to it; returns the ids of the notices."""
        ids = insert_together(
            {
                Order.__table__: [self.order],
                OrderLine.__table__: self.lines,
                Booking.__table__: [self.booking],
                OrderEvent.__table__: [self.event],
                IdempotencyKey.__table__: keys,
                Notification.__table__: notices,
            }
        )
        return ids if notices else []

    def as_read(self) -> Order:
        """Return the order as if it had been read with everything that is shown of it."""
        room = self.offer.room
        store = {"id": room.store_id, "name": room.store_name, "time_zone": room.tz.key}
        place = _as_read(Room, {"id": room.room_id, "name": room.room_name})
        parts = {
            "store": _as_read(Store, store),
            "bookings": [_as_read(Booking, self.booking | {"room": place})],
            "lines": [_as_read(OrderLine, line) for line in self.lines],
            "events": [_as_read(OrderEvent, self.event)],
        }
        return _as_read(Order, self.order | parts)


def _as_read(model: type[T], values: Values) -> T:
    """Return an object of no session that takes these values for read, not for set; the others are empty."""
    row = model()
    vars(row).update(values)
    return row


def new_order(
    order_id: int,
    offer: Offer,
    *,
    customer_id: int | None,
    source: OrderSource,
    note: str = "",
    is_in_use: bool = False,
    actor: Actor,
    now: datetime,
) -> NewOrder:
    """Return the order of an offer under an id that was drawn for it.

    It waits for its payment and its booking is held, unless the guests are let in at once.
    """
    status = OrderStatus.IN_USE if is_in_use else OrderStatus.PENDING_PAYMENT
    expires_at = None if is_in_use else now + timedelta(minutes=offer.room.policy.hold_minutes)
    order = _order_row(offer, now) | {
        "id": order_id,
        "status": status,
        "source": source,
        "customer_id": customer_id,
        "note": note,
        "expires_at": expires_at,
        "paid_at": now if is_in_use else None,
    }
    booking = _booking_row(offer, now) | {
        "order_id": order_id,
        "state": BookingState.IN_USE if is_in_use else BookingState.HELD,
        "hold_expires_at": expires_at,
        "checked_in_at": now if is_in_use else None,
    }
    lines = line_rows(order_id, offer.quote.lines, dict(offer.quote.rule_versions))
    event = event_row(order_id, "create", actor=actor, now=now, target=status)
    return NewOrder(offer, order, lines, booking, event)


def _order_row(offer: Offer, now: datetime) -> Values:
    quote = offer.quote
    return {
        "no": new_number("B", now),
        "kind": OrderKind.BOOKING,
        "store_id": offer.room.store_id,
        "quantity": 1,
        "base_fen": quote.base_fen,
        "extra_fen": quote.extra_fen,
        "discount_fen": quote.discount_fen,
        "total_fen": quote.total_fen,
        "paid_fen": 0,
        "refunded_fen": 0,
        "cancel_fee_fen": 0,
        "policy": describe_policy(offer.room.policy),
        "created_at": now,
    }


def _booking_row(offer: Offer, now: datetime) -> Values:
    busy = busy_span(offer.room.policy, offer.span)
    return {
        "store_id": offer.room.store_id,
        "room_id": offer.room.room_id,
        "start_at": offer.span.start_at,
        "end_at": offer.span.end_at,
        "busy_from_at": busy.start_at,
        "busy_until_at": busy.end_at,
        "created_at": now,
    }


def save_order(
    offer: Offer,
    *,
    customer_id: int | None,
    source: OrderSource,
    note: str = "",
    is_in_use: bool = False,
    actor: Actor,
    now: datetime,
) -> Order:
    """Save an order with its lines and the booking of an offer, inside the caller's transaction.

    See `new_order`. The caller holds the room's lock. Raises RoomTaken (through the constraint) when the room
    is occupied.
    """
    order_id = session().scalar(next_id(Order.__table__, dialect_name()))
    assert order_id is not None
    new = new_order(
        order_id,
        offer,
        customer_id=customer_id,
        source=source,
        note=note,
        is_in_use=is_in_use,
        actor=actor,
        now=now,
    )
    # The room is taken here and now, so that a violation shows before anything else is done.
    new.write()
    order = adopt(new)
    if offer.quote.total_fen:
        notifications.queue_notice("order_created", order=order, now=now)
    return order


def adopt(new: NewOrder) -> Order:
    """Return a written order as a row of the session."""
    order = _as_read(Order, new.order)
    make_transient_to_detached(order)
    session().add(order)
    return order
