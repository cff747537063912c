"""What a change costs and what refuses it: fees, limits of customers, the rules of a booking."""

from __future__ import annotations

import pytest

from app.extensions import db
from app.models import BookingPolicy, OrderChange, Refund
from app.services import cancellations, changes, stays
from app.services.changes import ChangeRequest
from tests import factories
from tests.services.counter import refused
from tests.services.shop import Shop
from tests.services.test_changes import MakeShop, change, place, preview, request, shown


@pytest.fixture
def strict(make_shop: MakeShop) -> Shop:
    """Changing costs nothing until 2 h before the start, then 10 %; once, until an hour before."""
    return make_shop(
        change_steps=[
            {"minutes_before": 120, "fee_percent": 0},
            {"minutes_before": 0, "fee_percent": 10},
        ],
        change_max_count=1,
        change_deadline_minutes=60,
    )


def test_fee_is_a_line_and_part_of_the_difference(strict: Shop) -> None:
    no = strict.paid_booking(start=3, hours=2)
    at = strict.at(1.5)
    told = preview(strict, no, 6, at=at)
    assert (told["fee_fen"], told["difference_fen"], told["total_fen"]) == (1200, 1200, 13200)
    assert [(line["kind"], line["amount_fen"]) for line in told["lines"]] == [
        ("hourly", 12000),
        ("change_fee", 1200),
    ]

    assert change(strict, no, 6, at=at)["due_fen"] == 1200
    strict.pay(no, at=at)

    order = shown(strict, no, at=at)
    assert (order["extra_fen"], order["total_fen"], order["paid_fen"], order["due_fen"]) == (
        1200,
        13200,
        13200,
        0,
    )
    assert place(strict, no) == (strict.at(6), strict.at(8), strict.room.id)
    # A later cancellation gives back what was paid, the fee too, by its own steps.
    assert cancellations.preview_cancel(no, actor=strict.guest, now=at)["refund_fen"] == 13200


def test_fee_reduces_what_comes_back(strict: Shop) -> None:
    no = strict.paid_booking(start=3, hours=3)
    at = strict.at(1.5)
    assert preview(strict, no, None, 4, at=at)["difference_fen"] == -12000 + 1800

    change(strict, no, None, 4, at=at)

    assert [refund.amount_fen for refund in strict.rows(Refund)] == [10200]


def test_customers_change_as_often_as_the_purchase_allows(strict: Shop) -> None:
    no = strict.paid_booking(start=5, hours=2)
    change(strict, no, 6)
    policy = strict.rows(BookingPolicy)[0]
    policy.change_max_count = 9
    db.session.commit()

    with refused("change_not_allowed") as caught:
        change(strict, no, 7)

    data = caught.value.data or {}
    assert (data["rule"], data["limit"]) == ("change_max_count", 1)
    assert 1 <= len(data["alternatives"]) <= 3
    # Staff may, without a fee.
    cashier = strict.cashier()
    change(strict, no, 7, actor=cashier)
    assert place(strict, no)[0] == strict.at(7)


DEADLINE = [("on its minute", 0, True), ("a minute later", 1, False)]


@pytest.mark.parametrize(("label", "minutes", "is_in_time"), DEADLINE, ids=[row[0] for row in DEADLINE])
def test_customers_change_until_the_deadline(
    strict: Shop, label: str, minutes: int, is_in_time: bool
) -> None:
    no = strict.paid_booking(start=3, hours=2)
    at = strict.at(2, minutes)
    actions = {each["name"]: each["allowed"] for each in shown(strict, no, at=at)["actions"]}
    assert actions["change"] is is_in_time
    if is_in_time:
        change(strict, no, 6, at=at)
        assert strict.rows(OrderChange)
        return
    with refused("change_not_allowed") as caught:
        change(strict, no, 6, at=at)
    assert (caught.value.data or {})["rule"] == "change_deadline_minutes"


REFUSALS: list[tuple[str, tuple[float | None, float | None], str, str]] = [
    ("nothing changes", (None, None), "change_not_allowed", "unchanged"),
    ("past", (-1, 2), "in_past", "start_at"),
    ("too short", (None, 3.5), "too_short", "min_minutes"),
    ("too long", (None, 16), "too_long", "max_minutes"),
    ("off the grid", (3.2, 5.2), "off_step", "start_step_minutes"),
    ("off the length", (None, 5.2), "off_step", "length_step_minutes"),
    ("too far", (24 * 15, None), "too_far", "max_ahead_days"),
    ("taken", (7, 9), "room_taken", "room_taken"),
    ("end before start", (6, 5), "invalid_field", ""),
]


@pytest.mark.parametrize(("label", "times", "code", "rule"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_change_refused_leaves_everything(
    shop: Shop, label: str, times: tuple[float | None, float | None], code: str, rule: str
) -> None:
    no = shop.paid_booking(start=3, hours=2)
    shop.paid_booking(start=8, hours=1, actor=shop.another_guest())
    for attempt in (changes.preview_change, changes.change_order):
        with refused(code) as caught:
            attempt(no, request(shop, *times), actor=shop.guest, now=shop.now)
        if rule:
            data = caught.value.data or {}
            assert data["rule"] == rule
            assert 1 <= len(data["alternatives"]) <= 3


def test_change_of_what_cannot_be_changed(shop: Shop) -> None:
    unpaid = shop.book(3, 2)
    used = shop.paid_booking(start=6, hours=2)
    stays.check_in(used, actor=shop.guest, now=shop.at(6))
    group = shop.group_order(shop.campaign())
    other = factories.make_room()
    paid = shop.paid_booking(start=9, hours=2)
    stranger = shop.another_guest()

    for no in (unpaid, used):
        with refused("invalid_transition"):
            change(shop, no, 12)
    with refused("not_found"):
        change(shop, group, 12)
    with refused("not_found"):
        change(shop, paid, 12, actor=stranger)
    with refused("change_not_allowed") as caught:
        change(shop, paid, room=other)
    assert (caught.value.data or {})["rule"] == "store"
    with refused("not_found"):
        changes.change_order(paid, ChangeRequest(room_id=9999), actor=shop.guest, now=shop.now)


def test_blacklisted_customer_cannot_change(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)
    shop.customer.is_blacklisted = True
    db.session.commit()

    with refused("blacklisted"):
        change(shop, no, 6)


def test_limit_of_the_other_day_counts(make_shop: MakeShop) -> None:
    shop = make_shop(max_bookings_per_day=1)
    no = shop.paid_booking(start=3, hours=2)
    shop.paid_booking(start=24, hours=2)

    with refused("customer_limit"):
        change(shop, no, 27)
    # On its own day the booking itself does not count.
    change(shop, no, 5)


def test_start_that_stays_keeps_its_lead(make_shop: MakeShop) -> None:
    shop = make_shop(min_lead_minutes=60)
    no = shop.paid_booking(start=3, hours=2)
    at = shop.at(2.5)

    with refused("too_soon"):
        change(shop, no, 2.5, 4.5, at=at)
    change(shop, no, None, 4, at=at)
    assert place(shop, no)[1] == shop.at(4)
