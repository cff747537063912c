"""A store's whole price system in one value: price rules, calendar and discounts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from app.domain.calendar import PUBLIC_CALENDAR, DayCalendar
from app.domain.discounts import ANYBODY, Buyer, DiscountRule
from app.domain.price_rules import PricedRoom, PriceRule
from app.domain.pricing import Quote, price_from_fen, quote_span
from app.domain.slots import Span


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Everything that makes prices in one store."""

    rules: tuple[PriceRule, ...] = ()
    calendar: DayCalendar = PUBLIC_CALENDAR
    discounts: tuple[DiscountRule, ...] = ()

    @property
    def has_segment_discount(self) -> bool:
        """Tell whether a quote depends on the customer's segment."""
        return any(rule.segment for rule in self.discounts)

    @property
    def has_first_order_discount(self) -> bool:
        """Tell whether a quote depends on what the customer ordered before."""
        return any(rule.first_order_only for rule in self.discounts)

    def quote(
        self,
        room: PricedRoom,
        span: Span,
        *,
        session_id: int | None = None,
        voucher: str | None = None,
        buyer: Buyer = ANYBODY,
    ) -> Quote:
        """Return the price of a span; raises what `quote_span` raises."""
        return quote_span(
            room,
            span,
            self.rules,
            session_id=session_id,
            voucher=voucher,
            calendar=self.calendar,
            discounts=self.discounts,
            buyer=buyer,
        )

    def price_from_fen(self, room: PricedRoom, *, first_on: date, days: int = 7) -> int | None:
        """Return the lowest price that wins in these days, see `pricing.price_from_fen`."""
        return price_from_fen(room, self.rules, first_on=first_on, days=days, calendar=self.calendar)
