"""Doors: the code of a stay is good exactly as long as the stay, and is shown to its owner alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from app.domain.errors import Unavailable
from app.extensions import db
from app.models import DoorAccess
from app.services import channels, clockwork, doors, extensions, orders, room_moves, staff_orders, stays
from tests import factories
from tests.conftest import Door
from tests.services.counter import refused
from tests.services.shop import Shop

MakeShop = Callable[..., Shop]


def stay(shop: Shop) -> str:
    no = shop.paid_booking(0, 2)
    stays.check_in(no, actor=shop.guest, now=shop.now)
    return no


def shown(shop: Shop, no: str, at: datetime) -> Any:
    return orders.get_order(no, customer_id=shop.customer.id, now=at)["access"]


def test_owner_sees_the_code_again_while_it_is_good(shop: Shop) -> None:
    no = shop.paid_booking(0, 2)
    assert shown(shop, no, shop.now) is None
    given = stays.check_in(no, actor=shop.guest, now=shop.now)["access"]

    assert shown(shop, no, shop.at(1, 59)) == given
    assert shown(shop, no, shop.at(2)) is None
    stranger = shop.another_guest()
    with refused("not_found"):
        orders.get_order(no, customer_id=stranger.id, now=shop.at(1))
    page = staff_orders.get_order_page(no, actor=shop.cashier(), now=shop.at(1))
    assert page["access"] is None
    # Never kept in clear.
    with db.engine.connect() as connection:
        stored = connection.exec_driver_sql("SELECT code FROM door_accesses").scalar_one()
    assert given["code"] not in stored


def test_code_follows_an_extension_and_guests_who_stay(make_shop: MakeShop, door: Door) -> None:
    shop = make_shop(has_overtime=True, overtime_unit_minutes=30)
    no = stay(shop)
    code = shown(shop, no, shop.now)["code"]
    extensions.extend_order(no, shop.at(3), actor=shop.guest, now=shop.at(1))
    assert doors.keep_doors_in_step(now=shop.at(1)) == 0
    shop.pay(no, at=shop.at(1))

    assert doors.keep_doors_in_step(now=shop.at(1)) == 1

    assert shown(shop, no, shop.at(2.5)) == {"kind": "code", "code": code, "expires_at": shop.at(3)}
    assert [end_at for _, end_at in door.codes.values()] == [shop.at(3)]
    # Overtime is noticed after the end, when the door has forgotten the code: there is a new one.
    clockwork.advance_bookings(now=shop.at(3, 1))
    assert shown(shop, no, shop.at(3, 1)) is None
    assert doors.keep_doors_in_step(now=shop.at(3, 1)) == 1
    assert shown(shop, no, shop.at(3, 1))["expires_at"] == shop.at(3.5)
    assert doors.keep_doors_in_step(now=shop.at(3, 1)) == 0


def test_code_is_taken_back_when_the_guests_leave(shop: Shop, door: Door) -> None:
    no = stay(shop)
    stays.check_out(no, actor=shop.guest, now=shop.at(1))
    # The owner sees nothing any more, before the door has heard of it.
    assert shown(shop, no, shop.at(1)) is None
    door.is_silent = True
    assert doors.keep_doors_in_step(now=shop.at(1)) == 0
    assert len(door.codes) == 1

    door.is_silent = False
    assert doors.keep_doors_in_step(now=shop.at(1, 1)) == 1

    assert door.codes == {}
    (row,) = shop.rows(DoorAccess)
    assert row.revoked_at == shop.at(1, 1)
    assert doors.keep_doors_in_step(now=shop.at(1, 2)) == 0


def test_guests_who_are_moved_get_the_code_of_their_new_room(shop: Shop, door: Door) -> None:
    other = factories.make_room(shop.store)
    no = stay(shop)
    first = shown(shop, no, shop.now)["code"]

    given = room_moves.move_booking(no, {"room_id": str(other.id)}, actor=shop.cashier(), now=shop.at(1))
    doors.keep_doors_in_step(now=shop.at(1))

    assert shown(shop, no, shop.at(1)) == given["access"]
    assert given["access"]["code"] != first
    assert [room_ref for room_ref, _ in door.codes.values()] == [str(other.id)]


def test_silent_door_is_asked_again_until_it_answers(shop: Shop, door: Door) -> None:
    door.is_silent = True
    no = shop.paid_booking(0, 2)
    assert stays.check_in(no, actor=shop.guest, now=shop.now)["access"] is None
    assert doors.keep_doors_in_step(now=shop.at(0, 1)) == 0
    assert shown(shop, no, shop.at(0, 1)) is None

    door.is_silent = False
    assert doors.keep_doors_in_step(now=shop.at(0, 2)) == 1

    assert shown(shop, no, shop.at(0, 2))["code"]
    assert shop.events(no)[-2:] == ["door_failed", "door_opened"]
    assert doors.keep_doors_in_step(now=shop.at(0, 3)) == 0


def test_opening_again_gives_the_same_code(shop: Shop, door: Door) -> None:
    no = stay(shop)
    code = shown(shop, no, shop.now)["code"]

    opened = stays.open_door(no, actor=shop.cashier(), now=shop.at(1))

    assert opened["access"]["code"] == code
    assert len(door.codes) == 1


def test_store_without_doors_of_ours_works_without(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise Unavailable()

    monkeypatch.setattr(channels, "room_control", missing)
    no = shop.paid_booking(0, 2)

    assert stays.check_in(no, actor=shop.guest, now=shop.now)["access"] is None
    assert shop.events(no)[-1] == "check_in"
    assert doors.keep_doors_in_step(now=shop.now) == 0
