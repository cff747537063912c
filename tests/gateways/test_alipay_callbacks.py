"""Notices of Alipay: what is genuine is understood, everything else refused without a connection."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from app.gateways.alipay import AlipayGateway
from app.gateways.ports import CallbackInvalid, PaymentFacts, RefundFacts
from tests.gateways.alipay_service import (
    APP_ID,
    NOW,
    PAYMENT_NO,
    REFUND_NO,
    SELLER_ID,
    TRADE_NO,
    credentials,
    form,
    notice,
    refund_notice,
)

PAID_AT = datetime(2026, 3, 14, 3, 59, 58, tzinfo=UTC)


@pytest.fixture
def gateway() -> AlipayGateway:
    return AlipayGateway(credentials(), gateway_url="http://127.0.0.1:9/gateway.do", timeout_seconds=1)


def test_a_notice_of_a_payment_is_opened(gateway: AlipayGateway) -> None:
    told = gateway.parse_payment_callback({}, form(notice(buyer_id="2088102169481075")), NOW)

    assert (told.callback_id, told.event) == ("2026031400222120001040200000000001", "TRADE_SUCCESS")
    assert told.refund is None
    assert told.facts == PaymentFacts(
        payment_no=PAYMENT_NO,
        status="succeeded",
        amount_fen=12800,
        currency="CNY",
        transaction_no=TRADE_NO,
        paid_at=PAID_AT,
        payer_openid="2088102169481075",
        merchant_no=SELLER_ID,
        app_id=APP_ID,
    )


@pytest.mark.parametrize(
    ("status", "expected"),
    [("TRADE_FINISHED", "succeeded"), ("WAIT_BUYER_PAY", "pending"), ("TRADE_CLOSED", "closed")],
)
def test_other_statuses_are_told(gateway: AlipayGateway, status: str, expected: str) -> None:
    told = gateway.parse_payment_callback({}, form(notice(trade_status=status)), NOW)

    assert (told.event, told.facts.status) == (status, expected)


@pytest.mark.parametrize(
    ("status", "paid"),
    [
        pytest.param("TRADE_SUCCESS", "succeeded", id="in part"),
        pytest.param("TRADE_CLOSED", "closed", id="whole"),
    ],
)
def test_a_notice_of_a_refund_repeats_the_trade(gateway: AlipayGateway, status: str, paid: str) -> None:
    body = form(refund_notice(trade_status=status))
    done = RefundFacts(
        refund_no=REFUND_NO,
        status="succeeded",
        # The sum of a notice is that of all refunds so far.
        amount_fen=None,
        finished_at=datetime(2026, 3, 14, 3, 59, 59, 123000, tzinfo=UTC),
        payment_no=PAYMENT_NO,
        merchant_no=SELLER_ID,
    )

    by_trade = gateway.parse_payment_callback({}, body, NOW)
    by_refund = gateway.parse_refund_callback({}, body, NOW)

    assert (by_trade.event, by_trade.facts.status, by_trade.refund) == (f"{status}.REFUND", paid, done)
    assert (by_refund.callback_id, by_refund.facts) == (by_trade.callback_id, done)


def test_a_notice_of_a_payment_tells_no_refund(gateway: AlipayGateway) -> None:
    with pytest.raises(CallbackInvalid, match="unexpected_event"):
        gateway.parse_refund_callback({}, form(notice()), NOW)


def test_long_ids_are_shortened_alike(gateway: AlipayGateway) -> None:
    ids = [
        gateway.parse_payment_callback({}, form(notice(notify_id=number)), NOW).callback_id
        for number in ("a" * 64, "a" * 65, "a" * 65, "a" * 66)
    ]

    assert ids[0] == "a" * 64
    assert ids[1] == ids[2] != ids[3]
    assert {len(number) for number in ids} == {64}


@pytest.mark.parametrize(
    ("seconds", "is_taken"),
    [(-300, False), (-299, True), (0, True), (299, True), (300, False), (86400 * 2000, False)],
)
def test_only_fresh_notices_are_taken(gateway: AlipayGateway, seconds: int, is_taken: bool) -> None:
    body, now = form(notice()), NOW + timedelta(seconds=seconds)
    if is_taken:
        assert gateway.parse_payment_callback({}, body, now).facts.status == "succeeded"
        return
    with pytest.raises(CallbackInvalid, match="timestamp_out_of_range"):
        gateway.parse_payment_callback({}, body, now)


# Empty fields are part of what is signed, and so are those that nobody knows yet.
@pytest.mark.parametrize(
    "changes",
    [
        {"body": ""},
        {"body": "a=b&c=d + 100% ÷ 中文 🀄"},
        {"new_field": "x", "passback_params": "a%3Db"},
        {"charset": "UTF-8"},
        {"charset": None},
        {"total_amount": "128"},
    ],
)
def test_whatever_is_signed_right_is_read_right(gateway: AlipayGateway, changes: dict[str, Any]) -> None:
    assert gateway.parse_payment_callback({}, form(notice(**changes)), NOW).facts.amount_fen == 12800


def gbk(fields: dict[str, str]) -> bytes:
    return urlencode(fields, encoding="gbk").encode()


GENUINE = form(notice())
UNSIGNED = urlencode(notice())
HOSTILE = [
    pytest.param(b"", "body_size", id="empty"),
    pytest.param(b"a=" + b"b" * 65536, "body_size", id="giant"),
    pytest.param(b"\xff\xfe", "body_malformed", id="no text"),
    pytest.param(b'{"a": 1}', "body_malformed", id="JSON with a space"),
    pytest.param(b'{"a":1}', "body_malformed", id="JSON"),
    pytest.param(GENUINE + b"\n", "body_malformed", id="line end"),
    pytest.param(GENUINE + b"\x00", "body_malformed", id="NUL"),
    pytest.param(GENUINE + "&a=中".encode(), "body_malformed", id="raw UTF-8"),
    pytest.param(GENUINE + b"&a=%FF%FE", "body_malformed", id="escaped, no UTF-8"),
    pytest.param(GENUINE + b"&a=%ED%A0%80", "body_malformed", id="lone surrogate"),
    pytest.param(GENUINE + b"&a", "body_malformed", id="field without a value"),
    pytest.param(b"&".join(b"f%d=" % n for n in range(101)), "body_malformed", id="very many fields"),
    pytest.param(GENUINE + b"&total_amount=0.01", "field_repeated", id="amount twice"),
    pytest.param(GENUINE + b"&sign=AAAA", "field_repeated", id="signature twice"),
    pytest.param(gbk(notice()) + b"&sign_type=RSA2&sign=AAAA", "body_malformed", id="GBK"),
    pytest.param(form(notice(charset="GBK")), "charset", id="says GBK"),
    pytest.param(UNSIGNED.encode(), "sign_type", id="no signature"),
    pytest.param(f"{UNSIGNED}&sign_type=RSA2".encode(), "signature_malformed", id="type without a signature"),
    pytest.param(form(notice(), sign_type="RSA"), "sign_type", id="weaker signature"),
    pytest.param(form(notice(), sign_type="none"), "sign_type", id="no kind of signature"),
    pytest.param(form(notice(), sign="A" * 344), "not_verified", id="any signature"),
    pytest.param(form(notice(), sign="A" * 20), "signature_malformed", id="short signature"),
    pytest.param(form(notice(), sign="=" * 344), "signature_malformed", id="no base64"),
    pytest.param(form(notice(), sign="WECHATPAY/SIGNTEST/" + "A" * 344), "not_verified", id="probe"),
    pytest.param(form(notice(), owner="stranger"), "not_verified", id="signed by somebody else"),
    pytest.param(form(notice(), total_amount="127.99"), "not_verified", id="a fen less"),
    pytest.param(form(notice(), total_amount="128.01"), "not_verified", id="a fen more"),
    pytest.param(form(notice(), out_trade_no="P20260314000002"), "not_verified", id="another payment"),
    pytest.param(form(notice(), subject="雀坊 & 100%   茶"), "not_verified", id="spaces for pluses"),
    pytest.param(form(notice(), subject="雀坊+&+100%+++茶"), "not_verified", id="pluses for spaces"),
    pytest.param(form(notice(), extra=""), "not_verified", id="an empty field more"),
    pytest.param(form(notice(), notify_time="2026-03-14 12:00:01"), "not_verified", id="made younger"),
    pytest.param(form(notice(app_id="2021000000000002")), "app_mismatch", id="another application"),
    pytest.param(form(notice(app_id=None)), "app_mismatch", id="no application"),
    pytest.param(form(notice(seller_id="2088000000000002")), "merchant_mismatch", id="another merchant"),
    pytest.param(form(notice(seller_id=None)), "merchant_mismatch", id="no merchant"),
    pytest.param(form(notice(notify_type="batch_refund_notify")), "body_malformed", id="another notice"),
    pytest.param(form(notice(notify_id=None)), "body_malformed", id="no id"),
    pytest.param(form(notice(notify_id="a b")), "body_malformed", id="odd id"),
    pytest.param(form(notice(notify_id="a" * 129)), "body_malformed", id="long id"),
    pytest.param(form(notice(notify_time=None)), "body_malformed", id="no time"),
    pytest.param(form(notice(notify_time="2026-03-14T12:00:00Z")), "body_malformed", id="other time"),
    pytest.param(form(notice(notify_time="2026-02-30 12:00:00")), "body_malformed", id="no day"),
    pytest.param(form(notice(trade_status="PAID")), "malformed_facts", id="unknown status"),
    pytest.param(form(notice(trade_status=None)), "malformed_facts", id="no status"),
    pytest.param(form(notice(out_trade_no="a b")), "malformed_facts", id="odd number"),
    pytest.param(form(notice(trade_no="")), "malformed_facts", id="paid without a trade"),
    pytest.param(form(notice(total_amount="1e3")), "malformed_facts", id="odd amount"),
    pytest.param(form(notice(total_amount=None)), "malformed_facts", id="no amount"),
    pytest.param(form(notice(gmt_payment="soon")), "malformed_facts", id="odd time of payment"),
    pytest.param(form(refund_notice(out_biz_no=None)), "malformed_facts", id="refund without a number"),
    pytest.param(form(refund_notice(gmt_refund="x")), "malformed_facts", id="refund at an odd time"),
]


@pytest.mark.parametrize(("body", "reason"), HOSTILE)
def test_hostile_notices_are_refused_without_a_connection(
    gateway: AlipayGateway, connections: list[Any], body: bytes, reason: str
) -> None:
    for parse in (gateway.parse_payment_callback, gateway.parse_refund_callback):
        with pytest.raises(CallbackInvalid) as refused:
            parse({}, body, NOW)
        assert refused.value.reason == reason

    assert connections == []


def test_a_signature_whose_pluses_became_spaces_is_refused(gateway: AlipayGateway) -> None:
    fields = next(
        found
        for number in range(1, 99)
        if "%2B" in (found := form(notice(notify_id=f"n{number}")).decode()).rpartition("sign=")[2]
    )
    head, _, signature = fields.rpartition("sign=")

    with pytest.raises(CallbackInvalid, match="signature_malformed"):
        gateway.parse_payment_callback({}, f"{head}sign={signature.replace('%2B', '+')}".encode(), NOW)
    assert gateway.parse_payment_callback({}, fields.encode(), NOW).facts.status == "succeeded"


def test_escaping_may_differ(gateway: AlipayGateway) -> None:
    pairs = (pair.split("=", 1) for pair in form(notice()).decode().split("&"))
    escaped = "&".join(f"{name}={value.replace('+', '%20')}" for name, value in pairs)
    assert escaped != form(notice()).decode()

    assert gateway.parse_payment_callback({}, escaped.encode(), NOW).facts.status == "succeeded"
