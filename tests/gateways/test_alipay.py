"""Alipay through the real library against a loopback that checks and makes true signatures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat

from app.gateways.alipay import AlipayGateway
from app.gateways.ports import (
    GatewayRefused,
    GatewayUnavailable,
    PaymentFacts,
    PaymentRequest,
    RefundFacts,
)
from tests.gateways.alipay_calls import (
    BUYER,
    CODE,
    PAYMENT,
    REFUND,
    REFUNDED,
    SCANNED,
    Call,
    make_gateway,
)
from tests.gateways.alipay_service import (
    APP_ID,
    NAMES,
    PATH,
    PAYMENT_NO,
    REFUND_NO,
    SELLER_ID,
    TRADE_NO,
    business,
    check_request,
    credentials,
    raw_answer,
    refusal,
    signed,
    success,
    trade,
)
from tests.gateways.loopback import Answer, Loopback
from tests.gateways.pay_service import private_pem, public_pem, sign


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
    ("buyer", "name"), [(BUYER, "buyer_id"), ("074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWY", "buyer_open_id")]
)
def test_a_trade_is_made_for_its_buyer(
    service: Loopback, gateway: AlipayGateway, buyer: str, name: str
) -> None:
    service.on(PATH, success("create", out_trade_no=PAYMENT_NO, trade_no=TRADE_NO))

    assert gateway.create_payment(replace(PAYMENT, openid=buyer)) == {"trade_no": TRADE_NO}

    (request,) = service.requests
    assert request.query["method"] == "alipay.trade.create"
    assert request.query["notify_url"] == PAYMENT.notify_url
    assert business(request) == {
        "out_trade_no": PAYMENT_NO,
        "total_amount": "128.05",
        # The signs that Alipay forbids are gone.
        "subject": "雀坊 望京店 · 牡丹 包间 A B C",
        "time_expire": "2026-03-14 12:15:00",
        "product_code": "JSAPI_PAY",
        "op_app_id": APP_ID,
        name: buyer,
    }


@pytest.mark.parametrize(
    "request_of",
    [
        pytest.param(SCANNED, id="code on the desk's screen"),
        pytest.param(replace(PAYMENT, openid=None), id="payer whom Alipay does not know through us"),
    ],
)
def test_a_code_is_made_for_whoever_scans_it(
    service: Loopback, gateway: AlipayGateway, request_of: PaymentRequest
) -> None:
    service.on(PATH, success("precreate", out_trade_no=PAYMENT_NO, qr_code=CODE))

    assert gateway.create_payment(request_of) == {"code_url": CODE, "qr_code": CODE}

    (request,) = service.requests
    assert request.query["method"] == "alipay.trade.precreate"
    sent = business(request)
    assert sent["product_code"] == "QR_CODE_OFFLINE"
    assert not {"buyer_id", "buyer_open_id", "op_app_id"} & set(sent)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("TRADE_SUCCESS", "succeeded"),
        ("TRADE_FINISHED", "succeeded"),
        ("WAIT_BUYER_PAY", "pending"),
        ("TRADE_CLOSED", "closed"),
    ],
)
def test_a_query_maps_the_status(
    service: Loopback, gateway: AlipayGateway, status: str, expected: str
) -> None:
    service.on(PATH, success("query", **trade(trade_status=status)))

    facts = gateway.query_payment(PAYMENT_NO)

    assert facts.status == expected
    assert facts == PaymentFacts(
        payment_no=PAYMENT_NO,
        status=facts.status,
        amount_fen=12800,
        currency="CNY",
        transaction_no=TRADE_NO,
        paid_at=datetime(2026, 3, 14, 3, 59, 58, tzinfo=UTC),
        payer_openid=BUYER,
        merchant_no=SELLER_ID,
        app_id=APP_ID,
    )


@pytest.mark.parametrize(
    ("yuan", "fen"),
    [
        ("0.01", 1),
        ("0.29", 29),
        ("1.1", 110),
        ("128", 12800),
        ("1234567.89", 123456789),
        ("999999999.99", 99999999999),
    ],
)
def test_yuan_become_fen_exactly(service: Loopback, gateway: AlipayGateway, yuan: str, fen: int) -> None:
    node = json.dumps(trade(code="10000", total_amount="@")).replace('"@"', yuan)
    written = [success("query", **trade(total_amount=yuan))]
    # A gateway may write the amount as a number; it must not become a float on the way.
    written.append(raw_answer(f'{{"{NAMES["query"]}":{node},"sign":"{sign(node)}"}}'))
    for answer in written:
        service.on(PATH, answer)
        assert gateway.query_payment(PAYMENT_NO).amount_fen == fen


@pytest.mark.parametrize(
    "yuan",
    ["", "1e2", "+1.00", " 1.00", "-1.00", "1.001", "１.00", "1,000.00", "01.00", ".5", "1.", "NaN", None],
)
def test_other_amounts_are_no_answer(service: Loopback, gateway: AlipayGateway, yuan: Any) -> None:
    service.on(PATH, success("query", **trade() | {"total_amount": yuan}))

    with pytest.raises(GatewayUnavailable):
        gateway.query_payment(PAYMENT_NO)


def test_a_foreign_currency_is_told(service: Loopback, gateway: AlipayGateway) -> None:
    service.on(PATH, success("query", **trade(trans_currency="USD")))

    assert gateway.query_payment(PAYMENT_NO).currency == "USD"


def test_a_code_that_nobody_has_scanned_is_absent(service: Loopback, gateway: AlipayGateway) -> None:
    service.on(PATH, refusal("query", "ACQ.TRADE_NOT_EXIST"), refusal("refund_query", "ACQ.TRADE_NOT_EXIST"))

    assert gateway.query_payment(PAYMENT_NO) == PaymentFacts(payment_no=PAYMENT_NO, status="absent")
    assert gateway.query_refund(REFUND) == RefundFacts(refund_no=REFUND_NO, status="absent")


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param([success("close", out_trade_no=PAYMENT_NO)], "closed", id="closed"),
        pytest.param([refusal("close", "ACQ.TRADE_HAS_CLOSE")], "closed", id="closed before"),
        pytest.param([refusal("close", "ACQ.TRADE_NOT_EXIST")], "absent", id="not scanned yet"),
        pytest.param(
            [refusal("close", "ACQ.REASON_TRADE_STATUS_INVALID"), success("query", **trade())],
            "already_paid",
            id="paid",
        ),
        pytest.param(
            [
                refusal("close", "ACQ.TRADE_STATUS_ERROR"),
                success("query", **trade(trade_status="TRADE_CLOSED")),
            ],
            "closed",
            id="closed by its expiry",
        ),
    ],
)
def test_closing_ends_the_trade_or_learns_that_it_was_paid(
    service: Loopback, gateway: AlipayGateway, answers: list[Answer], expected: str
) -> None:
    service.on(PATH, *answers)

    assert gateway.close_payment(PAYMENT_NO) == expected


def test_a_trade_that_is_neither_closed_nor_paid_leaves_the_outcome_open(
    service: Loopback, gateway: AlipayGateway
) -> None:
    waiting = success("query", **trade(trade_status="WAIT_BUYER_PAY"))
    service.on(PATH, refusal("close", "ACQ.TRADE_STATUS_ERROR"), waiting)

    with pytest.raises(GatewayUnavailable) as failed:
        gateway.close_payment(PAYMENT_NO)

    assert failed.value.outcome_unknown


def test_a_refund_whose_money_has_moved_is_done(service: Loopback, gateway: AlipayGateway) -> None:
    # The fee is that of all refunds of the trade, not of this one.
    moved = {"fund_change": "Y", "refund_fee": "100.00", "gmt_refund_pay": "2026-03-14 12:00:01"}
    service.on(PATH, success("refund", out_trade_no=PAYMENT_NO, **moved))

    assert gateway.refund(REFUND) == RefundFacts(
        refund_no=REFUND_NO,
        status="succeeded",
        amount_fen=6400,
        finished_at=datetime(2026, 3, 14, 4, 0, 1, tzinfo=UTC),
        payment_no=PAYMENT_NO,
    )
    (request,) = service.requests
    assert business(request) == {
        "out_trade_no": PAYMENT_NO,
        "out_request_no": REFUND_NO,
        "refund_amount": "64.00",
        "refund_reason": "提前取消",
    }


@pytest.mark.parametrize(
    ("known", "status"),
    [
        pytest.param(REFUNDED, "succeeded", id="repetition of a refund that is done"),
        pytest.param({}, "processing", id="under way"),
        pytest.param(REFUNDED | {"refund_status": "REFUND_PROCESSING"}, "processing", id="said so"),
    ],
)
def test_a_refund_without_a_change_of_funds_is_asked_about(
    service: Loopback, gateway: AlipayGateway, known: dict[str, str], status: str
) -> None:
    service.on(
        PATH,
        success("refund", out_trade_no=PAYMENT_NO, fund_change="N"),
        success("refund_query", **known),
    )

    facts = gateway.refund(REFUND)

    assert (facts.status, facts.amount_fen) == (status, 6400)
    assert [request.query["method"] for request in service.requests] == [
        "alipay.trade.refund",
        "alipay.trade.fastpay.refund.query",
    ]


def test_a_query_that_works_is_not_yet_a_refund(service: Loopback, gateway: AlipayGateway) -> None:
    service.on(PATH, success("refund_query", out_trade_no=PAYMENT_NO))

    assert gateway.query_refund(REFUND) == RefundFacts(refund_no=REFUND_NO, status="absent")


@pytest.mark.parametrize(
    ("node", "subject"),
    [
        ({"user_id": BUYER, "access_token": "t"}, BUYER),
        ({"open_id": "074a1CcTG1LelxKe", "access_token": "t"}, "074a1CcTG1LelxKe"),
        # Older applications get both; they can collect from the number only.
        ({"open_id": "20881007434917916336963360919773", "user_id": BUYER}, BUYER),
    ],
)
def test_a_login_code_becomes_an_identity(
    service: Loopback, gateway: AlipayGateway, node: dict[str, str], subject: str
) -> None:
    # A success of this call carries no code.
    service.on(PATH, signed("login", node))

    assert gateway.exchange_login_code("4b203fe6c11548bcabd8da5bb087a83b").openid == subject

    sent = service.requests[0].query
    assert (sent["grant_type"], sent["code"]) == ("authorization_code", "4b203fe6c11548bcabd8da5bb087a83b")


@pytest.mark.parametrize("name", ["login", "error_response"])
def test_a_login_code_that_is_spent_is_refused(service: Loopback, gateway: AlipayGateway, name: str) -> None:
    service.on(PATH, refusal(name, "isv.code-invalid", "40002"))

    with pytest.raises(GatewayRefused) as refused:
        gateway.exchange_login_code("spent")

    assert refused.value.code == "isv.code-invalid"


REFUSED_HERE: list[tuple[str, Call]] = [
    ("amount of nothing", lambda g: g.create_payment(replace(PAYMENT, amount_fen=0))),
    ("no description", lambda g: g.create_payment(replace(PAYMENT, description=" / & ="))),
    ("page of a browser", lambda g: g.create_payment(replace(PAYMENT, kind="page"))),
    ("number too short", lambda g: g.create_payment(replace(PAYMENT, payment_no="P1"))),
    ("number too long", lambda g: g.query_payment("P" * 65)),
    ("number with a quote", lambda g: g.close_payment('P20260314"x')),
    ("refund of nothing", lambda g: g.refund(replace(REFUND, amount_fen=0))),
    ("refund above the payment", lambda g: g.refund(replace(REFUND, amount_fen=12806))),
    ("refund number with a space", lambda g: g.query_refund(replace(REFUND, refund_no="a b"))),
]


@pytest.mark.parametrize(("label", "call"), REFUSED_HERE, ids=[label for label, _ in REFUSED_HERE])
def test_what_the_service_would_refuse_is_not_sent(
    service: Loopback, gateway: AlipayGateway, label: str, call: Call
) -> None:
    with pytest.raises(GatewayRefused) as refused:
        call(gateway)

    assert (refused.value.code, refused.value.is_retryable) == ("PARAM_ERROR", False)
    assert service.requests == []


@pytest.mark.parametrize("code", ["", "a b", "x" * 129, "é", "a&b=c"])
def test_a_login_code_of_odd_signs_is_not_sent(service: Loopback, gateway: AlipayGateway, code: str) -> None:
    with pytest.raises(GatewayRefused, match="code-invalid"):
        gateway.exchange_login_code(code)

    assert service.requests == []


def bare(pem: str) -> str:
    """A key as the console shows it: base64 without a frame."""
    return "".join(line for line in pem.splitlines() if "-----" not in line)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="PKCS8"),
        pytest.param(
            {"app_private_key": private_pem("merchant", PrivateFormat.TraditionalOpenSSL)}, id="PKCS1"
        ),
        pytest.param({"app_private_key": private_pem("merchant").replace("\n", "\r\n")}, id="line ends"),
        pytest.param({"app_private_key": bare(private_pem("merchant"))}, id="bare private key"),
        pytest.param(
            {"app_private_key": bare(private_pem("merchant", PrivateFormat.TraditionalOpenSSL))},
            id="bare PKCS1",
        ),
        pytest.param({"alipay_public_key": bare(public_pem("service"))}, id="bare public key"),
    ],
)
def test_keys_are_read_in_every_usual_form(service: Loopback, changes: dict[str, str]) -> None:
    service.on(PATH, success("query", **trade()))

    assert make_gateway(service.url, **changes).query_payment(PAYMENT_NO).status == "succeeded"


@pytest.mark.parametrize(
    "changes",
    [
        {"app_private_key": "not a key"},
        {"app_private_key": public_pem("service")},
        {"app_private_key": ""},
        {"alipay_public_key": "not a key"},
        {"alipay_public_key": private_pem("merchant")},
        {"app_id": " "},
        {"seller_id": ""},
    ],
)
def test_unusable_credentials_are_refused_without_repeating_them(changes: dict[str, str]) -> None:
    with pytest.raises(GatewayRefused) as refused:
        make_gateway("http://127.0.0.1:9", **changes)

    assert refused.value.code == "credentials_invalid"
    assert "PRIVATE KEY" not in str(refused.value) and "PRIVATE KEY" not in repr(credentials())
