"""Prices explained: which rule wins on each piece of a time, against which others, and why.

Everything here is derived from the functions that charge; nothing is decided a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from itertools import pairwise

from app.domain.calendar import DayCalendar, DayKind
from app.domain.discounts import ANYBODY, Buyer, DiscountRule, open_discounts, ranked_discounts
from app.domain.errors import NoPrice
from app.domain.price_books import PriceBook
from app.domain.price_rules import PricedRoom, PriceRule, ranked_at
from app.domain.pricing import (
    BASE_KINDS,
    Quote,
    price_pieces,
    ranked_packages,
    ranked_sessions,
    winning_package,
)
from app.domain.slots import (
    Span,
    dates_between,
    local_date,
    local_dates,
    local_instant,
    local_minute,
    span_of_minutes,
    span_or_none,
)

DAY_HOURS = 24


class Because(StrEnum):
    """What decided between two rules; the first five are the parts of a rule's rank, in their order."""

    SCOPE = "scope"
    PRIORITY = "priority"
    LENGTH = "length"
    DAY_KIND = "day_kind"
    # Everything else is equal, so the older rule wins: a tie, which the owner should resolve.
    AGE = "age"
    # A package of at least the priority of the hourly rate goes before it, any other does not count.
    PACKAGE = "package"
    BELOW_HOURLY = "below_hourly"


_RANK = (Because.SCOPE, Because.PRIORITY, Because.LENGTH, Because.DAY_KIND, Because.AGE)


class Source(StrEnum):
    """Where the kind of a day comes from; unknown means that only the day of the week was left to go by."""

    STORE = "store"
    CHAIN = "chain"
    PUBLIC = "public"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class OwnDay:
    """A day of the owner's calendar: what it counts as, how it is called, whether it is one store's alone."""

    kind: DayKind
    label: str = ""
    is_store: bool = False


@dataclass(frozen=True, slots=True)
class Contender:
    """A rule that counts on a piece; `band_on` is the day its band began, the winner's `lost_by` is None."""

    rule: PriceRule
    band_on: date
    lost_by: Because | None = None


@dataclass(frozen=True, slots=True)
class TrialPiece:
    """A piece of the time with its contenders, the winner first; none at all is a gap."""

    span: Span
    on: date
    contenders: tuple[Contender, ...]

    @property
    def winner(self) -> PriceRule | None:
        """The rule that prices this piece."""
        return self.contenders[0].rule if self.contenders else None

    @property
    def because(self) -> Because | None:
        """What put the winner before the next one; None when it is alone."""
        return self.contenders[1].lost_by if len(self.contenders) > 1 else None

    @property
    def is_tie(self) -> bool:
        """Tell whether nothing but its age puts the winner first."""
        return any(contender.lost_by is Because.AGE for contender in self.contenders)


@dataclass(frozen=True, slots=True)
class TrialDay:
    """What a date counts as, and who says so."""

    on: date
    kind: DayKind
    source: Source
    label: str = ""


@dataclass(frozen=True, slots=True)
class DiscountOffer:
    """A discount for this room and start: what it would take off, and whether it is the one that counts."""

    rule: DiscountRule
    off_fen: int
    is_used: bool


@dataclass(frozen=True, slots=True)
class PriceTrial:
    """The explanation of one price; `quote` is None when a piece has no rule."""

    pieces: tuple[TrialPiece, ...]
    days: tuple[TrialDay, ...]
    quote: Quote | None
    discounts: tuple[DiscountOffer, ...]

    @property
    def gaps(self) -> list[TrialPiece]:
        """The pieces without any rule."""
        return [piece for piece in self.pieces if piece.winner is None]

    @property
    def ties(self) -> list[TrialPiece]:
        """The pieces that only the age of two rules decides."""
        return [piece for piece in self.pieces if piece.is_tie]

    @property
    def unknown_years(self) -> list[int]:
        """The years whose public holidays are not known on a day that plays a part."""
        return sorted({day.on.year for day in self.days if day.source is Source.UNKNOWN})


@dataclass(frozen=True, slots=True)
class GridHour:
    """One hour of one day: the hourly rules that win in it, in order of time; None is a gap."""

    on: date
    hour: int
    winners: tuple[PriceRule | None, ...]


def decided_by(winner: PriceRule, other: PriceRule) -> Because:
    """Return the first part of the rank in which two rules differ."""
    parts = zip(_RANK, winner.rank, other.rank, strict=True)
    return next(name for name, first, second in parts if first != second)


def explain_span(
    room: PricedRoom,
    span: Span,
    book: PriceBook,
    *,
    session_id: int | None = None,
    own_days: Mapping[date, OwnDay] | None = None,
    buyer: Buyer = ANYBODY,
) -> PriceTrial:
    """Explain the price of *span*; the quote is what the same arguments would be charged.

    Raises InvalidField when the span has seconds. *own_days* tells who set the days of the book's calendar.
    """
    rules = [rule for rule in book.rules if rule.applies_to(room)]
    pieces = tuple(_pieces(room, span, rules, session_id, book.calendar))
    try:
        quote = book.quote(room, span, session_id=session_id, buyer=buyer)
    except NoPrice:
        quote = None
    bands = {piece.contenders[0].band_on for piece in pieces if piece.contenders}
    dates = sorted({*local_dates(span, room.tz), *bands})
    return PriceTrial(
        pieces=pieces,
        days=tuple(explain_day(on, book.calendar, own_days or {}) for on in dates),
        quote=quote,
        discounts=tuple(_discounts(room, span, book, quote, buyer)),
    )


def explain_day(on: date, calendar: DayCalendar, own_days: Mapping[date, OwnDay]) -> TrialDay:
    """Return what a date counts as and why."""
    if own := own_days.get(on):
        return TrialDay(on, own.kind, Source.STORE if own.is_store else Source.CHAIN, own.label)
    return TrialDay(on, calendar.day_kind(on), Source.PUBLIC if calendar.is_known(on) else Source.UNKNOWN)


def _pieces(
    room: PricedRoom, span: Span, rules: Sequence[PriceRule], session_id: int | None, calendar: DayCalendar
) -> Iterator[TrialPiece]:
    if session_id is not None:
        ranked = ranked_sessions(span, rules, session_id, room.tz, calendar)
        yield _piece(room, span, _against_first(ranked))
        return
    rest: Span | None = span
    packages = ranked_packages(span, rules, room.tz, calendar)
    package = winning_package(span, rules, room.tz, calendar)
    if package is not None:
        assert package.package_minutes is not None
        part = span_of_minutes(span.start_at, package.package_minutes)
        yield _package_piece(room, part, package, packages, rules, calendar)
        rest = span_or_none(part.end_at, span.end_at)
    if rest is not None:
        below = [] if package is not None else [(rule, Because.BELOW_HOURLY) for rule in packages]
        yield from _hourly_pieces(room, rest, rules, below, calendar)


def _package_piece(
    room: PricedRoom,
    part: Span,
    package: PriceRule,
    packages: Iterable[PriceRule],
    rules: Iterable[PriceRule],
    calendar: DayCalendar,
) -> TrialPiece:
    """The piece that a package takes: before the others of its kind and the hourly rate that it replaces."""
    hourly = ranked_at([rule for rule in rules if rule.kind == "hourly"], part.start_at, room.tz, calendar)
    others = [rule for rule in packages if rule is not package]
    lost: list[tuple[PriceRule, Because]] = [(rule, Because.PACKAGE) for rule in hourly[:1]]
    lost += [(rule, _package_lost(package, rule)) for rule in others]
    return _piece(room, part, [(package, None), *lost])


def _package_lost(package: PriceRule, other: PriceRule) -> Because:
    # One that ranks before the winner was passed over for its priority.
    return decided_by(package, other) if package.rank < other.rank else Because.BELOW_HOURLY


def _hourly_pieces(
    room: PricedRoom,
    span: Span,
    rules: Sequence[PriceRule],
    below: Sequence[tuple[PriceRule, Because]],
    calendar: DayCalendar,
) -> Iterator[TrialPiece]:
    """Yield the pieces in which the same rules compete; packages that lost stand in the first one."""
    found: list[TrialPiece] = []
    for piece in price_pieces(room, span, rules, calendar):
        fresh = _piece(room, piece.span, _against_first(piece.candidates))
        last = found[-1] if found else None
        if last is not None and (last.on, last.contenders) == (fresh.on, fresh.contenders):
            found[-1] = replace(last, span=Span(last.span.start_at, fresh.span.end_at))
        else:
            found.append(fresh)
    lost = _piece(room, span, below).contenders
    yield replace(found[0], contenders=found[0].contenders + lost)
    yield from found[1:]


def _against_first(ranked: Sequence[PriceRule]) -> list[tuple[PriceRule, Because | None]]:
    return [(rule, None if rule is ranked[0] else decided_by(ranked[0], rule)) for rule in ranked]


def _piece(room: PricedRoom, span: Span, ranked: Sequence[tuple[PriceRule, Because | None]]) -> TrialPiece:
    on, minute = local_date(span.start_at, room.tz), local_minute(span.start_at, room.tz)
    contenders = tuple(Contender(rule, rule.band_day(on, minute), lost_by) for rule, lost_by in ranked)
    return TrialPiece(span, on, contenders)


def _discounts(
    room: PricedRoom, span: Span, book: PriceBook, quote: Quote | None, buyer: Buyer
) -> Iterator[DiscountOffer]:
    """Yield every discount for this room and start, also those that need a customer, the best first."""
    if quote is None:
        return
    amount_fen = sum(line.amount_fen for line in quote.lines if line.kind in BASE_KINDS)
    here = [rule for rule in book.discounts if rule.applies_to(room)]
    everybody = Buyer(is_first_order=True, segments=frozenset(rule.segment for rule in here if rule.segment))
    used = next((line.rule_id for line in quote.lines if line.kind == "discount"), None)
    for rule in ranked_discounts(open_discounts(here, room, span, everybody, book.calendar), amount_fen):
        yield DiscountOffer(rule, rule.off(amount_fen), is_used=rule.id == used)


def grid_of_prices(room: PricedRoom, book: PriceBook, *, first_on: date, days: int = 7) -> list[GridHour]:
    """Return every hour of some days with the hourly rules that win in it, day by day."""
    rules = [rule for rule in book.rules if rule.applies_to(room) and rule.kind == "hourly"]
    dates = dates_between(first_on, first_on + timedelta(days=days - 1))
    return [hour for on in dates for hour in _grid_day(room, on, rules, book.calendar)]


def _grid_day(
    room: PricedRoom, on: date, rules: Sequence[PriceRule], calendar: DayCalendar
) -> Iterator[GridHour]:
    bounds = [local_instant(on, hour * 60, room.tz) for hour in range(DAY_HOURS + 1)]
    for hour, (start_at, end_at) in enumerate(pairwise(bounds)):
        # An hour that the clock skips has no time in it and no winner.
        span = span_or_none(start_at, end_at)
        pieces = price_pieces(room, span, rules, calendar) if span is not None else []
        winners = [piece.candidates[0] if piece.candidates else None for piece in pieces]
        yield GridHour(on, hour, tuple(dict.fromkeys(winners)))
