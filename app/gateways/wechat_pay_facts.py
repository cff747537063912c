"""Reads the JSON objects of WeChat Pay into facts, taking nothing for granted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from app.gateways.ports import PaymentFacts, PaymentFactStatus, RefundFacts, RefundFactStatus
from app.gateways.unreadable import FactsMalformed

_IDENTIFIER = re.compile(r"[0-9A-Za-z_*@|-]{1,128}", re.ASCII)
# REFUND says that some refund exists, not that all was paid back: the payment did succeed.
_TRADE_STATES: dict[str, PaymentFactStatus] = {
    "SUCCESS": "succeeded",
    "REFUND": "succeeded",
    "NOTPAY": "pending",
    "USERPAYING": "pending",
    "CLOSED": "closed",
    "REVOKED": "closed",
    "PAYERROR": "failed",
}
_REFUND_STATES: dict[str, RefundFactStatus] = {
    "PROCESSING": "processing",
    "SUCCESS": "succeeded",
    "ABNORMAL": "abnormal",
    "CLOSED": "closed",
}


def payment_facts(transaction: Mapping[str, Any]) -> PaymentFacts:
    """Read a transaction as it comes from a query or a callback; raises FactsMalformed."""
    status = _TRADE_STATES.get(str(transaction.get("trade_state")))
    if status is None:
        raise FactsMalformed("trade_state")
    is_paid = status == "succeeded"
    amount = _object(transaction, "amount", is_required=is_paid)
    return PaymentFacts(
        payment_no=identifier_of(transaction, "out_trade_no"),
        status=status,
        amount_fen=_fen(amount, "total", is_required=is_paid),
        currency=_identifier(amount, "currency", is_required=is_paid),
        transaction_no=_identifier(transaction, "transaction_id", is_required=is_paid),
        paid_at=_instant(transaction, "success_time", is_required=is_paid),
        payer_openid=_identifier(_object(transaction, "payer", is_required=False), "openid"),
        merchant_no=identifier_of(transaction, "mchid"),
        app_id=identifier_of(transaction, "appid"),
    )


def refund_facts(refund: Mapping[str, Any]) -> RefundFacts:
    """Read a refund as it comes from a request or a query; raises FactsMalformed."""
    return _refund_facts(refund, "status")


def refund_notice_facts(refund: Mapping[str, Any]) -> RefundFacts:
    """Read a refund as it comes in a callback, which names its merchant; raises FactsMalformed."""
    identifier_of(refund, "mchid")
    return _refund_facts(refund, "refund_status")


def _refund_facts(refund: Mapping[str, Any], status_key: str) -> RefundFacts:
    status = _REFUND_STATES.get(str(refund.get(status_key)))
    if status is None:
        raise FactsMalformed(status_key)
    return RefundFacts(
        refund_no=identifier_of(refund, "out_refund_no"),
        status=status,
        provider_refund_no=identifier_of(refund, "refund_id"),
        amount_fen=_fen(_object(refund, "amount", is_required=True), "refund", is_required=True),
        finished_at=_instant(refund, "success_time", is_required=status == "succeeded"),
        payment_no=_identifier(refund, "out_trade_no"),
        merchant_no=_identifier(refund, "mchid"),
    )


def callback_id(envelope: Mapping[str, Any]) -> str:
    """Return the number that every repetition of a callback shares; raises FactsMalformed."""
    return identifier_of(envelope, "id")


def _object(source: Mapping[str, Any], key: str, *, is_required: bool) -> Mapping[str, Any]:
    value = source.get(key)
    if isinstance(value, dict):
        return value
    if is_required or value is not None:
        raise FactsMalformed(key)
    return {}


def identifier_of(source: Mapping[str, Any], key: str) -> str:
    """Return an identifier that must be there; raises FactsMalformed."""
    value = source.get(key)
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise FactsMalformed(key)
    return value


def _identifier(source: Mapping[str, Any], key: str, *, is_required: bool = False) -> str | None:
    # The service sends an empty text where it has nothing to say.
    if source.get(key) in (None, "") and not is_required:
        return None
    return identifier_of(source, key)


def _fen(source: Mapping[str, Any], key: str, *, is_required: bool) -> int | None:
    value = source.get(key)
    if value is None and not is_required:
        return None
    # True is an int to Python, and 1e2 a float to JSON; neither is an amount.
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise FactsMalformed(key)
    return value


def _instant(source: Mapping[str, Any], key: str, *, is_required: bool) -> datetime | None:
    value = source.get(key)
    if value in (None, "") and not is_required:
        return None
    try:
        instant = datetime.fromisoformat(str(value))
        if instant.tzinfo is None:
            raise FactsMalformed(key)
        return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise FactsMalformed(key) from None
