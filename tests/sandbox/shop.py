"""Ordinary orders and refunds through the real SDK, so that tests only say what is special."""

from __future__ import annotations

import json
from typing import Any

from wechatpayv3 import WeChatPay

from tests.sandbox.live import OPENID, Live, Merchant, Received


class Shop:
    """One merchant with its SDK."""

    def __init__(self, live: Live, pay: WeChatPay, merchant: Merchant) -> None:
        self.live = live
        self.pay = pay
        self.merchant = merchant

    def prepay(self, number: str = "P20260101", total: Any = 12800, **changes: Any) -> tuple[int, Any]:
        """Return (HTTP status, answer)."""
        order: dict[str, Any] = {
            "description": "雀坊 包间 4 小时",
            "out_trade_no": number,
            "amount": {"total": total, "currency": "CNY"},
            "payer": {"openid": OPENID},
            "notify_url": self.merchant.url,
        }
        return decoded(self.pay.pay(**(order | changes)))

    def paid(self, number: str = "P20260101", total: int = 12800) -> dict[str, Any]:
        """Return the transaction of an order that was made and paid."""
        assert self.prepay(number, total)[0] == 200
        self.succeed(number)
        return self.query(number)[1]

    def succeed(self, number: str = "P20260101") -> Any:
        return self.live.control(f"/payments/wechat/{number}/succeed")

    def query(self, number: str = "P20260101") -> tuple[int, Any]:
        return decoded(self.pay.query(out_trade_no=number))

    def refund(self, number: str = "R20260101", fen: Any = 12800, **changes: Any) -> tuple[int, Any]:
        request: dict[str, Any] = {
            "out_refund_no": number,
            "out_trade_no": "P20260101",
            "amount": {"refund": fen, "total": 12800, "currency": "CNY"},
            "notify_url": self.merchant.url + "/refund",
        }
        return decoded(self.pay.refund(**(request | changes)))

    def opened(self, callback: Received) -> dict[str, Any]:
        """Return the callback as the SDK verifies and decrypts it."""
        result = self.pay.callback(callback.headers, callback.body)
        assert result is not None, "the SDK refused the signature"
        return result


def decoded(answer: tuple[int, Any]) -> tuple[int, Any]:
    """Return the SDK's (status, text) with the text read as JSON."""
    status, text = answer
    return status, json.loads(text) if text else None
