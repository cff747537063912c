"""Quotes line by line: winners, edges, midnights, caps, minimums, sessions, packages and vouchers."""

from __future__ import annotations

from datetime import UTC, date, timedelta

import pytest

from app.domain.calendar import DayCalendar, DayKind
from app.domain.errors import InvalidField, NoPrice
from app.domain.price_rules import PricedRoom, PriceRule
from app.domain.pricing import Quote, price_from_fen, price_pieces, quote_span, total_lines
from app.domain.slots import Span, span_of_minutes
from tests.domain.moments import TZ, WEDNESDAY, at, local, span

ROOM = PricedRoom(id=7, room_type_id=3, tz=TZ)
BASE = PriceRule(1, "Base", 3000)
WEEKDAY = PriceRule(2, "Weekday", 2800, day_kind="weekday")
WEEKEND = PriceRule(3, "Weekend", 4000, day_kind="weekend")
HOLIDAY = PriceRule(4, "Holiday", 6000, day_kind="holiday")
DAYS = [WEEKDAY, WEEKEND, HOLIDAY]
NIGHT = PriceRule(5, "Night", 2000, band_start_minute=22 * 60, band_end_minute=6 * 60, priority=1)


def lines(quote: Quote) -> list[tuple[str, str, int | None, int]]:
    """Return (kind, label, minutes, amount) of every line."""
    return [(str(line.kind), line.label, line.minutes, line.amount_fen) for line in quote.lines]


def night_package(**changes: object) -> PriceRule:
    values = {
        "id": 9,
        "name": "Night pack",
        "amount_fen": 8800,
        "kind": "package",
        "package_minutes": 480,
        "band_start_minute": 23 * 60,
        "band_end_minute": 60,
        "priority": 5,
    }
    return PriceRule(**(values | changes))  # type: ignore[arg-type]


def test_one_rule_one_line() -> None:
    quote = quote_span(ROOM, span("10:00", "12:30"), [BASE])
    assert lines(quote) == [("hourly", "Base", 150, 7500)]
    line = quote.lines[0]
    assert (line.rule_id, line.unit_fen, line.start_at, line.end_at) == (1, 3000, at("10:00"), at("12:30"))
    assert (quote.base_fen, quote.extra_fen, quote.discount_fen, quote.total_fen) == (7500, 0, 0, 7500)
    assert quote.rule_versions == ((1, 1),)


@pytest.mark.parametrize(
    ("label", "winner", "loser"),
    [
        (
            "room before room type, whatever the priority",
            PriceRule(8, "Room", 1, scope="room", room_id=7),
            PriceRule(1, "Type", 2, scope="room_type", room_type_id=3, priority=9),
        ),
        (
            "room type before store",
            PriceRule(8, "Type", 1, scope="room_type", room_type_id=3),
            PriceRule(1, "Store", 2, priority=9, day_kind="dates"),
        ),
        (
            "priority before day kind",
            PriceRule(8, "High", 1, priority=1),
            PriceRule(1, "Dates", 2, day_kind="dates"),
        ),
        (
            "dates before weekday",
            PriceRule(8, "Dates", 1, day_kind="dates"),
            PriceRule(1, "W", 2, day_kind="weekday"),
        ),
        ("weekday before any", PriceRule(8, "Weekday", 1, day_kind="weekday"), PriceRule(1, "Any", 2)),
        ("lower id last", PriceRule(1, "First", 1), PriceRule(8, "Second", 2)),
    ],
)
def test_the_winner_and_the_runner_up(label: str, winner: PriceRule, loser: PriceRule) -> None:
    for rules in ([winner, loser], [loser, winner]):
        (piece,) = price_pieces(ROOM, span("10:00", "11:00"), rules)
        assert piece.candidates == (winner, loser)
        assert quote_span(ROOM, span("10:00", "11:00"), rules).lines[0].rule_id == winner.id


@pytest.mark.parametrize(
    ("label", "rule", "is_counting"),
    [
        ("other room", PriceRule(1, "R", 1, scope="room", room_id=8), False),
        ("other room type", PriceRule(1, "R", 1, scope="room_type", room_type_id=4), False),
        ("day before validity", PriceRule(1, "R", 1, valid_from_on=WEDNESDAY + timedelta(days=1)), False),
        ("first day of validity", PriceRule(1, "R", 1, valid_from_on=WEDNESDAY), True),
        ("last day of validity", PriceRule(1, "R", 1, valid_until_on=WEDNESDAY), True),
        ("day after validity", PriceRule(1, "R", 1, valid_until_on=WEDNESDAY - timedelta(days=1)), False),
        ("inside the dates", PriceRule(1, "R", 1, day_kind="dates", dates_from_on=WEDNESDAY), True),
        ("after the dates", PriceRule(1, "R", 1, day_kind="dates", dates_until_on=date(2026, 3, 10)), False),
        ("its weekday", PriceRule(1, "R", 1, weekdays=(2,)), True),
        ("another weekday", PriceRule(1, "R", 1, weekdays=(0, 1, 3)), False),
        ("weekend on a Wednesday", PriceRule(1, "R", 1, day_kind="weekend"), False),
        ("band ends at the start", PriceRule(1, "R", 1, band_start_minute=540, band_end_minute=600), False),
        ("band starts a minute late", PriceRule(1, "R", 1, band_start_minute=601, band_end_minute=0), False),
        ("band until midnight", PriceRule(1, "R", 1, band_start_minute=600, band_end_minute=1440), True),
    ],
)
def test_which_rules_count_on_wednesday_at_ten(label: str, rule: PriceRule, is_counting: bool) -> None:
    pieces = price_pieces(ROOM, span("10:00", "10:01"), [rule])
    assert [len(piece.candidates) for piece in pieces] == [int(is_counting)]


@pytest.mark.parametrize(
    ("label", "wanted", "rules", "expected"),
    [
        (
            "Friday night into the weekend",
            span("2026-03-13 22:00", "2026-03-14 02:00"),
            DAYS,
            [("hourly", "Weekday", 120, 5600), ("hourly", "Weekend", 120, 8000)],
        ),
        (
            "midnight cuts even one rule's line",
            span("22:00", "2026-03-12 02:00"),
            [BASE],
            [("hourly", "Base", 120, 6000), ("hourly", "Base", 120, 6000)],
        ),
        (
            "23:59 until one past midnight",
            span("23:59", "2026-03-12 00:01"),
            [BASE],
            [("hourly", "Base", 1, 50), ("hourly", "Base", 1, 50)],
        ),
        (
            "a band across midnight on top of the base",
            span("21:00", "2026-03-12 07:00"),
            [BASE, NIGHT],
            [
                ("hourly", "Base", 60, 3000),
                ("hourly", "Night", 120, 4000),
                ("hourly", "Night", 360, 12000),
                ("hourly", "Base", 60, 3000),
            ],
        ),
        (
            "24 hours from ten",
            span("10:00", "2026-03-12 10:00"),
            [BASE],
            [("hourly", "Base", 840, 42000), ("hourly", "Base", 600, 30000)],
        ),
        (
            "通宵 23:00 to 08:00 into a public holiday",
            span("2026-09-30 23:00", "2026-10-01 08:00"),
            DAYS,
            [("hourly", "Weekday", 60, 2800), ("hourly", "Holiday", 480, 48000)],
        ),
        (
            "out of a holiday into an exchanged working Saturday",
            span("2026-05-08 23:00", "2026-05-09 01:00"),
            DAYS,
            [("hourly", "Weekday", 60, 2800), ("hourly", "Weekday", 60, 2800)],
        ),
        (
            "over 29 February",
            span("2028-02-28 23:00", "2028-02-29 01:00"),
            [BASE],
            [("hourly", "Base", 60, 3000), ("hourly", "Base", 60, 3000)],
        ),
        (
            "edges of rules that never win do not cut",
            span("10:00", "12:00"),
            [BASE, PriceRule(6, "Low", 1, band_start_minute=660, band_end_minute=690, priority=-1)],
            [("hourly", "Base", 120, 6000)],
        ),
    ],
)
def test_lines(label: str, wanted: Span, rules: list[PriceRule], expected: list[object]) -> None:
    quote = quote_span(ROOM, wanted, rules)
    assert lines(quote) == expected
    assert quote.total_fen == sum(line.amount_fen for line in quote.lines)


def test_a_band_belongs_to_the_day_on_which_it_starts() -> None:
    friday_night = PriceRule(
        6, "Friday night", 9000, band_start_minute=1320, band_end_minute=360, weekdays=(4,), priority=2
    )
    quote = quote_span(ROOM, span("2026-03-13 22:00", "2026-03-14 07:00"), [*DAYS, friday_night])
    assert [(line.label, line.minutes) for line in quote.lines] == [
        ("Friday night", 120),
        ("Friday night", 360),
        ("Weekend", 60),
    ]
    before = quote_span(ROOM, span("2026-03-13 00:00", "2026-03-13 06:00"), [*DAYS, friday_night])
    assert [line.label for line in before.lines] == ["Weekday"]


def test_equal_band_ends_are_a_business_day() -> None:
    friday = PriceRule(
        6, "Friday", 9000, band_start_minute=360, band_end_minute=360, weekdays=(4,), priority=2
    )
    pieces = quote_span(ROOM, span("2026-03-13 05:00", "2026-03-14 07:00"), [BASE, friday]).lines
    assert [(line.label, local(line.start_at)) for line in pieces if line.start_at] == [
        ("Base", "03-13 05:00"),
        ("Friday", "03-13 06:00"),
        ("Friday", "03-14 00:00"),
        ("Base", "03-14 06:00"),
    ]


@pytest.mark.parametrize(
    ("label", "rate_fen", "minutes", "amount_fen"),
    [
        ("exact", 3000, 90, 4500),
        ("below half", 1000, 1, 17),
        ("half goes up", 1030, 15, 258),
        ("just below half", 1029, 15, 257),
        ("free", 0, 60, 0),
    ],
)
def test_rounding_once_per_line(label: str, rate_fen: int, minutes: int, amount_fen: int) -> None:
    wanted = span_of_minutes(at("10:00"), minutes)
    assert quote_span(ROOM, wanted, [PriceRule(1, "Rate", rate_fen)]).total_fen == amount_fen


def test_no_price_names_the_first_gap() -> None:
    day = PriceRule(1, "Day", 3000, band_start_minute=600, band_end_minute=1320)
    with pytest.raises(NoPrice) as refusal:
        quote_span(ROOM, span("21:00", "23:00"), [day])
    assert refusal.value.data == {
        "rule": "price_rules",
        "limit": None,
        "gap": {
            "start_at": at("22:00").astimezone(UTC).isoformat(),
            "end_at": at("23:00").astimezone(UTC).isoformat(),
        },
    }


def test_no_rules_no_price() -> None:
    with pytest.raises(NoPrice):
        quote_span(ROOM, span("10:00", "11:00"), [])


def test_seconds_are_refused() -> None:
    with pytest.raises(InvalidField):
        quote_span(ROOM, span("10:00:30", "11:00"), [BASE])


@pytest.mark.parametrize(
    ("label", "wanted", "expected"),
    [
        ("below the cap", span("10:00", "12:00"), [("hourly", 6000)]),
        ("at the cap", span("10:00", "13:00"), [("hourly", 9000)]),
        ("above the cap", span("10:00", "14:00"), [("hourly", 12000), ("day_cap", -3000)]),
        (
            "each day has its own cap",
            span("18:00", "2026-03-12 04:00"),
            [("hourly", 18000), ("hourly", 12000), ("day_cap", -9000), ("day_cap", -3000)],
        ),
    ],
)
def test_day_cap(label: str, wanted: Span, expected: list[object]) -> None:
    quote = quote_span(ROOM, wanted, [PriceRule(1, "Base", 3000, day_cap_fen=9000)])
    assert [(str(line.kind), line.amount_fen) for line in quote.lines] == expected
    assert quote.total_fen == quote.base_fen == sum(amount for _, amount in expected)


def test_a_cap_counts_its_own_rule_on_both_sides_of_another() -> None:
    base = PriceRule(1, "Base", 3000, day_cap_fen=5000)
    noon = PriceRule(2, "Noon", 1000, band_start_minute=720, band_end_minute=780, priority=1)
    quote = quote_span(ROOM, span("11:00", "14:00"), [base, noon])
    assert [(str(line.kind), line.amount_fen) for line in quote.lines] == [
        ("hourly", 3000),
        ("hourly", 1000),
        ("hourly", 3000),
        ("day_cap", -1000),
    ]
    cap = quote.lines[-1]
    assert (cap.start_at, cap.end_at, cap.minutes) == (at("11:00"), at("14:00"), None)


@pytest.mark.parametrize(
    ("label", "minutes", "expected"),
    [
        ("below the minimum", 60, [("hourly", 3000), ("minimum", 2000)]),
        ("a minute's price below", 99, [("hourly", 4950), ("minimum", 50)]),
        ("at the minimum", 100, [("hourly", 5000)]),
        ("above the minimum", 120, [("hourly", 6000)]),
    ],
)
def test_minimum_charge(label: str, minutes: int, expected: list[object]) -> None:
    quote = quote_span(
        ROOM, span_of_minutes(at("10:00"), minutes), [PriceRule(1, "Base", 3000, minimum_fen=5000)]
    )
    assert [(str(line.kind), line.amount_fen) for line in quote.lines] == expected
    assert [line.minutes for line in quote.lines if line.kind == "minimum"] in ([], [None])


def test_the_highest_minimum_counts_once() -> None:
    early = PriceRule(1, "Early", 1000, minimum_fen=5000, band_start_minute=600, band_end_minute=660)
    late = PriceRule(2, "Late", 1000, minimum_fen=7000, band_start_minute=660, band_end_minute=720)
    quote = quote_span(ROOM, span("10:00", "12:00"), [early, late])
    assert lines(quote)[-1] == ("minimum", "Late", None, 5000)
    assert quote.total_fen == 7000


@pytest.mark.parametrize(
    ("label", "rules", "calendar", "expected"),
    [
        ("day kinds in a year without data", DAYS, DayCalendar(), [("holidays_unknown", "2031")]),
        ("no day kinds", [BASE], DayCalendar(), []),
        ("the owner said what the day is", DAYS, DayCalendar({date(2031, 1, 1): DayKind.HOLIDAY}), []),
    ],
)
def test_unknown_holidays_warn(
    label: str, rules: list[PriceRule], calendar: DayCalendar, expected: list[tuple[str, str]]
) -> None:
    quote = quote_span(ROOM, span("2031-01-01 10:00", "2031-01-01 12:00"), rules, calendar=calendar)
    assert [(warning.code, warning.detail) for warning in quote.warnings] == expected


def test_first_day_after_the_holiday_data_ends() -> None:
    rules = [WEEKDAY, WEEKEND, HOLIDAY]
    quote = quote_span(ROOM, span("2031-12-31 23:00", "2032-01-01 01:00"), rules)
    assert [line.label for line in quote.lines] == ["Weekday", "Weekday"]
    assert [warning.detail for warning in quote.warnings] == ["2031", "2032"]


def test_versions_of_all_rules_used() -> None:
    rules = [PriceRule(2, "Day", 3000, version=4), night_package(version=7)]
    quote = quote_span(ROOM, span("23:00", "2026-03-12 08:00"), rules)
    assert quote.rule_versions == ((2, 4), (9, 7))


def test_total_lines_sorts_extras_and_discounts_by_sign() -> None:
    totals = total_lines([("hourly", 9000), ("day_cap", -1000), ("adjustment", 500), ("adjustment", -300)])
    assert (totals.base_fen, totals.extra_fen, totals.discount_fen, totals.total_fen) == (
        8000,
        500,
        300,
        8200,
    )


@pytest.mark.parametrize(
    ("label", "rules", "expected"),
    [
        ("lowest of the week", [*DAYS, NIGHT], 2000),
        ("without the night", DAYS, 2800),
        ("a cheaper rule that never wins", [BASE, PriceRule(6, "Low", 1, priority=-1)], 3000),
        ("other rooms' prices", [BASE, PriceRule(6, "Other", 1, scope="room", room_id=8)], 3000),
        ("packages only", [night_package()], 8800),
        ("out of season", [PriceRule(6, "Old", 1, valid_until_on=date(2025, 1, 1))], None),
        ("nothing", [], None),
    ],
)
def test_price_from(label: str, rules: list[PriceRule], expected: int | None) -> None:
    assert price_from_fen(ROOM, rules, first_on=WEDNESDAY) == expected
