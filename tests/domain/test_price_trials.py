"""Explained prices: winners and why, runner-ups, gaps, ties, kinds of days, and the grid of a week."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.calendar import DayCalendar, DayKind
from app.domain.discounts import Buyer, DiscountRule
from app.domain.price_books import PriceBook
from app.domain.price_rules import PricedRoom, PriceRule
from app.domain.price_trials import (
    Because,
    OwnDay,
    PriceTrial,
    Source,
    explain_day,
    explain_span,
    grid_of_prices,
)
from app.domain.pricing import quote_span
from app.domain.slots import Span
from tests.domain.moments import NEW_YORK, TZ, WEDNESDAY, at, local, span
from tests.domain.test_pricing_properties import hourly_rules, wanted_spans

ROOM = PricedRoom(id=7, room_type_id=3, tz=TZ)
BASE = PriceRule(1, "Base", 3000)
NIGHT = PriceRule(5, "Night", 2000, band_start_minute=22 * 60, band_end_minute=6 * 60, priority=1)
HOLIDAY = PriceRule(4, "Holiday", 6000, day_kind="holiday")
PACK = PriceRule(9, "Pack", 8800, kind="package", package_minutes=240, priority=5)


def explain(wanted: Span, *rules: PriceRule, **values: object) -> PriceTrial:
    return explain_span(ROOM, wanted, PriceBook(rules), **values)  # type: ignore[arg-type]


def shown(trial: PriceTrial) -> list[tuple[str, str, list[str]]]:
    """Return (start, end, names in order) of every piece."""
    return [
        (
            local(piece.span.start_at)[6:],
            local(piece.span.end_at)[6:],
            [contender.rule.name for contender in piece.contenders],
        )
        for piece in trial.pieces
    ]


REASONS: list[tuple[str, PriceRule, PriceRule, Because]] = [
    ("room type before store", PriceRule(8, "A", 1, scope="room_type", room_type_id=3), BASE, Because.SCOPE),
    ("higher priority", PriceRule(8, "A", 1, priority=1), BASE, Because.PRIORITY),
    ("narrower days", PriceRule(8, "A", 1, day_kind="weekday"), BASE, Because.DAY_KIND),
    ("older of two equal", BASE, PriceRule(8, "B", 1), Because.AGE),
]


@pytest.mark.parametrize(("label", "first", "second", "because"), REASONS, ids=[row[0] for row in REASONS])
def test_why_a_rule_wins(label: str, first: PriceRule, second: PriceRule, because: Because) -> None:
    (piece,) = explain(span("10:00", "12:00"), second, first).pieces

    assert (piece.winner, piece.because) == (first, because)
    assert piece.is_tie is (because is Because.AGE)


def test_single_rule_needs_no_reason() -> None:
    (piece,) = explain(span("10:00", "12:00"), BASE).pieces

    assert (piece.winner, piece.because, piece.is_tie) == (BASE, None, False)


def test_runner_ups_stand_in_their_order() -> None:
    room = PriceRule(2, "Room", 1, scope="room", room_id=7)
    high = PriceRule(3, "High", 1, priority=9)

    (piece,) = explain(span("10:00", "11:00"), BASE, high, room).pieces

    assert [contender.rule for contender in piece.contenders] == [room, high, BASE]
    assert [contender.lost_by for contender in piece.contenders] == [None, Because.SCOPE, Because.SCOPE]


def test_pieces_are_cut_where_the_contenders_change_and_at_midnight() -> None:
    evening = PriceRule(6, "Evening", 5000, band_start_minute=18 * 60, band_end_minute=20 * 60, priority=-1)
    trial = explain(Span(at("17:00"), at("2026-03-12 01:00")), BASE, NIGHT, evening)

    assert shown(trial) == [
        ("17:00", "18:00", ["Base"]),
        ("18:00", "20:00", ["Base", "Evening"]),
        ("20:00", "22:00", ["Base"]),
        ("22:00", "00:00", ["Night", "Base"]),
        ("00:00", "01:00", ["Night", "Base"]),
    ]
    assert [piece.contenders[0].band_on for piece in trial.pieces[-2:]] == [WEDNESDAY, WEDNESDAY]


def test_gap_leaves_no_quote() -> None:
    trial = explain(Span(at("21:00"), at("23:00")), NIGHT)

    assert [(local(gap.span.start_at), local(gap.span.end_at)) for gap in trial.gaps] == [
        ("03-11 21:00", "03-11 22:00")
    ]
    assert trial.quote is None
    assert trial.discounts == ()


def test_package_goes_before_the_hourly_rate_and_what_it_beats() -> None:
    short = PriceRule(10, "Short", 5000, kind="package", package_minutes=120, priority=5)
    trial = explain(span("10:00", "15:00"), BASE, PACK, short)

    assert shown(trial) == [("10:00", "14:00", ["Pack", "Base", "Short"]), ("14:00", "15:00", ["Base"])]
    assert [contender.lost_by for contender in trial.pieces[0].contenders] == [
        None,
        Because.PACKAGE,
        Because.LENGTH,
    ]


def test_package_below_the_hourly_priority_is_shown_as_beaten() -> None:
    high = PriceRule(2, "High", 4000, priority=6)
    trial = explain(span("10:00", "15:00"), high, PACK)

    assert shown(trial) == [("10:00", "15:00", ["High", "Pack"])]
    assert trial.pieces[0].because is Because.BELOW_HOURLY


def test_package_passed_over_for_its_priority_says_so() -> None:
    narrow = PriceRule(
        2, "Narrow", 1, kind="package", package_minutes=60, scope="room", room_id=7, priority=-1
    )
    trial = explain(span("10:00", "14:00"), BASE, narrow, PACK)

    lost = {contender.rule.name: contender.lost_by for contender in trial.pieces[0].contenders}
    assert lost == {"Pack": None, "Base": Because.PACKAGE, "Narrow": Because.BELOW_HOURLY}


def test_equal_packages_are_a_tie() -> None:
    twin = PriceRule(10, "Twin", 1, kind="package", package_minutes=240, priority=5)

    assert [piece.winner for piece in explain(span("10:00", "14:00"), BASE, PACK, twin).ties] == [PACK]


def test_session_is_one_piece_over_midnight() -> None:
    prices = [
        PriceRule(2, "Old", 100, kind="session", session_id=1),
        PriceRule(3, "New", 200, kind="session", session_id=1, priority=1),
        PriceRule(4, "Other", 300, kind="session", session_id=2),
    ]
    trial = explain(Span(at("23:00"), at("2026-03-12 08:00")), BASE, *prices, session_id=1)

    assert shown(trial) == [("23:00", "08:00", ["New", "Old"])]
    assert trial.quote is not None
    assert trial.quote.total_fen == 200


def test_weekend_night_ties_with_the_weekday_that_reaches_into_it() -> None:
    """Friday's night band and Saturday's rule are equally narrow: only their age decides after midnight."""
    friday = PriceRule(1, "Fri", 1, day_kind="weekday", band_start_minute=22 * 60, band_end_minute=6 * 60)
    weekend = PriceRule(2, "Sat", 2, day_kind="weekend")

    trial = explain(Span(at("2026-03-13 22:00"), at("2026-03-14 02:00")), friday, weekend)

    assert [(piece.is_tie, local(piece.span.start_at)) for piece in trial.pieces] == [
        (False, "03-13 22:00"),
        (True, "03-14 00:00"),
    ]


OWN = {date(2026, 10, 9): OwnDay(DayKind.HOLIDAY, "店庆", True), date(2026, 10, 12): OwnDay(DayKind.WEEKEND)}


@pytest.mark.parametrize(
    ("label", "on", "kind", "source", "name"),
    [
        ("public holiday", date(2026, 10, 1), DayKind.HOLIDAY, Source.PUBLIC, ""),
        ("worked Saturday", date(2026, 10, 10), DayKind.WEEKDAY, Source.PUBLIC, ""),
        ("own day of the store", date(2026, 10, 9), DayKind.HOLIDAY, Source.STORE, "店庆"),
        ("own day of the chain", date(2026, 10, 12), DayKind.WEEKEND, Source.CHAIN, ""),
        ("year without holidays", date(2031, 1, 1), DayKind.WEEKDAY, Source.UNKNOWN, ""),
    ],
)
def test_kind_of_a_day_and_who_says_so(
    label: str, on: date, kind: DayKind, source: Source, name: str
) -> None:
    day = explain_day(on, DayCalendar({key: own.kind for key, own in OWN.items()}), OWN)

    assert (day.on, day.kind, day.source, day.label) == (on, kind, source, name)


def test_days_include_the_one_on_which_a_winning_band_began() -> None:
    trial = explain(Span(at("2026-10-01 00:00"), at("2026-10-01 02:00")), NIGHT, HOLIDAY)

    assert [(day.on.day, day.kind) for day in trial.days] == [(30, "weekday"), (1, "holiday")]


def test_unknown_year_is_told_and_priced_by_the_day_of_the_week() -> None:
    weekday = PriceRule(2, "Weekday", 2800, day_kind="weekday")
    trial = explain(Span(at("2031-01-01 10:00"), at("2031-01-01 11:00")), weekday, HOLIDAY)

    assert (trial.unknown_years, trial.pieces[0].winner) == ([2031], weekday)
    assert trial.quote is not None
    assert [(warning.code, warning.detail) for warning in trial.quote.warnings] == [
        ("holidays_unknown", "2031")
    ]


def test_discounts_are_listed_with_the_one_that_counts() -> None:
    first = DiscountRule(1, "First", off_percent=50, first_order_only=True)
    ten, twenty = DiscountRule(2, "Ten", off_percent=10), DiscountRule(3, "Twenty", off_percent=20)
    elsewhere = DiscountRule(4, "Elsewhere", off_percent=90, scope="room", room_id=8)
    book = PriceBook((BASE,), discounts=(first, ten, twenty, elsewhere))

    def offers(buyer: Buyer) -> list[tuple[str, int, bool]]:
        trial = explain_span(ROOM, span("10:00", "12:00"), book, buyer=buyer)
        return [(offer.rule.name, offer.off_fen, offer.is_used) for offer in trial.discounts]

    assert offers(Buyer()) == [("First", 3000, False), ("Twenty", 1200, True), ("Ten", 600, False)]
    assert offers(Buyer(is_first_order=True))[0] == ("First", 3000, True)


def test_grid_has_every_hour_with_its_winners() -> None:
    half = PriceRule(2, "Half", 4000, band_start_minute=18 * 60 + 30, band_end_minute=22 * 60, priority=1)
    book = PriceBook((half, NIGHT))

    grid = grid_of_prices(ROOM, book, first_on=WEDNESDAY)

    assert len(grid) == 168
    assert Counter(hour.on for hour in grid) == {WEDNESDAY + timedelta(days=day): 24 for day in range(7)}
    wednesday = {hour.hour: [rule and rule.name for rule in hour.winners] for hour in grid[:24]}
    assert (wednesday[5], wednesday[6]) == (["Night"], [None])
    assert (wednesday[18], wednesday[19]) == ([None, "Half"], ["Half"])


def test_grid_of_a_day_on_which_the_clock_jumps_has_an_empty_hour() -> None:
    room = PricedRoom(7, 3, NEW_YORK)

    grid = grid_of_prices(room, PriceBook((BASE,)), first_on=date(2026, 3, 8), days=1)

    assert [hour.hour for hour in grid if not hour.winners] == [2]
    assert all(hour.winners == (BASE,) for hour in grid if hour.hour != 2)


packages = st.sampled_from([(), (PACK,), (PriceRule(98, "Low", 1, kind="package", package_minutes=60),)])


@settings(max_examples=60, deadline=None)
@given(hourly_rules(), packages, wanted_spans())
def test_explanation_never_contradicts_the_charge(
    rules: list[PriceRule], extra: tuple[PriceRule, ...], wanted: Span
) -> None:
    everything = [*rules, *extra]
    trial = explain(wanted, *everything)
    quote = quote_span(ROOM, wanted, everything)

    assert trial.quote == quote
    assert [piece.span.start_at for piece in trial.pieces[1:]] == [
        piece.span.end_at for piece in trial.pieces[:-1]
    ]
    assert sum(piece.span.minutes for piece in trial.pieces) == wanted.minutes
    for line in quote.lines:
        if line.minutes:
            assert line.start_at and line.end_at
            within = Span(line.start_at, line.end_at)
            winners = {
                piece.winner.id for piece in trial.pieces if piece.winner and within.contains(piece.span)
            }
            assert winners == {line.rule_id}


@settings(max_examples=25, deadline=None)
@given(hourly_rules(), st.integers(min_value=0, max_value=6))
def test_grid_equals_what_each_hour_is_charged_by(rules: list[PriceRule], offset: int) -> None:
    on = date(2026, 9, 28) + timedelta(days=offset)
    for hour in grid_of_prices(ROOM, PriceBook(tuple(rules)), first_on=on, days=1):
        start = at(f"{on} {hour.hour:02}:00")
        quote = quote_span(ROOM, Span(start, start + timedelta(hours=1)), rules)
        charged = [line.rule_id for line in quote.lines if line.minutes]
        assert list(dict.fromkeys(charged)) == [rule.id for rule in hour.winners if rule]
