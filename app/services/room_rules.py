"""What decides about a room: its policy and opening as the rules need them, and what occupies it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from app.domain import booking_rules as rules
from app.domain.opening import OpeningRule
from app.domain.price_rules import PricedRoom, PriceRule
from app.domain.slots import Span
from app.domain.timelines import Barred, Taken, instant_of
from app.services.occupancy import Use, read_use
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


Occupied = tuple[list[rules.BusySpan], list[rules.BlockSpan]]
Occupancy = dict[int, Occupied]


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


def load_uses(
    room_ids: Sequence[int], window: Span, *, now: datetime, except_order_id: int | None = None
) -> dict[int, Use]:
    """Return what occupies each room inside *window*, in whole microseconds; one statement."""
    current = session()
    if current.autoflush:
        current.flush()
    found = read_use(current.connection(), room_ids, window, now=now)
    if except_order_id is not None:
        for use in found.values():
            use.taken = [taken for taken in use.taken if taken[5] != except_order_id]
    return found


def load_occupancy(
    room_ids: Sequence[int], window: Span, *, now: datetime, except_order_id: int | None = None
) -> Occupancy:
    """Return what occupies each room inside *window*; a hold that has run out no longer does.

    One statement. References are the ids of orders and of blocks, as texts.
    """
    uses = load_uses(room_ids, window, now=now, except_order_id=except_order_id)
    return {room_id: occupied_by(use) for room_id, use in uses.items()}


def occupied_by(use: Use) -> Occupied:
    """Return the spans of bookings and of blocks in what was read of one room."""
    return [_busy_span(taken) for taken in use.taken], [_block_span(barred) for barred in use.barred]


def _busy_span(taken: Taken) -> rules.BusySpan:
    busy_from, used_from, used_until, busy_until, state, ref = taken
    return rules.BusySpan(
        core=Span(instant_of(used_from), instant_of(used_until)),
        busy=Span(instant_of(busy_from), instant_of(busy_until)),
        state=state,
        ref=str(ref),
    )


def _block_span(barred: Barred) -> rules.BlockSpan:
    start, end, ref = barred
    return rules.BlockSpan(Span(instant_of(start), instant_of(end)), str(ref))
