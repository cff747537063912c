"""What Alipay's methods accept in their business parameters (Alipay: open API)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from sandbox.clock import CHINA
from sandbox.fields import OPENID, FieldError, Fields

OUT_TRADE_NO = re.compile(r"[0-9A-Za-z_]{1,64}")
OUT_REQUEST_NO = re.compile(r"[0-9A-Za-z_-]{1,64}")
USER_ID = re.compile(r"2088[0-9]{12}")
SUBJECT = re.compile(r"[^/=&]{1,256}")
YUAN = re.compile(r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,2})?")
MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
MOST_FEN = 100_000_000_00
CREATE, PRECREATE = "create", "precreate"
PRODUCTS = {CREATE: ("JSAPI_PAY",), PRECREATE: ("QR_CODE_OFFLINE", "FACE_TO_FACE_PAYMENT")}


class AlipayError(Exception):
    """A refusal in Alipay's form, which travels with HTTP 200."""

    def __init__(self, code: str, sub_code: str, sub_msg: str) -> None:
        super().__init__(sub_msg)
        self.code = code
        self.sub_code = sub_code
        self.sub_msg = sub_msg

    def node(self) -> dict[str, str]:
        """Return what the answer carries."""
        messages = {"20000": "Service Currently Unavailable", "40004": "Business Failed"}
        return {
            "code": self.code,
            "msg": messages.get(self.code, "Invalid Arguments"),
            "sub_code": self.sub_code,
            "sub_msg": self.sub_msg,
        }


def refused(sub_code: str, sub_msg: str) -> AlipayError:
    """Return a refusal of the business."""
    return AlipayError("40004", sub_code, sub_msg)


@dataclass(frozen=True)
class TradeRequest:
    """A checked create or precreate; *fingerprint* tells a repetition from changed parameters."""

    product: str
    out_trade_no: str
    subject: str
    total: int
    buyer: str | None
    expires_at: float | None
    notify_url: str | None
    fingerprint: str


@dataclass(frozen=True)
class RefundRequest:
    """A checked refund; without an out_request_no of its own the trade is its name."""

    out_trade_no: str
    out_request_no: str
    amount: int
    reason: str | None


def business(parameters: Mapping[str, str]) -> Fields:
    """Return checked access to the business parameters; raises AlipayError."""
    try:
        found = json.loads(parameters.get("biz_content") or "{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise AlipayError("40002", "isv.illegal-json", "biz_content不是合法的JSON")
    return Fields(found)


def read_trade(
    fields: Fields, product: str, app_id: str, notify_url: str | None, now: datetime
) -> TradeRequest:
    """Check every field; raise FieldError or AlipayError."""
    values: dict[str, Any] = {
        "product": product,
        "out_trade_no": fields.text("out_trade_no", 64, OUT_TRADE_NO),
        "subject": fields.text("subject", 256, SUBJECT),
        "total": read_yuan(fields, "total_amount"),
        "buyer": _buyer(fields) if product == CREATE else None,
        "notify_url": None if notify_url is None else _address(notify_url),
    }
    fields.choice("product_code", PRODUCTS[product], PRODUCTS[product][-1])
    if product == CREATE and fields.text("op_app_id", 32) != app_id:
        raise AlipayError("40002", "isv.invalid-parameter", "op_app_id与应用不一致")
    expires_at = _expiry(fields, now)
    return TradeRequest(
        **values, expires_at=expires_at, fingerprint=json.dumps([*values.values(), expires_at])
    )


def read_refund(fields: Fields) -> RefundRequest:
    """Check every field; raise FieldError."""
    out_trade_no = fields.text("out_trade_no", 64, OUT_TRADE_NO)
    return RefundRequest(
        out_trade_no=out_trade_no,
        out_request_no=fields.optional_text("out_request_no", 64, OUT_REQUEST_NO) or out_trade_no,
        amount=read_yuan(fields, "refund_amount"),
        reason=fields.optional_text("refund_reason", 256),
    )


def read_yuan(fields: Fields, name: str) -> int:
    """Return an amount in fen; Alipay takes yuan as text or as a number."""
    value = Fields({name: _as_text(fields, name)}).text(name, 12, YUAN)
    fen = int(Decimal(value) * 100)
    if not 1 <= fen <= MOST_FEN:
        fields.fail(name, "超出允许的范围")
    return fen


def read_day(fields: Fields) -> date:
    """Return the day of a bill; raise FieldError."""
    fields.choice("bill_type", ("trade",))
    text = fields.text("bill_date", 10)
    try:
        return date.fromisoformat(text)
    except ValueError:
        fields.fail("bill_date", "应为yyyy-MM-dd")


def yuan(fen: int) -> str:
    """Write fen as Alipay does."""
    return f"{fen // 100}.{fen % 100:02d}"


def moment(epoch: float) -> str:
    """Write epoch seconds as China's clock shows them; Alipay names no zone."""
    return datetime.fromtimestamp(epoch, CHINA).strftime("%Y-%m-%d %H:%M:%S")


def _as_text(fields: Fields, name: str) -> str | None:
    try:
        return fields.optional_text(name, 12)
    except FieldError:
        return f"{fields.number(name, 0, MOST_FEN / 100):.2f}"


def _buyer(fields: Fields) -> str:
    user_id = fields.optional_text("buyer_id", 28, USER_ID)
    buyer = user_id or fields.optional_text("buyer_open_id", 128, OPENID)
    if buyer is None:
        raise AlipayError("40002", "isv.invalid-parameter", "买家信息不能为空")
    return buyer


def _expiry(fields: Fields, now: datetime) -> float | None:
    text = fields.optional_text("time_expire", 19, MOMENT)
    if text is None:
        return None
    try:
        expires_at = datetime.fromisoformat(text).replace(tzinfo=CHINA)
    except ValueError:
        fields.fail("time_expire", "应为yyyy-MM-dd HH:mm:ss")
    if expires_at <= now:
        raise refused("ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR", "超时时间早于当前时间")
    return expires_at.timestamp()


def _address(url: str) -> str:
    """Return the address; plain http is accepted only because notices stay on this machine."""
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_right = False
    if not is_right or not url.isascii() or not url.isprintable() or " " in url:
        raise FieldError("/notify_url", "应为完整地址")
    return url
