"""Moving by staff: a change while the booking waits, another room at the same price while guests are in."""

from __future__ import annotations

from typing import Any

from app.domain.states import BookingState, OrderStatus
from app.models import Booking, Refund
from app.services import staff_orders, stays
from tests import factories
from tests.services.counter import refused
from tests.services.shop import Shop


def move(shop: Shop, no: str, at: float = 0, **values: Any) -> dict[str, Any]:
    return staff_orders.perform_action(no, "move", values, actor=shop.cashier(), now=shop.at(at))


def test_guests_go_on_in_another_room(shop: Shop) -> None:
    other = factories.make_room(shop.store, cleaning_minutes=15)
    no = shop.paid_booking(3, 2)
    stays.check_in(no, actor=shop.guest, now=shop.at(3))

    answer = move(shop, no, 4, room_id=str(other.id), reason="空调坏了")

    assert answer["due_fen"] == 0 and answer["access"]["code"]
    old, new = shop.rows(Booking)
    assert (old.room_id, old.state, old.end_at) == (shop.room.id, BookingState.ENDED, shop.at(4, 1))
    assert (new.room_id, new.state, new.start_at, new.end_at, new.busy_until_at) == (
        other.id,
        BookingState.IN_USE,
        shop.at(4),
        shop.at(5),
        shop.at(5, 15),
    )
    order = shop.order(no)
    assert (order.status, order.total_fen, order.events[-1].reason) == (OrderStatus.IN_USE, 12000, "空调坏了")
    assert shop.rows(Refund) == []
    stays.check_out(no, actor=shop.guest, now=shop.at(4.5))
    assert [row.state for row in shop.rows(Booking)] == [BookingState.ENDED, BookingState.ENDED]


def test_waiting_booking_is_changed(shop: Shop) -> None:
    no = shop.paid_booking(3, 2)

    answer = move(shop, no, start_at=shop.at(6).isoformat(), end_at=shop.at(9).isoformat())

    assert (answer["due_fen"], answer["expires_at"]) == (6000, shop.at(minutes=15))
    shop.pay(no)
    assert (shop.booking(no).start_at, shop.booking(no).end_at) == (shop.at(6), shop.at(9))


def test_move_refused(shop: Shop) -> None:
    other, elsewhere = factories.make_room(shop.store), factories.make_room()
    no = shop.paid_booking(3, 2)
    stays.check_in(no, actor=shop.guest, now=shop.at(3))
    taken = shop.paid_booking(3, 2, room_id=other.id, actor=shop.another_guest())
    shop.cashier()

    for values in (
        {},
        {"room_id": "x"},
        {"start_at": "tomorrow"},
        {"room_id": str(other.id), "start_at": "2026-03-04T10:00:00Z"},
    ):
        with refused("invalid_field"):
            move(shop, no, 4, **values)
    with refused("room_taken") as caught:
        move(shop, no, 4, room_id=str(other.id))
    assert (caught.value.data or {})["alternatives"]
    for room in (shop.room, elsewhere):
        with refused("change_not_allowed"):
            move(shop, no, 4, room_id=str(room.id))
    with refused("invalid_transition"):
        move(shop, no, 5, room_id=str(other.id))
    assert shop.status(taken) is OrderStatus.AWAITING_USE
