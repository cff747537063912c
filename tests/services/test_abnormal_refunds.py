"""Refunds that the service could not carry out: once more under the same number, or handed back otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.states import OrderStatus, RefundStatus
from app.gateways.ports import GatewayRefused
from app.models import AuditEntry, CounterEntry, Recipient, Refund
from app.services import abnormal_refunds, cancellations, refunds, shifts, today
from tests import factories
from tests.services.counter import callback_of, refused, unchanged
from tests.services.shop import Shop

TRANSFER = {"means": "transfer", "reference_no": "20260304000000000012345", "reason": "card closed"}
CASH = {"means": "cash", "reason": "the guest came by"}


@pytest.fixture(autouse=True)
def accounts(shop: Shop) -> None:
    """Staff who are there before anything is refused."""
    shop.cashier()


@pytest.fixture
def no(shop: Shop) -> str:
    """A cancelled booking whose refund of ¥120 the service could not carry out."""
    number = shop.paid_booking()
    cancellations.cancel_order(number, actor=shop.guest, now=shop.now)
    refunds.send_refund(refund_of(shop).id, now=shop.now)
    shop.pay_service.settle_refund(refund_of(shop).refund_no, "abnormal")
    tell(shop, "broken")
    assert refund_of(shop).status is RefundStatus.ABNORMAL
    return number


def refund_of(shop: Shop) -> Refund:
    (refund,) = shop.rows(Refund)
    return refund  # type: ignore[no-any-return]


def tell(shop: Shop, callback_id: str) -> None:
    """The service tells how the refund stands."""
    told = callback_of(refund_of(shop).refund_no, callback_id)
    refunds.receive_callback("wechat", **told, now=shop.now)


def hand_back(shop: Shop, values: dict[str, Any], actor: Any = None) -> dict[str, Any]:
    return abnormal_refunds.hand_back(
        refund_of(shop).refund_no, values, actor=actor or shop.cashier(), now=shop.at(hours=1)
    )


def test_it_is_on_the_work_lists(shop: Shop, no: str) -> None:
    (task,) = abnormal_refunds.list_abnormal(actor=shop.cashier())
    assert (task["order_no"], task["amount_fen"], task["has_shift"]) == (no, 12000, False)
    (on_home,) = today.list_tasks(actor=shop.cashier(), now=shop.now)
    assert (on_home["kind"], on_home["no"], on_home["amount_fen"]) == ("refund", no, 12000)
    stranger = shop.cashier(factories.make_store())
    assert abnormal_refunds.list_abnormal(actor=stranger) == []
    assert today.list_tasks(actor=stranger, now=shop.now) == []


def test_retry_keeps_number_and_values(shop: Shop, no: str, jobs: list[tuple[Any, ...]]) -> None:
    first = shop.pay_service.refund_requests[0]
    answer = abnormal_refunds.retry_refund(refund_of(shop).refund_no, actor=shop.cashier(), now=shop.now)
    assert (answer["order_no"], answer["status"]) == (no, "created")
    assert ("app.jobs.send_refund", refund_of(shop).id) in jobs

    shop.pay_service.settle_refund(first.refund_no, "processing")
    refunds.send_refund(refund_of(shop).id, now=shop.now)
    assert shop.pay_service.refund_requests == [first, first]
    shop.pay_service.settle_refund(first.refund_no)
    tell(shop, "arrived")

    assert (shop.status(no), shop.order(no).refunded_fen) == (OrderStatus.REFUNDED, 12000)
    assert "refund_retried" in shop.events(no)


def test_retry_that_fails_again_comes_back_to_the_list(shop: Shop, no: str) -> None:
    abnormal_refunds.retry_refund(refund_of(shop).refund_no, actor=shop.cashier(), now=shop.now)
    refunds.send_refund(refund_of(shop).id, now=shop.now)
    assert refund_of(shop).status is RefundStatus.ABNORMAL
    assert len(abnormal_refunds.list_abnormal(actor=shop.cashier())) == 1


def test_transfer_finishes_the_refund(shop: Shop, no: str) -> None:
    answer = hand_back(shop, TRANSFER)

    refund, order = refund_of(shop), shop.order(no)
    assert (answer["status"], refund.status) == ("succeeded", RefundStatus.SUCCEEDED)
    assert (refund.route, refund.reference_no) == ("transfer", TRANSFER["reference_no"])
    assert (order.status, order.refunded_fen) == (OrderStatus.REFUNDED, 12000)
    assert shop.events(no)[-3:] == ["refund_handed_back", "refund_succeeded", "refund_done"]
    # No till was touched.
    assert shop.rows(CounterEntry) == []
    entry = shop.rows(AuditEntry)[-1]
    assert (entry.action, entry.actor_name, entry.reason) == ("refund.hand_back", "林晓", "card closed")
    assert entry.after == {
        "route": "transfer",
        "reference_no": TRANSFER["reference_no"],
        "amount_fen": 12000,
    }
    with refused("invalid_transition"):
        hand_back(shop, TRANSFER)


def test_cash_leaves_the_open_shift(shop: Shop, no: str) -> None:
    with refused("shift_required"):
        hand_back(shop, CASH)
    shifts.open_shift(shop.store.id, float_fen=50000, actor=shop.cashier(), now=shop.now)

    hand_back(shop, CASH)

    (entry,) = shop.rows(CounterEntry)
    assert (entry.amount_fen, entry.channel, entry.refund_id) == (-12000, "counter_cash", refund_of(shop).id)
    assert (refund_of(shop).route, shop.status(no)) == ("cash", OrderStatus.REFUNDED)


REFUSED = [
    pytest.param("invalid_field", TRANSFER | {"means": "gold"}, id="unknown means"),
    pytest.param("invalid_field", TRANSFER | {"reference_no": " "}, id="no reference"),
    pytest.param("invalid_field", TRANSFER | {"reference_no": "9" * 65}, id="long reference"),
    pytest.param("invalid_field", TRANSFER | {"reason": ""}, id="no reason"),
    pytest.param("card_number_refused", TRANSFER | {"reason": "to 6225 7600 0000 1234"}, id="a card"),
]


@pytest.mark.parametrize(("code", "values"), REFUSED)
def test_incomplete_records_change_nothing(shop: Shop, no: str, code: str, values: dict[str, Any]) -> None:
    with refused(code):
        hand_back(shop, values)


def test_who_may_not_changes_nothing(shop: Shop, no: str) -> None:
    stranger = shop.cashier(factories.make_store())
    with refused("not_found"):
        hand_back(shop, TRANSFER, stranger)
    with refused("forbidden"):
        hand_back(shop, TRANSFER, shop.guest)
    with refused("forbidden"):
        abnormal_refunds.retry_refund(refund_of(shop).refund_no, actor=shop.guest, now=shop.now)


def test_what_the_service_has_paid_meanwhile_is_not_paid_again(shop: Shop, no: str) -> None:
    shop.pay_service.settle_refund(refund_of(shop).refund_no)
    with pytest.raises(Exception, match="invalid_transition"):
        hand_back(shop, TRANSFER)
    # The service's word counts: it is done the original way.
    refund = refund_of(shop)
    assert (refund.status, refund.route, shop.order(no).refunded_fen) == (
        RefundStatus.SUCCEEDED,
        "original",
        12000,
    )


def test_nothing_is_handed_back_while_the_service_is_at_it_or_silent(shop: Shop, no: str) -> None:
    shop.pay_service.settle_refund(refund_of(shop).refund_no, "processing")
    with refused("invalid_transition"):
        hand_back(shop, TRANSFER)
    shop.pay_service.is_unreachable = True
    with refused("unavailable"):
        hand_back(shop, TRANSFER)


def test_a_service_that_refuses_to_look_stands_in_nobodys_way(shop: Shop, no: str) -> None:
    shop.pay_service.refusal = GatewayRefused("MCH_NOT_EXISTS", "gone")
    hand_back(shop, TRANSFER)
    assert refund_of(shop).status is RefundStatus.SUCCEEDED


def test_money_that_comes_twice_is_told_once(shop: Shop, no: str) -> None:
    hand_back(shop, TRANSFER)
    shop.pay_service.settle_refund(refund_of(shop).refund_no)

    tell(shop, "late")
    with unchanged(except_tables=("payment_callbacks",)):
        tell(shop, "later")

    assert shop.events(no).count("refund_doubled") == 1
    assert shop.order(no).refunded_fen == 12000
    assert shop.notices(no, Recipient.SHOP).count("refund_abnormal") == 2


def test_only_abnormal_refunds_are_touched(shop: Shop) -> None:
    number = shop.paid_booking()
    cancellations.cancel_order(number, actor=shop.guest, now=shop.now)
    with refused("invalid_transition"):
        hand_back(shop, TRANSFER)
    with refused("invalid_transition"):
        abnormal_refunds.retry_refund(refund_of(shop).refund_no, actor=shop.cashier(), now=shop.now)


def test_nothing_is_handed_back_while_the_service_is_too_busy_to_say(
    shop: Shop, no: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: Any) -> Any:
        raise GatewayRefused("FREQUENCY_LIMITED", "", is_retryable=True)

    monkeypatch.setattr(shop.pay_service, "query_refund", busy)
    with refused("unavailable"):
        hand_back(shop, TRANSFER)
    assert refund_of(shop).status is RefundStatus.ABNORMAL
