"""Payments and refunds against the sandbox process: both sides check each other's signatures."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.clock import utc_now
from app.domain.reconciliation import bill_date
from app.gateways.ports import (
    BillEntry,
    CallbackInvalid,
    GatewayRefused,
    GatewayUnavailable,
    PaymentCallback,
    PaymentRequest,
    RefundCallback,
    RefundRequest,
    ShippingInfo,
)
from app.gateways.wechat import WeChatMiniProgram
from app.gateways.wechat_pay import WeChatPayChannel
from tests.gateways.conftest import Sandbox
from tests.gateways.loopback import Answer, Loopback, Received
from tests.gateways.pay_service import private_pem

OPENID = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
SHORT_SECONDS = 0.2

_numbers = itertools.count(1)


@pytest.fixture
def program(sandbox: Sandbox) -> WeChatMiniProgram:
    return sandbox.program()


@pytest.fixture
def channel(sandbox: Sandbox) -> WeChatPayChannel:
    return sandbox.channel()


@pytest.fixture
def shop(loopback: Loopback) -> Loopback:
    """The addresses that callbacks are sent to."""
    loopback.on("/payments", Answer(204))
    loopback.on("/refunds", Answer(204))
    return loopback


@pytest.fixture
def request_of(shop: Loopback) -> PaymentRequest:
    # The service compares the expiry with its own clock, so it lies ahead of the real one.
    return PaymentRequest(
        payment_no=f"P20260314{next(_numbers):06d}",
        started_at=utc_now(),
        amount_fen=12800,
        description="雀坊 望京店 · 牡丹包间",
        openid=OPENID,
        expires_at=utc_now() + timedelta(minutes=15),
        notify_url=f"{shop.url}/payments",
        kind="jsapi",
    )


@pytest.fixture
def paid(sandbox: Sandbox, channel: WeChatPayChannel, request_of: PaymentRequest) -> PaymentRequest:
    channel.create_payment(request_of)
    pay(sandbox, request_of)
    return request_of


def pay(sandbox: Sandbox, request: PaymentRequest) -> None:
    sandbox.control(f"/payments/wechat/{request.payment_no}/succeed")


def refund_of(payment: PaymentRequest, amount_fen: int) -> RefundRequest:
    return RefundRequest(
        refund_no=f"R{payment.payment_no}",
        started_at=payment.started_at,
        payment_no=payment.payment_no,
        transaction_no=None,
        amount_fen=amount_fen,
        total_fen=payment.amount_fen,
        reason="提前取消",
        notify_url=payment.notify_url.replace("payments", "refunds"),
    )


def sent_at(callback: Received) -> datetime:
    """The instant at which the service signed."""
    return datetime.fromtimestamp(int(dict(callback.headers)["Wechatpay-Timestamp"]), UTC)


def read_payment(channel: WeChatPayChannel, callback: Received) -> PaymentCallback:
    return channel.parse_payment_callback(callback.headers, callback.body, sent_at(callback))


def read_refund(channel: WeChatPayChannel, callback: Received) -> RefundCallback:
    return channel.parse_refund_callback(callback.headers, callback.body, sent_at(callback))


def test_a_paid_order_is_reported_as_delivered(
    program: WeChatMiniProgram, channel: WeChatPayChannel, paid: PaymentRequest
) -> None:
    transaction_no = channel.query_payment(paid.payment_no).transaction_no
    assert transaction_no is not None

    assert program.is_trade_managed()
    program.upload_shipping_info(ShippingInfo(transaction_no, OPENID, paid.description, utc_now()))

    with pytest.raises(GatewayRefused, match="10060001"):
        program.upload_shipping_info(ShippingInfo("4200000000", OPENID, paid.description, utc_now()))


def test_a_payment_goes_from_prepay_to_callback(
    sandbox: Sandbox, channel: WeChatPayChannel, shop: Loopback, request_of: PaymentRequest
) -> None:
    params = channel.create_payment(request_of)
    before = channel.query_payment(request_of.payment_no)
    pay(sandbox, request_of)
    callback = read_payment(channel, shop.next_arrival())
    after = channel.query_payment(request_of.payment_no)

    assert params["package"].startswith("prepay_id=")
    assert before.status == "pending"
    assert (after.status, after.amount_fen, after.currency) == ("succeeded", 12800, "CNY")
    assert after.payer_openid == OPENID
    assert after.merchant_no == sandbox.credentials["wechat_pay"]["mchid"]
    assert after.app_id == sandbox.credentials["wechat_pay"]["app_id"]
    assert callback.event == "TRANSACTION.SUCCESS"
    assert callback.facts == after


def test_a_repeated_callback_has_the_same_number_and_another_signature(
    sandbox: Sandbox, channel: WeChatPayChannel, shop: Loopback, paid: PaymentRequest
) -> None:
    pay(sandbox, paid)
    first, second = shop.next_arrival(), shop.next_arrival()

    assert read_payment(channel, first) == read_payment(channel, second)
    assert dict(first.headers)["Wechatpay-Nonce"] != dict(second.headers)["Wechatpay-Nonce"]


def test_a_true_callback_is_refused_later_and_by_others(
    sandbox: Sandbox, channel: WeChatPayChannel, shop: Loopback, paid: PaymentRequest
) -> None:
    callback = shop.next_arrival()
    other_serial = sandbox.channel(public_key_id="PUB_KEY_ID_0000")
    other_key = sandbox.channel(api_v3_key="x" * 32)
    late = sent_at(callback) + timedelta(minutes=5)

    for reader, now, reason in (
        (channel, late, "timestamp_out_of_range"),
        (other_serial, sent_at(callback), "unknown_serial"),
        (other_key, sent_at(callback), "not_verified"),
    ):
        with pytest.raises(CallbackInvalid, match=reason):
            reader.parse_payment_callback(callback.headers, callback.body, now)
    assert read_payment(channel, callback).facts.payment_no == paid.payment_no


def test_a_probe_is_refused(
    sandbox: Sandbox, channel: WeChatPayChannel, shop: Loopback, request_of: PaymentRequest
) -> None:
    channel.create_payment(request_of)
    sandbox.control(f"/payments/wechat/{request_of.payment_no}/probe")

    with pytest.raises(CallbackInvalid, match="probe"):
        read_payment(channel, shop.next_arrival())


def test_a_callback_signed_by_a_certificate_is_refused_without_fetching_it(
    sandbox: Sandbox, channel: WeChatPayChannel, shop: Loopback, request_of: PaymentRequest
) -> None:
    channel.create_payment(request_of)
    sandbox.control("/settings", {"wechat_pay_key_mode": "certificate"})
    try:
        pay(sandbox, request_of)
        callback = shop.next_arrival()
    finally:
        sandbox.control("/settings", {"wechat_pay_key_mode": "public_key"})

    with pytest.raises(CallbackInvalid, match="unknown_serial"):
        read_payment(channel, callback)


def test_a_qr_payment_is_offered(channel: WeChatPayChannel, request_of: PaymentRequest) -> None:
    params = channel.create_payment(replace(request_of, kind="native", openid=None))

    assert params["code_url"].startswith("weixin://")


def test_a_prepay_repeats_with_the_same_values_and_no_others(
    channel: WeChatPayChannel, request_of: PaymentRequest
) -> None:
    first = channel.create_payment(request_of)

    assert channel.create_payment(request_of)["package"] == first["package"]
    with pytest.raises(GatewayRefused) as refused:
        channel.create_payment(replace(request_of, amount_fen=1))
    assert not refused.value.is_retryable
    assert channel.query_payment(request_of.payment_no).amount_fen == 12800


def test_a_prepay_that_timed_out_is_found_by_its_number(sandbox: Sandbox, request_of: PaymentRequest) -> None:
    channel = sandbox.channel(SHORT_SECONDS)
    sandbox.control(
        "/faults",
        {"target": "wechat_pay", "mode": "timeout_after_commit", "operation": "prepay", "count": 1},
    )

    with pytest.raises(GatewayUnavailable) as failed:
        channel.create_payment(request_of)

    assert failed.value.outcome_unknown
    assert channel.query_payment(request_of.payment_no).status == "pending"
    assert channel.create_payment(request_of)["package"].startswith("prepay_id=")


def test_an_unknown_payment_is_absent(channel: WeChatPayChannel, request_of: PaymentRequest) -> None:
    assert channel.query_payment(request_of.payment_no).status == "absent"
    assert channel.query_refund(refund_of(request_of, 100)).status == "absent"


def test_an_unpaid_payment_is_closed_for_good(
    sandbox: Sandbox, channel: WeChatPayChannel, request_of: PaymentRequest
) -> None:
    channel.create_payment(request_of)

    assert channel.close_payment(request_of.payment_no) == "closed"
    assert channel.close_payment(request_of.payment_no) == "closed"
    assert channel.query_payment(request_of.payment_no).status == "closed"


def test_a_paid_payment_cannot_be_closed(channel: WeChatPayChannel, paid: PaymentRequest) -> None:
    assert channel.close_payment(paid.payment_no) == "already_paid"
    assert channel.query_payment(paid.payment_no).status == "succeeded"


def test_a_refund_goes_from_request_to_callback(
    sandbox: Sandbox, channel: WeChatPayChannel, shop: Loopback, paid: PaymentRequest
) -> None:
    shop.next_arrival()
    request = refund_of(paid, 6400)

    asked, repeated = channel.refund(request), channel.refund(request)
    sandbox.control(f"/refunds/wechat/{request.refund_no}/succeed")
    callback = read_refund(channel, shop.next_arrival())
    done = channel.query_refund(request)

    assert asked == repeated
    assert (asked.status, asked.amount_fen, asked.finished_at) == ("processing", 6400, None)
    assert (done.status, done.payment_no) == ("succeeded", paid.payment_no)
    assert done.finished_at is not None
    assert callback.event == "REFUND.SUCCESS"
    assert replace(callback.facts, merchant_no=None) == done
    assert callback.facts.merchant_no == sandbox.credentials["wechat_pay"]["mchid"]
    assert channel.query_payment(paid.payment_no).status == "succeeded"


def test_an_abnormal_refund_is_told_apart(
    sandbox: Sandbox, channel: WeChatPayChannel, shop: Loopback, paid: PaymentRequest
) -> None:
    shop.next_arrival()
    request = refund_of(paid, 12800)
    channel.refund(request)

    sandbox.control(f"/refunds/wechat/{request.refund_no}/abnormal")

    assert read_refund(channel, shop.next_arrival()).facts.status == "abnormal"
    assert channel.query_refund(request).status == "abnormal"


def test_a_refund_after_a_system_error_is_repeated_with_its_number(
    sandbox: Sandbox, channel: WeChatPayChannel, paid: PaymentRequest
) -> None:
    fault = {"target": "wechat_pay", "mode": "error", "operation": "refund", "count": 1, "after_commit": True}
    sandbox.control("/faults", fault)
    request = refund_of(paid, 12800)

    with pytest.raises(GatewayUnavailable) as failed:
        channel.refund(request)

    assert failed.value.outcome_unknown
    assert channel.query_refund(request).status == "processing"
    assert channel.refund(request).status == "processing"


def test_too_many_requests_may_be_tried_again(
    sandbox: Sandbox, channel: WeChatPayChannel, request_of: PaymentRequest
) -> None:
    sandbox.control("/faults", {"target": "wechat_pay", "mode": "error", "count": 1, "status": 429})

    with pytest.raises(GatewayRefused) as refused:
        channel.create_payment(request_of)

    assert (refused.value.code, refused.value.is_retryable) == ("FREQUENCY_LIMITED", True)


def test_a_request_with_a_foreign_key_is_refused(sandbox: Sandbox, request_of: PaymentRequest) -> None:
    stranger = sandbox.channel(merchant_private_key=private_pem("stranger"))

    with pytest.raises(GatewayRefused, match="SIGN_ERROR"):
        stranger.create_payment(request_of)


def test_a_bill_holds_the_payments_and_refunds_of_its_day(
    sandbox: Sandbox, channel: WeChatPayChannel, paid: PaymentRequest
) -> None:
    request = refund_of(paid, 6400)
    channel.refund(request)
    sandbox.control(f"/refunds/wechat/{request.refund_no}/succeed")
    trade, refund = channel.query_payment(paid.payment_no), channel.query_refund(request)
    assert trade.paid_at is not None and refund.finished_at is not None
    days = sorted({bill_date(at) for at in (trade.paid_at, refund.finished_at)})

    bills = [channel.download_bill(day) for day in days]

    number = trade.transaction_no or ""
    assert [entry for bill in bills if bill is not None for entry in bill.entries] == [
        BillEntry("payment", paid.payment_no, None, number, 12800, 77, trade.paid_at),
        BillEntry("refund", paid.payment_no, request.refund_no, number, 6400, -38, refund.finished_at),
    ]
    assert channel.download_bill(days[0] - timedelta(days=1)) is None
    with pytest.raises(GatewayRefused):
        channel.download_bill(days[-1] + timedelta(days=2))
