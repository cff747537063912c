"""What decides about a room: its policy and opening as the rules need them, and what occupies it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import and_, or_, select

from app.domain import booking_rules as rules
from app.domain.opening import OpeningRule
from app.domain.price_rules import PricedRoom, PriceRule
from app.domain.slots import Span
from app.domain.states import OCCUPYING_STATES, BookingState
from app.models import Booking, RoomBlock
from app.services.unit_of_work import session

_POLICY_FIELDS = (
    "id",
    "version",
    "min_lead_minutes",
    "max_ahead_days",
    "min_minutes",
    "max_minutes",
    "start_step_minutes",
    "length_step_minutes",
    "buffer_before_minutes",
    "buffer_after_minutes",
    "hold_minutes",
    "max_open_holds",
    "max_bookings_per_day",
    "requires_confirmation",
    "confirm_deadline_minutes",
    "check_in_early_minutes",
    "change_max_count",
    "change_deadline_minutes",
    "has_overtime",
    "overtime_grace_minutes",
    "overtime_unit_minutes",
    "overtime_percent",
    "overtime_cap_fen",
    "no_show_release_minutes",
    "no_show_refund_percent",
    "early_refund_percent",
    "refund_window_days",
)


@dataclass(frozen=True, slots=True)
class RoomRules:
    """A room with everything that a booking of it is checked against, prices and occupancy aside."""

    room_id: int
    room_name: str
    room_type_id: int
    room_type: str
    store_id: int
    store_name: str
    tz: ZoneInfo
    policy: rules.BookingPolicy
    opening: tuple[OpeningRule, ...]

    @property
    def priced_room(self) -> PricedRoom:
        """The room as the price system knows it."""
        return PricedRoom(self.room_id, self.room_type_id, self.tz)


Occupancy = dict[int, tuple[list[rules.BusySpan], list[rules.BlockSpan]]]


def policy_of_row(row: Any) -> rules.BookingPolicy:
    """Return the domain's policy for a mapping with the columns of `booking_policies`."""
    return rules.BookingPolicy(
        **{name: row[name] for name in _POLICY_FIELDS},
        cancel_steps=fee_steps(row["cancel_steps"]),
        change_steps=fee_steps(row["change_steps"]),
    )


def frozen_policy(values: dict[str, Any]) -> rules.BookingPolicy:
    """Return the policy that an order froze; what did not exist when it was sold has its default."""
    known: dict[str, Any] = {name: values[name] for name in _POLICY_FIELDS if name in values}
    return rules.BookingPolicy(
        **known,
        cancel_steps=fee_steps(values.get("cancel_steps", ())),
        change_steps=fee_steps(values.get("change_steps", ())),
    )


def fee_steps(steps: Iterable[dict[str, Any]]) -> tuple[rules.FeeStep, ...]:
    """Return the domain's steps for their stored form."""
    return tuple(rules.FeeStep(step["minutes_before"], step["fee_percent"]) for step in steps)


def price_rule_of_row(row: Any) -> PriceRule:
    """Return the domain's rule for a mapping with the columns of `price_rules`."""
    plain = (
        "id", "name", "amount_fen", "version", "room_type_id", "room_id", "session_id", "dates_from_on",
        "dates_until_on", "package_minutes", "priority", "minimum_fen", "day_cap_fen", "valid_from_on",
        "valid_until_on",
    )  # fmt: skip
    return PriceRule(
        **{name: row[name] for name in plain},
        kind=row["kind"].value,
        scope=row["scope"].value,
        day_kind=row["day_kind"].value,
        weekdays=tuple(row["weekdays"] or ()),
        band_start_minute=row["band_start_minute"],
        band_end_minute=row["band_end_minute"] % 1440,
    )


def load_occupancy(
    room_ids: Sequence[int], window: Span, *, now: datetime, except_order_id: int | None = None
) -> Occupancy:
    """Return what occupies each room inside *window*; a hold that has run out no longer does."""
    occupancy: Occupancy = {room_id: ([], []) for room_id in room_ids}
    _load_bookings(occupancy, window, now, except_order_id)
    _load_blocks(occupancy, window)
    return occupancy


def _load_bookings(occupancy: Occupancy, window: Span, now: datetime, except_order_id: int | None) -> None:
    query = select(
        Booking.room_id,
        Booking.start_at,
        Booking.end_at,
        Booking.busy_from_at,
        Booking.busy_until_at,
        Booking.state,
        Booking.order_id,
    ).where(
        Booking.room_id.in_(occupancy),
        Booking.state.in_(OCCUPYING_STATES),
        Booking.busy_until_at > window.start_at,
        Booking.busy_from_at < window.end_at,
        or_(Booking.state != BookingState.HELD, Booking.hold_expires_at > now),
    )
    if except_order_id is not None:
        query = query.where(Booking.order_id != except_order_id)
    for row in session().execute(query):
        occupancy[row.room_id][0].append(
            rules.BusySpan(
                core=Span(row.start_at, row.end_at),
                busy=Span(row.busy_from_at, row.busy_until_at),
                state=row.state.value,
                ref=str(row.order_id),
            )
        )


def _load_blocks(occupancy: Occupancy, window: Span) -> None:
    rows = session().execute(
        select(RoomBlock.id, RoomBlock.room_id, RoomBlock.start_at, RoomBlock.end_at).where(
            and_(
                RoomBlock.room_id.in_(occupancy),
                RoomBlock.end_at > window.start_at,
                RoomBlock.start_at < window.end_at,
            )
        )
    )
    for row in rows:
        occupancy[row.room_id][1].append(rules.BlockSpan(Span(row.start_at, row.end_at), str(row.id)))
