"""Discounts: when one applies, how much it takes off, which of several counts, and whom it is for."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.calendar import DayCalendar, DayKind
from app.domain.discounts import ANYBODY, Buyer, DiscountRule
from app.domain.price_rules import PricedRoom, PriceRule
from app.domain.pricing import LineKind, Quote, quote_span
from app.domain.slots import Span
from tests.domain.moments import TZ, at, span
from tests.domain.test_pricing_properties import hourly_rules, wanted_spans

ROOM = PricedRoom(id=7, room_type_id=3, tz=TZ)
BASE = PriceRule(1, "Base", 3000)
TEN = DiscountRule(1, "Ten percent", off_percent=10, version=4)


def quote(
    *discounts: DiscountRule, wanted: Span | None = None, rule: PriceRule = BASE, **values: object
) -> Quote:
    wanted = wanted or span("10:00", "12:00")
    return quote_span(ROOM, wanted, [rule], discounts=discounts, **values)  # type: ignore[arg-type]


def taken(found: Quote) -> list[tuple[str, int]]:
    """Return (label, amount) of the discount lines."""
    return [(line.label, line.amount_fen) for line in found.lines if line.kind is LineKind.DISCOUNT]


def test_line_names_its_rule_and_version() -> None:
    found = quote(TEN)

    line = found.lines[-1]
    assert (line.kind, line.label, line.amount_fen) == (LineKind.DISCOUNT, "Ten percent", -600)
    assert (line.rule_id, line.rule_version, line.minutes) == (1, 4, None)
    assert (found.base_fen, found.discount_fen, found.total_fen) == (6000, 600, 5400)
    # The price rule of the same number keeps its own version.
    assert found.rule_versions == ((1, 1),)


AMOUNTS: list[tuple[str, dict[str, int], int, int]] = [
    ("percent", {"off_percent": 15}, 6000, 900),
    ("half a fen goes up", {"off_percent": 50}, 333, 167),
    ("under half a fen goes down", {"off_percent": 1}, 149, 1),
    ("everything", {"off_percent": 100}, 6000, 6000),
    ("amount", {"off_fen": 1500}, 6000, 1500),
    ("amount equal to the price", {"off_fen": 6000}, 6000, 6000),
    ("amount above the price", {"off_fen": 6001}, 6000, 6000),
    ("nothing to take from", {"off_fen": 100}, 0, 0),
]


@pytest.mark.parametrize(("label", "off", "amount_fen", "expected"), AMOUNTS, ids=[row[0] for row in AMOUNTS])
def test_how_much_is_taken_off(label: str, off: dict[str, int], amount_fen: int, expected: int) -> None:
    assert DiscountRule(1, "Rule", **off).off(amount_fen) == expected


def test_free_room_has_no_discount_line() -> None:
    assert taken(quote(TEN, rule=PriceRule(1, "Free", 0))) == []


def test_best_one_counts_alone_and_of_equal_ones_the_older() -> None:
    amount = DiscountRule(2, "Amount", off_fen=700)
    twin = DiscountRule(3, "Twin", off_fen=700)

    assert taken(quote(twin, TEN, amount)) == [("Amount", -700)]
    # The longer the stay, the more a percentage is worth.
    assert taken(quote(twin, TEN, amount, wanted=span("10:00", "15:00"))) == [("Ten percent", -1500)]


APPLIES: list[tuple[str, dict[str, object], str, bool]] = [
    ("room of the scope", {"scope": "room", "room_id": 7}, "03-11 10:00", True),
    ("another room", {"scope": "room", "room_id": 8}, "03-11 10:00", False),
    ("room type of the scope", {"scope": "room_type", "room_type_id": 3}, "03-11 10:00", True),
    ("another room type", {"scope": "room_type", "room_type_id": 4}, "03-11 10:00", False),
    ("weekday on a Wednesday", {"day_kind": "weekday"}, "03-11 10:00", True),
    ("weekend on a Wednesday", {"day_kind": "weekend"}, "03-11 10:00", False),
    ("own holiday", {"day_kind": "holiday"}, "03-12 10:00", True),
    ("only Mondays", {"weekdays": (0,)}, "03-11 10:00", False),
    ("only Wednesdays", {"weekdays": (2,)}, "03-11 10:00", True),
    ("before the band", {"band_start_minute": 601, "band_end_minute": 720}, "03-11 10:00", False),
    ("at the start of the band", {"band_start_minute": 600, "band_end_minute": 720}, "03-11 10:00", True),
    ("at the end of the band", {"band_start_minute": 500, "band_end_minute": 600}, "03-11 10:00", False),
    ("night band, after midnight", {"band_start_minute": 1320, "band_end_minute": 360}, "03-11 02:00", True),
    (
        "night band of Tuesdays, after midnight",
        {"band_start_minute": 1320, "band_end_minute": 360, "weekdays": (1,)},
        "03-11 02:00",
        True,
    ),
    ("first day of validity", {"valid_from_on": date(2026, 3, 11)}, "03-11 10:00", True),
    ("before its validity", {"valid_from_on": date(2026, 3, 12)}, "03-11 10:00", False),
    ("last day of validity", {"valid_until_on": date(2026, 3, 11)}, "03-11 23:59", True),
    ("after its validity", {"valid_until_on": date(2026, 3, 10)}, "03-11 00:00", False),
]


@pytest.mark.parametrize(("label", "values", "start", "applies"), APPLIES, ids=[row[0] for row in APPLIES])
def test_when_it_applies(label: str, values: dict[str, object], start: str, applies: bool) -> None:
    rule = DiscountRule(1, "Rule", off_percent=10, **values)  # type: ignore[arg-type]
    start_at = at(f"2026-{start}")
    wanted = Span(start_at, at("2026-03-13 12:00"))
    calendar = DayCalendar({date(2026, 3, 12): DayKind.HOLIDAY})

    assert bool(taken(quote(rule, wanted=wanted, calendar=calendar))) is applies


FOR_WHOM: list[tuple[str, dict[str, object], Buyer, bool]] = [
    ("first order, nobody known", {"first_order_only": True}, ANYBODY, False),
    ("first order, first", {"first_order_only": True}, Buyer(is_first_order=True), True),
    ("segment, nobody known", {"segment": "vip"}, ANYBODY, False),
    ("segment, inside", {"segment": "vip"}, Buyer(segments=frozenset({"vip"})), True),
    ("segment, another one", {"segment": "vip"}, Buyer(segments=frozenset({"new"})), False),
    (
        "both, only one true",
        {"segment": "vip", "first_order_only": True},
        Buyer(is_first_order=True),
        False,
    ),
    ("everybody's", {}, ANYBODY, True),
]


@pytest.mark.parametrize(("label", "values", "buyer", "applies"), FOR_WHOM, ids=[row[0] for row in FOR_WHOM])
def test_whom_it_is_for(label: str, values: dict[str, object], buyer: Buyer, applies: bool) -> None:
    rule = DiscountRule(1, "Rule", off_percent=10, **values)  # type: ignore[arg-type]

    assert bool(taken(quote(rule, buyer=buyer))) is applies
    assert rule.is_personal is bool(values)


def test_it_comes_after_cap_and_minimum_and_before_the_voucher() -> None:
    capped = PriceRule(1, "Capped", 3000, minimum_fen=9000, day_cap_fen=5000)

    found = quote(TEN, rule=capped, wanted=span("10:00", "13:00"), voucher="Voucher")

    assert [(str(line.kind), line.amount_fen) for line in found.lines] == [
        ("hourly", 9000),
        ("day_cap", -4000),
        ("minimum", 4000),
        ("discount", -900),
        ("voucher", -8100),
    ]
    assert found.total_fen == 0


def test_it_counts_for_sessions_and_packages_too() -> None:
    session = PriceRule(2, "Session", 10000, kind="session", session_id=1)
    package = PriceRule(3, "Package", 8000, kind="package", package_minutes=120)

    assert quote(TEN, rule=session, session_id=1).total_fen == 9000
    assert quote(TEN, rule=package).total_fen == 7200


def test_holiday_discount_in_an_unknown_year_is_told() -> None:
    holiday = DiscountRule(1, "Holiday", off_percent=10, day_kind="holiday")
    wanted = Span(at("2031-10-01 10:00"), at("2031-10-01 11:00"))

    assert [warning.code for warning in quote(holiday, wanted=wanted).warnings] == ["holidays_unknown"]
    assert quote(TEN, wanted=wanted).warnings == ()


@st.composite
def discount_rules(draw: st.DrawFn) -> list[DiscountRule]:
    """Draw up to four discounts of all shapes."""
    return [
        DiscountRule(
            number,
            f"Discount {number}",
            **draw(
                st.sampled_from(
                    [{"off_percent": 10}, {"off_percent": 33}, {"off_fen": 1}, {"off_fen": 99999}]
                )
            ),
            day_kind=draw(st.sampled_from(["any", "weekday", "holiday"])),
            band_start_minute=draw(st.sampled_from([0, 600, 1320])),
            band_end_minute=draw(st.sampled_from([0, 600, 1320])),
            first_order_only=draw(st.booleans()),
            **draw(st.sampled_from([{}, {"scope": "room", "room_id": 8}])),
        )
        for number in range(draw(st.integers(min_value=0, max_value=4)))
    ]


buyers = st.sampled_from([ANYBODY, Buyer(is_first_order=True)])


@settings(max_examples=100, deadline=None)
@given(hourly_rules(), discount_rules(), buyers, wanted_spans())
def test_total_is_the_best_of_all_and_never_below_zero(
    rules: list[PriceRule], discounts: list[DiscountRule], buyer: Buyer, wanted: Span
) -> None:
    plain = quote_span(ROOM, wanted, rules)
    found = quote_span(ROOM, wanted, rules, discounts=discounts, buyer=buyer)
    alone = [quote_span(ROOM, wanted, rules, discounts=[each], buyer=buyer).total_fen for each in discounts]

    assert found.total_fen == min([plain.total_fen, *alone])
    assert 0 <= found.total_fen == found.base_fen - found.discount_fen
    assert found.base_fen == plain.base_fen
    assert len(taken(found)) <= 1


@settings(max_examples=60, deadline=None)
@given(hourly_rules(), discount_rules(), buyers, wanted_spans(), st.integers(min_value=1, max_value=600))
def test_a_longer_stay_never_costs_less(
    rules: list[PriceRule],
    discounts: list[DiscountRule],
    buyer: Buyer,
    wanted: Span,
    more_minutes: int,
) -> None:
    """Discounts look at the start alone, so they cannot make the longer of two stays the cheaper one."""
    longer = wanted.widened(0, more_minutes)
    short, long = (
        quote_span(ROOM, each, rules, discounts=discounts, buyer=buyer).total_fen for each in (wanted, longer)
    )
    assert long >= short


@settings(max_examples=60, deadline=None)
@given(hourly_rules(), discount_rules(), buyers, wanted_spans(), st.randoms(use_true_random=False))
def test_the_order_of_discounts_plays_no_part(
    rules: list[PriceRule], discounts: list[DiscountRule], buyer: Buyer, wanted: Span, random
) -> None:
    shuffled = list(discounts)
    random.shuffle(shuffled)
    first, second = (
        quote_span(ROOM, wanted, rules, discounts=each, buyer=buyer) for each in (discounts, shuffled)
    )
    assert first == second
