"""Callbacks of WeChat Pay: the true one is understood, every hostile one is refused without a connection."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from wechatpayv3 import WeChatPay, WeChatPayType

from app.gateways.ports import CallbackInvalid
from app.gateways.wechat_pay import WeChatPayChannel
from tests.gateways.loopback import Loopback
from tests.gateways.pay_service import (
    API_V3_KEY,
    NOW,
    PUBLIC_KEY_ID,
    STAMP,
    callback_body,
    credentials,
    private_pem,
    public_pem,
    refund_notice,
    signed_headers,
    transaction,
)

Pairs = list[tuple[str, str]]


@dataclass
class Callback:
    """What arrives: headers as pairs, as a request carries them, and raw bytes."""

    headers: Pairs
    body: bytes


def honest(body: bytes | None = None, **signing: Any) -> Callback:
    content = callback_body(transaction()) if body is None else body
    return Callback(list(signed_headers(content, **signing).items()), content)


def with_header(name: str, value: str | None) -> Callback:
    """Replace a header of an honest callback, or take it away."""
    callback = honest()
    kept = [(key, old) for key, old in callback.headers if key != name]
    callback.headers = kept if value is None else [*kept, (name, value)]
    return callback


def with_repeated(name: str) -> Callback:
    callback = honest()
    callback.headers.append((name.lower(), dict(callback.headers)[name]))
    return callback


def joined(name: str) -> Callback:
    """A repeated header as WSGI servers hand it over."""
    value = dict(honest().headers)[name]
    return with_header(name, f"{value},{value}")


def with_changed_body(change: Callable[[bytes], bytes]) -> Callback:
    """Change the body after it was signed."""
    callback = honest()
    callback.body = change(callback.body)
    assert callback.body != honest().body
    return callback


def resource(**changes: Any) -> bytes:
    envelope = json.loads(callback_body(transaction()))
    envelope["resource"] |= changes
    return json.dumps(envelope).encode()


def without_amount() -> dict[str, Any]:
    return {key: value for key, value in transaction().items() if key != "amount"}


def amount(total: Any) -> bytes:
    return callback_body(transaction(amount={"total": total, "currency": "CNY"}))


@pytest.fixture(scope="module")
def channel() -> WeChatPayChannel:
    return WeChatPayChannel(credentials(), base_url="http://127.0.0.1:9", timeout_seconds=1)


def test_a_true_payment_callback_gives_its_facts(channel: WeChatPayChannel, connections: list[Any]) -> None:
    callback = honest()

    opened = channel.parse_payment_callback(callback.headers, callback.body, NOW)

    assert (opened.callback_id, opened.event) == ("EV-2026031411595812345", "TRANSACTION.SUCCESS")
    facts = opened.facts
    assert (facts.payment_no, facts.status) == ("P20260314000001", "succeeded")
    assert (facts.amount_fen, facts.currency) == (12800, "CNY")
    assert facts.transaction_no == "4200001234202603140000000001"
    assert facts.paid_at == datetime(2026, 3, 14, 3, 59, 58, tzinfo=UTC)
    assert facts.payer_openid == "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
    assert (facts.merchant_no, facts.app_id) == ("1900000001", "wx0000000000000001")
    assert connections == []


@pytest.mark.parametrize(
    "carry",
    [
        pytest.param(dict, id="mapping"),
        pytest.param(iter, id="iterator"),
        pytest.param(lambda pairs: [(name.upper(), value) for name, value in pairs], id="upper case"),
        pytest.param(lambda pairs: {name.lower(): value for name, value in pairs}, id="lower case"),
        pytest.param(lambda pairs: [("Host", "a"), ("Host", "b"), *pairs], id="other headers repeated"),
    ],
)
def test_headers_may_come_in_any_container(
    channel: WeChatPayChannel, carry: Callable[[Pairs], Iterable[tuple[str, str]]]
) -> None:
    callback = honest()

    opened = channel.parse_payment_callback(carry(callback.headers), callback.body, NOW)

    assert opened.facts.amount_fen == 12800


@pytest.mark.parametrize(
    ("event", "state", "expected"),
    [
        ("REFUND.SUCCESS", "SUCCESS", "succeeded"),
        ("REFUND.ABNORMAL", "ABNORMAL", "abnormal"),
        ("REFUND.CLOSED", "CLOSED", "closed"),
    ],
)
def test_a_true_refund_callback_gives_its_facts(
    channel: WeChatPayChannel, connections: list[Any], event: str, state: str, expected: str
) -> None:
    finished = {"success_time": refund_notice()["success_time"] if state == "SUCCESS" else ""}
    callback = honest(callback_body(refund_notice(refund_status=state, **finished), event=event))

    opened = channel.parse_refund_callback(callback.headers, callback.body, NOW)

    assert (opened.event, opened.facts.status) == (event, expected)
    assert (opened.facts.refund_no, opened.facts.amount_fen) == ("R20260314000001", 6400)
    assert opened.facts.provider_refund_no == "50300807092026031400000000001"
    assert (opened.facts.payment_no, opened.facts.merchant_no) == ("P20260314000001", "1900000001")
    expected_at = datetime(2026, 3, 14, 3, 59, 59, tzinfo=UTC) if state == "SUCCESS" else None
    assert opened.facts.finished_at == expected_at
    assert connections == []


FORGED = [
    ("signed with another key", honest(owner="stranger"), "not_verified"),
    ("signed with our own key", honest(owner="merchant"), "not_verified"),
    ("serial of a certificate", honest(serial="3775B6A45ACD588826D15E583A95F5DD1234ABCD"), "unknown_serial"),
    ("serial of another key", honest(serial="PUB_KEY_ID_0116000000000000000000000002"), "unknown_serial"),
    ("serial in lower case", honest(serial=PUBLIC_KEY_ID.lower()), "unknown_serial"),
    ("encrypted with another key", honest(callback_body(transaction(), api_v3_key="x" * 32)), "not_verified"),
    ("number changed", with_changed_body(lambda body: body.replace(b"12345", b"12346")), "not_verified"),
    ("space added", with_changed_body(lambda body: body + b" "), "not_verified"),
    ("byte order mark added", with_changed_body(lambda body: b"\xef\xbb\xbf" + body), "body_malformed"),
    ("other nonce", with_header("Wechatpay-Nonce", "593BEC0C930BF1AFEB40B4A08C8FB242"), "not_verified"),
    ("other time inside the window", with_header("Wechatpay-Timestamp", str(STAMP - 1)), "not_verified"),
    ("probe", with_header("Wechatpay-Signature", "WECHATPAY/SIGNTEST/" + "A" * 300), "probe"),
    ("empty signature", with_header("Wechatpay-Signature", ""), "header_malformed"),
    ("signature of zeros", with_header("Wechatpay-Signature", "A" * 344), "not_verified"),
    ("signature not base64", with_header("Wechatpay-Signature", "é" * 344), "header_malformed"),
    (
        "other algorithm",
        with_header("Wechatpay-Signature-Type", "WECHATPAY2-SM2-WITH-SM3"),
        "header_malformed",
    ),
    ("payment of 2017", honest(stamp=1500000000), "timestamp_out_of_range"),
]
AGES = [
    ("right at the edge of old", honest(stamp=STAMP - 300), "timestamp_out_of_range"),
    ("right at the edge of future", honest(stamp=STAMP + 300), "timestamp_out_of_range"),
    ("time in milliseconds", honest(stamp=STAMP * 1000), "header_malformed"),
    ("time zero", honest(stamp=0), "header_malformed"),
    ("time negative", with_header("Wechatpay-Timestamp", f"-{STAMP}"), "header_malformed"),
    ("time with spaces", with_header("Wechatpay-Timestamp", f" {STAMP}"), "header_malformed"),
    ("time with line end", with_header("Wechatpay-Timestamp", f"{STAMP}\n"), "header_malformed"),
    ("time in other digits", with_header("Wechatpay-Timestamp", "١٧٧٣٤٦٠٨٠٠"), "header_malformed"),
    ("time as a fraction", with_header("Wechatpay-Timestamp", f"{STAMP}.0"), "header_malformed"),
    ("time empty", with_header("Wechatpay-Timestamp", ""), "header_malformed"),
]
NAMES = [
    "Wechatpay-Timestamp",
    "Wechatpay-Nonce",
    "Wechatpay-Signature",
    "Wechatpay-Serial",
    "Wechatpay-Signature-Type",
]
HEADERS = [
    *((f"{name} missing", with_header(name, None), "header_missing") for name in NAMES),
    *((f"{name} twice", with_repeated(name), "header_repeated") for name in NAMES),
    *((f"{name} joined by a comma", joined(name), "header_malformed") for name in NAMES),
    ("no header at all", Callback([], honest().body), "header_missing"),
    (
        "names of another framework",
        Callback(
            [("HTTP_" + name.upper().replace("-", "_"), value) for name, value in honest().headers],
            honest().body,
        ),
        "header_missing",
    ),
    ("nonce with line ends", with_header("Wechatpay-Nonce", "a\nb"), "header_malformed"),
    ("nonce of a megabyte", with_header("Wechatpay-Nonce", "a" * 1_000_000), "header_malformed"),
]
BODIES = [
    ("empty", honest(b""), "body_size"),
    ("giant", honest(callback_body(transaction(), padding="x" * 65536)), "body_size"),
    (
        "bad UTF-8",
        honest(callback_body(transaction()).replace("支付".encode(), b"\xff\xfe")),
        "body_malformed",
    ),
    ("not JSON", honest(b"<xml/>"), "body_malformed"),
    ("JSON that is no object", honest(b"[1]"), "body_malformed"),
    ("JSON null", honest(b"null"), "body_malformed"),
    ("deep nesting", honest(b"[" * 60000), "body_malformed"),
    ("number of 60,000 digits", honest(b"9" * 60000), "body_malformed"),
    ("nothing in it", honest(b"{}"), "body_malformed"),
    ("no id", honest(callback_body(transaction(), id=None)), "body_malformed"),
    ("other resource type", honest(callback_body(transaction(), resource_type="plain")), "body_malformed"),
    ("resource in the clear", honest(callback_body(transaction(), resource=transaction())), "body_malformed"),
    ("resource as text", honest(callback_body(transaction(), resource="x")), "body_malformed"),
    ("nonce of another type", honest(resource(nonce=12)), "body_malformed"),
    ("associated data of another type", honest(resource(associated_data=[])), "body_malformed"),
    ("other associated data", honest(resource(associated_data="refund")), "not_verified"),
    ("nonce too short", honest(resource(nonce="a")), "not_verified"),
    ("ciphertext not base64", honest(resource(ciphertext="a")), "not_verified"),
    ("ciphertext too short", honest(resource(ciphertext="YQ==")), "not_verified"),
    ("other cipher", honest(resource(algorithm="AEAD_SM4_GCM")), "not_verified"),
]
CONTENTS = [
    ("plain text is not JSON", honest(callback_body("nonsense")), "not_verified"),
    ("plain text is empty", honest(callback_body("")), "not_verified"),
    ("plain text is deep nesting", honest(callback_body("[" * 20000)), "not_verified"),
    ("plain text is a list", honest(callback_body([])), "malformed_facts"),
    ("plain text is an empty object", honest(callback_body({})), "malformed_facts"),
    ("other trade state", honest(callback_body(transaction(trade_state="GIFTED"))), "malformed_facts"),
    ("no amount", honest(callback_body(without_amount())), "malformed_facts"),
    ("amount as text", honest(amount("12800")), "malformed_facts"),
    ("amount as a fraction", honest(amount(128.0)), "malformed_facts"),
    ("amount as a boolean", honest(amount(True)), "malformed_facts"),
    ("amount below zero", honest(amount(-1)), "malformed_facts"),
    (
        "time without zone",
        honest(callback_body(transaction(success_time="2026-03-14T11:59:58"))),
        "malformed_facts",
    ),
    (
        "time before all time",
        honest(callback_body(transaction(success_time="0001-01-01T00:00:00+14:00"))),
        "malformed_facts",
    ),
    (
        "number with half a character",
        honest(callback_body('{"trade_state": "SUCCESS", "out_trade_no": "\\ud800"}')),
        "malformed_facts",
    ),
    ("number of our own missing", honest(callback_body(transaction(out_trade_no=None))), "malformed_facts"),
    ("merchant missing", honest(callback_body(transaction(mchid=""))), "malformed_facts"),
    ("payer of another type", honest(callback_body(transaction(payer=["x"]))), "malformed_facts"),
    ("id with spaces", honest(callback_body(transaction(), id="a b")), "malformed_facts"),
    (
        "refund notice at the payment address",
        honest(callback_body(refund_notice(), event="REFUND.SUCCESS")),
        "unexpected_event",
    ),
    ("unknown event", honest(callback_body(transaction(), event="COUPON.USE")), "unexpected_event"),
]
HOSTILE = [
    pytest.param(callback, reason, id=label)
    for label, callback, reason in [*FORGED, *AGES, *HEADERS, *BODIES, *CONTENTS]
]


@pytest.mark.parametrize(("callback", "reason"), HOSTILE)
def test_a_hostile_callback_is_refused_without_any_connection(
    channel: WeChatPayChannel, connections: list[Any], callback: Callback, reason: str
) -> None:
    with pytest.raises(CallbackInvalid) as refused:
        channel.parse_payment_callback(callback.headers, callback.body, NOW)

    assert refused.value.reason == reason
    assert connections == []


@pytest.mark.parametrize(
    ("callback", "reason"),
    [
        pytest.param(honest(), "unexpected_event", id="payment notice at the refund address"),
        pytest.param(
            honest(callback_body(refund_notice(mchid=None), event="REFUND.SUCCESS")),
            "malformed_facts",
            id="merchant missing",
        ),
        pytest.param(
            honest(callback_body(refund_notice(refund_status="LOST"), event="REFUND.SUCCESS")),
            "malformed_facts",
            id="unknown status",
        ),
        pytest.param(honest(owner="stranger"), "not_verified", id="signed with another key"),
    ],
)
def test_a_hostile_refund_callback_is_refused(
    channel: WeChatPayChannel, connections: list[Any], callback: Callback, reason: str
) -> None:
    with pytest.raises(CallbackInvalid) as refused:
        channel.parse_refund_callback(callback.headers, callback.body, NOW)

    assert refused.value.reason == reason
    assert connections == []


@pytest.mark.parametrize("seconds", [-299, 0, 299])
def test_a_callback_inside_the_window_is_accepted(channel: WeChatPayChannel, seconds: int) -> None:
    callback = honest()

    opened = channel.parse_payment_callback(callback.headers, callback.body, NOW + timedelta(seconds=seconds))

    assert opened.facts.status == "succeeded"


def test_facts_of_another_merchant_are_handed_over_for_the_caller_to_compare(
    channel: WeChatPayChannel,
) -> None:
    other = transaction(mchid="1900000099", appid="wx9", amount={"total": 1, "currency": "USD"})
    callback = honest(callback_body(other))

    facts = channel.parse_payment_callback(callback.headers, callback.body, NOW).facts

    assert (facts.merchant_no, facts.app_id, facts.amount_fen, facts.currency) == (
        "1900000099",
        "wx9",
        1,
        "USD",
    )


def test_control_the_bare_library_accepts_an_old_callback_and_asks_for_unknown_certificates(
    loopback: Loopback,
) -> None:
    """Shows that the checks of our own are what refuses: without them the library is taken in."""
    bare = WeChatPay(
        WeChatPayType.MINIPROG,
        "1900000001",
        private_pem("merchant"),
        "01",
        "wx0000000000000001",
        API_V3_KEY,
        public_key=public_pem("service"),
        public_key_id=PUBLIC_KEY_ID,
        timeout=5,
    )
    bare._core._gate_way = loopback.url
    old, unknown = honest(stamp=1500000000), honest(serial="3775B6A4")

    assert bare.callback(dict(old.headers), old.body)["resource"]["trade_state"] == "SUCCESS"
    assert bare.callback(dict(unknown.headers), unknown.body) is None
    assert loopback.paths() == ["/v3/certificates"]
