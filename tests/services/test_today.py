"""What waits for somebody: silent doors, overtime, bookings to confirm, and what guests still owe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.domain.states import OrderStatus
from app.extensions import db
from app.models import BookingPolicy
from app.services import clockwork, room_moves, stays, today
from tests import factories
from tests.services.counter import unchanged
from tests.services.shop import Shop

MakeShop = Callable[..., Shop]


def tasks(shop: Shop, hours: float = 0, *, actor: Any = None) -> list[tuple[str, str]]:
    """The kinds of the tasks with the rooms that they are about."""
    with unchanged():
        found = today.list_tasks(actor=actor or shop.cashier(), now=shop.at(hours))
    return [(task["kind"], task["no"]) for task in found]


def test_overtime_is_a_task_until_the_guests_leave_and_then_what_they_owe(make_shop: MakeShop) -> None:
    shop = make_shop(has_overtime=True, overtime_grace_minutes=0, overtime_unit_minutes=30)
    shop.cashier()
    no = shop.paid_booking(1, 1)
    stays.check_in(no, actor=shop.guest, now=shop.at(1))
    assert tasks(shop, 1.9) == []

    # Before and after the clock has noticed.
    assert tasks(shop, 2.1) == [("overtime", no)]
    clockwork.advance_bookings(now=shop.at(2.2))
    (task,) = today.list_tasks(actor=shop.cashier(), now=shop.at(2.25))
    assert (task["kind"], task["minutes"], task["at"]) == ("overtime", 15, shop.at(2))

    stays.check_out(no, actor=shop.guest, now=shop.at(2.25))

    (task,) = today.list_tasks(actor=shop.cashier(), now=shop.at(3))
    assert (task["kind"], task["no"], task["amount_fen"]) == ("unpaid", no, 3000)
    assert shop.status(no) is OrderStatus.COMPLETED
    shop.pay(no, at=shop.at(3))
    assert tasks(shop, 3) == []


def test_bookings_wait_to_be_confirmed_the_first_deadline_first(shop: Shop) -> None:
    shop.cashier()
    shop.rows(BookingPolicy)[0].requires_confirmation = True
    db.session.commit()
    later = shop.book(6, 1, actor=shop.another_guest())
    first = shop.paid_booking(3, 1)
    shop.pay(later, at=shop.at(0.1))

    assert tasks(shop, 0.1) == [("confirm", first), ("confirm", later)]
    assert today.list_tasks(actor=shop.cashier(), now=shop.now)[0]["at"] == shop.at(minutes=10)


def test_guests_who_moved_are_one_task(shop: Shop) -> None:
    other = factories.make_room(shop.store, name="竹影")
    no = shop.paid_booking(1, 2)
    stays.check_in(no, actor=shop.guest, now=shop.at(1))
    room_moves.move_guests(no, other.id, actor=shop.cashier(), now=shop.at(2))

    (task,) = today.list_tasks(actor=shop.cashier(), now=shop.at(3.1))
    assert (task["kind"], task["no"], task["room"]) == ("overtime", no, "竹影")


def test_other_stores_are_no_task(shop: Shop) -> None:
    elsewhere = factories.make_store()
    no = shop.paid_booking(1, 1)
    stays.check_in(no, actor=shop.guest, now=shop.at(1))
    stranger = shop.cashier(elsewhere, username="stranger")
    shop.cashier()

    assert tasks(shop, 2.5) == [("overtime", no)]
    assert tasks(shop, 2.5, actor=stranger) == []
