"""Changing a booking: who may when, what is held beside it, what unused time is worth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask_babel import lazy_gettext as _l

from app.domain.booking_rules import BookingPolicy
from app.domain.errors import ChangeNotAllowed
from app.domain.money import half_up, percent_of
from app.domain.price_rules import PriceRule
from app.domain.pricing import TIME_KINDS, LineKind, QuoteLine
from app.domain.slots import MINUTE, Span, floor_minute, local_date, subtract

# What a quote makes; a change replaces these lines and keeps the others.
_CAPPED = (LineKind.HOURLY, LineKind.DAY_CAP)
QUOTED_KINDS = TIME_KINDS | {LineKind.MINIMUM, LineKind.DAY_CAP, LineKind.VOUCHER, LineKind.DISCOUNT}

# Labels of lines that no rule made; they are translated when they are shown.
UNUSED_TIME = "unused_time"
LINE_LABELS: dict[str, Any] = {UNUSED_TIME: _l("Unused time given back")}


def line_label(kind: str, label: str) -> Any:
    """Return what a line is called: by its rule, by what it gives back, else by its kind."""
    return LINE_LABELS.get(label) or label or LineKind.of(kind).label


def check_change(policy: BookingPolicy, *, change_count: int, start_at: datetime, now: datetime) -> None:
    """Raise ChangeNotAllowed when a customer has changed as often as allowed, or the deadline is over.

    *policy* is the one frozen on the order. Exactly on its minute counts as in time.
    """
    if change_count >= policy.change_max_count:
        raise refusal("change_max_count", policy.change_max_count)
    if floor_minute(now) > start_at - timedelta(minutes=policy.change_deadline_minutes):
        raise refusal("change_deadline_minutes", policy.change_deadline_minutes)


def refusal(rule: str, limit: int | str | None) -> ChangeNotAllowed:
    """Return the refusal of a change by *rule*."""
    return ChangeNotAllowed(data={"rule": rule, "limit": limit})


def missing_parts(wanted: Span, own: Span | None) -> list[Span]:
    """Return what *wanted* needs beside what the order occupies already: nothing, one or two spans."""
    return subtract([wanted], [own] if own else [])


def extension_lines(
    quoted: Iterable[QuoteLine], sold: Sequence[QuoteLine], rules: Iterable[PriceRule], tz: ZoneInfo
) -> list[QuoteLine]:
    """Return what is charged for time that is added to the time *sold* before.

    *quoted* is the price of the added time alone. Its minimum charge is left out; what was paid to reach
    one before counts towards the added time. A day cap counts what the order paid by the same rule on that
    day already.
    """
    lines = [line for line in quoted if line.kind is not LineKind.MINIMUM]
    for rule in (rule for rule in rules if rule.day_cap_fen is not None):
        for on in sorted({_day(line, tz) for line in lines if line.rule_id == rule.id}):
            both = [line for line in (*sold, *lines) if line.rule_id == rule.id and _day(line, tz) == on]
            excess = sum(line.amount_fen for line in both if line.kind in _CAPPED) - (rule.day_cap_fen or 0)
            if excess > 0:
                kind = LineKind.DAY_CAP
                lines.append(QuoteLine(kind, rule.name, -excess, rule.id, both[-1].start_at, both[-1].end_at))
    return [*lines, *_minimum_back(lines, sold)]


def _minimum_back(added: Sequence[QuoteLine], sold: Sequence[QuoteLine]) -> Iterator[QuoteLine]:
    """Yield what was paid to reach a minimum, as far as the added time reaches it now by itself."""
    raised = [line for line in sold if line.kind is LineKind.MINIMUM]
    # A voucher paid for its whole package, the minimum included.
    if not raised or any(line.kind is LineKind.VOUCHER for line in sold):
        return
    left_fen = sum(line.amount_fen for line in raised)
    back_fen = min(left_fen, sum(line.amount_fen for line in added))
    if back_fen > 0:
        yield replace(raised[0], amount_fen=-back_fen)


def _day(line: QuoteLine, tz: ZoneInfo) -> date:
    return local_date(line.start_at, tz) if line.start_at else date.min


def never_below_zero(lines: Iterable[QuoteLine]) -> list[QuoteLine]:
    """Return the lines, with one more where reductions that were kept exceed what is left to pay."""
    kept = list(lines)
    total = sum(line.amount_fen for line in kept)
    if total < 0:
        kept.append(QuoteLine(LineKind.ADJUSTMENT, "", -total))
    return kept


def unused_fen(lines: Iterable[QuoteLine], span: Span, left_at: datetime, policy: BookingPolicy) -> int:
    """Return what the policy gives back of the price when guests leave at *left_at*, in fen.

    Only whole steps of length count, from the end of *span* on. Each time line is worth what it costs per
    minute, scaled to what was really charged after caps, minimum and discounts; fees and overtime never come
    back.
    """
    step = timedelta(minutes=policy.length_step_minutes)
    steps = max(span.end_at - max(left_at, span.start_at), timedelta()) // step
    if not steps or not policy.early_refund_percent:
        return 0
    rows = list(lines)
    unused = Span(span.end_at - steps * step, span.end_at)
    timed = [line for line in rows if line.kind in TIME_KINDS]
    whole = sum(line.amount_fen for line in timed)
    charged = sum(line.amount_fen for line in rows if line.kind in QUOTED_KINDS)
    if whole <= 0 or charged <= 0:
        return 0
    # Kept as a fraction of whole minutes until the one rounding at the end.
    share = sum(half_up(line.amount_fen * _shared_minutes(line, unused), line.minutes or 1) for line in timed)
    return percent_of(half_up(charged * share, whole), policy.early_refund_percent)


def _shared_minutes(line: QuoteLine, span: Span) -> int:
    assert line.start_at is not None and line.end_at is not None
    shared = Span(line.start_at, line.end_at).intersect(span)
    return 0 if shared is None else (shared.end_at - shared.start_at) // MINUTE
