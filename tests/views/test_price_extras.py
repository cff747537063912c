"""Screens of the calendar and of discounts: what they refuse, and who may change what counts everywhere."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask, current_app
from flask.testing import FlaskClient
from sqlalchemy import select, update

from app.domain.actor import ALL_STORES
from app.extensions import db, use_scope
from app.models import AuditEntry, CalendarDay, DiscountRule, Order, Store
from app.services import bookings
from app.services.quotes import BookingRequest
from app.views import calendar_warnings
from tests import factories as make
from tests.views.helpers import client_of

DAY = {"store": "", "on_date": "2026-09-30", "kind": "holiday", "label": "店庆"}
DISCOUNT = {
    "store": "",
    "name": "午后八折",
    "off_percent": "20",
    "off_fen": "",
    "scope": "store",
    "day_kind": "any",
    "band_start_minute": "00:00",
    "band_end_minute": "00:00",
    "is_active": "y",
}


@pytest.fixture
def owner(app: Flask) -> FlaskClient:
    return client_of(app, make.make_staff("Owner"))


def rows(model: Any) -> list[Any]:
    """Every row as it is now, read apart from the session of the requests."""
    app: Any = current_app
    with app.app_context(), use_scope(ALL_STORES):
        found = list(db.session.scalars(select(model).order_by(model.id)))
        # The end of the context expires what its session still holds.
        db.session.expunge_all()
        return found


def days() -> list[CalendarDay]:
    return rows(CalendarDay)


def discounts() -> list[DiscountRule]:
    return rows(DiscountRule)


def test_day_is_added_for_all_stores_and_for_one(app: Flask, owner: FlaskClient) -> None:
    store = make.make_store()

    assert owner.post("/calendar-days/add", data=DAY).status_code == 302
    assert owner.post("/calendar-days/add", data=DAY | {"store": str(store.id)}).status_code == 302
    assert [(day.store_id, day.kind.value, day.label) for day in days()] == [
        (None, "holiday", "店庆"),
        (store.id, "holiday", "店庆"),
    ]
    assert "店庆" in owner.get("/calendar-days/list/").get_data(as_text=True)
    entries = [entry for entry in rows(AuditEntry) if entry.entity == "calendar_days"]
    assert [entry.action for entry in entries] == ["create", "create"]


@pytest.mark.parametrize("has_store", [False, True])
def test_date_is_there_once(app: Flask, owner: FlaskClient, has_store: bool) -> None:
    values = DAY | {"store": str(make.make_store().id) if has_store else ""}
    owner.post("/calendar-days/add", data=values)

    answer = owner.post("/calendar-days/add", data=values | {"kind": "weekday"})

    assert answer.status_code == 422
    assert [day.kind.value for day in days()] == ["holiday"]


def managed(app: Flask) -> tuple[Store, FlaskClient]:
    store = make.make_store()
    return store, client_of(app, make.make_staff("Manager", store))


def test_manager_keeps_the_calendar_of_the_own_store_only(app: Flask) -> None:
    store, manager = managed(app)

    assert manager.post("/calendar-days/add", data=DAY | {"store": str(store.id)}).status_code == 302
    assert manager.post("/calendar-days/add", data=DAY).status_code == 422
    other = make.make_store()
    assert manager.post("/calendar-days/add", data=DAY | {"store": str(other.id)}).status_code == 422
    assert [day.store_id for day in days()] == [store.id]


def test_manager_sees_but_cannot_touch_what_counts_everywhere(app: Flask) -> None:
    store, manager = managed(app)
    db.session.add(
        CalendarDay(on_date=datetime(2026, 9, 30, tzinfo=UTC).date(), kind="holiday", label="全国")
    )
    db.session.commit()
    (day,) = days()
    values = {"on_date": "2026-09-30", "kind": "weekday", "label": "改"}

    assert "全国" in manager.get("/calendar-days/list/").get_data(as_text=True)
    # Neither changed in place nor taken into the own store.
    for owner_of_it in ("", str(store.id)):
        answer = manager.post(f"/calendar-days/edit/{day.id}", data=values | {"store": owner_of_it})
        assert answer.status_code == 422
    manager.post(f"/calendar-days/delete/{day.id}")
    assert [(each.store_id, each.kind.value, each.label) for each in days()] == [(None, "holiday", "全国")]


def test_manager_cannot_hand_an_own_day_to_every_store(app: Flask) -> None:
    store, manager = managed(app)
    manager.post("/calendar-days/add", data=DAY | {"store": str(store.id)})
    (day,) = days()

    answer = manager.post(f"/calendar-days/edit/{day.id}", data=DAY)

    assert answer.status_code == 422
    assert [each.store_id for each in days()] == [store.id]


def test_discount_is_added(app: Flask, owner: FlaskClient) -> None:
    assert owner.post("/discount-rules/add", data=DISCOUNT).status_code == 302
    (rule,) = discounts()
    assert (rule.off_percent, rule.off_fen, rule.store_id, rule.version) == (20, None, None, 1)
    assert "午后八折" in owner.get("/discount-rules/list/").get_data(as_text=True)
    assert owner.get(f"/discount-rules/show/{rule.id}").status_code == 200


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("neither percent nor amount", {"off_percent": ""}, "off_percent"),
    ("both", {"off_fen": "5.00"}, "off_percent"),
    ("no percent", {"off_percent": "0"}, "off_percent"),
    ("more than everything", {"off_percent": "101"}, "off_percent"),
    ("no amount", {"off_percent": "", "off_fen": "0"}, "off_fen"),
    ("huge amount", {"off_percent": "", "off_fen": "100000.01"}, "off_fen"),
    ("scope without its room", {"scope": "room"}, "scope"),
    ("turned validity", {"valid_from_on": "2026-05-02", "valid_until_on": "2026-05-01"}, "valid_until_on"),
]


@pytest.mark.parametrize(("label", "values", "field"), REFUSED, ids=[row[0] for row in REFUSED])
def test_impossible_discounts_are_refused_at_their_field(
    app: Flask, owner: FlaskClient, label: str, values: dict[str, Any], field: str
) -> None:
    answer = owner.post("/discount-rules/add", data=DISCOUNT | values)

    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.get_data(as_text=True)
    assert discounts() == []


def test_room_of_a_discount_needs_its_store(app: Flask, owner: FlaskClient) -> None:
    room = make.make_room()
    values = DISCOUNT | {"scope": "room", "room": str(room.id)}

    assert owner.post("/discount-rules/add", data=values).status_code == 422
    assert owner.post("/discount-rules/add", data=values | {"store": str(room.store_id)}).status_code == 302


def test_manager_cannot_discount_the_whole_chain(app: Flask) -> None:
    store, manager = managed(app)

    assert manager.post("/discount-rules/add", data=DISCOUNT).status_code == 422
    assert manager.post("/discount-rules/add", data=DISCOUNT | {"store": str(store.id)}).status_code == 302
    assert [rule.store_id for rule in discounts()] == [store.id]


@pytest.mark.parametrize(
    ("label", "today", "is_warned"), [("spring", "2026-03-04", False), ("years later", "2031-03-04", True)]
)
def test_lists_warn_of_years_without_holidays(
    app: Flask,
    owner: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
    label: str,
    today: str,
    is_warned: bool,
) -> None:
    moment = datetime.fromisoformat(f"{today}T04:00:00+00:00")
    monkeypatch.setattr(calendar_warnings, "utc_now", lambda: moment)

    for address in ("/calendar-days/list/", "/discount-rules/list/", "/price-rules/list/"):
        assert ("alert-warning" in owner.get(address).get_data(as_text=True)) is is_warned, address


@pytest.fixture
def order_no(app: Flask, owner: FlaskClient, now: datetime) -> str:
    """An unpaid booking of two hours for ¥120."""
    with use_scope(ALL_STORES):
        room = make.make_room()
        request = BookingRequest(room.id, now.replace(hour=8), now.replace(hour=10))
        return bookings.create_booking(request, actor=make.customer(make.make_customer()), now=now)


def order(no: str) -> Order:
    return next(row for row in rows(Order) if row.no == no)


def test_adjustment_needs_an_order_in_time(app: Flask, owner: FlaskClient, order_no: str) -> None:
    """The fixture's hold ran out long ago, so the form is not offered and the address refuses."""
    page = owner.get(f"/orders/{order_no}").get_data(as_text=True)
    answer = owner.post(
        f"/orders/{order_no}/actions/adjust",
        json={"amount_fen": -2000, "reason": "老顾客"},
        headers={"Accept": "application/json"},
    )

    assert "adjust-form" not in page
    assert (answer.status_code, answer.get_json()["code"]) == (409, "invalid_transition")
    assert order(order_no).total_fen == 12000


@pytest.mark.parametrize(
    ("label", "form", "total_fen"),
    [
        ("off", {"sign": "-", "amount": "20", "reason": "老顾客"}, 10000),
        ("on", {"sign": "+", "amount": "12.50", "reason": "茶水"}, 13250),
        ("full-width digits", {"sign": "-", "amount": "２０", "reason": "老顾客"}, 10000),
        ("no amount", {"sign": "-", "amount": "", "reason": "老顾客"}, 12000),
        ("three decimals", {"sign": "-", "amount": "1.005", "reason": "老顾客"}, 12000),
        ("no reason", {"sign": "-", "amount": "20", "reason": ""}, 12000),
        ("more than the price", {"sign": "-", "amount": "120.01", "reason": "老顾客"}, 12000),
    ],
)
def test_adjustment_by_the_form_of_the_order(
    app: Flask, owner: FlaskClient, order_no: str, label: str, form: dict[str, str], total_fen: int
) -> None:
    db.session.execute(update(Order).values(expires_at=datetime(2999, 1, 1, tzinfo=UTC)))
    db.session.commit()
    assert "adjust-form" in owner.get(f"/orders/{order_no}").get_data(as_text=True)

    answer = owner.post(f"/orders/{order_no}/actions/adjust", data=form)

    assert answer.status_code == 302
    assert order(order_no).total_fen == total_fen


@pytest.mark.parametrize(
    ("typed", "stored"), [pytest.param("老客", "老客", id="named"), pytest.param("", None, id="everybody")]
)
def test_a_discount_names_a_segment_or_none(
    app: Flask, owner: FlaskClient, typed: str, stored: str | None
) -> None:
    assert owner.post("/discount-rules/add", data=DISCOUNT | {"segment": typed}).status_code == 302
    assert [rule.segment for rule in discounts()] == [stored]
