"""Alipay's payments, refunds, notices, logins and bills against the sandbox process."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from app.domain.clock import utc_now
from app.gateways.alipay import AlipayGateway
from app.gateways.ports import (
    BillEntry,
    CallbackInvalid,
    GatewayRefused,
    GatewayUnavailable,
    PaymentRequest,
    RefundRequest,
)
from tests.gateways.alipay_service import CHINA
from tests.gateways.conftest import Sandbox
from tests.gateways.loopback import Answer, Loopback, Received
from tests.gateways.pay_service import private_pem, public_pem

OPENID = "074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWY"
SHORT_SECONDS = 0.2

_numbers = itertools.count(1)


@pytest.fixture
def gateway(sandbox: Sandbox) -> AlipayGateway:
    return sandbox.alipay()


@pytest.fixture
def shop(loopback: Loopback) -> Loopback:
    """The address that notices are sent to."""
    loopback.on("/payments", Answer(200, b"success"))
    return loopback


@pytest.fixture
def request_of(shop: Loopback) -> PaymentRequest:
    # The service compares the expiry with its own clock, so it lies ahead of the real one.
    return PaymentRequest(
        payment_no=f"P20260314{next(_numbers):06d}",
        started_at=utc_now(),
        amount_fen=12805,
        description="雀坊 {望京店} · 牡丹/包间",
        openid=OPENID,
        expires_at=utc_now() + timedelta(minutes=15),
        notify_url=f"{shop.url}/payments",
        kind="jsapi",
    )


@pytest.fixture
def code_of(request_of: PaymentRequest) -> PaymentRequest:
    return replace(request_of, kind="native", openid=None)


@pytest.fixture
def paid(
    sandbox: Sandbox, gateway: AlipayGateway, shop: Loopback, request_of: PaymentRequest
) -> PaymentRequest:
    """A payment whose notice has been taken."""
    gateway.create_payment(request_of)
    pay(sandbox, request_of)
    shop.next_arrival()
    return request_of


def pay(sandbox: Sandbox, request: PaymentRequest) -> Any:
    return sandbox.control(f"/payments/alipay/{request.payment_no}/succeed")


def refund_of(payment: PaymentRequest, amount_fen: int, number: str = "R1") -> RefundRequest:
    return RefundRequest(
        refund_no=f"{number}{payment.payment_no}",
        started_at=payment.started_at,
        payment_no=payment.payment_no,
        transaction_no=None,
        amount_fen=amount_fen,
        total_fen=payment.amount_fen,
        reason="提前取消",
        notify_url=payment.notify_url,
    )


def sent_at(callback: Received) -> datetime:
    """The instant at which the service signed."""
    stamp = parse_qs(callback.body.decode())["notify_time"][0]
    return datetime.fromisoformat(stamp).replace(tzinfo=CHINA).astimezone(UTC)


def test_a_payment_goes_from_its_trade_to_the_notice(
    sandbox: Sandbox, gateway: AlipayGateway, shop: Loopback, request_of: PaymentRequest
) -> None:
    params = gateway.create_payment(request_of)
    before = gateway.query_payment(request_of.payment_no)
    told = pay(sandbox, request_of)
    callback = shop.next_arrival()
    notice = gateway.parse_payment_callback(callback.headers, callback.body, sent_at(callback))
    after = gateway.query_payment(request_of.payment_no)

    assert (before.status, params) == ("pending", {"trade_no": before.transaction_no})
    assert (told["delivered"], told["status"]) == (True, 200)
    assert (after.status, after.amount_fen, after.currency) == ("succeeded", 12805, "CNY")
    assert after.merchant_no == sandbox.credentials["alipay"]["seller_id"]
    assert after.app_id == sandbox.credentials["alipay"]["app_id"]
    assert (notice.event, notice.facts, notice.refund) == ("TRADE_SUCCESS", after, None)


def test_a_notice_that_is_refused_comes_again_under_its_id(
    sandbox: Sandbox, gateway: AlipayGateway, shop: Loopback, request_of: PaymentRequest
) -> None:
    sandbox.control("/settings", {"notify_scale": 0.0005})
    shop.on(
        "/payments", Answer(200, b"fail"), Answer(500), Answer(200, b"success\n"), Answer(200, b"success")
    )
    gateway.create_payment(request_of)

    told = pay(sandbox, request_of)

    arrivals = [shop.next_arrival() for _ in range(4)]
    ids = {
        gateway.parse_payment_callback({}, arrival.body, sent_at(arrival)).callback_id for arrival in arrivals
    }
    assert (told["delivered"], told["fate"], len(ids)) == (False, "refused", 1)


def test_a_code_becomes_a_trade_when_it_is_scanned(
    sandbox: Sandbox, gateway: AlipayGateway, shop: Loopback, code_of: PaymentRequest
) -> None:
    first, again = gateway.create_payment(code_of), gateway.create_payment(code_of)
    before = gateway.query_payment(code_of.payment_no)
    sandbox.control(f"/payments/alipay/{code_of.payment_no}/scan")
    scanned = gateway.query_payment(code_of.payment_no)
    pay(sandbox, code_of)

    assert first == again and first["code_url"].startswith("https://qr.alipay.com/")
    assert (before.status, scanned.status) == ("absent", "pending")
    callback = shop.next_arrival()
    assert gateway.parse_payment_callback({}, callback.body, sent_at(callback)).facts.status == "succeeded"


def test_closing_follows_the_life_of_a_code(
    sandbox: Sandbox, gateway: AlipayGateway, shop: Loopback, code_of: PaymentRequest
) -> None:
    gateway.create_payment(code_of)
    unscanned = gateway.close_payment(code_of.payment_no)
    sandbox.control(f"/payments/alipay/{code_of.payment_no}/scan")
    scanned, again = gateway.close_payment(code_of.payment_no), gateway.close_payment(code_of.payment_no)
    closed = gateway.query_payment(code_of.payment_no)
    # Money that comes all the same is learnt about.
    pay(sandbox, code_of)

    assert (unscanned, scanned, again, closed.status) == ("absent", "closed", "closed", "closed")
    assert gateway.close_payment(code_of.payment_no) == "already_paid"
    with pytest.raises(GatewayRefused, match="TRADE_HAS_SUCCESS"):
        gateway.create_payment(code_of)


def test_the_same_number_with_another_amount_is_refused(
    gateway: AlipayGateway, request_of: PaymentRequest
) -> None:
    gateway.create_payment(request_of)

    with pytest.raises(GatewayRefused, match=r"ACQ\.CONTEXT_INCONSISTENT"):
        gateway.create_payment(replace(request_of, amount_fen=12804))

    assert gateway.query_payment(request_of.payment_no).amount_fen == 12805


def test_a_payment_that_has_expired_cannot_be_made(
    gateway: AlipayGateway, request_of: PaymentRequest
) -> None:
    with pytest.raises(GatewayRefused, match="EXPIRE"):
        gateway.create_payment(replace(request_of, expires_at=utc_now() - timedelta(seconds=1)))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"app_private_key": private_pem("merchant")}, id="another key"),
        pytest.param({"app_id": "2021000000000009"}, id="another application"),
    ],
)
def test_a_stranger_is_refused(sandbox: Sandbox, request_of: PaymentRequest, changes: dict[str, str]) -> None:
    with pytest.raises(GatewayRefused, match="invalid"):
        sandbox.alipay(**changes).create_payment(request_of)


def test_a_gateway_that_signs_with_another_key_is_not_believed(
    sandbox: Sandbox, gateway: AlipayGateway, shop: Loopback, paid: PaymentRequest
) -> None:
    other = sandbox.alipay(alipay_public_key=public_pem("stranger"))
    notice = shop.requests[0]

    with pytest.raises(GatewayUnavailable):
        other.query_payment(paid.payment_no)
    with pytest.raises(CallbackInvalid, match="not_verified"):
        other.parse_payment_callback({}, notice.body, sent_at(notice))


def test_the_probe_of_the_sandbox_is_refused(
    sandbox: Sandbox, gateway: AlipayGateway, shop: Loopback, paid: PaymentRequest
) -> None:
    shop.on("/payments", Answer(400, b"fail"))

    told = sandbox.control(f"/payments/alipay/{paid.payment_no}/probe")

    probe = shop.next_arrival()
    assert (told["delivered"], told["status"]) == (False, 400)
    with pytest.raises(CallbackInvalid, match="not_verified"):
        gateway.parse_payment_callback({}, probe.body, sent_at(probe))


def test_a_refund_under_way_is_done_later(
    sandbox: Sandbox, gateway: AlipayGateway, shop: Loopback, paid: PaymentRequest
) -> None:
    request = refund_of(paid, 6400)
    asked, repeated, waiting = gateway.refund(request), gateway.refund(request), gateway.query_refund(request)
    sandbox.control(f"/refunds/alipay/{request.refund_no}/succeed")
    callback = shop.next_arrival()
    notice = gateway.parse_payment_callback({}, callback.body, sent_at(callback))
    done = gateway.query_refund(request)

    assert (asked.status, repeated, waiting.status) == ("processing", asked, "absent")
    assert (done.status, done.amount_fen) == ("succeeded", 6400)
    assert gateway.refund(request) == done
    # The trade stays paid, and the notice is not one of a payment.
    assert (notice.event, notice.facts.status) == ("TRADE_SUCCESS.REFUND", "succeeded")
    assert notice.refund is not None
    assert (notice.refund.refund_no, notice.refund.finished_at) == (request.refund_no, done.finished_at)
    assert gateway.query_payment(paid.payment_no).status == "succeeded"


def test_a_refund_is_most_often_done_at_once(
    sandbox: Sandbox, gateway: AlipayGateway, shop: Loopback, paid: PaymentRequest
) -> None:
    sandbox.control("/settings", {"refund_delay_seconds": 0})
    part, rest = refund_of(paid, 6400, "RA"), refund_of(paid, 6405, "RB")

    assert [gateway.refund(request).status for request in (part, rest, part)] == ["succeeded"] * 3

    events = {
        gateway.parse_refund_callback({}, notice.body, sent_at(notice)).event
        for notice in (shop.next_arrival(), shop.next_arrival())
    }
    assert "TRADE_CLOSED.REFUND" in events
    # What went back whole looks like what nobody paid.
    assert gateway.query_payment(paid.payment_no).status == "closed"
    assert [gateway.query_refund(request).amount_fen for request in (part, rest)] == [6400, 6405]


def test_a_refund_that_fails_is_refused_when_it_is_repeated(
    sandbox: Sandbox, gateway: AlipayGateway, paid: PaymentRequest
) -> None:
    request = refund_of(paid, 6400)
    gateway.refund(request)
    sandbox.control(f"/refunds/alipay/{request.refund_no}/abnormal")

    assert gateway.query_refund(request).status == "absent"
    with pytest.raises(GatewayRefused, match="NOT_ALLOW_REFUND") as refused:
        gateway.refund(request)
    assert not refused.value.is_retryable


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda r: replace(r, amount_fen=6401), "DISCORDANT_REPEAT_REQUEST"),
        (lambda r: replace(r, refund_no="R2", amount_fen=6406), "REASON_TRADE_REFUND_FEE_ERR"),
        (lambda r: replace(r, refund_no="R2", payment_no="P20260314999999"), "TRADE_NOT_EXIST"),
    ],
)
def test_a_refund_that_does_not_fit_is_refused(
    gateway: AlipayGateway,
    paid: PaymentRequest,
    change: Callable[[RefundRequest], RefundRequest],
    code: str,
) -> None:
    request = refund_of(paid, 6400)
    gateway.refund(request)

    with pytest.raises(GatewayRefused, match=code):
        gateway.refund(change(request))


def test_an_unpaid_trade_cannot_be_refunded(gateway: AlipayGateway, request_of: PaymentRequest) -> None:
    gateway.create_payment(request_of)

    with pytest.raises(GatewayRefused, match="TRADE_STATUS_ERROR"):
        gateway.refund(refund_of(request_of, 1))


CALLS: dict[str, Callable[[AlipayGateway, PaymentRequest], Any]] = {
    "create": lambda gateway, request: gateway.create_payment(request),
    "precreate": lambda gateway, request: gateway.create_payment(replace(request, openid=None)),
    "query": lambda gateway, request: gateway.query_payment(request.payment_no),
    "close": lambda gateway, request: gateway.close_payment(request.payment_no),
    "refund": lambda gateway, request: gateway.refund(refund_of(request, 100)),
    "refund_query": lambda gateway, request: gateway.query_refund(refund_of(request, 100)),
}
FAULTS = [
    pytest.param({"mode": "error"}, id="error"),
    pytest.param({"mode": "error", "status": 502}, id="error of a proxy"),
    pytest.param({"mode": "error", "after_commit": True}, id="error after the work"),
    pytest.param({"mode": "timeout_after_commit"}, id="time-out after the work"),
    # Last and short, because a request that is still asleep takes the fault of the next test.
    pytest.param({"mode": "latency", "seconds": 0.9}, id="latency"),
]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", CALLS)
def test_a_fault_leaves_the_outcome_unknown_and_a_repetition_mends_it(
    sandbox: Sandbox, shop: Loopback, request_of: PaymentRequest, operation: str, fault: dict[str, Any]
) -> None:
    patient, gateway = sandbox.alipay(), sandbox.alipay(SHORT_SECONDS)
    if operation not in ("create", "precreate"):
        patient.create_payment(request_of)
    if operation.startswith("refund"):
        pay(sandbox, request_of)
    sandbox.control("/faults", {"target": "alipay", "operation": operation, "count": 1} | fault)

    with pytest.raises(GatewayUnavailable) as failed:
        CALLS[operation](gateway, request_of)

    assert failed.value.outcome_unknown
    assert CALLS[operation](patient, request_of)
    shown = sandbox.shown("payments", request_of.payment_no)
    assert len(shown["refunds"]) == (operation == "refund")


def test_a_login_code_works_once(sandbox: Sandbox, gateway: AlipayGateway) -> None:
    code = sandbox.control("/login-codes", {"openid": "2088102169481075"})["code"]

    assert gateway.exchange_login_code(code).openid == "2088102169481075"

    for spent in (code, "unknown"):
        with pytest.raises(GatewayRefused, match="code-invalid"):
            gateway.exchange_login_code(spent)


def test_a_bill_holds_the_payments_and_refunds_of_its_day(
    sandbox: Sandbox, gateway: AlipayGateway, shop: Loopback, paid: PaymentRequest
) -> None:
    request = refund_of(paid, 6400)
    gateway.refund(request)
    sandbox.control(f"/refunds/alipay/{request.refund_no}/succeed")
    trade, refund = gateway.query_payment(paid.payment_no), gateway.query_refund(request)
    assert trade.paid_at is not None and refund.finished_at is not None
    # The two may lie on either side of midnight.
    days = sorted({at.astimezone(CHINA).date() for at in (trade.paid_at, refund.finished_at)})

    bill = [
        entry for day in days for found in [gateway.download_bill(day)] if found for entry in found.entries
    ]

    number = trade.transaction_no or ""
    assert bill == [
        BillEntry("payment", paid.payment_no, None, number, 12805, 77, trade.paid_at),
        BillEntry("refund", paid.payment_no, request.refund_no, number, 6400, -38, refund.finished_at),
    ]
    assert gateway.download_bill(days[0] - timedelta(days=1)) is None
    with pytest.raises(GatewayRefused, match="invalid-parameter"):
        gateway.download_bill(days[-1] + timedelta(days=2))
