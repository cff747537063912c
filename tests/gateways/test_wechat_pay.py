"""WeChat Pay through the real SDK against a loopback that checks and makes true signatures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from app.gateways.ports import (
    GatewayRefused,
    GatewayUnavailable,
    PaymentFacts,
    PaymentRequest,
    RefundFacts,
    RefundRequest,
)
from app.gateways.wechat_pay import WeChatPayChannel
from tests.gateways.loopback import Answer, Loopback, json_answer
from tests.gateways.pay_service import (
    PUBLIC_KEY_ID,
    assert_keeps_secrets,
    check_request_signature,
    credentials,
    refund,
    sign_success,
    transaction,
    verify,
)

TIMEOUT_SECONDS = 0.1
PAYMENT_NO = "P20260314000001"
REFUND_NO = "R20260314000001"
PREPAY = "/v3/pay/transactions/jsapi"
NATIVE = "/v3/pay/transactions/native"
QUERY = f"/v3/pay/transactions/out-trade-no/{PAYMENT_NO}"
CLOSE = QUERY + "/close"
REFUND = "/v3/refund/domestic/refunds"
QUERY_REFUND = f"{REFUND}/{REFUND_NO}"

STARTED_AT = datetime(2026, 3, 14, 4, 0, tzinfo=UTC)
PAYMENT = PaymentRequest(
    payment_no=PAYMENT_NO,
    started_at=STARTED_AT,
    amount_fen=12800,
    description="雀坊 望京店 · 牡丹包间",
    openid="oUpF8uMuAJO_M2pxb1Q9zNjWeS6o",
    expires_at=datetime(2026, 3, 14, 4, 15, tzinfo=UTC),
    notify_url="https://example.test/api/v1/payments/wechat/notify",
    kind="jsapi",
)
REFUND_REQUEST = RefundRequest(
    refund_no=REFUND_NO,
    started_at=STARTED_AT,
    payment_no=PAYMENT_NO,
    transaction_no=None,
    amount_fen=6400,
    total_fen=12800,
    reason="提前取消",
    notify_url="https://example.test/api/v1/refunds/wechat/notify",
)

Call = Callable[[WeChatPayChannel], Any]
CALLS: dict[str, tuple[str, Call]] = {
    "create": (PREPAY, lambda channel: channel.create_payment(PAYMENT)),
    "query": (QUERY, lambda channel: channel.query_payment(PAYMENT_NO)),
    "close": (CLOSE, lambda channel: channel.close_payment(PAYMENT_NO)),
    "refund": (REFUND, lambda channel: channel.refund(REFUND_REQUEST)),
    "query_refund": (QUERY_REFUND, lambda channel: channel.query_refund(REFUND_REQUEST)),
}
each_call = pytest.mark.parametrize(("path", "call"), CALLS.values(), ids=CALLS.keys())


@pytest.fixture
def service(loopback: Loopback) -> Iterator[Loopback]:
    """The loopback, signing its 2xx answers; every request that came must have a true signature."""
    loopback.finish = sign_success
    yield loopback
    for request in loopback.requests:
        found = check_request_signature(request)
        assert (found.mchid, found.serial_no) == ("1900000001", credentials().merchant_serial_no)
        assert dict(request.headers)["Wechatpay-Serial"] == PUBLIC_KEY_ID


@pytest.fixture
def channel(service: Loopback) -> WeChatPayChannel:
    return make_channel(service.url)


def make_channel(url: str, **changes: str) -> WeChatPayChannel:
    return WeChatPayChannel(credentials(**changes), base_url=url, timeout_seconds=TIMEOUT_SECONDS)


def test_a_payment_in_the_mini_program_is_registered_and_signed_for_the_client(
    service: Loopback, channel: WeChatPayChannel
) -> None:
    service.on(PREPAY, json_answer({"prepay_id": "wx141200000000000000000000"}))

    params = channel.create_payment(PAYMENT)

    assert set(params) == {"appId", "timeStamp", "nonceStr", "package", "signType", "paySign"}
    assert (params["appId"], params["signType"]) == ("wx0000000000000001", "RSA")
    assert params["package"] == "prepay_id=wx141200000000000000000000"
    message = "\n".join([params[key] for key in ("appId", "timeStamp", "nonceStr", "package")]) + "\n"
    verify("merchant", params["paySign"], message.encode())
    (request,) = service.requests
    assert (request.method, request.path) == ("POST", PREPAY)
    assert request.json == {
        "appid": "wx0000000000000001",
        "mchid": "1900000001",
        "description": PAYMENT.description,
        "out_trade_no": PAYMENT_NO,
        "time_expire": "2026-03-14T12:15:00+08:00",
        "notify_url": PAYMENT.notify_url,
        "amount": {"total": 12800, "currency": "CNY"},
        "payer": {"openid": PAYMENT.openid},
    }


def test_a_payment_by_qr_code_needs_no_payer(service: Loopback, channel: WeChatPayChannel) -> None:
    service.on(NATIVE, json_answer({"code_url": "weixin://wxpay/bizpayurl?pr=abc"}))

    params = channel.create_payment(replace(PAYMENT, kind="native", openid=None, description="长" * 200))

    assert params == {"code_url": "weixin://wxpay/bizpayurl?pr=abc"}
    sent = service.requests[0].json
    assert "payer" not in sent
    assert sent["description"] == "长" * 127


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("SUCCESS", "succeeded"),
        ("REFUND", "succeeded"),
        ("NOTPAY", "pending"),
        ("USERPAYING", "pending"),
        ("CLOSED", "closed"),
        ("REVOKED", "closed"),
        ("PAYERROR", "failed"),
    ],
)
def test_a_query_maps_the_state(
    service: Loopback, channel: WeChatPayChannel, state: str, expected: str
) -> None:
    service.on(QUERY, json_answer(transaction(trade_state=state)))

    facts = channel.query_payment(PAYMENT_NO)

    assert facts == PaymentFacts(
        payment_no=PAYMENT_NO,
        status=expected,  # type: ignore[arg-type]
        amount_fen=12800,
        currency="CNY",
        transaction_no="4200001234202603140000000001",
        paid_at=datetime(2026, 3, 14, 3, 59, 58, tzinfo=UTC),
        payer_openid="oUpF8uMuAJO_M2pxb1Q9zNjWeS6o",
        merchant_no="1900000001",
        app_id="wx0000000000000001",
    )
    assert service.requests[0].query == {"mchid": "1900000001"}


def test_a_query_of_an_unpaid_payment_needs_no_payment_facts(
    service: Loopback, channel: WeChatPayChannel
) -> None:
    unpaid = {key: transaction()[key] for key in ("appid", "mchid", "out_trade_no")}
    service.on(QUERY, json_answer(unpaid | {"trade_state": "NOTPAY"}))

    facts = channel.query_payment(PAYMENT_NO)

    assert (facts.status, facts.amount_fen, facts.transaction_no, facts.paid_at) == (
        "pending",
        None,
        None,
        None,
    )


@pytest.mark.parametrize("code", ["ORDERNOTEXIST", "ORDER_NOT_EXIST"])
def test_a_payment_that_the_service_does_not_know_is_absent(
    service: Loopback, channel: WeChatPayChannel, code: str
) -> None:
    service.on(QUERY, json_answer({"code": code, "message": "订单不存在"}, 404))

    assert channel.query_payment(PAYMENT_NO) == PaymentFacts(payment_no=PAYMENT_NO, status="absent")


def test_a_payer_typing_the_password_is_pending(service: Loopback, channel: WeChatPayChannel) -> None:
    service.on(QUERY, json_answer({"code": "USERPAYING", "message": "用户支付中"}, 202))

    assert channel.query_payment(PAYMENT_NO).status == "pending"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(Answer(204), "closed", id="closed"),
        pytest.param(json_answer({"code": "ORDER_CLOSED", "message": ""}, 400), "closed", id="closed before"),
        pytest.param(json_answer({"code": "ORDERNOTEXIST", "message": ""}, 404), "closed", id="unknown"),
        pytest.param(json_answer({"code": "ORDERPAID", "message": ""}, 400), "already_paid", id="paid"),
        pytest.param(
            json_answer({"code": "ORDER_PAID", "message": ""}, 400), "already_paid", id="paid, new name"
        ),
    ],
)
def test_a_close_tells_whether_somebody_has_paid(
    service: Loopback, channel: WeChatPayChannel, answer: Answer, expected: str
) -> None:
    service.on(CLOSE, answer)

    assert channel.close_payment(PAYMENT_NO) == expected
    assert service.requests[0].json == {"mchid": "1900000001"}


@pytest.mark.parametrize(
    ("status", "expected"),
    [("PROCESSING", "processing"), ("SUCCESS", "succeeded"), ("ABNORMAL", "abnormal"), ("CLOSED", "closed")],
)
def test_a_refund_and_its_query_give_the_same_facts(
    service: Loopback, channel: WeChatPayChannel, status: str, expected: str
) -> None:
    finished = {"success_time": "2026-03-14T12:00:05+08:00"} if status == "SUCCESS" else {}
    answer = json_answer(refund(status=status, **finished))
    service.on(REFUND, answer)
    service.on(QUERY_REFUND, answer)

    asked, queried = channel.refund(REFUND_REQUEST), channel.query_refund(REFUND_REQUEST)

    assert asked == queried
    assert asked == RefundFacts(
        refund_no=REFUND_NO,
        status=expected,  # type: ignore[arg-type]
        provider_refund_no="50300807092026031400000000001",
        amount_fen=6400,
        finished_at=datetime(2026, 3, 14, 4, 0, 5, tzinfo=UTC) if status == "SUCCESS" else None,
        payment_no=PAYMENT_NO,
    )
    assert service.requests[0].json == {
        "out_refund_no": REFUND_NO,
        "out_trade_no": PAYMENT_NO,
        "amount": {"refund": 6400, "total": 12800, "currency": "CNY"},
        "reason": "提前取消",
        "notify_url": REFUND_REQUEST.notify_url,
    }


def test_a_refund_that_the_service_does_not_know_is_absent(
    service: Loopback, channel: WeChatPayChannel
) -> None:
    service.on(QUERY_REFUND, json_answer({"code": "RESOURCE_NOT_EXISTS", "message": "退款单不存在"}, 404))

    assert channel.query_refund(REFUND_REQUEST) == RefundFacts(refund_no=REFUND_NO, status="absent")


@pytest.mark.parametrize(
    ("status", "code", "is_retryable"),
    [
        (400, "PARAM_ERROR", False),
        (401, "SIGN_ERROR", False),
        (403, "OUT_TRADE_NO_USED", False),
        (403, "NOT_ENOUGH", True),
        (429, "FREQUENCY_LIMITED", True),
        (429, "SOMETHING_NEW", True),
        (500, "OPENID_MISMATCH", False),
    ],
)
@each_call
def test_a_refusal_keeps_the_code_of_the_service(
    service: Loopback,
    channel: WeChatPayChannel,
    path: str,
    call: Call,
    status: int,
    code: str,
    is_retryable: bool,
) -> None:
    service.on(path, json_answer({"code": code, "message": "不行"}, status))

    with pytest.raises(GatewayRefused) as refused:
        call(channel)

    assert (refused.value.code, refused.value.message) == (code, "不行")
    assert refused.value.is_retryable is is_retryable


def wrongly_signed(content: Any, **changes: str) -> Answer:
    answer = json_answer(content)
    return replace(answer, headers=answer.headers | changes)


UNUSABLE = [
    pytest.param(json_answer({"code": "SYSTEM_ERROR", "message": "系统错误"}, 500), id="system error"),
    pytest.param(Answer(502, b"<html>Bad Gateway</html>"), id="proxy error"),
    pytest.param(Answer(404, b"<html>Not Found</html>"), id="proxy that knows nothing"),
    pytest.param(json_answer({"message": "slow down"}, 429), id="refusal without a code"),
    pytest.param(Answer(drops=True), id="connection cut"),
    pytest.param(Answer(hangs=True), id="no answer in time"),
    pytest.param(wrongly_signed({}, **{"Wechatpay-Signature": "AAAA"}), id="wrong signature"),
    pytest.param(wrongly_signed({}, **{"Wechatpay-Signature-Type": ""}), id="no signature type"),
    pytest.param(wrongly_signed({}, **{"Wechatpay-Serial": "PUB_KEY_ID_OTHER"}), id="another key"),
    pytest.param(wrongly_signed({}, **{"Wechatpay-Serial": "3775B6A4"}), id="unknown certificate"),
]


@pytest.mark.parametrize("answer", UNUSABLE)
@each_call
def test_an_unusable_answer_leaves_the_outcome_unknown(
    service: Loopback, channel: WeChatPayChannel, path: str, call: Call, answer: Answer
) -> None:
    service.on(path, answer)

    with pytest.raises(GatewayUnavailable) as failed:
        call(channel)

    assert failed.value.outcome_unknown
    assert service.paths() == [path]
    assert not service.has_run_out_of_patience
    assert_keeps_secrets(failed.value)


INCOMPREHENSIBLE = [
    pytest.param(json_answer({}), id="empty object"),
    pytest.param(json_answer([]), id="list"),
    pytest.param(Answer(200, b"<html>"), id="not JSON"),
    pytest.param(Answer(200, b"[" * 100_000), id="deep nesting"),
    pytest.param(json_answer({"prepay_id": 5, "trade_state": "?", "status": "?"}), id="other types"),
    pytest.param(
        json_answer(
            refund(
                out_refund_no="R99999999999999", amount={"total": 12800, "refund": 6400, "currency": "CNY"}
            )
            | {key: transaction()[key] for key in ("appid", "mchid", "trade_state", "success_time")}
            | {"out_trade_no": "P99999999999999"}
        ),
        id="facts of another number",
    ),
]


@pytest.mark.parametrize("answer", INCOMPREHENSIBLE)
@pytest.mark.parametrize(
    ("path", "call"), [CALLS[name] for name in ("create", "query", "refund", "query_refund")]
)
def test_a_signed_answer_without_the_facts_is_no_answer(
    service: Loopback, channel: WeChatPayChannel, path: str, call: Call, answer: Answer
) -> None:
    service.on(path, answer)

    with pytest.raises(GatewayUnavailable) as failed:
        call(channel)

    assert failed.value.outcome_unknown


@each_call
def test_a_request_that_cannot_have_arrived_has_a_known_outcome(
    closed_port: int, path: str, call: Call
) -> None:
    with pytest.raises(GatewayUnavailable) as failed:
        call(make_channel(f"http://127.0.0.1:{closed_port}"))

    assert not failed.value.outcome_unknown
    assert_keeps_secrets(failed.value)


REFUSED_HERE: list[tuple[str, Call]] = [
    ("amount of nothing", lambda c: c.create_payment(replace(PAYMENT, amount_fen=0))),
    ("no payer", lambda c: c.create_payment(replace(PAYMENT, openid=None))),
    ("no description", lambda c: c.create_payment(replace(PAYMENT, description=""))),
    ("number too short", lambda c: c.create_payment(replace(PAYMENT, payment_no="P1"))),
    ("number too long", lambda c: c.query_payment("P" * 33)),
    ("number with a path", lambda c: c.query_payment("../../refund/x")),
    ("number with a question", lambda c: c.close_payment("P20260314?x=1")),
    ("refund of nothing", lambda c: c.refund(replace(REFUND_REQUEST, amount_fen=0))),
    ("refund above the payment", lambda c: c.refund(replace(REFUND_REQUEST, amount_fen=12801))),
    ("refund number with a path", lambda c: c.query_refund(replace(REFUND_REQUEST, refund_no="a/b"))),
]


@pytest.mark.parametrize(("label", "call"), REFUSED_HERE, ids=[label for label, _ in REFUSED_HERE])
def test_what_the_service_would_refuse_is_not_sent(
    service: Loopback, channel: WeChatPayChannel, label: str, call: Call
) -> None:
    with pytest.raises(GatewayRefused) as refused:
        call(channel)

    assert (refused.value.code, refused.value.is_retryable) == ("PARAM_ERROR", False)
    assert service.requests == []
