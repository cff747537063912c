"""Rooms that are taken out of service while somebody has them: orders go on, nothing new begins."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.domain.states import OrderStatus
from app.extensions import db
from app.models import Room, Store
from app.services import cancellations, changes, clockwork, extensions, orders, room_moves, stays
from app.services.changes import ChangeRequest
from tests import factories
from tests.services.counter import refused
from tests.services.shop import Shop

MakeShop = Callable[..., Shop]


@pytest.fixture
def late(make_shop: MakeShop) -> Shop:
    return make_shop(has_overtime=True, overtime_grace_minutes=5)


def retire(shop: Shop, model: type = Room) -> None:
    row = db.session.get(model, shop.room.id if model is Room else shop.store.id)
    assert row is not None
    row.is_active = False
    db.session.commit()


def guests_in(shop: Shop) -> str:
    no = shop.paid_booking(0, 2)
    stays.check_in(no, actor=shop.guest, now=shop.now)
    return no


@pytest.mark.parametrize("model", [Room, Store], ids=["room", "store"])
def test_overtime_goes_on_and_is_charged(late: Shop, model: type) -> None:
    no = guests_in(late)
    retire(late, model)
    assert clockwork.advance_bookings(now=late.at(2, 1)) == 1
    later = late.at(2, 20)

    shown = orders.get_order(no, customer_id=late.customer.id, now=later)
    listed = orders.list_orders(customer_id=late.customer.id, now=later)

    assert shown["overtime"]["amount_fen"] == listed["items"][0]["overtime"]["amount_fen"] == 3000
    stays.check_out(no, actor=late.guest, now=later)
    assert (late.status(no), late.order(no).total_fen) == (OrderStatus.COMPLETED, 15000)


@pytest.mark.parametrize("model", [Room, Store], ids=["room", "store"])
def test_nothing_new_begins(late: Shop, model: type) -> None:
    no = guests_in(late)
    waiting = late.paid_booking(5, 2)
    retire(late, model)

    with refused("blocked") as caught:
        extensions.extend_order(no, late.at(3), actor=late.guest, now=late.at(1))
    assert caught.value.data == {"rule": "out_of_service", "limit": None, "alternatives": []}
    with refused("blocked"):
        extensions.preview_extension(no, late.at(3), actor=late.guest, now=late.at(1))
    for work in (changes.preview_change, changes.change_order):
        with refused("blocked"):
            work(waiting, ChangeRequest(start_at=late.at(8)), actor=late.guest, now=late.now)
    with refused("not_found"):
        late.book(9, 2)


def test_bookings_leave_a_retired_room(late: Shop) -> None:
    other = factories.make_room(late.store)
    no = guests_in(late)
    waiting, unwanted = late.paid_booking(5, 2), late.paid_booking(8, 2)
    retire(late)

    with refused("blocked") as caught:
        changes.preview_change(waiting, ChangeRequest(start_at=late.at(9)), actor=late.guest, now=late.now)
    assert {offer["room_id"] for offer in (caught.value.data or {})["alternatives"]} == {str(other.id)}
    changes.change_order(waiting, ChangeRequest(other.id), actor=late.guest, now=late.now)
    room_moves.move_guests(no, other.id, actor=late.cashier(), now=late.at(1))
    cancellations.cancel_order(unwanted, actor=late.guest, now=late.now)

    assert {late.booking(each).room_id for each in (no, waiting)} == {other.id}
    assert late.status(unwanted) is OrderStatus.REFUNDING
