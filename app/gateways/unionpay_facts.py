"""Reads messages of the UnionPay gateway into facts, taking nothing for granted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

from app.gateways.ports import PaymentFacts, PaymentFactStatus, RefundFacts, RefundFactStatus
from app.gateways.unreadable import FactsMalformed

CHINA = timezone(timedelta(hours=8))
CURRENCIES = {"156": "CNY"}
# 00 is success, A6 a success of which a part is still to be told.
SUCCEEDED = frozenset({"00", "A6"})
# Nobody knows yet: ask later. A refund that is asked for can also be answered so when it has been taken.
UNDECIDED = frozenset({"03", "04", "05"})
UNKNOWN_OUTCOME = UNDECIDED | {"01", "12", "34", "60"}
NOT_FOUND = "34"
_STAMP = re.compile(r"\d{14}", re.ASCII)
_TRACE = re.compile(r"\d{10}", re.ASCII)
_AMOUNT = re.compile(r"[0-9]{1,12}", re.ASCII)
_CODE = re.compile(r"[0-9A-Z]{2}", re.ASCII)
_NUMBER = re.compile(r"[0-9A-Za-z]{1,64}", re.ASCII)


def stamp(instant: datetime) -> str:
    """Write an instant as UnionPay does: Beijing time, `YYYYMMDDhhmmss`."""
    return instant.astimezone(CHINA).strftime("%Y%m%d%H%M%S")


def code(fields: Mapping[str, str], name: str) -> str:
    """Return a response code; raises FactsMalformed."""
    return _matching(_CODE, fields, name)


def payment_facts(fields: Mapping[str, str], result: str) -> PaymentFacts:
    """Read a payment of a query or a notice whose outcome is the code *result*; raises FactsMalformed."""
    status: PaymentFactStatus = "failed"
    if result in SUCCEEDED:
        status = "succeeded"
    elif result in UNDECIDED:
        status = "pending"
    is_paid = status == "succeeded"
    return PaymentFacts(
        payment_no=_matching(_NUMBER, fields, "orderId"),
        status=status,
        amount_fen=_amount(fields) if is_paid else None,
        currency=_currency(fields) if is_paid else None,
        transaction_no=_matching(_NUMBER, fields, "queryId") if is_paid else None,
        paid_at=_traced_at(fields) if is_paid else None,
        merchant_no=_matching(_NUMBER, fields, "merId"),
    )


def refund_facts(fields: Mapping[str, str], result: str) -> RefundFacts:
    """Read a refund of a query or a notice whose outcome is the code *result*; raises FactsMalformed."""
    status: RefundFactStatus = "abnormal"
    if result in SUCCEEDED:
        status = "succeeded"
    elif result in UNDECIDED:
        status = "processing"
    is_done = status == "succeeded"
    return RefundFacts(
        refund_no=_matching(_NUMBER, fields, "orderId"),
        status=status,
        provider_refund_no=_matching(_NUMBER, fields, "queryId")
        if is_done
        else fields.get("queryId") or None,
        amount_fen=_amount(fields),
        finished_at=_traced_at(fields) if is_done else None,
        merchant_no=_matching(_NUMBER, fields, "merId"),
    )


def _matching(form: re.Pattern[str], fields: Mapping[str, str], name: str) -> str:
    value = fields.get(name, "")
    if not form.fullmatch(value):
        raise FactsMalformed(name)
    return value


def _amount(fields: Mapping[str, str]) -> int:
    return int(_matching(_AMOUNT, fields, "txnAmt"))


def _currency(fields: Mapping[str, str]) -> str:
    """Return the ISO code of a numeric one; an unknown one stays as it is, which equals none of ours."""
    number = fields.get("currencyCode", "")
    return CURRENCIES.get(number, number)


def _traced_at(fields: Mapping[str, str]) -> datetime:
    """Return when it was settled: `traceTime` has no year, so it is the first such time after `txnTime`."""
    started = _matching(_STAMP, fields, "txnTime")
    traced = _matching(_TRACE, fields, "traceTime")
    try:
        begun = datetime.strptime(started, "%Y%m%d%H%M%S").replace(tzinfo=CHINA)
        found = _in_year(begun.year, traced)
        # Their clock may be a little behind the one that wrote txnTime.
        if found < begun - timedelta(days=1):
            found = _in_year(begun.year + 1, traced)
    except ValueError:
        raise FactsMalformed("traceTime") from None
    return found.astimezone(UTC)


def _in_year(year: int, traced: str) -> datetime:
    return datetime.strptime(f"{year}{traced}", "%Y%m%d%H%M%S").replace(tzinfo=CHINA)
