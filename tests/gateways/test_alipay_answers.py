"""Answers of Alipay that are refusals, unusable, or true but without the facts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from app.gateways.alipay import AlipayGateway
from app.gateways.ports import (
    GatewayRefused,
    GatewayUnavailable,
)
from tests.gateways.alipay_calls import (
    BUYER,
    CALLS,
    REFUNDED,
    Call,
    each_call,
    make_gateway,
)
from tests.gateways.alipay_service import (
    NAMES,
    PATH,
    PAYMENT_NO,
    TRADE_NO,
    check_request,
    raw_answer,
    refusal,
    signed,
    success,
    trade,
    unsigned_refusal,
)
from tests.gateways.loopback import Answer, Loopback
from tests.gateways.pay_service import assert_keeps_secrets, sign


@pytest.fixture
def service(loopback: Loopback) -> Iterator[Loopback]:
    """The loopback; every request that came must have a true signature and stamp."""
    yield loopback
    for request in loopback.requests:
        check_request(request)


@pytest.fixture
def gateway(service: Loopback) -> AlipayGateway:
    return make_gateway(service.url)


@pytest.mark.parametrize(
    ("code", "sub_code", "is_retryable"),
    [
        ("40004", "ACQ.CONTEXT_INCONSISTENT", False),
        ("40004", "ACQ.SELLER_BALANCE_NOT_ENOUGH", True),
        ("40005", "isv.app-call-limited", True),
        ("40006", "isv.insufficient-isv-permissions", False),
    ],
)
@each_call
def test_a_refusal_keeps_the_code_of_the_service(
    service: Loopback,
    gateway: AlipayGateway,
    operation: str,
    call: Call,
    code: str,
    sub_code: str,
    is_retryable: bool,
) -> None:
    service.on(PATH, refusal(operation, sub_code, code))

    with pytest.raises(GatewayRefused) as refused:
        call(gateway)

    assert (refused.value.code, refused.value.message) == (sub_code, "不行")
    assert refused.value.is_retryable is is_retryable


@each_call
def test_a_stranger_is_refused_without_a_signature(
    service: Loopback, gateway: AlipayGateway, operation: str, call: Call
) -> None:
    # The library throws here, at create another error than elsewhere.
    service.on(PATH, unsigned_refusal(operation, "isv.invalid-signature"))

    with pytest.raises(GatewayRefused) as refused:
        call(gateway)

    assert (refused.value.code, refused.value.is_retryable) == ("isv.invalid-signature", False)


def answers_of(operation: str) -> list[Any]:
    """What no answer to *operation* may look like."""
    node = {"code": "10000", "out_trade_no": PAYMENT_NO, "user_id": BUYER} | trade()
    text = json.dumps(node)
    name = NAMES[operation]
    return [
        pytest.param(refusal(operation, "isp.unknow-error", "20000"), id="20000"),
        pytest.param(refusal(operation, "ACQ.SYSTEM_ERROR"), id="system error"),
        pytest.param(refusal(operation, "aop.ACQ.SYSTEM_ERROR", "20000"), id="system error elsewhere"),
        pytest.param(unsigned_refusal(operation, "aop.unknow-error", "20000"), id="20000 unsigned"),
        pytest.param(raw_answer("<html>Bad Gateway</html>", 502), id="proxy error"),
        pytest.param(raw_answer("", 302), id="redirection"),
        pytest.param(raw_answer("<html>"), id="not JSON"),
        pytest.param(raw_answer("[" * 100_000), id="deep nesting"),
        pytest.param(raw_answer("{}"), id="empty object"),
        pytest.param(raw_answer("[]"), id="list"),
        pytest.param(raw_answer(f'{{"{name}":5,"sign":"x"}}'), id="no node"),
        pytest.param(Answer(200, f'{{"{name}":{text}}}'.encode("utf-16")), id="another encoding"),
        pytest.param(raw_answer(f'{{"{name}":{text}}}'), id="success without a signature"),
        pytest.param(raw_answer(f'{{"{name}":{text},"sign":null}}'), id="null for a signature"),
        pytest.param(raw_answer(f'{{"{name}":{text},"sign":"@@"}}'), id="no base64"),
        pytest.param(
            raw_answer(f'{{"{name}":{text},"sign":"{sign(text)}"}}x'.replace("128", "129")), id="altered"
        ),
        pytest.param(signed(operation, node, owner="stranger"), id="signed by somebody else"),
        pytest.param(signed("alipay_other_response", node), id="answer to something else"),
        pytest.param(Answer(drops=True), id="connection cut"),
        pytest.param(Answer(hangs=True), id="no answer in time"),
        pytest.param(Answer(200, b" " * 2_000_000), id="without end"),
    ]


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        pytest.param(name, case.values[0], id=f"{name}, {case.id}")
        for name in CALLS
        for case in answers_of(name)
    ],
)
def test_an_unusable_answer_leaves_the_outcome_unknown(
    service: Loopback, gateway: AlipayGateway, operation: str, answer: Answer
) -> None:
    service.on(PATH, answer)

    with pytest.raises(GatewayUnavailable) as failed:
        CALLS[operation](gateway)

    assert failed.value.outcome_unknown
    assert len(service.requests) == 1
    assert not service.has_run_out_of_patience
    assert_keeps_secrets(failed.value)


INCOMPREHENSIBLE = [
    pytest.param("create", {"out_trade_no": PAYMENT_NO}, id="create without a trade"),
    pytest.param("create", {"out_trade_no": "P9", "trade_no": TRADE_NO}, id="create, another number"),
    pytest.param("precreate", {"out_trade_no": PAYMENT_NO}, id="precreate without a code"),
    pytest.param(
        "precreate", {"out_trade_no": PAYMENT_NO, "qr_code": "javascript:x"}, id="precreate, another code"
    ),
    pytest.param("query", trade(trade_status="?"), id="query, unknown status"),
    pytest.param("query", trade(out_trade_no="P99999999999999"), id="query, another number"),
    pytest.param("query", trade(trade_no=None), id="query, paid without a trade"),
    pytest.param("query", trade(send_pay_date="yesterday"), id="query, no time"),
    pytest.param("query", trade(send_pay_date="2026-02-30 11:59:58"), id="query, no day"),
    pytest.param("refund", {"out_trade_no": "P9", "fund_change": "Y"}, id="refund, another number"),
    pytest.param("refund_query", REFUNDED | {"out_request_no": "R9"}, id="refund query, another number"),
    pytest.param("refund_query", REFUNDED | {"out_trade_no": "P9"}, id="refund query, another trade"),
    pytest.param("refund_query", REFUNDED | {"refund_amount": "x"}, id="refund query, no amount"),
    pytest.param("login", {"access_token": "t"}, id="login without anybody"),
    pytest.param("bill", {}, id="bill without an address"),
    pytest.param("bill", {"bill_download_url": "file:///etc/passwd"}, id="bill of this machine"),
]


@pytest.mark.parametrize(("operation", "facts"), INCOMPREHENSIBLE)
def test_a_signed_answer_without_the_facts_is_no_answer(
    service: Loopback, gateway: AlipayGateway, operation: str, facts: dict[str, Any]
) -> None:
    service.on(PATH, success(operation, **facts))

    with pytest.raises(GatewayUnavailable) as failed:
        CALLS[operation](gateway)

    assert failed.value.outcome_unknown


@pytest.mark.parametrize(
    "layout",
    [
        pytest.param('{"<name>":<node>,"sign":"<sign>"}', id="as it is"),
        pytest.param('{"sign":"<sign>","<name>":<node>}', id="signature first"),
        pytest.param(
            '{ "alipay_cert_sn" : "a" ,\r\n "<name>" :\t<node> , "sign" : "<sign>" }\n', id="spaces"
        ),
        pytest.param('{"x":"<name> {{{","<name>":<node>,"sign":"<sign>"}', id="the name before"),
    ],
)
@pytest.mark.parametrize("subject", ["雀坊", "{", "}}}", '"}', "\\", "a\u2028b"])
def test_the_signed_text_is_found_wherever_it_stands(
    service: Loopback, gateway: AlipayGateway, layout: str, subject: str
) -> None:
    # The library counts braces, also those inside of texts.
    node = {"code": "10000"} | trade(subject=subject)
    service.on(PATH, signed("query", node, layout=layout))

    assert gateway.query_payment(PAYMENT_NO).status == "succeeded"


@each_call
def test_a_request_that_cannot_have_arrived_has_a_known_outcome(
    closed_port: int, operation: str, call: Call
) -> None:
    with pytest.raises(GatewayUnavailable) as failed:
        call(make_gateway(f"http://127.0.0.1:{closed_port}"))

    assert not failed.value.outcome_unknown
    assert_keeps_secrets(failed.value)
