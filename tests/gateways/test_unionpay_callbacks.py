"""Notices of UnionPay: genuine ones are read, everything else is refused without asking anybody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from app.domain.clock import utc_now
from app.gateways.ports import CallbackInvalid
from app.gateways.unionpay import UnionPayChannel
from tests.gateways.unionpay_service import (
    PAYMENT,
    REFUND,
    Impostor,
    altered,
    impostors,
    make_channel,
    merchant_no,
    notice,
    refunded,
    transaction,
)


@pytest.fixture
def channel() -> UnionPayChannel:
    return make_channel("http://127.0.0.1:1")


def test_notice_of_a_payment_is_read(channel: UnionPayChannel, connections: list[Any]) -> None:
    told = channel.parse_payment_callback({}, notice(transaction()), utc_now())

    assert (told.callback_id, told.event) == ("01-202603141200051234567", "PAYMENT.00")
    facts = told.facts
    assert (facts.payment_no, facts.status, facts.amount_fen, facts.currency) == (
        PAYMENT.payment_no,
        "succeeded",
        12800,
        "CNY",
    )
    assert (facts.merchant_no, facts.app_id) == (merchant_no(), None)
    assert facts.paid_at == datetime(2026, 3, 14, 4, 1, 7, tzinfo=UTC)
    assert connections == []


def test_notice_of_a_refund_is_read(channel: UnionPayChannel) -> None:
    told = channel.parse_refund_callback({}, notice(refunded()), utc_now())
    assert (told.callback_id, told.facts.refund_no, told.facts.status, told.facts.amount_fen) == (
        "04-202603141300007654321",
        REFUND.refund_no,
        "succeeded",
        6400,
    )


def refuse(channel: UnionPayChannel, body: bytes, reason: str, *, now: datetime | None = None) -> None:
    with pytest.raises(CallbackInvalid) as caught:
        channel.parse_payment_callback({}, body, now or utc_now())
    assert caught.value.reason == reason


@pytest.mark.parametrize(("reason", "impostor"), impostors().values(), ids=impostors().keys())
def test_forged_notice_is_refused(
    channel: UnionPayChannel, connections: list[Any], reason: str, impostor: Impostor
) -> None:
    refuse(channel, notice(transaction(), **impostor.keys), reason)
    assert connections == []


@pytest.mark.parametrize(
    "changes",
    [
        {"txnAmt": "12801"},
        {"txnAmt": "12799"},
        {"orderId": "P260314000000000002"},
        {"currencyCode": "840"},
        {"merId": "777290058110048"},
        {"queryId": "202603141200051234568"},
        {"respCode": "A6"},
        {"extra": "1"},
        {"signature": "AAAA"},
        {"signature": "%%%"},
        {"signature": "A" * 2000},
        {"signature": ""},
    ],
    ids=repr,
)
def test_altered_notice_is_refused(channel: UnionPayChannel, changes: dict[str, str]) -> None:
    with pytest.raises(CallbackInvalid) as caught:
        channel.parse_payment_callback({}, altered(notice(transaction()), **changes), utc_now())
    assert caught.value.reason in ("not_verified", "signature_missing")


def test_field_that_is_empty_is_not_signed_and_changes_nothing(channel: UnionPayChannel) -> None:
    body = notice(transaction()) + b"&reserved="
    assert channel.parse_payment_callback({}, body, utc_now()).facts.amount_fen == 12800


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param(refunded(), "unexpected_event", id="a refund"),
        pytest.param(transaction(txnType="31"), "unexpected_event", id="a cancellation"),
        pytest.param(transaction(origRespCode="05"), "unexpected_event", id="the answer to a query"),
        pytest.param(transaction(merId="777290058110048"), "merchant_mismatch", id="another merchant"),
        pytest.param(transaction(respCode="01"), "unexpected_event", id="no success"),
        pytest.param(transaction(txnAmt="128.00"), "malformed_facts", id="amount in yuan"),
        pytest.param(transaction(txnAmt="-1"), "malformed_facts", id="negative amount"),
        pytest.param(transaction(queryId=""), "malformed_facts", id="no number of theirs"),
        pytest.param(transaction(orderId="../x"), "malformed_facts", id="odd number"),
        pytest.param(transaction(traceTime="1332250000"), "malformed_facts", id="no such time"),
    ],
)
def test_genuine_message_that_is_no_success_of_ours_is_refused(
    channel: UnionPayChannel, fields: dict[str, str], reason: str
) -> None:
    refuse(channel, notice(fields), reason)


GENUINE = notice(transaction())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"", "body_size", id="empty"),
        pytest.param(b"a=" + b"1" * 40_000, "body_size", id="giant"),
        pytest.param(b"\xff\xfe\x00", "body_malformed", id="no text"),
        pytest.param("金额=1".encode(), "body_malformed", id="not escaped"),
        pytest.param(b"%FF=%FE", "body_malformed", id="escaped, but no UTF-8"),
        pytest.param(b"no form at all", "body_malformed", id="no form"),
        pytest.param(b'{"txnType": "01"}', "body_malformed", id="JSON"),
        pytest.param(b"&".join(b"f%d=1" % n for n in range(90)), "body_malformed", id="too many fields"),
        pytest.param(GENUINE + b"&txnAmt=1", "field_repeated", id="a field twice"),
        pytest.param(b"a=%00", "body_malformed", id="NUL"),
        pytest.param(b"txnType=01", "certificate_missing", id="not signed"),
    ],
)
def test_malformed_body_is_refused(channel: UnionPayChannel, body: bytes, reason: str) -> None:
    refuse(channel, body, reason)


def test_plus_and_space_are_told_apart(channel: UnionPayChannel) -> None:
    """A form writes a space as `+`; a signature has true ones, which must come escaped."""
    pairs = dict(parse_qsl(GENUINE.decode()))
    body = "&".join(f"{name}={value}" for name, value in pairs.items()).replace("\n", "%0A").encode()
    with pytest.raises(CallbackInvalid):
        channel.parse_payment_callback({}, body, utc_now())
    assert channel.parse_payment_callback({}, urlencode(pairs).encode(), utc_now())


@pytest.mark.parametrize("days", [-3, 4000])
def test_certificates_are_asked_for_their_time(channel: UnionPayChannel, days: int) -> None:
    refuse(channel, GENUINE, "certificate_expired", now=utc_now() + timedelta(days=days))
