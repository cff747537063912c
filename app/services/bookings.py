"""Making bookings, letting holds run out, and what happens to a booking when its order is paid."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, or_, select

from app.domain import booking_rules as rules
from app.domain.actor import SYSTEM, Actor
from app.domain.errors import REFUSALS, Blacklisted
from app.domain.slots import Span, local_date, local_day
from app.domain.states import OCCUPYING_STATES, BookingState, OrderKind, OrderStatus
from app.models import Booking, Customer, Order, OrderSource
from app.services import notifications, pending_changes, vouchers
from app.services.booking_rows import booking_of as booking_of
from app.services.locks import lock_customer, lock_order, lock_rooms
from app.services.numbers import new_number
from app.services.order_log import add_lines, move_order, record_event
from app.services.quotes import BookingRequest, Offer, describe_policy, make_offer, with_alternatives
from app.services.room_rules import RoomRules, load_occupancy
from app.services.store_config import load_room
from app.services.unit_of_work import session, transactional


def create_booking(request: BookingRequest, *, note: str = "", actor: Actor, now: datetime) -> str:
    """Hold a room for a customer and return the number of the new order.

    With nothing due the order is confirmed at once. Raises every refusal of a quote, and of the customer:
    Blacklisted, CustomerLimit; refusals carry alternatives. RoomTaken when somebody else was faster.
    """
    room = load_room(request.room_id)
    try:
        return _create_booking(request, room, note=note, actor=actor, now=now)
    except REFUSALS as refusal:
        raise with_alternatives(refusal, request, room, actor=actor, now=now) from None


@transactional
def _create_booking(
    request: BookingRequest, room: RoomRules, *, note: str, actor: Actor, now: datetime
) -> str:
    customer = lock_customer(actor.id)
    lock_rooms([room.room_id])
    release_stale_holds(room.room_id, now=now)
    offer = make_offer(request, room, actor=actor, now=now)
    check_customer(customer, offer, now=now)
    order = save_order(
        offer, customer_id=customer.id, source=OrderSource.MINI_PROGRAM, note=note, actor=actor, now=now
    )
    if offer.voucher is not None:
        vouchers.lock_voucher(offer.voucher, order)
    if order.total_fen == 0:
        settle_paid(order, actor=actor, now=now)
    return order.no


def check_customer(customer: Customer, offer: Offer, *, now: datetime) -> None:
    """Raise Blacklisted, or CustomerLimit for open holds or bookings on the day of the offer."""
    if customer.is_blacklisted:
        raise Blacklisted(data={"rule": "blacklist", "limit": None})
    tz = offer.room.tz
    day = local_day(local_date(offer.span.start_at, tz), tz)
    mine = (
        select(func.count())
        .select_from(Booking)
        .join(Order, Order.id == Booking.order_id)
        .where(Order.customer_id == customer.id, Booking.change_id.is_(None))
    )
    holds = mine.where(Booking.state == BookingState.HELD, Booking.hold_expires_at > now)
    on_day = mine.where(
        Booking.state.in_(OCCUPYING_STATES),
        or_(Booking.state != BookingState.HELD, Booking.hold_expires_at > now),
        Booking.start_at >= day.start_at,
        Booking.start_at < day.end_at,
    )
    counts = session().execute(select(holds.scalar_subquery(), on_day.scalar_subquery())).one()
    rules.check_customer_limits(offer.room.policy, open_holds=counts[0], bookings_that_day=counts[1])


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

    The order waits for its payment and the booking is held, unless the guests are let in at once. The caller
    holds the room's lock. Raises RoomTaken (through the constraint) when the room is occupied.
    """
    status = OrderStatus.IN_USE if is_in_use else OrderStatus.PENDING_PAYMENT
    expires_at = None if is_in_use else now + timedelta(minutes=offer.room.policy.hold_minutes)
    order = _new_order(offer, status, expires_at, customer_id=customer_id, source=source, note=note, now=now)
    session().add(order)
    session().flush()
    add_lines(order, offer.quote.lines, dict(offer.quote.rule_versions))
    session().add(_new_booking(order, offer, now=now))
    record_event(order, "create", actor=actor, now=now, target=status)
    # The room is taken here and now, so that a violation shows before anything else is done.
    session().flush()
    if offer.quote.total_fen:
        notifications.queue_notice("order_created", order=order, now=now)
    return order


def _new_order(
    offer: Offer,
    status: OrderStatus,
    expires_at: datetime | None,
    *,
    customer_id: int | None,
    source: OrderSource,
    note: str,
    now: datetime,
) -> Order:
    quote = offer.quote
    return Order(
        no=new_number("B", now),
        kind=OrderKind.BOOKING,
        status=status,
        source=source,
        customer_id=customer_id,
        store_id=offer.room.store_id,
        base_fen=quote.base_fen,
        extra_fen=quote.extra_fen,
        discount_fen=quote.discount_fen,
        total_fen=quote.total_fen,
        policy=describe_policy(offer.room.policy),
        note=note,
        created_at=now,
        expires_at=expires_at,
        paid_at=now if status is OrderStatus.IN_USE else None,
    )


def _new_booking(order: Order, offer: Offer, *, now: datetime) -> Booking:
    busy = rules.busy_span(offer.room.policy, offer.span)
    is_in_use = order.status is OrderStatus.IN_USE
    return Booking(
        order_id=order.id,
        store_id=offer.room.store_id,
        room_id=offer.room.room_id,
        state=BookingState.IN_USE if is_in_use else BookingState.HELD,
        start_at=offer.span.start_at,
        end_at=offer.span.end_at,
        busy_from_at=busy.start_at,
        busy_until_at=busy.end_at,
        hold_expires_at=order.expires_at,
        checked_in_at=now if is_in_use else None,
        created_at=now,
    )


def settle_paid(order: Order, *, actor: Actor, now: datetime) -> None:
    """Turn the hold of a fully paid order into a reservation and confirm it, unless staff have to.

    The caller holds the locks of the room and the order.
    """
    _reserve(order, booking_of(order), "pay", actor=actor, now=now)


def _reserve(order: Order, booking: Booking, event: str, *, actor: Actor, now: datetime) -> None:
    booking.state = BookingState.RESERVED
    booking.hold_expires_at = None
    minutes = order.policy["confirm_deadline_minutes"]
    must_confirm = bool(order.policy["requires_confirmation"])
    move_order(
        order,
        event,
        OrderStatus.PAID,
        actor=actor,
        now=now,
        paid_at=now,
        expires_at=None,
        finished_at=None,
        confirm_by_at=now + timedelta(minutes=minutes) if must_confirm else None,
    )
    notifications.queue_notice("order_paid", order=order, now=now)
    if not must_confirm:
        move_order(order, "confirm", OrderStatus.AWAITING_USE, actor=SYSTEM, now=now)
        notifications.queue_notice("booking_confirmed", order=order, now=now)


def rebook(order: Order, *, actor: Actor, now: datetime) -> bool:
    """Take the room again for an order whose hold was gone when its money came; tell whether it was free.

    The caller holds the locks of the room and the order.
    """
    booking = booking_of(order)
    if booking.end_at <= now or not is_still_free(booking, order, now=now):
        return False
    # Holds that have run out do not count for the check above, but they do for the constraint.
    release_stale_holds(booking.room_id, now=now)
    _reserve(order, booking, "rebook", actor=actor, now=now)
    return True


def is_still_free(booking: Booking, order: Order, *, now: datetime) -> bool:
    """Tell whether nothing else occupies the room in the booking's time."""
    busy = Span(booking.busy_from_at, booking.busy_until_at)
    others, blocks = load_occupancy([booking.room_id], busy, now=now, except_order_id=order.id)[
        booking.room_id
    ]
    core = Span(booking.start_at, booking.end_at)
    return not others and not any(block.span.overlaps(core) for block in blocks)


def release_stale_holds(room_id: int, *, now: datetime) -> None:
    """Let go of this room's holds that have run out, so that expiry counts when somebody writes.

    The caller holds the room's lock. A payment that is still on its way is closed by the job, and one that
    succeeds all the same finds its room again or is refunded.
    """
    stale = session().scalars(
        select(Booking).where(
            Booking.room_id == room_id, Booking.state == BookingState.HELD, Booking.hold_expires_at <= now
        )
    )
    for booking in stale.all():
        order = lock_order(booking.order_id)
        if booking.change_id is not None:
            pending_changes.expire_pending(order, now=now)
        else:
            expire_order(order, now=now)


def expire_order(order: Order, *, now: datetime) -> None:
    """Cancel an unpaid booking order whose time to pay is over; does nothing when it is no longer unpaid."""
    if order.status is not OrderStatus.PENDING_PAYMENT:
        return
    release(order, BookingState.EXPIRED)
    move_order(order, "expire", OrderStatus.CANCELLED, actor=SYSTEM, now=now, finished_at=now)
    vouchers.unlock_vouchers(order)
    notifications.queue_notice("order_expired", order=order, now=now)


def release(order: Order, state: BookingState = BookingState.RELEASED) -> None:
    """Free the room of an order that is not used."""
    booking = booking_of(order)
    if booking.state in (BookingState.HELD, BookingState.RESERVED):
        booking.state = state
        booking.hold_expires_at = None
        session().flush()
