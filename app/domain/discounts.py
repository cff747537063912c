"""Discount rules as data, whom they are for, and which one counts.

Days and times of a discount are those of the booking's start, so a longer stay from the same start keeps it.
Discounts are not added up: of all that apply the one that takes off most counts, of equal ones the older.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from app.domain.calendar import DayCalendar
from app.domain.money import percent_of
from app.domain.price_rules import PricedRoom, RuleTimes
from app.domain.slots import Span, local_date, local_minute


@dataclass(frozen=True, slots=True)
class Buyer:
    """What discounts ask about a customer; nobody known has neither a first order nor a segment."""

    is_first_order: bool = False
    segments: frozenset[str] = field(default_factory=frozenset)


def segments_of(segment: str | None) -> frozenset[str]:
    """Return the segments of a customer with this one, or with none."""
    return frozenset({segment} if segment else ())


ANYBODY = Buyer()


@dataclass(frozen=True, slots=True)
class DiscountRule(RuleTimes):
    """One discount off a whole booking: `off_percent` (1–100) or `off_fen`, exactly one of them.

    Scope, day kind (any | weekday | weekend | holiday), weekdays, band and validity are those of price rules.
    `first_order_only` and `segment` are personal: they need a customer who is known.
    """

    id: int
    name: str
    off_percent: int | None = None
    off_fen: int | None = None
    version: int = 1
    scope: str = "store"
    room_type_id: int | None = None
    room_id: int | None = None
    day_kind: str = "any"
    weekdays: tuple[int, ...] = ()
    band_start_minute: int = 0
    band_end_minute: int = 0
    valid_from_on: date | None = None
    valid_until_on: date | None = None
    first_order_only: bool = False
    segment: str | None = None

    @property
    def is_personal(self) -> bool:
        """Tell whether only some customers have it."""
        return self.first_order_only or self.segment is not None

    def is_for(self, buyer: Buyer) -> bool:
        """Tell whether this customer may have it."""
        if self.first_order_only and not buyer.is_first_order:
            return False
        return self.segment is None or self.segment in buyer.segments

    def off(self, amount_fen: int) -> int:
        """Return what is taken off an amount: half up, never more than the amount itself."""
        if self.off_percent is not None:
            return percent_of(amount_fen, self.off_percent)
        return min(self.off_fen or 0, amount_fen)


def open_discounts(
    rules: Iterable[DiscountRule], room: PricedRoom, span: Span, buyer: Buyer, calendar: DayCalendar
) -> list[DiscountRule]:
    """Return the discounts that a booking of *span* in *room* by *buyer* may have."""
    on, minute = local_date(span.start_at, room.tz), local_minute(span.start_at, room.tz)
    return [
        rule
        for rule in rules
        if rule.applies_to(room) and rule.covers(on, minute, calendar) and rule.is_for(buyer)
    ]


def ranked_discounts(rules: Sequence[DiscountRule], amount_fen: int) -> list[DiscountRule]:
    """Return discounts in the order in which they count for an amount, the best first."""
    return sorted(rules, key=lambda rule: (-rule.off(amount_fen), rule.id))


def best_discount(rules: Sequence[DiscountRule], amount_fen: int) -> DiscountRule | None:
    """Return the discount that takes off most, of equal ones that with the lower id."""
    return next(iter(ranked_discounts(rules, amount_fen)), None)
