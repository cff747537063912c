"""Staff adjustments: lines with a reason, what goes back, what is due, and who may not."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from app.domain.states import OrderStatus, PaymentStatus, RefundStatus
from app.extensions import db
from app.models import AuditEntry, OrderEvent, Payment, Refund
from app.services import adjustments, changes, staff_orders, stays
from app.services.changes import ChangeRequest
from app.services.orders import due_fen
from tests import factories
from tests.services.counter import refused
from tests.services.shop import Shop


def adjust(shop: Shop, no: str, amount_fen: int, reason: str = "老顾客", **values: object) -> dict[str, int]:
    actor = values.get("actor") or factories.staff(shop.store)
    now = values.get("now") or shop.now
    return adjustments.add_adjustment(no, amount_fen, reason, actor=actor, now=now)  # type: ignore[arg-type]


def sums(shop: Shop, no: str) -> tuple[int, int, int, int]:
    order = shop.order(no)
    return order.base_fen, order.extra_fen, order.discount_fen, order.total_fen


@pytest.mark.parametrize(
    ("label", "amount_fen", "expected"),
    [
        ("discount", -2000, (12000, 0, 2000, 10000)),
        ("extra", 3000, (12000, 3000, 0, 15000)),
        ("all but one fen", -11999, (12000, 0, 11999, 1)),
    ],
)
def test_unpaid_order_gets_its_line(
    shop: Shop, label: str, amount_fen: int, expected: tuple[int, int, int, int]
) -> None:
    no = shop.book()

    answer = adjust(shop, no, amount_fen)

    assert sums(shop, no) == expected
    assert answer == {"total_fen": expected[3], "due_fen": expected[3], "refund_fen": 0}
    line = shop.order(no).lines[-1]
    assert (line.kind, line.label, line.amount_fen, line.position) == ("adjustment", "老顾客", amount_fen, 1)
    assert shop.status(no) is OrderStatus.PENDING_PAYMENT
    assert shop.payment(shop.pay(no)).amount_fen == expected[3]


def test_event_and_audit_name_who_and_why(shop: Shop) -> None:
    no = shop.book()
    actor = shop.cashier()

    adjust(shop, no, -2000, actor=actor)

    event = db.session.scalars(select(OrderEvent).where(OrderEvent.event == "adjust")).one()
    assert (event.actor_id, event.reason, event.data) == (actor.id, "老顾客", {"amount_fen": -2000})
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "adjust")).one()
    assert (entry.entity, entry.store_id, entry.actor_id) == ("orders", shop.store.id, actor.id)
    assert (entry.before, entry.after) == ({"total_fen": 12000}, {"total_fen": 10000})


def test_unpaid_order_that_becomes_free_is_confirmed(shop: Shop) -> None:
    no = shop.book()

    adjust(shop, no, -12000)

    assert shop.status(no) is OrderStatus.AWAITING_USE
    assert shop.booking(no).state.value == "reserved"


def test_what_is_paid_beyond_the_new_total_goes_back_once(shop: Shop) -> None:
    no = shop.paid_booking()

    assert adjust(shop, no, -2000) == {"total_fen": 10000, "due_fen": 0, "refund_fen": 2000}
    # The first refund is still on its way and counts as gone already.
    assert adjust(shop, no, -1000) == {"total_fen": 9000, "due_fen": 0, "refund_fen": 1000}

    shop.finish_refunds()
    order = shop.order(no)
    assert [(row.amount_fen, row.status) for row in shop.rows(Refund)] == [
        (2000, RefundStatus.SUCCEEDED),
        (1000, RefundStatus.SUCCEEDED),
    ]
    assert (order.status, order.refunded_fen, due_fen(order, now=shop.now)) == (
        OrderStatus.AWAITING_USE,
        3000,
        0,
    )


def test_extra_on_a_paid_order_is_due(shop: Shop) -> None:
    no = shop.paid_booking()

    assert adjust(shop, no, 3000) == {"total_fen": 15000, "due_fen": 3000, "refund_fen": 0}
    # Taking it off again owes nobody anything.
    assert adjust(shop, no, -3000) == {"total_fen": 12000, "due_fen": 0, "refund_fen": 0}
    assert shop.rows(Refund) == []
    assert due_fen(shop.order(no), now=shop.now) == 0


def test_extra_on_a_paid_order_can_be_paid_and_grows(shop: Shop) -> None:
    no = shop.paid_booking()
    adjust(shop, no, 3000)
    first = shop.start_payment(no)

    adjust(shop, no, 500)
    shop.pay(no)

    assert shop.payment(first).status is PaymentStatus.CLOSED
    order = shop.order(no)
    assert (order.paid_fen, due_fen(order, now=shop.now), order.status) == (
        15500,
        0,
        OrderStatus.AWAITING_USE,
    )


def test_change_that_waits_for_its_payment_keeps_the_price(shop: Shop) -> None:
    no = shop.paid_booking()
    longer = ChangeRequest(end_at=shop.at(6))
    changes.change_order(no, longer, actor=shop.guest, now=shop.now)
    assert shop.order(no).pending_change is not None

    with refused("invalid_transition"):
        adjust(shop, no, -100)


def test_open_payment_of_the_old_amount_is_closed_first(shop: Shop) -> None:
    no = shop.book()
    payment_no = shop.start_payment(no)

    adjust(shop, no, -2000)

    assert shop.payment(payment_no).status is PaymentStatus.CLOSED
    assert shop.payment(shop.pay(no)).amount_fen == 10000
    assert (shop.order(no).paid_fen, shop.status(no)) == (10000, OrderStatus.AWAITING_USE)


def test_payment_that_came_meanwhile_counts_and_the_rest_goes_back(shop: Shop) -> None:
    no = shop.book()
    payment_no = shop.start_payment(no)
    # Paid at the service, but its callback has not arrived.
    shop.pay_service.pay(payment_no)

    answer = adjust(shop, no, -2000)

    assert answer == {"total_fen": 10000, "due_fen": 0, "refund_fen": 2000}
    assert shop.status(no) is OrderStatus.AWAITING_USE


@pytest.mark.parametrize(
    ("label", "is_paid", "extra_fen", "less_fen", "total_fen"),
    [
        ("not paid yet", False, 0, -2000, 10000),
        ("a rest that is not paid yet", True, 3000, -1000, 14000),
    ],
)
def test_old_amount_paid_although_it_was_closed_keeps_only_the_new_total(
    shop: Shop, label: str, is_paid: bool, extra_fen: int, less_fen: int, total_fen: int
) -> None:
    no = shop.paid_booking() if is_paid else shop.book()
    if extra_fen:
        adjust(shop, no, extra_fen)
    payment_no = shop.start_payment(no)
    adjust(shop, no, less_fen)
    assert shop.payment(payment_no).status is PaymentStatus.CLOSED

    shop.notify(payment_no, at=shop.at(minutes=1))

    shop.finish_refunds()
    order = shop.order(no)
    refund = shop.rows(Refund)[-1]
    assert (refund.amount_fen, refund.reason, refund.status) == (
        -less_fen,
        "paid_too_much",
        RefundStatus.SUCCEEDED,
    )
    assert order.paid_fen - order.refunded_fen == order.total_fen == total_fen
    assert (order.status, due_fen(order, now=shop.now)) == (OrderStatus.AWAITING_USE, 0)


REFUSED: list[tuple[str, int, str, str]] = [
    ("zero", 0, "老顾客", "invalid_field"),
    ("below zero in all", -12001, "老顾客", "invalid_field"),
    ("more than any order", 10_000_001, "老顾客", "invalid_field"),
    ("no reason", -100, "  ", "invalid_field"),
    ("long reason", -100, "好" * 101, "invalid_field"),
]


@pytest.mark.parametrize(("label", "amount_fen", "reason", "code"), REFUSED, ids=[row[0] for row in REFUSED])
def test_refused_amounts_and_reasons_change_nothing(
    shop: Shop, label: str, amount_fen: int, reason: str, code: str
) -> None:
    no = shop.book()

    with refused(code):
        adjust(shop, no, amount_fen, reason)


def test_only_staff_of_the_store(shop: Shop) -> None:
    no = shop.book()
    elsewhere = shop.cashier(factories.make_store(), username="elsewhere")

    with refused("forbidden"):
        adjust(shop, no, -100, actor=shop.guest)
    with refused("not_found"):
        adjust(shop, no, -100, actor=elsewhere)


def test_orders_that_are_over_keep_their_price(shop: Shop) -> None:
    late, gone = shop.book(), shop.book(8)
    staff_orders.perform_action(gone, "cancel", {"reason": "x"}, actor=shop.cashier(), now=shop.now)

    with refused("invalid_transition"):
        adjust(shop, late, -100, now=shop.at(1))
    with refused("invalid_transition"):
        adjust(shop, gone, -100)


def test_completed_stay_can_still_be_made_good(shop: Shop) -> None:
    no = shop.paid_booking(0.5)
    stays.check_in(no, actor=shop.cashier(), now=shop.at(0.5))
    stays.check_out(no, actor=shop.cashier(), now=shop.at(2))

    assert adjust(shop, no, -5000)["refund_fen"] == 5000
    assert shop.status(no) is OrderStatus.COMPLETED


def test_group_orders_are_not_adjusted(shop: Shop) -> None:
    no = shop.group_order(shop.campaign())

    with refused("invalid_transition"):
        adjust(shop, no, -100)


@pytest.mark.parametrize(
    ("label", "value", "is_read"),
    [
        ("number", -2000, True),
        ("digits", "-2000", True),
        ("yuan", "-20.00", False),
        ("blank", "", False),
        ("missing", None, False),
        ("truth", True, False),
        ("endless", "-" + "9" * 30, False),
    ],
)
def test_action_reads_whole_fen(shop: Shop, label: str, value: object, is_read: bool) -> None:
    no = shop.book()
    values, actor = {"amount_fen": value, "reason": "老顾客"}, shop.cashier()

    if is_read:
        staff_orders.perform_action(no, "adjust", values, actor=actor, now=shop.now)
        assert sums(shop, no)[3] == 10000
    else:
        with refused("invalid_field"):
            staff_orders.perform_action(no, "adjust", values, actor=actor, now=shop.now)


def test_action_is_offered_while_it_is_possible(shop: Shop) -> None:
    no = shop.book()

    def is_allowed() -> bool:
        order = shop.order(no)
        actions = staff_orders.staff_actions(order, now=shop.now)
        return next(bool(each["allowed"]) for each in actions if each["name"] == "adjust")

    assert is_allowed()
    staff_orders.perform_action(no, "cancel", {"reason": "x"}, actor=shop.cashier(), now=shop.now)
    assert not is_allowed()


def test_payment_that_cannot_be_closed_keeps_the_price(shop: Shop) -> None:
    no = shop.book()
    shop.start_payment(no)
    shop.pay_service.is_unreachable = True

    with refused("invalid_transition"):
        adjust(shop, no, -100)

    assert [row.status for row in shop.rows(Payment)] == [PaymentStatus.PENDING]
