"""Money over the counter: taken once for what is due, handed out once, always inside somebody's shift."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.domain.states import OrderStatus, PaymentStatus, RefundStatus
from app.models import AuditEntry, OrderEvent, Payment, Refund
from app.services import (
    adjustments,
    cancellations,
    changes,
    clockwork,
    counter,
    payments,
    refunds,
    shifts,
    stays,
    walk_ins,
)
from app.services.changes import ChangeRequest
from tests import factories
from tests.services.counter import refused, unchanged
from tests.services.desk import CASH, FLOAT_FEN, POS, Desk, slip
from tests.services.shop import Shop


@pytest.fixture
def desk(shop: Shop) -> Desk:
    return Desk.open(shop)


@pytest.fixture
def no(desk: Desk) -> str:
    """Guests at the counter who owe ¥120."""
    return walk_ins.create_walk_in(desk.shop.room.id, minutes=120, actor=desk.cashier, now=desk.shop.now)


def test_walk_in_pays_cash_and_is_let_in(desk: Desk, no: str) -> None:
    shop = desk.shop
    answer = desk.take(no, tendered_fen=20000)

    assert (answer["amount_fen"], answer["change_fen"], answer["status"]) == (12000, 8000, "succeeded")
    order, payment = shop.order(no), shop.payment(answer["payment_no"])
    assert (order.status, order.paid_fen) == (OrderStatus.AWAITING_USE, 12000)
    assert (payment.status, payment.paid_at, payment.next_query_at) == (
        PaymentStatus.SUCCEEDED,
        shop.now,
        None,
    )
    (entry,) = desk.entries()
    assert (entry.shift_id, entry.payment_id, entry.amount_fen) == (desk.shift_id, payment.id, 12000)
    assert (entry.tendered_fen, entry.slip_key, entry.staff_name) == (20000, None, "林晓")
    paid = [event for event in shop.rows(OrderEvent) if event.event == "payment_succeeded"]
    assert [(event.actor_kind, event.actor_name) for event in paid] == [("staff", "林晓")]

    stays.check_in(no, actor=desk.cashier, now=shop.now)
    assert shop.status(no) is OrderStatus.IN_USE


def test_card_is_kept_by_its_slip_only(desk: Desk, no: str) -> None:
    answer = desk.take(no, POS)

    (entry,) = desk.entries()
    assert (entry.terminal_no, entry.reference_no, entry.card_tail) == ("80012345", "603041200123", "6789")
    assert (answer["tendered_fen"], answer["change_fen"]) == (None, 0)
    assert desk.shop.status(no) is OrderStatus.AWAITING_USE


@pytest.mark.parametrize(
    ("code", "values"),
    [
        pytest.param("invalid_field", {"tendered_fen": 11999}, id="too little cash"),
        pytest.param("invalid_field", {"tendered_fen": "many"}, id="no amount"),
        pytest.param("invalid_field", {"channel": "wechat_native"}, id="an online service"),
        pytest.param("invalid_field", {"channel": ""}, id="nothing chosen"),
        pytest.param("invalid_field", {"channel": POS}, id="card without slip"),
        pytest.param("amount_changed", {"due_fen": 12001}, id="another amount was shown"),
        pytest.param(
            "card_number_refused", slip(card_tail="6225760000001234") | {"channel": POS}, id="a whole card"
        ),
    ],
)
def test_refused_tenders_change_nothing(desk: Desk, no: str, code: str, values: dict[str, Any]) -> None:
    with refused(code):
        tender = counter.read_tender({"channel": CASH} | values)
        counter.take_payment(no, tender, actor=desk.cashier, now=desk.shop.now)


def test_nothing_is_taken_without_an_open_shift(shop: Shop, desk: Desk, no: str) -> None:
    stranger = shop.cashier(username="second")
    # Not even the online payment that a customer may be making is closed for it.
    payments.start_payment(no, channel="wechat_native", actor=desk.cashier, now=shop.now)
    with refused("shift_required") as caught:
        counter.take_payment(no, counter.read_tender({"channel": CASH}), actor=stranger, now=shop.now)
    assert caught.value.data == {"store_id": shop.store.id}
    assert shop.pay_service.closed == []
    desk.close(FLOAT_FEN)
    with refused("shift_required"):
        desk.take(no)


def test_shift_of_another_store_does_not_help(shop: Shop, desk: Desk) -> None:
    other = factories.make_store()
    factories.make_policy(other)
    factories.make_price(other)
    room = factories.make_room(other)
    both = shop.cashier(shop.store, other)
    no = walk_ins.create_walk_in(room.id, minutes=60, actor=both, now=shop.now)
    with refused("shift_required"):
        counter.take_payment(no, counter.read_tender({"channel": CASH}), actor=both, now=shop.now)
    with refused("not_found"):
        desk.take(no)


def test_customers_take_nothing(desk: Desk, shop: Shop) -> None:
    no = shop.book()
    with refused("forbidden"):
        counter.take_payment(no, counter.read_tender({"channel": CASH}), actor=shop.guest, now=shop.now)


def test_order_is_taken_once(desk: Desk, no: str) -> None:
    desk.take(no)
    with refused("invalid_transition"):
        desk.take(no)


def test_time_to_pay_holds_at_the_counter_too(desk: Desk, no: str) -> None:
    with refused("invalid_transition"):
        desk.take(no, at=desk.shop.at(minutes=15))


def test_slip_is_recorded_once(desk: Desk, shop: Shop, no: str) -> None:
    other = factories.make_room(shop.store)
    second = walk_ins.create_walk_in(other.id, minutes=60, actor=desk.cashier, now=shop.now)
    desk.take(no, POS)
    with refused("slip_used"):
        desk.take(second, POS)
    desk.take(second, POS, reference_no="603041200124")


def test_online_payment_is_closed_before_cash_is_taken(desk: Desk, shop: Shop) -> None:
    no = shop.book()
    payment_no = shop.start_payment(no)
    desk.take(no)
    assert shop.pay_service.closed == [payment_no]
    assert shop.payment(payment_no).status is PaymentStatus.CLOSED
    assert shop.order(no).paid_fen == 12000


def test_online_payment_that_was_faster_leaves_nothing_to_take(desk: Desk, shop: Shop) -> None:
    no = shop.book()
    shop.pay_service.pay(shop.start_payment(no))
    with pytest.raises(Exception, match="invalid_transition"):
        desk.take(no)
    order = shop.order(no)
    assert (order.status, order.paid_fen, desk.entries()) == (OrderStatus.AWAITING_USE, 12000, [])


def test_online_payment_that_comes_after_cash_goes_back_by_itself(desk: Desk, shop: Shop) -> None:
    """The service cannot be reached while the guest pays cash; the phone pays all the same."""
    no = shop.book()
    payment_no = shop.start_payment(no)
    shop.pay_service.is_unreachable = True
    desk.take(no)
    shop.pay_service.is_unreachable = False
    shop.notify(payment_no)

    order = shop.order(no)
    assert (order.status, order.paid_fen) == (OrderStatus.AWAITING_USE, 24000)
    (refund,) = shop.rows(Refund)
    assert (refund.payment_id, refund.route) == (shop.payment(payment_no).id, "original")


def test_change_that_costs_more_is_paid_at_the_counter(desk: Desk, shop: Shop) -> None:
    no = shop.paid_booking(3, 2)
    changes.change_order(no, ChangeRequest(end_at=shop.at(6)), actor=shop.guest, now=shop.now)
    assert desk.take(no)["amount_fen"] == 6000
    assert shop.booking(no).end_at == shop.at(6)
    assert shop.order(no).paid_fen == 18000


@pytest.fixture
def cancelled(desk: Desk) -> Callable[..., str]:
    """Take a payment, cancel the order early, and return its number."""

    def make(channel: str = CASH, start: float = 3) -> str:
        no = desk.shop.book(start)
        desk.take(no, channel)
        cancellations.cancel_order(no, actor=desk.shop.guest, now=desk.shop.now)
        return no

    return make


def test_refund_of_cash_is_a_task_until_it_is_handed_out(
    desk: Desk, cancelled: Callable[..., str], jobs: list[tuple[Any, ...]]
) -> None:
    shop, no = desk.shop, cancelled()
    (refund,) = shop.rows(Refund)
    assert (refund.status, refund.route, refund.next_try_at) == (RefundStatus.PROCESSING, "counter", None)
    assert ("app.jobs.send_refund", refund.id) not in jobs
    assert shop.status(no) is OrderStatus.REFUNDING
    # No job and no service has anything to do with it.
    with unchanged():
        refunds.send_refund(refund.id, now=shop.at(1))
        assert refunds.settle_refunds(now=shop.at(24)) == 0
    (task,) = counter.list_refunds(actor=desk.cashier)
    assert (task["refund_no"], task["order_no"], task["amount_fen"], task["has_shift"]) == (
        refund.refund_no,
        no,
        12000,
        True,
    )

    assert desk.hand_out(refund.refund_no)["status"] == "succeeded"

    order = shop.order(no)
    assert (order.status, order.refunded_fen) == (OrderStatus.REFUNDED, 12000)
    assert [entry.amount_fen for entry in desk.entries()] == [12000, -12000]
    assert counter.list_refunds(actor=desk.cashier) == []
    assert shop.pay_service.refund_requests == []
    assert shop.events(no)[-2:] == ["refund_succeeded", "refund_done"]


def test_refund_of_a_card_needs_the_slip_of_the_terminal(desk: Desk, cancelled: Callable[..., str]) -> None:
    cancelled(POS)
    (refund,) = desk.shop.rows(Refund)
    assert counter.list_refunds(actor=desk.cashier)[0]["card_tail"] == "6789"
    with refused("invalid_field"):
        desk.hand_out(refund.refund_no)
    desk.hand_out(refund.refund_no, **slip("603041200999"))
    assert desk.entries()[-1].reference_no == "603041200999"


def test_refund_slip_is_recorded_once(desk: Desk, shop: Shop) -> None:
    numbers = []
    for index, start in enumerate((3, 6)):
        no = shop.book(start, actor=shop.another_guest())
        desk.take(no, POS, reference_no=f"60304120012{index}")
        cancellations.cancel_order(no, reason="x", actor=desk.cashier, now=shop.now)
    numbers = [refund.refund_no for refund in shop.rows(Refund)]
    desk.hand_out(numbers[0], **slip("603041200999"))
    with refused("slip_used"):
        desk.hand_out(numbers[1], **slip("603041200999"))


def test_refund_is_handed_out_once_and_only_in_a_shift(desk: Desk, cancelled: Callable[..., str]) -> None:
    shop = desk.shop
    cancelled()
    (refund,) = shop.rows(Refund)
    second = shop.cashier(username="second")
    with refused("shift_required"):
        counter.hand_out_refund(refund.refund_no, {}, actor=second, now=shop.now)
    stranger = shop.cashier(factories.make_store(), username="stranger")
    with refused("not_found"):
        counter.hand_out_refund(refund.refund_no, {}, actor=stranger, now=shop.now)
    with refused("forbidden"):
        counter.hand_out_refund(refund.refund_no, {}, actor=shop.guest, now=shop.now)
    assert counter.list_refunds(actor=stranger) == []
    desk.hand_out(refund.refund_no)
    with refused("invalid_transition"):
        desk.hand_out(refund.refund_no)


@pytest.mark.parametrize("number", ["", "R0", "R260304x", "../R1", "退款", "R'--"])
def test_unknown_refund_is_not_found(desk: Desk, number: str) -> None:
    with refused("not_found"):
        desk.hand_out(number)


def test_refund_by_the_original_service_is_no_task(desk: Desk, shop: Shop) -> None:
    no = shop.paid_booking()
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    (refund,) = shop.rows(Refund)
    assert counter.list_refunds(actor=desk.cashier) == []
    with refused("not_found"):
        desk.hand_out(refund.refund_no)


def test_partial_refund_of_a_living_order(desk: Desk, no: str) -> None:
    desk.take(no)
    adjustments.add_adjustment(no, -3000, "空调坏了", actor=desk.cashier, now=desk.shop.now)
    (refund,) = desk.shop.rows(Refund)
    desk.hand_out(refund.refund_no)
    order = desk.shop.order(no)
    assert (order.status, order.paid_fen, order.refunded_fen) == (OrderStatus.AWAITING_USE, 12000, 3000)


def test_mixed_payments_go_back_each_by_its_route(desk: Desk, shop: Shop) -> None:
    no = shop.paid_booking(3, 2)
    changes.change_order(no, ChangeRequest(end_at=shop.at(6)), actor=shop.guest, now=shop.now)
    desk.take(no)
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    routes = {refund.route: refund for refund in shop.rows(Refund)}
    assert {name: refund.amount_fen for name, refund in routes.items()} == {
        "original": 12000,
        "counter": 6000,
    }
    desk.hand_out(routes["counter"].refund_no)
    assert shop.status(no) is OrderStatus.REFUNDING
    shop.finish_refunds()
    assert shop.status(no) is OrderStatus.REFUNDED


def test_jobs_leave_the_counter_alone(desk: Desk, no: str) -> None:
    desk.take(no)
    with unchanged():
        assert payments.query_silent_payments(now=desk.shop.at(minutes=30)) == 0
        clockwork.expire_holds(now=desk.shop.at(minutes=30))
    assert [payment.status for payment in desk.shop.rows(Payment)] == [PaymentStatus.SUCCEEDED]


def test_shift_shows_what_came_and_went(desk: Desk, shop: Shop, no: str) -> None:
    desk.take(no, tendered_fen=20000)
    other = factories.make_room(shop.store)
    card = walk_ins.create_walk_in(other.id, minutes=60, actor=desk.cashier, now=shop.now)
    desk.take(card, POS)
    adjustments.add_adjustment(no, -3000, "空调坏了", actor=desk.cashier, now=shop.now)
    desk.hand_out(shop.rows(Refund)[0].refund_no)

    found = shifts.get_shift(desk.shift_id, is_overseer=False, actor=desk.cashier)

    cash, pos = found["sums"]
    assert (cash["payment_count"], cash["paid_fen"], cash["refund_count"], cash["refunded_fen"]) == (
        1,
        12000,
        1,
        3000,
    )
    assert (cash["expected_fen"], pos["expected_fen"]) == (FLOAT_FEN + 9000, 6000)
    assert [entry["amount_fen"] for entry in found["entries"]] == [-3000, 6000, 12000]
    assert found["entries"][1]["slip"] == slip()
    assert [row.action for row in shop.rows(AuditEntry)][:1] == ["open_shift"]
