"""Payments of the example data in the sandbox: sent in pieces, then refunded by the ordinary gateway."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import requests

from app.domain.clock import utc_now
from app.gateways import sandbox_control
from app.gateways.ports import GatewayUnavailable, RefundRequest
from app.gateways.sandbox_control import PaidPayment, PaidRefund, adopt_payments
from tests.gateways.conftest import Sandbox
from tests.gateways.loopback import Answer, Loopback, json_answer

PATH = "/_control/payments/wechat/adopt"


@pytest.fixture
def payment() -> PaidPayment:
    # The service compares the time with its own clock, so it lies before the real one.
    return PaidPayment("P20260301000001", "4200020260301001", 12800, 0, utc_now() - timedelta(hours=2))


def test_adopted_payment_can_be_refunded(sandbox: Sandbox, loopback: Loopback, payment: PaidPayment) -> None:
    assert adopt_payments(sandbox.url + "/", [payment]) == 1
    assert adopt_payments(sandbox.url, [payment]) == 0

    facts = sandbox.channel().query_payment(payment.payment_no)
    assert (facts.status, facts.amount_fen) == ("succeeded", payment.amount_fen)
    assert facts.transaction_no == payment.transaction_no
    request = RefundRequest(
        refund_no="R1",
        started_at=payment.paid_at,
        payment_no=payment.payment_no,
        transaction_no=payment.transaction_no,
        amount_fen=12800,
        total_fen=12800,
        reason="取消",
        notify_url=f"{loopback.url}/refunds",
    )
    assert sandbox.channel().refund(request).status == "processing"


@pytest.mark.parametrize("service", ["alipay", "unionpay"])
def test_others_than_wechat_take_over_what_they_collected(
    sandbox: Sandbox, payment: PaidPayment, service: str
) -> None:
    refund = PaidRefund("R20260301000001", 800, payment.paid_at + timedelta(minutes=5))
    partly = replace(payment, refunded_fen=800, refunds=(refund,))

    assert adopt_payments(sandbox.url, [partly], service=service) == 1
    assert adopt_payments(sandbox.url, [partly], service=service) == 0

    shown = requests.get(f"{sandbox.url}/_control/payments/{service}/{partly.payment_no}", timeout=10).json()
    assert shown["total"] == partly.amount_fen
    # The bills of UnionPay are not played, so it keeps no refunds of others.
    told = [(each["out_refund_no"], each["refund"], each["refund_status"]) for each in shown["refunds"]]
    assert told == ([("R20260301000001", 800, "SUCCESS")] if service == "alipay" else [])


def test_many_payments_go_in_pieces(
    loopback: Loopback, payment: PaidPayment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox_control, "MOST_PAYMENTS", 2)
    loopback.on(PATH, json_answer({"adopted": 2}), json_answer({"adopted": 1}))
    payments = [replace(payment, payment_no=f"P2026030100000{index}") for index in range(3)]

    assert adopt_payments(loopback.url, payments) == 3

    sent = [[entry["out_trade_no"] for entry in each.json["payments"]] for each in loopback.requests]
    assert sent == [["P20260301000000", "P20260301000001"], ["P20260301000002"]]


def test_without_payments_nothing_is_sent(loopback: Loopback) -> None:
    assert adopt_payments(loopback.url, []) == 0
    assert loopback.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(422, b"{}"), id="refusal"),
        pytest.param(Answer(500), id="server error"),
        pytest.param(Answer(302, headers={"Location": "/elsewhere"}), id="redirection"),
        pytest.param(Answer(200, b"<html>"), id="no JSON"),
        pytest.param(json_answer([]), id="no object"),
        pytest.param(json_answer({}), id="no number"),
        pytest.param(Answer(drops=True), id="cut connection"),
        pytest.param(Answer(hangs=True), id="silence"),
    ],
)
def test_sandbox_that_does_not_take_them(
    loopback: Loopback, payment: PaidPayment, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox_control, "TIMEOUT_SECONDS", 0.2)
    loopback.on(PATH, answer)

    with pytest.raises(GatewayUnavailable) as raised:
        adopt_payments(loopback.url, [payment])

    assert raised.value.outcome_unknown
    assert loopback.paths() == [PATH]


def test_sandbox_that_does_not_run(closed_port: int, payment: PaidPayment) -> None:
    with pytest.raises(GatewayUnavailable) as raised:
        adopt_payments(f"http://127.0.0.1:{closed_port}", [payment])

    assert not raised.value.outcome_unknown
