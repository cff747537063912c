"""Trying a date in a store: times and sessions, drafts, own days, the grid, and who may."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from app.domain.actor import Actor
from app.extensions import db
from app.models import BookingSession, CalendarDay, DiscountRule, PriceKind, PriceRule
from app.services import price_trials, quotes
from app.services.price_trials import Trial
from tests import factories
from tests.services.counter import refused, unchanged
from tests.services.shop import Shop

# The shop's clock stands at Wednesday, 2026-03-04 12:00 in Shanghai.
TODAY = date(2026, 3, 4)


@pytest.fixture
def owner(shop: Shop) -> Actor:
    return factories.staff(is_all=True)


def tried(
    shop: Shop, actor: Actor, start: float = 3, hours: float | None = 2, **values: Any
) -> dict[str, Any]:
    end_at = None if hours is None else shop.at(start + hours)
    return price_trials.explain(Trial(shop.room.id, shop.at(start), end_at, **values), actor=actor)


def winners(found: dict[str, Any]) -> list[str | None]:
    """The name of the winner of each piece."""
    return [piece["contenders"][0]["name"] if piece["contenders"] else None for piece in found["pieces"]]


def test_trial_saves_nothing_and_equals_the_quote(shop: Shop, owner: Actor) -> None:
    factories.make_price(shop.store, 9000, name="Evening", priority=5, band_start_minute=16 * 60)
    with unchanged():
        found = tried(shop, owner)

    quoted = quotes.quote_booking(shop.request(3, 2), actor=None, now=shop.now)
    assert found["quote"] | {"policy": quoted["policy"]} == quoted
    assert winners(found)[1] == "Evening"
    assert found["pieces"][1]["because"] == "priority"
    assert found["pieces"][0]["start_at"].isoformat() == "2026-03-04T15:00:00+08:00"


def test_past_closed_and_taken_times_can_be_tried(shop: Shop, owner: Actor) -> None:
    shop.book(3, 2)

    assert tried(shop, owner, 3, 2)["quote"]["total_fen"] == 12000
    assert tried(shop, owner, -48, 2)["quote"]["total_fen"] == 12000


def test_gap_is_told_with_its_time(shop: Shop, owner: Actor) -> None:
    rule = shop.rows(PriceRule)[0]
    rule.band_start_minute, rule.band_end_minute = 0, 16 * 60
    db.session.commit()

    found = tried(shop, owner)

    assert found["quote"] is None
    assert [(each["code"], each["start_at"].hour, each["end_at"].hour) for each in found["warnings"]] == [
        ("gap", 16, 17)
    ]


def test_tie_names_the_rules(shop: Shop, owner: Actor) -> None:
    first = shop.rows(PriceRule)[0]
    factories.make_price(shop.store, 1, name="Twin")

    (warning,) = tried(shop, owner)["warnings"]

    assert (warning["code"], warning["names"]) == ("tie", [first.name, "Twin"])


def test_unknown_year_is_a_warning(shop: Shop, owner: Actor) -> None:
    shop.now = shop.now.replace(year=2031)

    found = tried(shop, owner)

    assert found["warnings"] == [{"code": "holidays_unknown", "year": 2031}]
    assert found["days"] == [{"on": date(2031, 3, 4), "kind": "weekday", "source": "unknown", "label": ""}]
    assert found["quote"]["total_fen"] == 12000


def test_days_name_their_source(shop: Shop, owner: Actor) -> None:
    db.session.add_all(
        [
            CalendarDay(on_date=TODAY, kind="holiday", label="店庆", store=shop.store),
            CalendarDay(on_date=TODAY + timedelta(days=1), kind="weekend", label="全国"),
        ]
    )
    db.session.commit()

    days = tried(shop, owner, 3, 48)["days"]

    assert [(day["kind"], day["source"], day["label"]) for day in days] == [
        ("holiday", "store", "店庆"),
        ("weekend", "chain", "全国"),
        ("weekday", "public", ""),
    ]


def test_drafts_count_only_when_asked_for(shop: Shop, owner: Actor) -> None:
    factories.make_price(shop.store, 100, name="Draft", priority=9, is_active=False)
    db.session.add(DiscountRule(name="Draft discount", off_percent=50, is_active=False))
    db.session.commit()

    plain, drafted = tried(shop, owner), tried(shop, owner, with_drafts=True)

    assert (plain["quote"]["total_fen"], drafted["quote"]["total_fen"]) == (12000, 100)
    (contenders,) = [piece["contenders"] for piece in drafted["pieces"]]
    original = shop.rows(PriceRule)[0].name
    assert [(each["name"], each["is_draft"]) for each in contenders] == [("Draft", True), (original, False)]
    assert [(each["name"], each["is_draft"], each["is_used"]) for each in drafted["discounts"]] == [
        ("Draft discount", True, True)
    ]
    assert plain["discounts"] == []


def test_discounts_for_some_customers_are_shown_unused(shop: Shop, owner: Actor) -> None:
    db.session.add(DiscountRule(name="首单", off_percent=50, first_order_only=True))
    db.session.commit()

    found = tried(shop, owner)

    assert found["quote"]["total_fen"] == 12000
    assert [(each["off_fen"], each["is_used"]) for each in found["discounts"]] == [(6000, False)]


@pytest.fixture
def evening(shop: Shop) -> BookingSession:
    """18:00 to 02:00 for ¥200."""
    row = BookingSession(store=shop.store, name="通宵场", start_minute=18 * 60, length_minutes=8 * 60)
    db.session.add(row)
    db.session.commit()
    factories.make_price(shop.store, 20000, name="Session", kind=PriceKind.SESSION, session_id=row.id)
    return row


def test_session_begins_at_its_own_time_of_the_day(shop: Shop, owner: Actor, evening: BookingSession) -> None:
    found = tried(shop, owner, 1, None, session_id=evening.id)

    assert (found["start_at"].hour, found["end_at"].hour, found["minutes"]) == (18, 2, 480)
    assert (winners(found), found["quote"]["total_fen"]) == (["Session"], 20000)


REFUSED: list[tuple[str, float, float | None]] = [
    ("no end", 3, None),
    ("end before the start", 3, -1),
    ("more than a week", 3, 24 * 7 + 1),
    ("seconds", 3 + 1 / 3600, 2),
]


@pytest.mark.parametrize(("label", "start", "hours"), REFUSED, ids=[row[0] for row in REFUSED])
def test_times_that_cannot_be_priced(
    shop: Shop, owner: Actor, label: str, start: float, hours: float | None
) -> None:
    with refused("invalid_field"):
        tried(shop, owner, start, hours)


def test_session_of_another_store(shop: Shop, owner: Actor) -> None:
    elsewhere = BookingSession(
        store=factories.make_store(), name="早场", start_minute=480, length_minutes=240
    )
    db.session.add(elsewhere)
    db.session.commit()

    with refused("invalid_field"):
        tried(shop, owner, 3, None, session_id=elsewhere.id)


def test_only_stores_in_scope(shop: Shop) -> None:
    outsider = factories.staff(factories.make_store())

    with refused("not_found"):
        tried(shop, outsider)
    with refused("not_found"):
        price_trials.price_grid(shop.room.id, TODAY, actor=outsider)
    assert [store["name"] for store in price_trials.list_choices(actor=factories.staff(shop.store))] == [
        shop.store.name
    ]


def test_grid_shows_a_week_by_the_hour(shop: Shop, owner: Actor, evening: BookingSession) -> None:
    night = factories.make_price(
        shop.store, 4000, name="Night", priority=1, band_start_minute=22 * 60, band_end_minute=6 * 60
    )
    factories.make_price(shop.store, 1, name="Over", valid_until_on=TODAY - timedelta(days=1))

    grid = price_trials.price_grid(shop.room.id, TODAY, actor=owner)

    assert len(grid["hours"]) == 168
    assert grid["hours"][5]["winners"] == [{"rule_id": night.id, "name": "Night", "amount_fen": 4000}]
    assert [rule["kind"] for rule in grid["rules"]] == ["hourly", "hourly", "session"]


def test_grid_of_a_far_week(shop: Shop, owner: Actor) -> None:
    with refused("invalid_field"):
        price_trials.price_grid(shop.room.id, date(9998, 12, 31), actor=owner)
