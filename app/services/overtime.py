"""Guests who stay on: their room stays theirs until somebody follows, and what that costs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from app.domain import overtime as rules
from app.domain.actor import SYSTEM
from app.domain.pricing import LineKind, QuoteLine
from app.domain.slots import MINUTE, Span, floor_minute
from app.domain.states import BookingState, OrderStatus
from app.models import Booking, Order
from app.services import notifications
from app.services.booking_rows import cleaning_of
from app.services.bookings import release_stale_holds
from app.services.order_lines import lines_of, versioned, write_lines
from app.services.room_rules import RoomRules, frozen_policy, load_occupancy
from app.services.stay_status import move_stay
from app.services.store_config import load_known_room, load_price_book
from app.services.unit_of_work import session

# Nobody stays longer than this without leaving, so nothing beyond it is looked at.
_AHEAD = timedelta(minutes=rules.MOST_MINUTES)


def booked_end(booking: Booking) -> datetime:
    """Return the end that was booked, also while the booking follows guests who stay."""
    return booking.overtime_from_at or booking.end_at


def latest_end(booking: Booking, from_at: datetime, *, now: datetime) -> datetime:
    """Return until when the guests could stay from *from_at* on, their cleaning included in time.

    That is where the next booking's time (with its buffer) or a block begins, at most 12 hours on.
    """
    cleaning = cleaning_of(booking)
    window = Span(from_at, from_at + _AHEAD + cleaning)
    occupancy = load_occupancy([booking.room_id], window, now=now, except_order_id=booking.order_id)
    others, blocks = occupancy[booking.room_id]
    starts = [taken.busy.start_at - cleaning for taken in others]
    starts += [block.span.start_at for block in blocks]
    return min([from_at + _AHEAD, *starts])


def follow_guests(order: Order, booking: Booking, *, now: datetime) -> bool:
    """Let a stay whose time is over go on, one billing unit at a time; False when it has to end.

    It ends where the policy knows no overtime, somebody follows, or the cap or the longest overtime is
    reached. The caller holds the locks of the room and the order.
    """
    policy = frozen_policy(order.policy)
    if not policy.has_overtime or booking.state is not BookingState.IN_USE:
        return False
    # Holds that have run out do not count for the limit, but they do for the constraint.
    release_stale_holds(booking.room_id, now=now)
    from_at = booked_end(booking)
    limit_at = latest_end(booking, from_at, now=now)
    end_at = rules.follow_until(policy, from_at, now, limit_at)
    if end_at is None or _is_capped(order, booking, limit_at, now=now):
        return False
    is_new = booking.overtime_from_at is None
    _follow(booking, end_at, from_at)
    if is_new:
        data = {"from_at": from_at.isoformat(), "grace_minutes": policy.overtime_grace_minutes}
        move_stay(order, booking, "overtime", OrderStatus.IN_USE, actor=SYSTEM, now=now, data=data)
        variables = {"minutes": policy.overtime_grace_minutes, "end": from_at}
        occurrence = f"{from_at:%Y%m%d%H%M}"
        notifications.queue_notice(
            "overtime_started", order=order, occurrence=occurrence, variables=variables, now=now
        )
    return True


def _follow(booking: Booking, end_at: datetime, from_at: datetime) -> None:
    cleaning = cleaning_of(booking)
    booking.overtime_from_at = from_at
    booking.end_at = end_at
    booking.busy_until_at = end_at + cleaning
    session().flush()


def _is_capped(order: Order, booking: Booking, limit_at: datetime, *, now: datetime) -> bool:
    cap_fen = frozen_policy(order.policy).overtime_cap_fen
    if cap_fen is None:
        return False
    charged = _sum([line for line in lines_of(order) if line.kind is LineKind.OVERTIME])
    return charged + _sum(_lines(order, booking, limit_at, now=now)) >= cap_fen


def _sum(lines: list[QuoteLine]) -> int:
    return sum(line.amount_fen for line in lines)


def _lines(order: Order, booking: Booking, limit_at: datetime, *, now: datetime) -> list[QuoteLine]:
    span = rules.billed_span(frozen_policy(order.policy), booked_end(booking), now, limit_at)
    return [] if span is None else lines_for(order, load_known_room(booking.room_id), span)


def lines_for(order: Order, room: RoomRules, span: Span) -> list[QuoteLine]:
    """Return the overtime lines of an order for a span that was not booked."""
    book = load_price_book(room.store_id)
    policy = frozen_policy(order.policy)
    sold = lines_of(order)
    # What was charged before, when an extension followed, counts for the cap.
    charged = _sum([line for line in sold if line.kind is LineKind.OVERTIME])
    lines = rules.overtime_lines(
        policy, room.priced_room, span, book.rules, sold=sold, charged_fen=charged, calendar=book.calendar
    )
    versions = {rule.id: rule.version for rule in book.rules}
    return [line for line in versioned(lines, versions) if line.amount_fen]


def settle_overtime(order: Order, booking: Booking, *, now: datetime) -> int:
    """Write the overtime of a stay that ends now as lines of its order and return their sum in fen.

    The booking's end becomes the one it really had. The caller holds the locks of the room and the order.
    """
    policy = frozen_policy(order.policy)
    from_at = booked_end(booking)
    if not policy.has_overtime or now <= from_at:
        return 0
    release_stale_holds(booking.room_id, now=now)
    limit_at = latest_end(booking, from_at, now=now)
    left_at = min(floor_minute(now) + MINUTE, limit_at)
    if left_at <= from_at:
        return 0
    lines = _lines(order, booking, limit_at, now=now)
    _follow(booking, left_at, from_at)
    if lines:
        sums: dict[str, Any] = write_lines(order, [*lines_of(order), *lines])
        data = {"amount_fen": _sum(lines), "from_at": from_at.isoformat()}
        move_stay(order, booking, "overtime", OrderStatus.IN_USE, actor=SYSTEM, now=now, data=data, **sums)
        variables = {"amount": _sum(lines), "minutes": rules.minutes_over(from_at, min(now, limit_at))}
        notifications.queue_notice("overtime_charged", order=order, variables=variables, now=now)
    return _sum(lines)


def describe_overtime(order: Order, booking: Booking | None, *, now: datetime) -> dict[str, Any] | None:
    """Return `{from_at, minutes, amount_fen}` of guests who stay beyond their end now, else None.

    `amount_fen` is what would be added if they left at this moment.
    """
    if booking is None or booking.state is not BookingState.IN_USE or now <= booked_end(booking):
        return None
    if not frozen_policy(order.policy).has_overtime:
        return None
    from_at = booked_end(booking)
    limit_at = latest_end(booking, from_at, now=now)
    if limit_at <= from_at:
        return None
    return {
        "from_at": from_at,
        "minutes": rules.minutes_over(from_at, min(now, limit_at)),
        "amount_fen": _sum(_lines(order, booking, limit_at, now=now)),
    }
