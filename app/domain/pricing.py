"""Prices: one function that quotes and charges, line by line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby, pairwise
from zoneinfo import ZoneInfo

from flask_babel import lazy_gettext as _l

from app.domain.calendar import PUBLIC_CALENDAR, DayCalendar
from app.domain.discounts import ANYBODY, Buyer, DiscountRule, best_discount, open_discounts
from app.domain.errors import InvalidField, NoPrice
from app.domain.money import half_up
from app.domain.price_rules import (
    CALENDAR_KINDS,
    PricedRoom,
    PriceRule,
    RuleTimes,
    edge_minutes,
    ranked_at,
    ranked_rules,
)
from app.domain.slots import (
    Span,
    dates_between,
    edge_instants,
    local_date,
    local_dates,
    local_minute,
    span_of_minutes,
)
from app.domain.states import LabelledEnum


class LineKind(LabelledEnum):
    """The kinds of order lines; the first three are time lines."""

    HOURLY = ("hourly", _l("Hourly rate"), "blue")
    SESSION = ("session", _l("Session price"), "purple")
    PACKAGE = ("package", _l("Package price"), "green")
    MINIMUM = ("minimum", _l("Minimum charge"))
    DAY_CAP = ("day_cap", _l("Day cap"))
    VOUCHER = ("voucher", _l("Voucher"), "orange")
    DISCOUNT = ("discount", _l("Discount"), "orange")
    OVERTIME = ("overtime", _l("Overtime"), "red")
    CHANGE_FEE = ("change_fee", _l("Change fee"), "red")
    CANCEL_FEE = ("cancel_fee", _l("Cancellation fee"), "red")
    ADJUSTMENT = ("adjustment", _l("Adjustment"), "yellow")


TIME_KINDS = frozenset({LineKind.HOURLY, LineKind.SESSION, LineKind.PACKAGE})
BASE_KINDS = TIME_KINDS | {LineKind.MINIMUM, LineKind.DAY_CAP}


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """One line. Only time lines carry `minutes`; `unit_fen` is the rule's rate, minimum or cap."""

    kind: LineKind
    label: str
    amount_fen: int
    rule_id: int | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    minutes: int | None = None
    unit_fen: int | None = None
    # Of rules that are no price rules; those of price rules are in the quote's `rule_versions`.
    rule_version: int | None = None


@dataclass(frozen=True, slots=True)
class QuoteWarning:
    """Something that staff should see beside a price: code `holidays_unknown` with the year as detail."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of lines, all ≥ 0 for ordinary lines: total = base + extra − discount."""

    base_fen: int
    extra_fen: int
    discount_fen: int
    total_fen: int


@dataclass(frozen=True, slots=True)
class Quote:
    """A computed, unsaved price; `rule_versions` are (rule id, version) pairs in the order of ids."""

    lines: tuple[QuoteLine, ...]
    base_fen: int
    extra_fen: int
    discount_fen: int
    total_fen: int
    rule_versions: tuple[tuple[int, int], ...] = ()
    warnings: tuple[QuoteWarning, ...] = ()


@dataclass(frozen=True, slots=True)
class PricePiece:
    """A piece of time in which the same hourly rules compete, best first; empty candidates are a gap."""

    span: Span
    on: date
    candidates: tuple[PriceRule, ...]


def quote_span(
    room: PricedRoom,
    span: Span,
    rules: Iterable[PriceRule],
    *,
    session_id: int | None = None,
    voucher: str | None = None,
    calendar: DayCalendar = PUBLIC_CALENDAR,
    discounts: Iterable[DiscountRule] = (),
    buyer: Buyer = ANYBODY,
) -> Quote:
    """Return the price of *span* in *room*, line by line; the same function quotes and charges.

    A session is one flat line. Otherwise a package that covers the start, is not longer than the span and has
    at least the priority of the hourly rule there comes first, and the rest is hourly: cut at every rule edge
    and local midnight, one line for each stretch of one rule in one day, rounded half up once. A rule's day
    cap takes back what its lines of one day exceed; the highest minimum among the rules used lifts the whole.
    The best of the *discounts* that this *buyer* may have is taken off that. *voucher* is the label of a
    voucher that pays all of it.

    Raises NoPrice when a piece of the time has no rule (a voucher is honoured even then), InvalidField when
    the span has seconds.
    """
    if not span.is_whole_minutes:
        raise InvalidField.of("start_at", _l("Times must be full minutes."))
    usable = [rule for rule in rules if rule.applies_to(room)]
    offered = [rule for rule in discounts if rule.applies_to(room)]
    try:
        lines, used = _time_and_limits(room, span, usable, session_id, calendar)
    except NoPrice:
        if voucher is None:
            raise
        lines, used = [_time_line(LineKind.PACKAGE, span, voucher, 0, 0)], []
    lines += _discount_lines(lines, open_discounts(offered, room, span, buyer, calendar))
    if voucher is not None:
        lines.append(QuoteLine(LineKind.VOUCHER, voucher, -sum(line.amount_fen for line in lines)))
    totals = total_lines((line.kind, line.amount_fen) for line in lines)
    return Quote(
        lines=tuple(lines),
        base_fen=totals.base_fen,
        extra_fen=totals.extra_fen,
        discount_fen=totals.discount_fen,
        total_fen=totals.total_fen,
        rule_versions=tuple(sorted({(rule.id, rule.version) for rule in used})),
        warnings=tuple(_warnings(span, [*usable, *offered], room.tz, calendar)),
    )


def total_lines(lines: Iterable[tuple[str, int]]) -> Totals:
    """Sum (kind, amount_fen) pairs: time, minimum and cap are base, the rest extra or discount by sign."""
    pairs = list(lines)
    base = sum(amount for kind, amount in pairs if kind in BASE_KINDS)
    others = [amount for kind, amount in pairs if kind not in BASE_KINDS]
    extra = sum(amount for amount in others if amount > 0)
    discount = -sum(amount for amount in others if amount < 0)
    return Totals(base, extra, discount, base + extra - discount)


def price_pieces(
    room: PricedRoom, span: Span, rules: Iterable[PriceRule], calendar: DayCalendar = PUBLIC_CALENDAR
) -> list[PricePiece]:
    """Cut *span* at every edge of the hourly rules and at local midnight; each piece names its candidates.

    Where clocks change the jump is an edge, and an edge that the clock shows twice counts each time.
    """
    hourly = [rule for rule in rules if rule.kind == "hourly" and rule.applies_to(room)]
    cuts = edge_instants(span, edge_minutes(hourly), room.tz)
    inner = {cut for cut in cuts if span.start_at < cut < span.end_at}
    bounds = sorted(inner | {span.start_at, span.end_at})
    return [_piece(Span(start, end), hourly, room.tz, calendar) for start, end in pairwise(bounds)]


def price_from_fen(
    room: PricedRoom,
    rules: Iterable[PriceRule],
    *,
    first_on: date,
    days: int = 7,
    calendar: DayCalendar = PUBLIC_CALENDAR,
) -> int | None:
    """Return the lowest hourly rate that wins somewhere in these days, for lists of rooms.

    A room that is sold by session or package only shows its lowest flat price; None when nothing has a price.
    """
    usable = [rule for rule in rules if rule.applies_to(room)]
    dates = list(dates_between(first_on, first_on + timedelta(days=days - 1)))
    hourly = [rule for rule in usable if rule.kind == "hourly"]
    edges = edge_minutes(hourly)
    winners = [
        ranked[0]
        for on in dates
        for minute in edges
        if (ranked := ranked_rules(hourly, on, minute, calendar))
    ]
    flat = [
        rule for rule in usable if rule.kind != "hourly" and any(rule.counts_on(on, calendar) for on in dates)
    ]
    return min((rule.amount_fen for rule in winners or flat), default=None)


def _piece(span: Span, rules: Sequence[PriceRule], tz: ZoneInfo, calendar: DayCalendar) -> PricePiece:
    on = local_date(span.start_at, tz)
    return PricePiece(span, on, ranked_rules(rules, on, local_minute(span.start_at, tz), calendar))


def _time_and_limits(
    room: PricedRoom,
    span: Span,
    rules: Sequence[PriceRule],
    session_id: int | None,
    calendar: DayCalendar,
) -> tuple[list[QuoteLine], list[PriceRule]]:
    """Return the lines without any discount, and the rules that priced them."""
    if session_id is not None:
        rule = _session_rule(span, rules, session_id, room.tz, calendar)
        return [_flat_line(LineKind.SESSION, span, rule)], [rule]
    lines: list[QuoteLine] = []
    used: list[PriceRule] = []
    rest: Span | None = span
    if package := winning_package(span, rules, room.tz, calendar):
        assert package.package_minutes is not None
        part = span_of_minutes(span.start_at, package.package_minutes)
        lines, used = [_flat_line(LineKind.PACKAGE, part, package)], [package]
        rest = Span(part.end_at, span.end_at) if part.end_at < span.end_at else None
    if rest is not None:
        hourly, hourly_rules = _hourly_lines(price_pieces(room, rest, rules, calendar))
        lines += [*hourly, *_day_cap_lines(hourly, hourly_rules, room.tz)]
        lines += _minimum_lines(lines, hourly_rules)
        used += hourly_rules
    return lines, used


def _session_rule(
    span: Span, rules: Sequence[PriceRule], session_id: int, tz: ZoneInfo, calendar: DayCalendar
) -> PriceRule:
    ranked = ranked_sessions(span, rules, session_id, tz, calendar)
    if not ranked:
        raise _no_price(span)
    return ranked[0]


def ranked_sessions(
    span: Span, rules: Iterable[PriceRule], session_id: int, tz: ZoneInfo, calendar: DayCalendar
) -> tuple[PriceRule, ...]:
    """Return the prices of a session at the start of *span*, the winner first."""
    fitting = [rule for rule in rules if rule.kind == "session" and rule.session_id == session_id]
    return ranked_at(fitting, span.start_at, tz, calendar)


def ranked_packages(
    span: Span, rules: Iterable[PriceRule], tz: ZoneInfo, calendar: DayCalendar
) -> tuple[PriceRule, ...]:
    """Return the packages that may begin at the start of *span* and are not longer, in their order."""
    fitting = [
        rule for rule in rules if rule.kind == "package" and 0 < (rule.package_minutes or 0) <= span.minutes
    ]
    return ranked_at(fitting, span.start_at, tz, calendar)


def winning_package(
    span: Span, rules: Sequence[PriceRule], tz: ZoneInfo, calendar: DayCalendar
) -> PriceRule | None:
    """Return the first package whose priority is not below that of the hourly rate at the start."""
    packages = ranked_packages(span, rules, tz, calendar)
    if not packages:
        return None
    hourly = ranked_at([rule for rule in rules if rule.kind == "hourly"], span.start_at, tz, calendar)
    return next((rule for rule in packages if not hourly or rule.priority >= hourly[0].priority), None)


def _hourly_lines(pieces: Iterable[PricePiece]) -> tuple[list[QuoteLine], list[PriceRule]]:
    """Return one line for each stretch of one rule within one day, and the rules used."""
    lines: list[QuoteLine] = []
    used: list[PriceRule] = []
    for (_, rule), group in groupby(pieces, key=_day_and_winner):
        stretch = list(group)
        span = Span(stretch[0].span.start_at, stretch[-1].span.end_at)
        amount = half_up(rule.amount_fen * span.minutes, 60)
        lines.append(_time_line(LineKind.HOURLY, span, rule.name, rule.amount_fen, amount, rule.id))
        used.append(rule)
    return lines, used


def _day_and_winner(piece: PricePiece) -> tuple[date, PriceRule]:
    if not piece.candidates:
        raise _no_price(piece.span)
    return piece.on, piece.candidates[0]


def _no_price(span: Span) -> NoPrice:
    gap = {"start_at": span.start_at.isoformat(), "end_at": span.end_at.isoformat()}
    return NoPrice(data={"rule": "price_rules", "limit": None, "gap": gap})


def _flat_line(kind: LineKind, span: Span, rule: PriceRule) -> QuoteLine:
    return _time_line(kind, span, rule.name, rule.amount_fen, rule.amount_fen, rule.id)


def _time_line(
    kind: LineKind, span: Span, label: str, unit_fen: int, amount_fen: int, rule_id: int | None = None
) -> QuoteLine:
    return QuoteLine(kind, label, amount_fen, rule_id, span.start_at, span.end_at, span.minutes, unit_fen)


def _day_cap_lines(
    lines: Sequence[QuoteLine], rules: Sequence[PriceRule], tz: ZoneInfo
) -> Iterator[QuoteLine]:
    """Yield what each rule's lines of one local day exceed its cap, as negative lines."""
    days: dict[tuple[date, int], list[QuoteLine]] = {}
    by_id = {rule.id: rule for rule in rules}
    for line, rule in zip(lines, rules, strict=True):
        assert line.start_at is not None
        days.setdefault((local_date(line.start_at, tz), rule.id), []).append(line)
    for (_, rule_id), day_lines in days.items():
        rule, cap = by_id[rule_id], by_id[rule_id].day_cap_fen
        excess = sum(line.amount_fen for line in day_lines) - cap if cap is not None else 0
        if excess > 0:
            first, last = day_lines[0].start_at, day_lines[-1].end_at
            yield QuoteLine(LineKind.DAY_CAP, rule.name, -excess, rule_id, first, last, None, cap)


def _minimum_lines(lines: Sequence[QuoteLine], rules: Sequence[PriceRule]) -> Iterator[QuoteLine]:
    """Yield what is missing to the highest minimum among the hourly rules used, caps already taken off."""
    demanding = [(rule.minimum_fen, -rule.id, rule) for rule in rules if rule.minimum_fen is not None]
    if not demanding:
        return
    minimum, _, rule = max(demanding, key=lambda entry: entry[:2])
    missing = minimum - sum(line.amount_fen for line in lines)
    if missing > 0:
        yield QuoteLine(LineKind.MINIMUM, rule.name, missing, rule.id, unit_fen=minimum)


def _discount_lines(lines: Sequence[QuoteLine], found: Sequence[DiscountRule]) -> Iterator[QuoteLine]:
    """Yield what the best discount takes off; the lines before it sum to what there is to take from."""
    amount_fen = sum(line.amount_fen for line in lines)
    rule = best_discount(found, amount_fen)
    if rule is not None and (off_fen := rule.off(amount_fen)):
        yield QuoteLine(
            LineKind.DISCOUNT, rule.name, -off_fen, rule.id, unit_fen=rule.off_fen, rule_version=rule.version
        )


def _warnings(
    span: Span, rules: Sequence[RuleTimes], tz: ZoneInfo, calendar: DayCalendar
) -> Iterator[QuoteWarning]:
    if not any(rule.day_kind in CALENDAR_KINDS for rule in rules):
        return
    for year in sorted({on.year for on in local_dates(span, tz) if not calendar.is_known(on)}):
        yield QuoteWarning("holidays_unknown", str(year))
