"""Reads what Alipay says about trades and refunds into facts, taking nothing for granted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.gateways.ports import PaymentFacts, PaymentFactStatus, RefundFacts
from app.gateways.unreadable import FactsMalformed
from app.gateways.written import CHINA as CHINA
from app.gateways.written import fen_of as fen_of
from app.gateways.written import instant_of as instant_of

CURRENCY = "CNY"
_IDENTIFIER = re.compile(r"[0-9A-Za-z_@.|*-]{1,128}", re.ASCII)
# TRADE_FINISHED is paid, and too old to be refunded.
_TRADE_STATUSES: dict[str, PaymentFactStatus] = {
    "WAIT_BUYER_PAY": "pending",
    "TRADE_SUCCESS": "succeeded",
    "TRADE_FINISHED": "succeeded",
    "TRADE_CLOSED": "closed",
}


def yuan_of(amount_fen: int) -> str:
    """Write fen as Alipay wants them: 12800 -> ``128.00``."""
    return f"{amount_fen // 100}.{amount_fen % 100:02d}"


def trade_facts(trade: Mapping[str, Any], *, merchant_no: str | None, app_id: str | None) -> PaymentFacts:
    """Read a trade as it comes from a query or a notice; raises FactsMalformed.

    Merchant and application are the caller's to know: only notices name them. `closed` is said of a trade
    that ran out unpaid as well as of one that was paid and went back whole.
    """
    status = _TRADE_STATUSES.get(str(trade.get("trade_status")))
    if status is None:
        raise FactsMalformed("trade_status")
    is_paid = status == "succeeded"
    return PaymentFacts(
        payment_no=required(trade, "out_trade_no"),
        status=status,
        amount_fen=fen_of(trade.get("total_amount")) if is_paid or trade.get("total_amount") else None,
        # Named only where it may be a foreign one.
        currency=optional(trade, "trans_currency") or CURRENCY,
        transaction_no=required(trade, "trade_no") if is_paid else optional(trade, "trade_no"),
        paid_at=_first_instant(trade, ("gmt_payment", "send_pay_date")),
        payer_openid=_first(trade, ("buyer_open_id", "buyer_user_id", "buyer_id")),
        merchant_no=merchant_no,
        app_id=app_id,
    )


def refund_facts(answer: Mapping[str, Any], *, refund_no: str, amount_fen: int) -> RefundFacts:
    """Read the answer to a query of a refund; raises FactsMalformed.

    A refund that Alipay never got, and one that failed, look the same: nothing is said of it.
    """
    if answer.get("refund_status") != "REFUND_SUCCESS":
        return RefundFacts(refund_no=refund_no, status="absent")
    if required(answer, "out_request_no") != refund_no:
        raise FactsMalformed("out_request_no")
    return succeeded_refund(answer, refund_no=refund_no, amount_fen=fen_of(answer.get("refund_amount")))


def succeeded_refund(
    answer: Mapping[str, Any], *, refund_no: str, amount_fen: int | None, merchant_no: str | None = None
) -> RefundFacts:
    """Read the facts of a refund whose money has moved; raises FactsMalformed."""
    return RefundFacts(
        refund_no=refund_no,
        status="succeeded",
        amount_fen=amount_fen,
        finished_at=_first_instant(answer, ("gmt_refund_pay", "gmt_refund")),
        payment_no=required(answer, "out_trade_no"),
        merchant_no=merchant_no,
    )


def required(source: Mapping[str, Any], key: str) -> str:
    """Return an identifier that must be there; raises FactsMalformed."""
    value = source.get(key)
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise FactsMalformed(key)
    return value


def optional(source: Mapping[str, Any], key: str) -> str | None:
    """Return an identifier, or None where Alipay has nothing to say; raises FactsMalformed."""
    return None if source.get(key) in (None, "") else required(source, key)


def _first(source: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((value for key in keys if (value := optional(source, key))), None)


def _first_instant(source: Mapping[str, Any], keys: tuple[str, ...]) -> datetime | None:
    return next((instant_of(source[key]) for key in keys if source.get(key)), None)
