"""What must hold for every set of price rules, checked against a minute-by-minute model."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import groupby

from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.calendar import DayKind, day_kind
from app.domain.errors import NoPrice
from app.domain.money import half_up
from app.domain.price_rules import PricedRoom, PriceRule
from app.domain.pricing import Quote, quote_span
from app.domain.slots import Span, span_of_minutes
from tests.domain.moments import TZ, at

ROOM = PricedRoom(id=7, room_type_id=3, tz=TZ)
# From here on lie plain days, a weekend and the long National Day holiday.
FIRST = at("2026-09-24 00:00")
SCOPES = [{"scope": "store"}, {"scope": "room_type", "room_type_id": 3}, {"scope": "room", "room_id": 7}]
FLOOR = PriceRule(99, "Floor", 1100, priority=-9)
quarter_hours = st.integers(min_value=0, max_value=95).map(lambda count: count * 15)


@st.composite
def hourly_rules(draw: st.DrawFn) -> list[PriceRule]:
    """Draw up to six hourly rules over a floor that leaves no gap."""
    rules = [
        PriceRule(
            id=number,
            name=f"Rule {number}",
            amount_fen=draw(st.integers(min_value=0, max_value=9999)),
            day_kind=draw(st.sampled_from(["any", "weekday", "weekend", "holiday"])),
            weekdays=draw(st.sampled_from([(), (), (4,), (0, 2, 5)])),
            band_start_minute=draw(quarter_hours),
            band_end_minute=draw(quarter_hours),
            priority=draw(st.integers(min_value=0, max_value=2)),
            minimum_fen=draw(st.sampled_from([None, None, 8000])),
            day_cap_fen=draw(st.sampled_from([None, None, 5000, 12000])),
            **draw(st.sampled_from(SCOPES)),
        )
        for number in range(draw(st.integers(min_value=0, max_value=6)))
    ]
    return [*rules, FLOOR]


@st.composite
def wanted_spans(draw: st.DrawFn) -> Span:
    """Draw a span of up to 26 hours in the fortnight around the holiday."""
    start = FIRST + timedelta(minutes=draw(st.integers(min_value=0, max_value=14 * 1440)))
    return span_of_minutes(start, draw(st.integers(min_value=1, max_value=1560)))


def model_winner(rules: list[PriceRule], minute: datetime) -> PriceRule:
    """Find the winner of one minute by trying both days on which its band may have begun."""
    counting = [rule for rule in rules if any(_began(rule, minute, days) for days in (0, 1))]
    scopes = ["room", "room_type", "store"]
    kinds = {"holiday": 0, "weekend": 1, "weekday": 1, "any": 2}
    return min(counting, key=lambda r: (scopes.index(r.scope), -r.priority, kinds[r.day_kind], r.id))


def _began(rule: PriceRule, minute: datetime, days_before: int) -> bool:
    wall = minute.astimezone(TZ).replace(tzinfo=None)
    on = wall.date() - timedelta(days=days_before)
    begin = datetime(on.year, on.month, on.day) + timedelta(minutes=rule.band_start_minute)
    until = datetime(on.year, on.month, on.day) + timedelta(minutes=rule.band_end_minute)
    if until <= begin:
        until += timedelta(days=1)
    return begin <= wall < until and _is_day(rule, on)


def _is_day(rule: PriceRule, on: date) -> bool:
    is_kind = rule.day_kind == "any" or day_kind(on) is DayKind(rule.day_kind)
    return is_kind and (not rule.weekdays or on.weekday() in rule.weekdays)


def model_lines(rules: list[PriceRule], wanted: Span) -> list[tuple[int, int, int]]:
    """Return (rule id, minutes, amount) of the time lines, found minute by minute."""
    minutes = [wanted.start_at + timedelta(minutes=offset) for offset in range(wanted.minutes)]
    keyed = [(minute.astimezone(TZ).date(), model_winner(rules, minute)) for minute in minutes]
    runs = [(rule, len(list(run))) for (_, rule), run in groupby(keyed)]
    return [(rule.id, count, half_up(rule.amount_fen * count, 60)) for rule, count in runs]


def time_lines(quote: Quote) -> list[tuple[int | None, int | None, int]]:
    return [(line.rule_id, line.minutes, line.amount_fen) for line in quote.lines if line.minutes]


@settings(max_examples=25, deadline=None)
@given(hourly_rules(), wanted_spans())
def test_time_lines_equal_the_minute_by_minute_model(rules: list[PriceRule], wanted: Span) -> None:
    assert time_lines(quote_span(ROOM, wanted, rules)) == model_lines(rules, wanted)


@settings(max_examples=100, deadline=None)
@given(hourly_rules(), wanted_spans(), st.booleans())
def test_sums_and_shape(rules: list[PriceRule], wanted: Span, has_voucher: bool) -> None:
    quote = quote_span(ROOM, wanted, rules, voucher="Voucher" if has_voucher else None)
    timed = [line for line in quote.lines if line.minutes is not None]
    assert sum(line.amount_fen for line in quote.lines) == quote.total_fen >= 0
    assert quote.base_fen + quote.extra_fen - quote.discount_fen == quote.total_fen
    assert sum(line.minutes or 0 for line in timed) == wanted.minutes
    assert [line.start_at for line in timed[1:]] == [line.end_at for line in timed[:-1]]
    for line in timed:
        assert line.start_at and line.end_at and line.rule_id is not None
        last = line.end_at - timedelta(minutes=1)
        assert line.start_at.astimezone(TZ).date() == last.astimezone(TZ).date()
    assert quote.total_fen == 0 or not has_voucher


@settings(max_examples=60, deadline=None)
@given(hourly_rules(), wanted_spans(), st.randoms(use_true_random=False))
def test_the_order_of_rules_plays_no_part(rules: list[PriceRule], wanted: Span, random) -> None:
    shuffled = list(rules)
    random.shuffle(shuffled)
    assert quote_span(ROOM, wanted, shuffled) == quote_span(ROOM, wanted, rules)


def without_limits(rules: list[PriceRule]) -> list[PriceRule]:
    """Return the rules without minimum and cap, which are not additive by their nature."""
    return [
        PriceRule(
            **{name: getattr(rule, name) for name in PriceRule.__slots__}
            | {"minimum_fen": None, "day_cap_fen": None}
        )
        for rule in rules
    ]


@settings(max_examples=60, deadline=None)
@given(hourly_rules(), wanted_spans(), st.integers(min_value=1, max_value=1559))
def test_two_parts_cost_the_whole_but_for_one_rounding(
    rules: list[PriceRule], wanted: Span, cut_minutes: int
) -> None:
    plain = without_limits(rules)
    cut_at = wanted.start_at + timedelta(minutes=cut_minutes)
    if cut_at >= wanted.end_at:
        return
    whole = quote_span(ROOM, wanted, plain)
    parts = [
        quote_span(ROOM, part, plain) for part in (Span(wanted.start_at, cut_at), Span(cut_at, wanted.end_at))
    ]
    difference = sum(part.total_fen for part in parts) - whole.total_fen
    is_at_an_edge = any(line.end_at == cut_at for line in whole.lines)
    assert abs(difference) <= (0 if is_at_an_edge else 1)


@settings(max_examples=60, deadline=None)
@given(hourly_rules(), wanted_spans(), st.integers(min_value=1, max_value=600))
def test_a_longer_stay_never_costs_less(rules: list[PriceRule], wanted: Span, more_minutes: int) -> None:
    longer = wanted.widened(0, more_minutes)
    assert quote_span(ROOM, longer, rules).total_fen >= quote_span(ROOM, wanted, rules).total_fen


@settings(max_examples=25, deadline=None)
@given(hourly_rules(), wanted_spans())
def test_gaps_are_refused_and_nothing_else_is(rules: list[PriceRule], wanted: Span) -> None:
    gappy = [rule for rule in rules if rule is not FLOOR]
    is_covered = all(rule_id != FLOOR.id for rule_id, _, _ in model_lines(rules, wanted))
    try:
        quote_span(ROOM, wanted, gappy)
        was_priced = True
    except NoPrice:
        was_priced = False
    assert was_priced is is_covered
