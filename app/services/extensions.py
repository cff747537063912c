"""Extending a booking (续时): more time in the same room, up to whoever follows, at the quoted price."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from flask_babel import lazy_gettext as _l

from app.domain import overtime as overtime_rules
from app.domain.actor import Actor
from app.domain.alternatives import MOST
from app.domain.booking_rules import span_data
from app.domain.changes import extension_lines
from app.domain.errors import (
    Blocked,
    Closed,
    DomainError,
    InvalidField,
    InvalidTransition,
    NoPrice,
    OffStep,
    RoomTaken,
    RuleRefused,
    TooFar,
    TooLong,
)
from app.domain.opening import opening_spans
from app.domain.pricing import QuoteLine, quote_span
from app.domain.slots import MINUTE, Span
from app.domain.states import ChangeKind, OrderStatus
from app.models import Booking, Order
from app.services import overtime, pending_changes
from app.services.alternatives import Wish, explain
from app.services.booking_rows import booking_of, busy_of, cleaning_of, lock_booking
from app.services.bookings import release_stale_holds
from app.services.changes import (
    REFUSED,
    check_blacklist,
    check_in_service,
    close_pending_payments,
    describe_change,
    not_possible,
)
from app.services.order_lines import lines_of, versioned
from app.services.orders import find_order
from app.services.proposals import Proposal, describe_proposal, submit, sums_after
from app.services.room_rules import RoomRules, frozen_policy, load_occupancy
from app.services.store_config import load_known_room, load_price_book
from app.services.unit_of_work import session, transactional


def preview_extension(no: str, end_at: datetime, *, actor: Actor, now: datetime) -> dict[str, Any]:
    """Return the quote of staying until *end_at*: the lines it would add, and their sum; saves nothing.

    Raises NotFound, InvalidTransition, InvalidField for an end that adds nothing, OffStep, TooLong, TooFar,
    Closed, Blocked, RoomTaken and NoPrice; refusals carry alternatives.
    """
    order = session().get_one(Order, find_order(no, actor=actor), populate_existing=True)
    booking = booking_of(order)
    try:
        proposal = _propose(order, booking, end_at, actor=actor, now=now)
    except REFUSED as refusal:
        raise _explained(refusal, order, booking, end_at, actor=actor, now=now) from None
    return describe_proposal(order, proposal)


def extend_order(
    no: str, end_at: datetime, *, reason: str = "", actor: Actor, now: datetime
) -> dict[str, Any]:
    """Extend a booking and return `{due_fen, expires_at}`: the time is held until it is paid.

    Raises what `preview_extension` raises; then nothing has changed.
    """
    order_id = find_order(no, actor=actor)
    close_pending_payments(order_id, now=now)
    try:
        return _extend(order_id, end_at, reason=reason, actor=actor, now=now)
    except REFUSED as refusal:
        order = session().get_one(Order, order_id, populate_existing=True)
        raise _explained(refusal, order, booking_of(order), end_at, actor=actor, now=now) from None


def add_minutes(no: str, minutes: int, *, reason: str = "", actor: Actor, now: datetime) -> dict[str, Any]:
    """Extend a booking by *minutes* from where its time ends; see `extend_order`. Raises InvalidField."""
    end_at = _end_after(no, minutes, actor=actor, now=now)
    return extend_order(no, end_at, reason=reason, actor=actor, now=now)


def preview_minutes(no: str, minutes: int, *, actor: Actor, now: datetime) -> dict[str, Any]:
    """Return what `add_minutes` would cost; see `preview_extension`. Raises InvalidField."""
    return preview_extension(no, _end_after(no, minutes, actor=actor, now=now), actor=actor, now=now)


def _end_after(no: str, minutes: int, *, actor: Actor, now: datetime) -> datetime:
    if not 0 < minutes <= overtime_rules.MOST_MINUTES:
        raise InvalidField.of("minutes", _l("From 1 to 720 minutes."))
    order = session().get_one(Order, find_order(no, actor=actor), populate_existing=True)
    return _charged_until(order, booking_of(order), now=now) + timedelta(minutes=minutes)


@transactional
def _extend(order_id: int, end_at: datetime, *, reason: str, actor: Actor, now: datetime) -> dict[str, Any]:
    order, booking = lock_booking(order_id)
    release_stale_holds(booking.room_id, now=now)
    pending_changes.drop_pending(order, actor=actor, now=now)
    proposal = _propose(order, booking, end_at, actor=actor, now=now)
    return describe_change(submit(order, booking, proposal, reason=reason, actor=actor, now=now))


def _propose(order: Order, booking: Booking, end_at: datetime, *, actor: Actor, now: datetime) -> Proposal:
    """Check an extension against every rule and price it; overtime that has begun is charged before it."""
    if order.status not in pending_changes.CHANGEABLE[ChangeKind.EXTENSION]:
        raise not_possible(ChangeKind.EXTENSION, order)
    booked_at, from_at = overtime.booked_end(booking), _charged_until(order, booking, now=now)
    if not (now < booked_at or frozen_policy(order.policy).has_overtime):
        data = {"event": "extend", "status": "over", "rule": "end_at", "limit": booked_at.isoformat()}
        raise InvalidTransition(_l("The booked time is over."), data=data)
    if end_at <= max(from_at, now):
        raise InvalidField.of("end_at", _l("The end must be after the present end."))
    room = load_known_room(booking.room_id)
    added = Span(from_at, end_at)
    _check(order, booking, room, added, actor=actor, now=now)
    more, warnings = _price(order, room, added)
    lines = _overtime_lines(order, room, booked_at, from_at) + more
    totals = sums_after(order, ChangeKind.EXTENSION, lines)
    return Proposal(
        kind=ChangeKind.EXTENSION,
        room=room,
        span=Span(booking.start_at, end_at),
        busy=Span(booking.busy_from_at, added.end_at + cleaning_of(booking)),
        from_end_at=booked_at,
        lines=tuple(lines),
        totals=totals,
        fee_fen=0,
        difference_fen=totals.total_fen - order.total_fen,
        warnings=warnings,
    )


def _charged_until(order: Order, booking: Booking, *, now: datetime) -> datetime:
    """Return where the extension begins: at the booked end, or where overtime that has begun ends."""
    policy, booked_at = frozen_policy(order.policy), overtime.booked_end(booking)
    if order.status is not OrderStatus.IN_USE or not policy.has_overtime or now <= booked_at:
        return booked_at
    limit_at = overtime.latest_end(booking, booked_at, now=now)
    billed = overtime_rules.billed_span(policy, booked_at, now, limit_at)
    return billed.end_at if billed else booked_at


def _overtime_lines(order: Order, room: RoomRules, booked_at: datetime, from_at: datetime) -> list[QuoteLine]:
    return overtime.lines_for(order, room, Span(booked_at, from_at)) if from_at > booked_at else []


def _check(
    order: Order, booking: Booking, room: RoomRules, added: Span, *, actor: Actor, now: datetime
) -> None:
    policy = frozen_policy(order.policy)
    check_in_service(room)
    if actor.is_customer:
        check_blacklist(order)
    step = timedelta(minutes=1 if actor.is_staff else policy.length_step_minutes)
    if (added.end_at - added.start_at) % step or not added.is_whole_minutes:
        raise _refusal(OffStep, "length_step_minutes", step // timedelta(minutes=1))
    if added.minutes > policy.max_minutes:
        raise _refusal(TooLong, "max_minutes", policy.max_minutes)
    if added.end_at > room.policy.horizon_at(now, room.tz):
        raise _refusal(TooFar, "max_ahead_days", room.policy.max_ahead_days)
    hours = opening_spans(room.opening, room.tz, added)
    if hours != [added]:
        raise _refusal(Closed, "opening_hours", [span_data(part) for part in hours])
    _check_followers(booking, room, added, now=now)


def _check_followers(booking: Booking, room: RoomRules, added: Span, *, now: datetime) -> None:
    """Nobody is pushed aside: neither the next guests nor the cleaning before them, nor a block."""
    busy = Span(busy_of(booking).start_at, added.end_at + cleaning_of(booking))
    occupancy = load_occupancy([room.room_id], busy, now=now, except_order_id=booking.order_id)
    others, blocks = occupancy[room.room_id]
    for block in blocks:
        if block.span.overlaps(added):
            raise _refusal(Blocked, "room_block", span_data(block.span))
    first = min((taken.busy.start_at for taken in others), default=None)
    if first is not None:
        raise RoomTaken(data={"rule": "next_booking", "limit": first.isoformat()})


def _refusal(kind: type[RuleRefused], rule: str, limit: Any) -> RuleRefused:
    return kind(data={"rule": rule, "limit": limit})


def _price(order: Order, room: RoomRules, added: Span) -> tuple[list[QuoteLine], tuple[str, ...]]:
    """Discounts were given on the booking itself; more time costs its ordinary price."""
    book = load_price_book(room.store_id)
    quote = quote_span(room.priced_room, added, book.rules, calendar=book.calendar)
    lines = extension_lines(quote.lines, lines_of(order), book.rules, room.tz)
    versions = {rule.id: rule.version for rule in book.rules}
    return versioned(lines, versions), tuple(warning.code for warning in quote.warnings)


def _explained(
    refusal: DomainError, order: Order, booking: Booking, end_at: datetime, *, actor: Actor, now: datetime
) -> DomainError:
    """Add the longest extension that is possible, and the nearest free places."""
    room = load_known_room(booking.room_id)
    from_at = _charged_until(order, booking, now=now)
    wish = Wish(room, Span(from_at, max(end_at, from_at + MINUTE)), actor)
    refusal = explain(refusal, wish, now=now)
    longest = _longest(order, booking, room, actor=actor, now=now)
    if longest is not None:
        places = (refusal.data or {})["alternatives"]
        refusal.data = (refusal.data or {}) | {"alternatives": [longest, *places[: MOST - 1]]}
    return refusal


def _longest(
    order: Order, booking: Booking, room: RoomRules, *, actor: Actor, now: datetime
) -> dict[str, Any] | None:
    """Return the most that can be added to the booked time in whole steps, with its price."""
    from_at = _charged_until(order, booking, now=now)
    step = timedelta(minutes=frozen_policy(order.policy).length_step_minutes)
    steps = (_possible_until(order, booking, room, from_at, now=now) - from_at) // step
    while steps > 0:
        end_at = from_at + steps * step
        try:
            proposal = _propose(order, booking, end_at, actor=actor, now=now)
        except NoPrice as gap:
            # Prices end before the room does: try what lies before the gap.
            gap_at = datetime.fromisoformat((gap.data or {})["gap"]["start_at"])
            steps = (gap_at - from_at) // step
        except DomainError:
            return None
        else:
            return {
                "room_id": str(room.room_id),
                "start_at": from_at.astimezone(room.tz).isoformat(),
                "end_at": end_at.astimezone(room.tz).isoformat(),
                "total_fen": sum(line.amount_fen for line in proposal.lines),
                "session_id": None,
            }
    return None


def _possible_until(
    order: Order, booking: Booking, room: RoomRules, from_at: datetime, *, now: datetime
) -> datetime:
    """Return until when the room is open, free and bookable; *from_at* where it is not."""
    most_at = from_at + timedelta(minutes=frozen_policy(order.policy).max_minutes)
    hours = opening_spans(room.opening, room.tz, Span(from_at, most_at))
    if not hours or hours[0].start_at > from_at:
        return from_at
    room_until = overtime.latest_end(booking, from_at, now=now)
    return min(room_until, hours[0].end_at, room.policy.horizon_at(now, room.tz))
