"""Today's figures and the work that waits, inside the actor's stores."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, and_, func, select, text, true
from sqlalchemy.orm import aliased

from app.domain.actor import Actor
from app.domain.overtime import minutes_over
from app.domain.slots import local_date, local_day
from app.domain.states import (
    BookingState,
    DifferenceStatus,
    NotificationStatus,
    OrderKind,
    OrderStatus,
    RefundRequestStatus,
    RefundStatus,
    ShippingStatus,
)
from app.models import (
    BillDifference,
    Booking,
    Campaign,
    Notification,
    Order,
    OrderEvent,
    Payment,
    Redemption,
    Refund,
    RefundRequest,
    Room,
    RoomBlock,
    ShippingReport,
    Store,
)
from app.models.orders import OWING
from app.services.refunds import COUNTER_ROUTE
from app.services.unit_of_work import session

ZONE = ZoneInfo("Asia/Shanghai")
ARRIVALS_AHEAD = timedelta(hours=3)
MOST = 12


def get_figures(*, actor: Actor, now: datetime) -> dict[str, int]:
    """Return today's `orders`, `paid_fen`, `refunded_fen` and `redemptions`; today is the day in Shanghai."""
    day = local_day(local_date(now, ZONE), ZONE)
    orders = _in_scope(Order, actor)
    paid = (
        select(func.coalesce(func.sum(Payment.amount_fen), 0))
        .join(Order, Order.id == Payment.order_id)
        .where(Payment.paid_at >= day.start_at, Payment.paid_at < day.end_at, orders)
    )
    refunded = (
        select(func.coalesce(func.sum(Refund.amount_fen), 0))
        .join(Order, Order.id == Refund.order_id)
        .where(Refund.finished_at >= day.start_at, Refund.finished_at < day.end_at, orders)
    )
    made = select(func.count(Order.id)).where(
        Order.created_at >= day.start_at, Order.created_at < day.end_at, Order.paid_at.is_not(None), orders
    )
    redeemed = select(func.count(Redemption.id)).where(
        Redemption.redeemed_at >= day.start_at,
        Redemption.redeemed_at < day.end_at,
        Redemption.reverses_id.is_(None),
        _in_scope(Redemption, actor),
    )
    parts = [query.scalar_subquery() for query in (made, paid, refunded, redeemed)]
    row = session().execute(select(*parts)).one()
    return dict(zip(("orders", "paid_fen", "refunded_fen", "redemptions"), row, strict=True))


def _in_scope(model: Any, actor: Actor) -> ColumnElement[bool]:
    if actor.scope.is_all:
        return true()
    clause: ColumnElement[bool] = model.store_scope_clause(actor.scope.store_ids)
    return clause


# Also while a part of the money is on its way back.
_UNCONFIRMED = (
    Order.kind == OrderKind.BOOKING,
    Order.status.in_((OrderStatus.PAID, OrderStatus.REFUNDING)),
    Order.confirm_by_at.is_not(None),
)


def list_work(*, actor: Actor, now: datetime) -> dict[str, int]:
    """Return how much waits, by kind.

    `to_confirm` bookings, `refund_requests` to review, `stuck_refunds`, `counter_refunds` to hand out,
    `bill_differences` to explain,
    `failed_messages`, and `failed_reports` to WeChat, which holds the money of a payment until it has one.
    """
    orders = _in_scope(Order, actor)
    to_confirm = select(func.count(Order.id)).where(*_UNCONFIRMED, orders)
    stuck = (
        select(func.count(Refund.id))
        .join(Order, Order.id == Refund.order_id)
        .where(Refund.status == RefundStatus.ABNORMAL, orders)
    )
    handed_out = (
        select(func.count(Refund.id))
        .join(Order, Order.id == Refund.order_id)
        .where(Refund.status == RefundStatus.PROCESSING, Refund.route == COUNTER_ROUTE, orders)
    )
    requests = select(func.count(RefundRequest.id)).where(
        RefundRequest.status == RefundRequestStatus.REQUESTED, _in_scope(RefundRequest, actor)
    )
    differences = select(func.count(BillDifference.id)).where(
        BillDifference.status == DifferenceStatus.OPEN, _in_scope(BillDifference, actor)
    )
    dead = select(func.count(Notification.id)).where(
        Notification.status == NotificationStatus.DEAD, _in_scope(Notification, actor)
    )
    unreported = (
        select(func.count(ShippingReport.id))
        .join(Order, Order.id == ShippingReport.order_id)
        .where(ShippingReport.status == ShippingStatus.DEAD, orders)
    )
    counts = {
        "to_confirm": to_confirm,
        "refund_requests": requests,
        "stuck_refunds": stuck,
        "counter_refunds": handed_out,
        "bill_differences": differences,
        "failed_messages": dead,
        "failed_reports": unreported,
    }
    row = session().execute(select(*(query.scalar_subquery() for query in counts.values()))).one()
    return dict(zip(counts, row, strict=True))


def list_tasks(*, actor: Actor, now: datetime) -> list[dict[str, Any]]:
    """Return the orders that need somebody, the most urgent kind first, at most 12 of each.

    Each is `{kind, no, store, room, at}`: `door` (it did not answer), `overtime` (running, with `minutes`),
    `confirm` (until `at`), `refund` (`amount_fen` that the payment service could not give back; the room is
    empty, the store of a group-buy order is its campaign), `blocked` (the room is out of use then) and
    `unpaid` (`amount_fen` that guests who have left still owe).
    """
    overtime = [
        task | {"minutes": minutes_over(task["at"], now)}
        for task in _tasks("overtime", _overtime(now), actor)
    ]
    return [
        *_tasks("door", _silent_doors(), actor),
        *overtime,
        *_tasks("confirm", _unconfirmed(), actor),
        *_abnormal_refunds(actor),
        *_tasks("blocked", _blocked(now), actor),
        *_tasks("unpaid", _unpaid(actor), actor),
    ]


def _abnormal_refunds(actor: Actor) -> list[dict[str, Any]]:
    place = func.coalesce(Store.name, Campaign.title)
    rows = session().execute(
        select(Order.no, place.label("store"), Refund.created_at.label("at"), Refund.amount_fen)
        .select_from(Refund)
        .join(Order, Order.id == Refund.order_id)
        .outerjoin(Store, Store.id == Order.store_id)
        .outerjoin(Campaign, Campaign.id == Order.campaign_id)
        .where(Refund.status == RefundStatus.ABNORMAL, _in_scope(Order, actor))
        .order_by(Refund.id)
        .limit(MOST)
    )
    return [{"kind": "refund", "room": ""} | dict(row._mapping) for row in rows]


def _tasks(kind: str, query: Select[Any], actor: Actor) -> list[dict[str, Any]]:
    rows = session().execute(
        query.join(Booking, and_(Booking.order_id == Order.id, Booking.change_id.is_(None)))
        .join(Room, Room.id == Booking.room_id)
        .join(Store, Store.id == Booking.store_id)
        .add_columns(Order.no, Store.name.label("store"), Room.name.label("room"))
        # An order that moved while guests were in has an ended booking too.
        .where(_in_scope(Order, actor), Booking.id == _LAST_BOOKING)
        .order_by("at")
        .limit(MOST)
    )
    return [{"kind": kind} | dict(row._mapping) for row in rows]


_OTHERS = aliased(Booking)
_LAST_BOOKING = (
    select(func.max(_OTHERS.id))
    .where(_OTHERS.order_id == Order.id, _OTHERS.change_id.is_(None))
    .correlate(Order)
    .scalar_subquery()
)


def _overtime(now: datetime) -> Select[Any]:
    ended_at = func.coalesce(Booking.overtime_from_at, Booking.end_at, type_=Booking.end_at.type)
    return (
        select(ended_at.label("at"))
        .select_from(Order)
        .where(Booking.state == BookingState.IN_USE, ended_at <= now)
    )


def _silent_doors() -> Select[Any]:
    """Orders in use whose door did not answer and was not opened since."""
    event = aliased(OrderEvent)
    last = (
        select(func.max(event.id))
        .where(event.order_id == Order.id, event.event.in_(("door_failed", "door_opened")))
        .correlate(Order)
        .scalar_subquery()
    )
    return (
        select(OrderEvent.at.label("at"))
        .select_from(Order)
        .join(OrderEvent, OrderEvent.id == last)
        .where(Booking.state == BookingState.IN_USE, OrderEvent.event == "door_failed")
    )


def _unconfirmed() -> Select[Any]:
    return select(Order.confirm_by_at.label("at")).select_from(Order).where(*_UNCONFIRMED)


def _blocked(now: datetime) -> Select[Any]:
    """Coming bookings in rooms that somebody has taken out of use."""
    block = (
        select(RoomBlock.id)
        .where(
            RoomBlock.room_id == Booking.room_id,
            RoomBlock.start_at < Booking.end_at,
            RoomBlock.end_at > Booking.start_at,
        )
        .correlate(Booking)
    )
    return (
        select(Booking.start_at.label("at"))
        .select_from(Order)
        .where(Booking.state == BookingState.RESERVED, Booking.end_at > now, block.exists())
    )


def _unpaid(actor: Actor) -> Select[Any]:
    # In the index's own words, or SQLite does not use it.
    owing = select(Order.id).where(text(OWING), _in_scope(Order, actor)).order_by(Order.finished_at.desc())
    amount_fen = Order.total_fen - Order.paid_fen + Order.refunded_fen
    columns: tuple[Any, ...] = (Order.finished_at.label("at"), amount_fen.label("amount_fen"))
    return select(*columns).select_from(Order).where(Order.id.in_(owing.limit(MOST)))


def list_arrivals(*, actor: Actor, now: datetime) -> list[dict[str, Any]]:
    """Return at most 12 arrivals of the coming three hours: `{no, store, room, start_at, end_at}`."""
    rows = session().execute(
        select(Order.no, Store.name.label("store"), Room.name.label("room"), Booking.start_at, Booking.end_at)
        .join(Order, Order.id == Booking.order_id)
        .join(Room, Room.id == Booking.room_id)
        .join(Store, Store.id == Booking.store_id)
        .where(
            Booking.state == BookingState.RESERVED,
            Booking.end_at > now,
            Booking.start_at <= now + ARRIVALS_AHEAD,
            _in_scope(Booking, actor),
        )
        .order_by(Booking.start_at)
        .limit(MOST)
    )
    return [dict(row._mapping) for row in rows]
