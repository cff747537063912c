"""Beginning to pay again what the service counts as paid, closed or too late before we were told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.errors import InvalidTransition
from app.domain.states import OrderStatus, PaymentStatus
from app.models import Payment
from app.services import adjustments
from tests.services.shop import Shop


def test_starting_again_what_is_paid_credits_it(shop: Shop) -> None:
    no = shop.book()
    payment_no = shop.start_payment(no)
    shop.pay_service.pay(payment_no)

    with pytest.raises(InvalidTransition) as refusal:
        shop.start_payment(no)

    assert refusal.value.data == {"event": "pay", "status": "succeeded"}
    assert (shop.status(no), shop.order(no).paid_fen) == (OrderStatus.AWAITING_USE, 12000)
    assert [row.status for row in shop.rows(Payment)] == [PaymentStatus.SUCCEEDED]
    # The news that come at last change nothing.
    shop.notify(payment_no)
    assert shop.order(no).paid_fen == 12000


def test_starting_again_what_is_closed_makes_way_for_another_try(shop: Shop) -> None:
    no = shop.book()
    first = shop.start_payment(no)
    shop.pay_service.payments[first] = replace(shop.pay_service.payments[first], status="closed")

    with pytest.raises(InvalidTransition):
        shop.start_payment(no)

    second = shop.start_payment(no)
    assert [row.status for row in shop.rows(Payment)] == [PaymentStatus.CLOSED, PaymentStatus.PENDING]
    shop.notify(second)
    assert shop.status(no) is OrderStatus.AWAITING_USE


def test_an_attempt_whose_time_is_over_is_replaced(shop: Shop) -> None:
    """What a paid order owes can be paid for long; the service closes each attempt after its own time."""
    no = shop.paid_booking()
    adjustments.add_adjustment(no, 500, "tea", actor=shop.cashier(), now=shop.now)
    first = shop.start_payment(no)

    second = shop.start_payment(no, at=shop.at(minutes=15))

    assert second != first
    assert (shop.payment(first).status, shop.pay_service.closed) == (PaymentStatus.CLOSED, [first])
    assert shop.payment(second).expires_at == shop.at(minutes=30)
    assert shop.start_payment(no, at=shop.at(minutes=29)) == second
