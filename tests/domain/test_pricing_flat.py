"""Flat prices: packages in their window, sessions, and vouchers that pay for everything."""

from __future__ import annotations

import pytest

from app.domain.errors import NoPrice
from app.domain.price_rules import PriceRule
from app.domain.pricing import quote_span
from tests.domain.moments import span
from tests.domain.test_pricing import BASE, ROOM, lines, night_package


@pytest.mark.parametrize(
    ("label", "start", "end", "changes", "expected"),
    [
        ("exactly the package", "23:00", "2026-03-12 07:00", {}, [("package", 480, 8800)]),
        ("longer", "23:00", "2026-03-12 08:00", {}, [("package", 480, 8800), ("hourly", 60, 3000)]),
        (
            "a minute too short",
            "23:00",
            "2026-03-12 06:59",
            {},
            [("hourly", 60, 3000), ("hourly", 419, 20950)],
        ),
        (
            "before its window",
            "22:59",
            "2026-03-12 06:59",
            {},
            [("hourly", 61, 3050), ("hourly", 419, 20950)],
        ),
        ("last minute of its window", "2026-03-12 00:59", "2026-03-12 08:59", {}, [("package", 480, 8800)]),
        ("after its window", "2026-03-12 01:00", "2026-03-12 09:00", {}, [("hourly", 480, 24000)]),
        ("equal priority", "23:00", "2026-03-12 07:00", {"priority": 0}, [("package", 480, 8800)]),
        (
            "lower priority than the hourly rule",
            "23:00",
            "2026-03-12 07:00",
            {"priority": -1},
            [("hourly", 60, 3000), ("hourly", 420, 21000)],
        ),
        (
            "window of the night before",
            "2026-03-12 00:30",
            "2026-03-12 08:30",
            {"weekdays": (2,)},
            [("package", 480, 8800)],
        ),
    ],
)
def test_package(
    label: str, start: str, end: str, changes: dict[str, object], expected: list[object]
) -> None:
    quote = quote_span(ROOM, span(start, end), [BASE, night_package(**changes)])
    assert [(str(line.kind), line.minutes, line.amount_fen) for line in quote.lines] == expected


def test_the_longer_of_two_fitting_packages_wins() -> None:
    short = night_package(id=8, package_minutes=240, amount_fen=5000)
    quote = quote_span(ROOM, span("23:00", "2026-03-12 07:00"), [short, night_package(), BASE])
    assert [line.rule_id for line in quote.lines] == [9]


def test_a_package_needs_no_hourly_rule_when_it_covers_all() -> None:
    assert quote_span(ROOM, span("23:00", "2026-03-12 07:00"), [night_package()]).total_fen == 8800
    with pytest.raises(NoPrice):
        quote_span(ROOM, span("23:00", "2026-03-12 07:30"), [night_package()])


def test_a_session_is_one_flat_line() -> None:
    evening = PriceRule(6, "Evening", 16800, kind="session", session_id=4)
    weekend = PriceRule(7, "Weekend evening", 19800, kind="session", session_id=4, day_kind="weekend")
    rules = [BASE, evening, weekend, PriceRule(8, "Morning", 100, kind="session", session_id=5)]
    friday = quote_span(ROOM, span("2026-03-13 20:00", "2026-03-14 02:00"), rules, session_id=4)
    assert lines(friday) == [("session", "Evening", 360, 16800)]
    saturday = quote_span(ROOM, span("2026-03-14 20:00", "2026-03-15 02:00"), rules, session_id=4)
    assert lines(saturday) == [("session", "Weekend evening", 360, 19800)]


def test_a_session_without_its_own_price_has_none() -> None:
    with pytest.raises(NoPrice):
        quote_span(ROOM, span("10:00", "12:00"), [BASE], session_id=4)


def test_a_voucher_pays_everything() -> None:
    rules = [PriceRule(1, "Base", 3000, minimum_fen=10000, day_cap_fen=5000)]
    quote = quote_span(ROOM, span("10:00", "13:00"), rules, voucher="Four hours")
    assert lines(quote) == [
        ("hourly", "Base", 180, 9000),
        ("day_cap", "Base", None, -4000),
        ("minimum", "Base", None, 5000),
        ("voucher", "Four hours", None, -10000),
    ]
    assert (quote.base_fen, quote.discount_fen, quote.total_fen) == (10000, 10000, 0)


def test_a_voucher_is_honoured_where_no_price_is_set() -> None:
    quote = quote_span(ROOM, span("10:00", "13:00"), [], voucher="Four hours")
    assert lines(quote) == [("package", "Four hours", 180, 0), ("voucher", "Four hours", None, 0)]
    assert quote.total_fen == 0
