"""What WeChat Pay v3 accepts in request bodies (WeChat Pay: prepay and refund), and what control adopts."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sandbox.fields import OPENID, FieldError, Fields

OUT_TRADE_NO = re.compile(r"[0-9A-Za-z_*-]{6,32}")
OUT_REFUND_NO = re.compile(r"[0-9A-Za-z_|*@-]{1,64}")
TRANSACTION_ID = re.compile(r"[0-9]{1,32}")
MOST_FEN = 100_000_000_00
MOST_REFUNDS = 50


class PayError(Exception):
    """A refusal in WeChat Pay's form: HTTP status, code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True)
class PrepayRequest:
    """A checked prepay body; *fingerprint* tells a repetition from changed parameters."""

    trade_type: str
    out_trade_no: str
    description: str
    attach: str | None
    notify_url: str
    total: int
    openid: str | None
    expires_at: float | None
    fingerprint: str


@dataclass(frozen=True)
class RefundRequest:
    """A checked refund body; one of out_trade_no and transaction_id is set."""

    out_refund_no: str
    out_trade_no: str | None
    transaction_id: str | None
    reason: str | None
    notify_url: str | None
    funds_account: str
    refund: int
    total: int
    fingerprint: str


@dataclass(frozen=True)
class AdoptedRefund:
    """A checked refund of a payment that was made elsewhere."""

    refund_no: str
    amount: int
    success_at: float


@dataclass(frozen=True)
class AdoptedPayment:
    """A checked payment that was made elsewhere; *refunded* fen of it went back, partly by known refunds."""

    out_trade_no: str
    transaction_id: str
    total: int
    success_at: float
    openid: str | None
    refunded: int
    refunds: tuple[AdoptedRefund, ...] = ()


def read_prepay(
    body: dict[str, Any], trade_type: str, mchid: str, app_id: str, now: datetime
) -> PrepayRequest:
    """Check every field; raise FieldError or PayError."""
    fields = Fields(body)
    _check_merchant(fields, mchid, app_id)
    amount = fields.child("amount")
    expires_at = fields.instant("time_expire")
    if expires_at is not None and expires_at <= now:
        fields.fail("time_expire", "应晚于当前时间")
    _check_extras(fields)
    return PrepayRequest(
        trade_type=trade_type,
        out_trade_no=fields.text("out_trade_no", 32, OUT_TRADE_NO),
        description=fields.text("description", 127),
        attach=fields.optional_text("attach", 128),
        notify_url=_notify_url(fields.text("notify_url", 255)),
        total=amount.integer("total", 1, MOST_FEN),
        openid=_payer(fields) if trade_type == "JSAPI" else None,
        expires_at=expires_at.timestamp() if expires_at else None,
        fingerprint=_fingerprint(body | {"amount": _amount(amount), "trade_type": trade_type}),
    )


def read_adopted(fields: Fields, now: datetime) -> AdoptedPayment:
    """Check a payment that was made elsewhere; raise FieldError."""
    total = fields.integer("total_fen", 1, MOST_FEN)
    refunds = fields.children("refunds", MOST_REFUNDS) if fields.has("refunds") else []
    known = tuple(_read_adopted_refund(refund, now) for refund in refunds)
    refunded = fields.integer("refunded_fen", 0, total, 0)
    if sum(refund.amount for refund in known) > refunded:
        fields.fail("refunds", "退款之和超过已退金额")
    return AdoptedPayment(
        out_trade_no=fields.text("out_trade_no", 32, OUT_TRADE_NO),
        transaction_id=fields.text("transaction_id", 32, TRANSACTION_ID),
        total=total,
        success_at=_past(fields, "paid_at", now),
        openid=fields.optional_text("openid", 128, OPENID),
        refunded=refunded,
        refunds=known,
    )


def _read_adopted_refund(fields: Fields, now: datetime) -> AdoptedRefund:
    return AdoptedRefund(
        refund_no=fields.text("out_refund_no", 64, OUT_REFUND_NO),
        amount=fields.integer("amount_fen", 1, MOST_FEN),
        success_at=_past(fields, "finished_at", now),
    )


def _past(fields: Fields, name: str, now: datetime) -> float:
    at = fields.instant(name)
    if at is None:
        fields.fail(name, "必填")
    if not 0 < at.timestamp() <= now.timestamp():
        fields.fail(name, "应为过去的时间")
    return at.timestamp()


def read_refund(body: dict[str, Any]) -> RefundRequest:
    """Check every field; raise FieldError."""
    fields = Fields(body)
    amount = fields.child("amount")
    if not fields.has("out_trade_no") and not fields.has("transaction_id"):
        fields.fail("transaction_id", "与out_trade_no二选一必填")
    notify_url = fields.optional_text("notify_url", 255)
    amount.choice("currency", ("CNY",))
    return RefundRequest(
        out_refund_no=fields.text("out_refund_no", 64, OUT_REFUND_NO),
        out_trade_no=fields.optional_text("out_trade_no", 32, OUT_TRADE_NO),
        transaction_id=fields.optional_text("transaction_id", 32, TRANSACTION_ID),
        reason=fields.optional_text("reason", 80),
        notify_url=_notify_url(notify_url) if notify_url else None,
        funds_account=fields.choice("funds_account", ("AVAILABLE", "UNSETTLED"), "AVAILABLE"),
        refund=amount.integer("refund", 1, MOST_FEN),
        total=amount.integer("total", 1, MOST_FEN),
        fingerprint=_fingerprint(body),
    )


def _check_merchant(fields: Fields, mchid: str, app_id: str) -> None:
    if fields.text("mchid", 32) != mchid:
        raise PayError(400, "PARAM_ERROR", "商户号与签名的商户号不一致")
    if fields.text("appid", 32) != app_id:
        raise PayError(400, "APPID_MCHID_NOT_MATCH", "appid和mch_id不匹配，请检查后再试")


def _payer(fields: Fields) -> str:
    return fields.child("payer").text("openid", 128, OPENID)


def _amount(amount: Fields) -> dict[str, Any]:
    # CNY is the default, so naming it or not is the same request.
    return {
        "total": amount.integer("total", 1, MOST_FEN),
        "currency": amount.choice("currency", ("CNY",), "CNY"),
    }


def _check_extras(fields: Fields) -> None:
    fields.optional_text("goods_tag", 32)
    if fields.has("settle_info"):
        fields.child("settle_info").flag("profit_sharing")
    if fields.has("scene_info"):
        fields.child("scene_info").text("payer_client_ip", 45)
    if fields.has("detail"):
        fields.child("detail")


def _notify_url(url: str) -> str:
    """Return the address; plain http is accepted only because callbacks stay on this machine."""
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_right = False
    if not is_right or "?" in url or "#" in url or not url.isascii() or not url.isprintable() or " " in url:
        raise FieldError("/notify_url", "应为不带参数的完整地址")
    return url


def _fingerprint(body: dict[str, Any]) -> str:
    return json.dumps(body, sort_keys=True)
