"""The UnionPay gateway against a server in the test's hand: forms, codes, trust, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from app.gateways.ports import GatewayRefused, GatewayUnavailable, PaymentFacts, RefundFacts
from app.gateways.unionpay import UnionPayChannel
from sandbox.unionpay_messages import Messages
from tests.gateways.loopback import Answer, Loopback
from tests.gateways.unionpay_service import (
    BACK,
    FRONT,
    PAYMENT,
    QUERY,
    REFUND,
    STARTED_AT,
    Impostor,
    answer,
    form_of,
    impostors,
    keys,
    make_channel,
    merchant_no,
    refunded,
    transaction,
)

Call = Callable[[UnionPayChannel], Any]
CALLS: dict[str, tuple[str, Call]] = {
    "query": (QUERY, lambda channel: channel.query_payment(PAYMENT.payment_no, STARTED_AT)),
    "close": (QUERY, lambda channel: channel.close_payment(PAYMENT.payment_no, STARTED_AT)),
    "refund": (BACK, lambda channel: channel.refund(REFUND)),
    "query_refund": (QUERY, lambda channel: channel.query_refund(REFUND)),
}
each_call = pytest.mark.parametrize(("path", "call"), CALLS.values(), ids=CALLS.keys())


@pytest.fixture
def channel(loopback: Loopback) -> UnionPayChannel:
    return make_channel(loopback.url)


def found(result: str, **changes: str) -> Answer:
    """A query that worked, about a payment with this outcome."""
    return answer(transaction(respCode="00", origRespCode=result, **changes))


def test_form_of_the_payer_is_signed_and_always_the_same(
    loopback: Loopback, channel: UnionPayChannel
) -> None:
    params = channel.create_payment(PAYMENT)

    assert params.pop("action") == f"{loopback.url}{FRONT}"
    assert {name: value for name, value in params.items() if name not in ("certId", "signature")} == {
        "version": "5.1.0",
        "encoding": "UTF-8",
        "signMethod": "01",
        "txnType": "01",
        "txnSubType": "01",
        "bizType": "000201",
        "channelType": "08",
        "accessType": "0",
        "merId": merchant_no(),
        "orderId": PAYMENT.payment_no,
        # Beijing time.
        "txnTime": "20260314120005",
        "txnAmt": "12800",
        "currencyCode": "156",
        "frontUrl": "https://example.test/",
        "backUrl": PAYMENT.notify_url,
        "payTimeout": "20260314121505",
    }
    assert params["certId"].isdecimal()
    Messages(keys().kept)._verify(params)
    assert channel.create_payment(PAYMENT) == params | {"action": f"{loopback.url}{FRONT}"}
    assert loopback.requests == []


def test_form_is_brought_by_ourselves_only_for_a_sandbox(loopback: Loopback) -> None:
    loopback.on(FRONT, Answer(200, b"<html>"))
    params = make_channel(loopback.url, opens_page=True).create_payment(PAYMENT)
    (request,) = loopback.requests
    assert form_of(request) == {name: value for name, value in params.items() if name != "action"}


def test_query_names_number_and_time(loopback: Loopback, channel: UnionPayChannel) -> None:
    loopback.on(QUERY, found("00"))

    facts = channel.query_payment(PAYMENT.payment_no, STARTED_AT)

    assert facts == PaymentFacts(
        payment_no=PAYMENT.payment_no,
        status="succeeded",
        amount_fen=12800,
        currency="CNY",
        transaction_no="202603141200051234567",
        paid_at=datetime(2026, 3, 14, 4, 1, 7, tzinfo=UTC),
        merchant_no=merchant_no(),
    )
    form = form_of(loopback.requests[0])
    assert (form["txnType"], form["txnSubType"], form["orderId"], form["txnTime"]) == (
        "00",
        "00",
        PAYMENT.payment_no,
        "20260314120005",
    )


@pytest.mark.parametrize(
    ("result", "status", "closing"),
    [
        ("00", "succeeded", "already_paid"),
        ("A6", "succeeded", "already_paid"),
        ("03", "pending", "absent"),
        ("04", "pending", "absent"),
        ("05", "pending", "absent"),
        ("01", "failed", "absent"),
        ("60", "failed", "absent"),
        ("61", "failed", "absent"),
    ],
)
def test_outcome_is_that_of_the_payment_not_of_the_query(
    loopback: Loopback, channel: UnionPayChannel, result: str, status: str, closing: str
) -> None:
    loopback.on(QUERY, found(result))
    assert channel.query_payment(PAYMENT.payment_no, STARTED_AT).status == status
    assert channel.close_payment(PAYMENT.payment_no, STARTED_AT) == closing


def test_what_no_browser_has_brought_is_absent(loopback: Loopback, channel: UnionPayChannel) -> None:
    loopback.on(QUERY, answer({"respCode": "34"}))
    assert channel.query_payment(PAYMENT.payment_no, STARTED_AT) == PaymentFacts(PAYMENT.payment_no, "absent")
    assert channel.close_payment(PAYMENT.payment_no, STARTED_AT) == "absent"
    assert channel.query_refund(REFUND) == RefundFacts(REFUND.refund_no, "absent")


def test_payment_over_the_new_year_is_dated_right(loopback: Loopback, channel: UnionPayChannel) -> None:
    started = datetime(2026, 12, 31, 15, 59, 50, tzinfo=UTC)
    loopback.on(QUERY, found("00", txnTime="20261231235950", traceTime="0101000012"))
    facts = channel.query_payment(PAYMENT.payment_no, started)
    assert facts.paid_at == datetime(2026, 12, 31, 16, 0, 12, tzinfo=UTC)


def test_refund_is_accepted_not_refunded(loopback: Loopback, channel: UnionPayChannel) -> None:
    loopback.on(BACK, answer({"respCode": "00", "queryId": "202603141300007654321"}))

    facts = channel.refund(REFUND)

    assert facts == RefundFacts(
        refund_no=REFUND.refund_no,
        status="processing",
        provider_refund_no="202603141300007654321",
        amount_fen=6400,
        merchant_no=merchant_no(),
    )
    form = form_of(loopback.requests[0])
    assert (form["txnType"], form["txnSubType"], form["origQryId"], form["txnAmt"], form["orderId"]) == (
        "04",
        "00",
        REFUND.transaction_no,
        "6400",
        REFUND.refund_no,
    )


@pytest.mark.parametrize("result", ["01", "03", "04", "05", "12", "34", "60"])
def test_doubt_about_a_refund_is_settled_by_a_query(
    loopback: Loopback, channel: UnionPayChannel, result: str
) -> None:
    loopback.on(BACK, answer({"respCode": result}))
    loopback.on(QUERY, answer(refunded(respCode="00", origRespCode="05")))
    assert channel.refund(REFUND).status == "processing"
    assert loopback.paths() == [BACK, QUERY]

    loopback.on(QUERY, answer({"respCode": "34"}))
    with pytest.raises(GatewayUnavailable) as failed:
        channel.refund(REFUND)
    assert failed.value.outcome_unknown


@pytest.mark.parametrize(
    ("result", "status"),
    [("00", "succeeded"), ("A6", "succeeded"), ("05", "processing"), ("60", "abnormal"), ("36", "abnormal")],
)
def test_refund_is_asked_after(
    loopback: Loopback, channel: UnionPayChannel, result: str, status: str
) -> None:
    loopback.on(QUERY, answer(refunded(respCode="00", origRespCode=result)))
    facts = channel.query_refund(REFUND)
    assert (facts.status, facts.refund_no, facts.amount_fen) == (status, REFUND.refund_no, 6400)


@pytest.mark.parametrize(
    ("code", "is_retryable"),
    [("02", True), ("06", True), ("37", True), ("39", True), ("10", False), ("11", False), ("31", False)],
)
@each_call
def test_refusal_carries_the_code(
    loopback: Loopback, channel: UnionPayChannel, path: str, call: Call, code: str, is_retryable: bool
) -> None:
    loopback.on(path, answer({"respCode": code}))
    with pytest.raises(GatewayRefused) as refused:
        call(channel)
    assert (refused.value.code, refused.value.message, refused.value.is_retryable) == (
        code,
        "说明",
        is_retryable,
    )


UNUSABLE = [
    pytest.param(Answer(200, b"Invalid request."), id="a plain sentence"),
    pytest.param(Answer(200, b""), id="nothing"),
    pytest.param(Answer(200, b"\xff\xfe=&respCode=00"), id="no UTF-8"),
    pytest.param(Answer(200, b"respCode=00&respCode=00"), id="a field twice"),
    pytest.param(Answer(200, b"respCode=00"), id="not signed"),
    pytest.param(Answer(200, b"respCode=00&x=" + b"A" * 100_000), id="giant"),
    pytest.param(Answer(302, b"", {"Location": "http://127.0.0.1:1/"}), id="somewhere else"),
    pytest.param(Answer(404, b"respCode=34"), id="proxy that knows nothing"),
    pytest.param(Answer(502, b"<html>Bad Gateway</html>"), id="proxy error"),
    pytest.param(Answer(drops=True), id="connection cut"),
    pytest.param(Answer(hangs=True), id="no answer in time"),
]


@pytest.mark.parametrize("given", UNUSABLE)
@each_call
def test_unusable_answer_leaves_the_outcome_unknown(
    loopback: Loopback, channel: UnionPayChannel, path: str, call: Call, given: Answer
) -> None:
    loopback.on(path, given)
    with pytest.raises(GatewayUnavailable) as failed:
        call(channel)
    assert failed.value.outcome_unknown
    assert loopback.paths() == [path]
    assert not loopback.has_run_out_of_patience


@pytest.mark.parametrize(("reason", "impostor"), impostors().values(), ids=impostors().keys())
@each_call
def test_answer_of_somebody_else_is_not_believed(
    loopback: Loopback, channel: UnionPayChannel, path: str, call: Call, reason: str, impostor: Impostor
) -> None:
    told = transaction(respCode="00", origRespCode="00")
    loopback.on(path, answer(told, **impostor.keys))
    with pytest.raises(GatewayUnavailable, match=reason):
        call(channel)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"orderId": "P999999999999999999"}, id="another number"),
        pytest.param({"txnTime": "20260314120006"}, id="another time"),
        pytest.param({"merId": "777290058110048"}, id="another merchant"),
        pytest.param({"origRespCode": ""}, id="no outcome"),
        pytest.param({"txnAmt": "12800.00"}, id="amount in yuan"),
        pytest.param({"txnAmt": ""}, id="no amount"),
        pytest.param({"queryId": ""}, id="no number of theirs"),
        pytest.param({"traceTime": "0230250000"}, id="no such time"),
    ],
)
def test_answer_that_does_not_fit_is_no_answer(
    loopback: Loopback, channel: UnionPayChannel, changes: dict[str, str]
) -> None:
    loopback.on(QUERY, answer(transaction(respCode="00", origRespCode="00") | changes))
    with pytest.raises(GatewayUnavailable):
        channel.query_payment(PAYMENT.payment_no, STARTED_AT)


def test_nobody_there_means_that_nothing_arrived(closed_port: int) -> None:
    channel = make_channel(f"http://127.0.0.1:{closed_port}")
    with pytest.raises(GatewayUnavailable) as failed:
        channel.refund(REFUND)
    assert not failed.value.outcome_unknown


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda c: c.create_payment(replace(PAYMENT, amount_fen=0)), id="nothing to pay"),
        pytest.param(
            lambda c: c.create_payment(replace(PAYMENT, payment_no="P-1234567")), id="dash in a number"
        ),
        pytest.param(lambda c: c.create_payment(replace(PAYMENT, payment_no="P1")), id="short number"),
        pytest.param(lambda c: c.query_payment("P" * 41, STARTED_AT), id="long number"),
        pytest.param(lambda c: c.refund(replace(REFUND, transaction_no=None)), id="nothing to refund"),
        pytest.param(lambda c: c.refund(replace(REFUND, amount_fen=12801)), id="more than was paid"),
        pytest.param(
            lambda c: c.query_refund(replace(REFUND, refund_no="R_1234567")), id="bad refund number"
        ),
    ],
)
def test_what_is_wrong_on_our_side_is_never_sent(
    loopback: Loopback, channel: UnionPayChannel, call: Call
) -> None:
    with pytest.raises(GatewayRefused, match="PARAM_ERROR"):
        call(channel)
    assert loopback.requests == []


@pytest.mark.parametrize(
    "changes",
    [
        {"merchant_no": " "},
        {"signing_pfx": "not base64!"},
        {"signing_pfx": "AAAA"},
        {"pfx_password": "wrong"},
        {"root_certificate": "-----BEGIN CERTIFICATE-----"},
        {"middle_certificate": keys().given["root_certificate"].replace("A", "B")},
        {"middle_certificate": keys().kept["signing_certificate"], "root_certificate": "x"},
    ],
)
def test_credentials_that_cannot_be_used(changes: dict[str, str]) -> None:
    with pytest.raises(GatewayRefused, match="credentials_invalid") as refused:
        make_channel("http://127.0.0.1:1", **changes)
    assert keys().given["signing_pfx"][:40] not in str(refused.value)


def test_secrets_are_never_printed() -> None:
    from app.gateways.unionpay import UnionPayCredentials

    printed = repr(UnionPayCredentials(**keys().given))
    assert keys().given["signing_pfx"] not in printed and "PRIVATE" not in printed
