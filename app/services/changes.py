"""Changing a booking: another time, length or room, previewed and charged by the same function."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, or_, select

from app.domain import booking_rules as rules
from app.domain import changes as change_rules
from app.domain.actor import Actor, customer_actor
from app.domain.errors import REFUSALS, Blacklisted, Blocked, DomainError, InPast, InvalidTransition
from app.domain.price_books import PriceBook
from app.domain.pricing import LineKind, Quote, QuoteLine
from app.domain.slots import Span, local_date, local_day, local_minute
from app.domain.states import OCCUPYING_STATES, BookingState, ChangeKind, ChangeStatus, VoucherStatus
from app.domain.voucher_rules import check_use
from app.models import Booking, Customer, Order, OrderChange, Voucher
from app.services import payments, pending_changes, refunds, vouchers
from app.services.alternatives import Wish, explain
from app.services.booking_rows import booking_of, lock_booking
from app.services.bookings import release_stale_holds
from app.services.locks import lock_customer
from app.services.order_lines import lines_of, versioned
from app.services.orders import find_order
from app.services.price_books import buyer_of
from app.services.proposals import Proposal, describe_proposal, submit, sums_after
from app.services.room_rules import RoomRules, frozen_policy, load_occupancy
from app.services.store_config import (
    StoreConfig,
    load_known_room,
    load_known_store,
    load_room,
    load_store_rooms,
)
from app.services.unit_of_work import session, transactional

# A booking that cannot be changed at all is told the nearest free places too.
REFUSED = (*REFUSALS, InvalidTransition)
NOTHING_WAITS = _l("No change waits for its payment.")


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """What a booking shall become; what is not given stays. A start alone keeps the length."""

    room_id: int | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None


def preview_change(no: str, request: ChangeRequest, *, actor: Actor, now: datetime) -> dict[str, Any]:
    """Return a quote with `fee_fen` and `difference_fen` of changing a booking now; nothing is saved.

    Raises NotFound, InvalidTransition, ChangeNotAllowed and every refusal of a booking, with alternatives.
    """
    order = session().get_one(Order, find_order(no, actor=actor), populate_existing=True)
    booking = booking_of(order)
    try:
        proposal = _propose(order, booking, request, actor=actor, now=now)
    except REFUSED as refusal:
        raise explained(refusal, order, booking, request, actor=actor, now=now) from None
    return describe_proposal(order, proposal)


def change_order(
    no: str, request: ChangeRequest, *, reason: str = "", actor: Actor, now: datetime
) -> dict[str, Any]:
    """Change a booking and return `{due_fen, expires_at}` of what is still to be paid for it.

    What costs more is held until it is paid, what costs less or the same happens at once; a change that still
    waits for its payment is replaced. Raises what `preview_change` raises; then nothing has changed.
    """
    order_id = find_order(no, actor=actor)
    close_pending_payments(order_id, now=now)
    try:
        return _change(order_id, request, reason=reason, actor=actor, now=now)
    except REFUSED as refusal:
        order = session().get_one(Order, order_id, populate_existing=True)
        raise explained(refusal, order, booking_of(order), request, actor=actor, now=now) from None


@transactional
def _change(
    order_id: int, request: ChangeRequest, *, reason: str, actor: Actor, now: datetime
) -> dict[str, Any]:
    if actor.is_customer:
        lock_customer(actor.id)
    order, booking = lock_booking(order_id, *([request.room_id] if request.room_id else []))
    release_stale_holds(request.room_id or booking.room_id, now=now)
    pending_changes.drop_pending(order, actor=actor, now=now)
    proposal = _propose(order, booking, request, actor=actor, now=now)
    return describe_change(submit(order, booking, proposal, reason=reason, actor=actor, now=now))


def drop_change(no: str, *, reason: str = "", actor: Actor, now: datetime) -> None:
    """Give up the change that waits for its payment: the booking stays as it is, what was held is free.

    An open payment is closed at the service first; one that has been paid in the meantime makes the change
    real. Raises NotFound, InvalidTransition when no change waits.
    """
    order_id = find_order(no, actor=actor)
    close_pending_payments(order_id, now=now)
    _drop(order_id, reason=reason, actor=actor, now=now)


@transactional
def _drop(order_id: int, *, reason: str, actor: Actor, now: datetime) -> None:
    order, _booking = lock_booking(order_id)
    if pending_changes.pending_of(order) is None:
        data = {"event": "drop", "status": str(order.status)}
        raise InvalidTransition(NOTHING_WAITS, data=data)
    pending_changes.drop_pending(order, actor=actor, now=now, reason=reason)


def describe_change(change: OrderChange) -> dict[str, Any]:
    """Return `{due_fen, expires_at}`: nothing is due where the change has already happened."""
    is_pending = change.status is ChangeStatus.PENDING
    return {"due_fen": change.amount_fen if is_pending else 0, "expires_at": change.expires_at}


def close_pending_payments(order_id: int, *, now: datetime) -> None:
    """Close the open payments of a change that is replaced; one that was paid makes it real first."""
    order = session().get_one(Order, order_id, populate_existing=True)
    if pending_changes.pending_of(order) is not None:
        payments.close_open_payments(order_id, now=now)


def explained(
    refusal: DomainError,
    order: Order,
    booking: Booking,
    request: ChangeRequest,
    *,
    actor: Actor,
    now: datetime,
) -> DomainError:
    """Add the nearest places that the booking could be changed to, each with the sum that it would cost."""
    room = load_known_room(request.room_id or booking.room_id)
    if room.store_id != booking.store_id:
        room = load_known_room(booking.room_id)
    present = Span(booking.start_at, booking.end_at)
    sold, config = lines_of(order), load_known_store(room.store_id)

    def price(place: RoomRules, span: Span, voucher: Voucher | None) -> int:
        if (place.room_id, span) == (booking.room_id, present):
            raise change_rules.refusal("unchanged", None)
        session_id = _session_of(sold, config, span)
        return _priced(
            order, booking, config, place, span, session_id, voucher, actor=actor, now=now
        ).totals.total_fen

    wish = Wish(
        room,
        _wanted_span(booking, request),
        _buyer(order, actor),
        session_id=_session_of(sold, config, present),
        voucher=_voucher_of(order),
        order_id=order.id,
        price=price,
        config=config,
    )
    return explain(refusal, wish, now=now)


def not_possible(kind: ChangeKind, order: Order) -> InvalidTransition:
    """Return the refusal of a change or extension in the order's present status."""
    possible = [status.value for status in pending_changes.CHANGEABLE[kind]]
    data = {"event": kind.value, "status": order.status.value, "rule": "status", "limit": possible}
    return InvalidTransition(data=data)


def check_blacklist(order: Order) -> None:
    """Raise Blacklisted for the order of a customer who may not book any more."""
    if session().get_one(Customer, order.customer_id).is_blacklisted:
        raise Blacklisted(data={"rule": "blacklist", "limit": None})


def check_in_service(room: RoomRules) -> None:
    """Raise Blocked for a room that was taken out of service since it was booked."""
    if all(each.room_id != room.room_id for each in load_store_rooms(room.store_id)):
        raise Blocked(data={"rule": "out_of_service", "limit": None})


def _wanted_span(booking: Booking, request: ChangeRequest) -> Span:
    start_at = request.start_at or booking.start_at
    if request.end_at is not None:
        return Span(start_at, request.end_at)
    return Span(start_at, start_at + (booking.end_at - booking.start_at))


def _buyer(order: Order, actor: Actor) -> Actor | None:
    """Discounts are the customer's, whoever changes the order."""
    return customer_actor(order.customer_id) if order.customer_id is not None else actor


def _propose(
    order: Order, booking: Booking, request: ChangeRequest, *, actor: Actor, now: datetime
) -> Proposal:
    """Check a change against every rule and price it."""
    if order.status not in pending_changes.CHANGEABLE[ChangeKind.CHANGE]:
        raise not_possible(ChangeKind.CHANGE, order)
    room = load_room(request.room_id) if request.room_id else load_known_room(booking.room_id)
    span = _wanted_span(booking, request)
    policy = frozen_policy(order.policy)
    if actor.is_customer:
        count = change_count(order)
        change_rules.check_change(policy, change_count=count, start_at=booking.start_at, now=now)
    if room.store_id != order.store_id:
        raise change_rules.refusal("store", str(order.store_id))
    if (room.room_id, span) == (booking.room_id, Span(booking.start_at, booking.end_at)):
        raise change_rules.refusal("unchanged", None)
    voucher = _voucher_of(order)
    config = load_known_store(room.store_id)
    session_id = _session_of(lines_of(order), config, span)
    _check(order, booking, room, span, session_id, voucher, actor=actor, now=now)
    return _priced(order, booking, config, room, span, session_id, voucher, actor=actor, now=now)


def _priced(
    order: Order,
    booking: Booking,
    config: StoreConfig,
    room: RoomRules,
    span: Span,
    session_id: int | None,
    voucher: Voucher | None,
    *,
    actor: Actor,
    now: datetime,
) -> Proposal:
    """Return what a booking in another place comes to, the fee of the steps that were frozen included."""
    quote = _quote(order, config.book, room, span, session_id, voucher, actor=actor, now=now)
    fee_fen = 0
    if actor.is_customer:
        steps, paid_fen = frozen_policy(order.policy).change_steps, refunds.refundable_fen(order)
        fee_fen = rules.cancel_fee(steps, paid_fen, booking.start_at, now).fee_fen
    lines = versioned(quote.lines, dict(quote.rule_versions))
    if fee_fen:
        lines.append(QuoteLine(LineKind.CHANGE_FEE, "", fee_fen))
    totals = sums_after(order, ChangeKind.CHANGE, lines)
    return Proposal(
        kind=ChangeKind.CHANGE,
        room=room,
        span=span,
        busy=rules.busy_span(room.policy, span),
        from_end_at=booking.end_at,
        lines=tuple(lines),
        totals=totals,
        fee_fen=fee_fen,
        difference_fen=totals.total_fen - order.total_fen,
        warnings=tuple(warning.code for warning in quote.warnings),
    )


def change_count(order: Order) -> int:
    """Return how often the customer has changed the booking; changes by staff do not count."""
    query = select(func.count(OrderChange.id)).where(
        OrderChange.order_id == order.id,
        OrderChange.kind == ChangeKind.CHANGE,
        OrderChange.status == ChangeStatus.APPLIED,
        OrderChange.actor_kind == "customer",
    )
    return session().scalar(query) or 0


def _check(
    order: Order,
    booking: Booking,
    room: RoomRules,
    span: Span,
    session_id: int | None,
    voucher: Voucher | None,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    """Refuse what a new booking would be refused for; an unchanged start keeps the lead it had."""
    check_in_service(room)
    policy, as_of = room.policy, now
    if span.start_at == booking.start_at:
        policy, as_of = replace(policy, min_lead_minutes=0), min(now, span.start_at)
    rules.check_span(
        policy,
        span,
        opening=room.opening,
        now=as_of,
        tz=room.tz,
        is_walk_in=actor.is_staff,
        is_session=session_id is not None,
        is_voucher=voucher is not None,
    )
    if span.end_at <= now:
        raise InPast(data={"rule": "end_at", "limit": now.isoformat()})
    if voucher is not None:
        terms, place = vouchers.voucher_terms(voucher), vouchers.voucher_room(room)
        check_use(terms, place, span, now=now, tz=room.tz)
    if actor.is_customer:
        _check_customer(order, booking, room, span, now=now)
    window = rules.busy_span(room.policy, span)
    occupancy = load_occupancy([room.room_id], window, now=now, except_order_id=order.id)
    busy, blocks = occupancy[room.room_id]
    rules.check_place(room.policy, span, busy=busy, blocks=blocks)


def _check_customer(order: Order, booking: Booking, room: RoomRules, span: Span, *, now: datetime) -> None:
    """Refuse who may not book any more, or has enough bookings on the new day."""
    check_blacklist(order)
    if local_date(span.start_at, room.tz) == local_date(booking.start_at, room.tz):
        return
    day = local_day(local_date(span.start_at, room.tz), room.tz)
    query = select(func.count(Booking.id)).join(Order, Order.id == Booking.order_id)
    count = session().scalar(
        query.where(
            Order.customer_id == order.customer_id,
            Order.id != order.id,
            Booking.change_id.is_(None),
            Booking.state.in_(OCCUPYING_STATES),
            or_(Booking.state != BookingState.HELD, Booking.hold_expires_at > now),
            Booking.start_at >= day.start_at,
            Booking.start_at < day.end_at,
        )
    )
    rules.check_customer_limits(room.policy, open_holds=0, bookings_that_day=count or 0)


def _voucher_of(order: Order) -> Voucher | None:
    """Return the voucher that pays the booking; it has to fit the new place and time too."""
    found = vouchers.vouchers_of_booking(order)
    return next((voucher for voucher in found if voucher.status is VoucherStatus.LOCKED), None)


def _session_of(sold: list[QuoteLine], config: StoreConfig, span: Span) -> int | None:
    """A session stays one when the new time is that of a session; any other time is priced by the hour."""
    if all(line.kind is not LineKind.SESSION for line in sold):
        return None
    offered = config.session_at(local_minute(span.start_at, config.tz), span.minutes)
    return None if offered is None else offered.id


def _quote(
    order: Order,
    book: PriceBook,
    room: RoomRules,
    span: Span,
    session_id: int | None,
    voucher: Voucher | None,
    *,
    actor: Actor,
    now: datetime,
) -> Quote:
    return book.quote(
        room.priced_room,
        span,
        session_id=session_id,
        voucher=None if voucher is None else str(voucher.campaign),
        buyer=buyer_of(book, _buyer(order, actor), now=now, except_order_id=order.id),
    )
