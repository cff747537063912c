"""The UnionPay gateway against the sandbox's process: from the form to the refund, through every fault."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
import requests

from app.domain.clock import utc_now
from app.gateways.ports import (
    CallbackInvalid,
    GatewayRefused,
    GatewayUnavailable,
    PaymentRequest,
    RefundRequest,
)
from app.gateways.unionpay import UnionPayAddresses, UnionPayChannel, UnionPayCredentials
from tests.gateways.conftest import Sandbox
from tests.gateways.loopback import Answer, Loopback

TIMEOUT_SECONDS = 1.0
_numbers = count(1)


@pytest.fixture
def channel(sandbox: Sandbox) -> UnionPayChannel:
    return make_channel(sandbox)


def make_channel(sandbox: Sandbox, *, opens_page: bool = False) -> UnionPayChannel:
    addresses = UnionPayAddresses(sandbox.url, "http://127.0.0.1/", opens_page=opens_page)
    credentials = UnionPayCredentials(**sandbox.credentials["unionpay"])
    return UnionPayChannel(credentials, addresses, timeout_seconds=TIMEOUT_SECONDS)


@pytest.fixture
def shop(loopback: Loopback) -> Loopback:
    loopback.on("/payments", Answer(200, b"ok"))
    loopback.on("/refunds", Answer(200, b"ok"))
    return loopback


@pytest.fixture
def payment(shop: Loopback) -> PaymentRequest:
    now = utc_now()
    return PaymentRequest(
        payment_no=f"P260314{next(_numbers):012d}",
        started_at=now,
        amount_fen=12800,
        description="雀坊 望京店",
        openid=None,
        expires_at=now + timedelta(minutes=15),
        notify_url=f"{shop.url}/payments",
        kind="page",
    )


def bring(channel: UnionPayChannel, payment: PaymentRequest, **changes: str) -> str:
    """Do what the payer's browser does; return what it is shown."""
    form = channel.create_payment(payment) | changes
    return requests.post(form.pop("action"), data=form, timeout=10).text


def pay(sandbox: Sandbox, payment: PaymentRequest) -> Any:
    return sandbox.control(f"/payments/unionpay/{payment.payment_no}/succeed")


def status_of(channel: UnionPayChannel, payment: PaymentRequest) -> str:
    return channel.query_payment(payment.payment_no, payment.started_at).status


def refund_of(
    channel: UnionPayChannel, payment: PaymentRequest, amount_fen: int, number: str = ""
) -> RefundRequest:
    found = channel.query_payment(payment.payment_no, payment.started_at)
    return RefundRequest(
        refund_no=number or payment.payment_no.replace("P", "R"),
        started_at=utc_now(),
        payment_no=payment.payment_no,
        transaction_no=found.transaction_no,
        amount_fen=amount_fen,
        total_fen=payment.amount_fen,
        reason="提前取消",
        notify_url=payment.notify_url.replace("payments", "refunds"),
    )


def test_payment_and_refund_from_end_to_end(
    sandbox: Sandbox, channel: UnionPayChannel, payment: PaymentRequest, shop: Loopback
) -> None:
    assert status_of(channel, payment) == "absent"
    assert payment.payment_no in bring(channel, payment)
    assert status_of(channel, payment) == "pending"
    assert pay(sandbox, payment)["delivered"] is True

    told = channel.parse_payment_callback({}, shop.next_arrival().body, utc_now())
    found = channel.query_payment(payment.payment_no, payment.started_at)
    assert told.facts == found
    assert (found.status, found.amount_fen, found.currency) == ("succeeded", 12800, "CNY")
    assert channel.close_payment(payment.payment_no, payment.started_at) == "already_paid"

    request = refund_of(channel, payment, 6400)
    assert channel.query_refund(request).status == "absent"
    # Asked for twice under one number, it is one refund.
    assert [channel.refund(request).status for _ in range(2)] == ["processing", "processing"]
    sandbox.control(f"/refunds/unionpay/{request.refund_no}/succeed")
    arrived = channel.parse_refund_callback({}, shop.next_arrival().body, utc_now())
    assert arrived.facts == channel.query_refund(request)
    assert (arrived.facts.status, arrived.facts.amount_fen) == ("succeeded", 6400)


def test_form_that_was_brought_again_is_one_payment(
    sandbox: Sandbox, channel: UnionPayChannel, payment: PaymentRequest
) -> None:
    for _ in range(2):
        assert "银联在线支付" in bring(channel, payment)
    pay(sandbox, payment)
    assert "respCode=12" in bring(channel, payment)


@pytest.mark.parametrize("changes", [{"txnAmt": "1"}, {"merId": "777290058110048"}, {"signature": "AAAA"}])
def test_form_that_somebody_altered_is_refused(
    channel: UnionPayChannel, payment: PaymentRequest, changes: dict[str, str]
) -> None:
    assert "respCode=00" not in bring(channel, payment, **changes)
    assert status_of(channel, payment) == "absent"


def test_time_of_a_form_ends(channel: UnionPayChannel, payment: PaymentRequest) -> None:
    late = replace(payment, expires_at=utc_now() - timedelta(seconds=5))
    assert "respCode=39" in bring(channel, late)
    assert status_of(channel, late) == "absent"


def test_failed_card_may_be_tried_again(
    sandbox: Sandbox, channel: UnionPayChannel, payment: PaymentRequest
) -> None:
    bring(channel, payment)
    sandbox.control(f"/payments/unionpay/{payment.payment_no}/fail")
    assert status_of(channel, payment) == "failed"
    assert channel.close_payment(payment.payment_no, payment.started_at) == "absent"
    pay(sandbox, payment)
    assert status_of(channel, payment) == "succeeded"


def test_refunds_never_exceed_the_payment(
    sandbox: Sandbox, channel: UnionPayChannel, payment: PaymentRequest
) -> None:
    bring(channel, payment)
    pay(sandbox, payment)
    first, second = (refund_of(channel, payment, 6401, f"R26031400000000000{n}") for n in range(2))
    channel.refund(first)
    with pytest.raises(GatewayRefused) as refused:
        channel.refund(second)
    assert (refused.value.code, refused.value.is_retryable) == ("36", False)
    assert channel.query_refund(second).status == "absent"


def test_refund_that_breaks_is_found_by_a_query(
    sandbox: Sandbox, channel: UnionPayChannel, payment: PaymentRequest
) -> None:
    bring(channel, payment)
    pay(sandbox, payment)
    request = refund_of(channel, payment, 12800)
    channel.refund(request)
    sandbox.control(f"/refunds/unionpay/{request.refund_no}/abnormal")
    assert channel.query_refund(request).status == "abnormal"


def arm(sandbox: Sandbox, mode: str, operation: str, **values: Any) -> None:
    fault = {"target": "unionpay", "mode": mode, "operation": operation, "count": 1} | values
    sandbox.control("/faults", fault)


@pytest.mark.parametrize(
    ("mode", "values", "failure"),
    [
        ("latency", {"seconds": 4}, GatewayUnavailable),
        ("error", {}, GatewayRefused),
        ("error", {"after_commit": True}, GatewayRefused),
        ("error", {"status": 503}, GatewayUnavailable),
        ("timeout_after_commit", {"seconds": 4}, GatewayUnavailable),
    ],
)
def test_refund_through_a_fault_happens_once(
    sandbox: Sandbox,
    channel: UnionPayChannel,
    payment: PaymentRequest,
    mode: str,
    values: dict[str, Any],
    failure: type[Exception],
) -> None:
    bring(channel, payment)
    pay(sandbox, payment)
    request = refund_of(channel, payment, 12800)
    arm(sandbox, mode, "refund", **values)
    with pytest.raises(failure) as failed:
        channel.refund(request)
    if isinstance(failed.value, GatewayRefused):
        assert failed.value.is_retryable
    assert channel.refund(request).status == "processing"
    shown = requests.get(f"{sandbox.url}/_control/payments/unionpay/{payment.payment_no}", timeout=10).json()
    assert [refund["refund"] for refund in shown["refunds"]] == [12800]


@pytest.mark.parametrize(
    ("mode", "values"), [("latency", {"seconds": 4}), ("error", {}), ("timeout_after_commit", {"seconds": 4})]
)
def test_query_through_a_fault_is_asked_again(
    sandbox: Sandbox, channel: UnionPayChannel, payment: PaymentRequest, mode: str, values: dict[str, Any]
) -> None:
    bring(channel, payment)
    arm(sandbox, mode, "query", **values)
    with pytest.raises((GatewayUnavailable, GatewayRefused)):
        status_of(channel, payment)
    assert status_of(channel, payment) == "pending"


def test_lost_notice_is_found_by_a_query(
    sandbox: Sandbox, channel: UnionPayChannel, payment: PaymentRequest, shop: Loopback
) -> None:
    bring(channel, payment)
    arm(sandbox, "drop_callback", "payment_callback")
    assert pay(sandbox, payment)["fate"] == "dropped"
    assert shop.requests == []
    assert status_of(channel, payment) == "succeeded"


def test_doubled_notice_says_the_same_under_one_number(
    sandbox: Sandbox, channel: UnionPayChannel, payment: PaymentRequest, shop: Loopback
) -> None:
    bring(channel, payment)
    arm(sandbox, "duplicate_callback", "payment_callback", count=3)
    pay(sandbox, payment)
    told = {
        channel.parse_payment_callback({}, shop.next_arrival().body, utc_now()).callback_id for _ in range(4)
    }
    assert len(told) == 1


def test_probe_of_the_sandbox_is_refused_by_who_verifies(
    sandbox: Sandbox, channel: UnionPayChannel, payment: PaymentRequest, shop: Loopback
) -> None:
    bring(channel, payment)
    pay(sandbox, payment)
    shop.next_arrival()
    sandbox.control(f"/payments/unionpay/{payment.payment_no}/probe")
    with pytest.raises(CallbackInvalid, match="not_verified"):
        channel.parse_payment_callback({}, shop.next_arrival().body, utc_now())


def test_sandbox_needs_no_browser_when_we_bring_the_form(sandbox: Sandbox, payment: PaymentRequest) -> None:
    channel = make_channel(sandbox, opens_page=True)
    channel.create_payment(payment)
    assert status_of(channel, payment) == "pending"
    assert pay(sandbox, payment)["delivered"] is True


def test_adopted_payment_can_be_refunded(sandbox: Sandbox, channel: UnionPayChannel, shop: Loopback) -> None:
    paid_at = utc_now() - timedelta(hours=2)
    adopted = {
        "out_trade_no": "P260301000000000001",
        "transaction_id": "202603011200001234567",
        "total_fen": 12800,
        "paid_at": paid_at.isoformat(),
    }
    assert sandbox.control("/payments/unionpay/adopt", {"payments": [adopted]}) == {"adopted": 1}
    assert sandbox.control("/payments/unionpay/adopt", {"payments": [adopted]}) == {"adopted": 0}
    request = RefundRequest(
        refund_no="R260301000000000001",
        started_at=utc_now(),
        payment_no=adopted["out_trade_no"],
        transaction_no=str(adopted["transaction_id"]),
        amount_fen=12800,
        total_fen=12800,
        reason="取消",
        notify_url=f"{shop.url}/refunds",
    )
    assert channel.refund(request).status == "processing"


def test_query_of_another_second_finds_nothing(
    sandbox: Sandbox, channel: UnionPayChannel, payment: PaymentRequest
) -> None:
    bring(channel, payment)
    other: datetime = payment.started_at + timedelta(seconds=1)
    assert channel.query_payment(payment.payment_no, other).status == "absent"
