"""Guests at the counter: a free room from now, paid by a code on the screen, through to the end."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from app.domain.states import OrderStatus
from app.extensions import db
from app.models import Booking, BookingPolicy, Order, Payment, Room, Store
from tests import factories
from tests.services.counter import unchanged
from tests.services.shop import Shop
from tests.views.conftest import Clock, LogIn
from tests.views.helpers import JSON, Visitor, main_of, stranger_of


@pytest.fixture
def cashier(log_in: LogIn) -> Visitor:
    return log_in("Cashier")


def test_the_form_offers_the_rooms_that_are_free(shop: Shop, cashier: Visitor, other_store: Store) -> None:
    taken = factories.make_room(shop.store, name="竹影")
    shop.paid_booking(start=0, hours=2, room_id=taken.id)
    page = cashier.get("/walk-ins/")

    assert page.status_code == 200
    assert "听雨" in main_of(page)
    assert "竹影" not in main_of(page)
    assert "观澜" not in main_of(page)


def test_a_walk_in_goes_from_the_counter_to_the_end(
    shop: Shop, cashier: Visitor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = cashier.post("/walk-ins/", data={"room_id": shop.room.id, "minutes": "90", "note": "两位"})
    assert answer.status_code == 302
    no = answer.location.rpartition("/")[2]
    order = shop.order(no)
    assert (order.status, order.total_fen, order.note) == (OrderStatus.PENDING_PAYMENT, 9000, "两位")
    assert shop.booking(no).start_at == shop.now

    assert cashier.post(f"/orders/{no}/actions/take_payment").status_code == 200
    (payment,) = shop.rows(Payment)
    shop.notify(payment.payment_no)
    assert shop.status(no) is OrderStatus.AWAITING_USE
    assert cashier.post(f"/orders/{no}/actions/check_in").status_code == 302
    assert shop.status(no) is OrderStatus.IN_USE
    clock.advance(minutes=80)
    assert cashier.post(f"/orders/{no}/actions/check_out").status_code == 302
    assert shop.status(no) is OrderStatus.COMPLETED


def test_the_price_is_told_before_and_is_the_price(shop: Shop, cashier: Visitor) -> None:
    query = {"room_id": str(shop.room.id), "minutes": "150"}
    with unchanged():
        page = cashier.get("/walk-ins/", query_string=query)
        told = cashier.get("/walk-ins/", query_string=query, headers=JSON)

    assert "¥150.00" in main_of(page)
    assert told.json is not None and told.json["preview"]["total_fen"] == 15000
    assert told.json["preview"]["start_at"] == "2026-03-04T12:00:00+08:00"
    cashier.post("/walk-ins/", data=query)
    assert [order.total_fen for order in shop.rows(Order)] == [15000]


def test_the_form_tells_for_how_long_rooms_are_free(shop: Shop, cashier: Visitor) -> None:
    policy = shop.rows(BookingPolicy)[0]
    policy.buffer_after_minutes = 15
    db.session.commit()
    shop.paid_booking(start=3, hours=1)
    quiet = factories.make_room(shop.store, name="松风")

    told = cashier.get("/walk-ins/", headers=JSON)

    assert told.json is not None
    rooms = {room["name"]: (room["minutes"], room["until_at"]) for room in told.json["rooms"]}
    # The room is cleaned for a quarter of an hour before the next guests.
    assert rooms == {"听雨": (165, "2026-03-04T14:45:00+08:00"), "松风": (720, None)}
    for minutes, status in (("165", 200), ("166", 409)):
        query = {"room_id": str(shop.room.id), "minutes": minutes}
        assert cashier.get("/walk-ins/", query_string=query).status_code == status
    page = cashier.get(f"/walk-ins/?room_id={shop.room.id}&minutes=240").get_data(as_text=True)
    # Less time in this room, or as long in another one.
    for offer in (f"room_id={shop.room.id}&amp;minutes=120", f"room_id={quiet.id}&amp;minutes=240"):
        assert f'href="/walk-ins/?{offer}"' in page


def test_programs_get_the_number(shop: Shop, cashier: Visitor) -> None:
    answer = cashier.post("/walk-ins/", json={"room_id": str(shop.room.id), "minutes": 60}, headers=JSON)

    assert answer.status_code == 201 and answer.json is not None
    assert answer.json == {"no": shop.rows(Order)[0].no}


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        pytest.param({"room_id": None}, 422, "invalid_field", id="no room"),
        pytest.param({"room_id": "x"}, 422, "invalid_field", id="room no number"),
        pytest.param({"room_id": "999"}, 404, "not_found", id="unknown room"),
        pytest.param({"minutes": None}, 422, "invalid_field", id="no length"),
        pytest.param({"minutes": "-60"}, 422, "invalid_field", id="negative length"),
        pytest.param({"minutes": "0"}, 422, "invalid_field", id="no time at all"),
        pytest.param({"minutes": "10"}, 422, "too_short", id="too short"),
        pytest.param({"minutes": "999999999"}, 422, "too_long", id="two thousand years"),
        pytest.param({"minutes": "1e3"}, 422, "invalid_field", id="length no number"),
    ],
)
def test_a_walk_in_is_refused(
    shop: Shop, cashier: Visitor, change: dict[str, Any], status: int, code: str
) -> None:
    values = {"room_id": str(shop.room.id), "minutes": "60"} | change
    with unchanged():
        told = cashier.post("/walk-ins/", json=values, headers=JSON)
        page = cashier.post("/walk-ins/", data={key: value or "" for key, value in values.items()})

    assert (told.status_code, told.json and told.json["code"]) == (status, code)
    assert page.status_code == status
    assert 'class="alert alert-danger' in page.get_data(as_text=True)


def test_a_taken_room_is_refused_with_others_to_choose(shop: Shop, cashier: Visitor) -> None:
    shop.paid_booking(start=0, hours=2)
    free: Room = factories.make_room(shop.store, name="松风")
    with unchanged():
        answer = cashier.post("/walk-ins/", json={"room_id": shop.room.id, "minutes": 60}, headers=JSON)

    assert answer.status_code == 409 and answer.json is not None
    assert answer.json["code"] == "room_taken"
    offered = {each["room_id"] for each in answer.json["data"]["alternatives"]}
    assert str(free.id) in offered


def test_rooms_of_other_stores_are_refused(shop: Shop, cashier: Visitor, other_store: Store) -> None:
    room = next(room for room in shop.rows(Room) if room.store_id == other_store.id)
    with unchanged():
        answer = cashier.post("/walk-ins/", json={"room_id": room.id, "minutes": 60}, headers=JSON)
    assert (answer.status_code, answer.json and answer.json["code"]) == (404, "not_found")


def test_the_counter_is_not_for_everybody(app: Flask, shop: Shop, log_in: LogIn) -> None:
    values = {"room_id": shop.room.id, "minutes": 60}
    with unchanged():
        assert stranger_of(app).post("/walk-ins/", json=values, headers=JSON).status_code == 401
        assert stranger_of(app).get("/walk-ins/").location.startswith("/login/")
    for role in ("Service", "Analyst"):
        client = log_in(role)
        assert client.get("/walk-ins/").status_code == 403
        assert client.post("/walk-ins/", json=values, headers=JSON).status_code == 403
    assert shop.rows(Booking) == []
