"""Transactions of WeChat Pay: prepay, pay, fail, close, and how a query shows them."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.clock import CHINA, Clock, china_time
from sandbox.fields import FieldError
from sandbox.keys import KeyRing
from sandbox.signing import random_text
from sandbox.state import Store
from sandbox.wechat_pay_rules import AdoptedPayment, PayError, PrepayRequest

PREPAY_SECONDS = 7200
STATE_LABELS = {
    "SUCCESS": "支付成功",
    "REFUND": "转入退款",
    "NOTPAY": "订单未支付",
    "CLOSED": "订单已关闭",
    "USERPAYING": "用户支付中",
    "PAYERROR": "支付失败",
}
PAID_STATES = ("SUCCESS", "REFUND")


@dataclass
class Payment:
    """One transaction; times are epoch seconds, amounts fen."""

    out_trade_no: str
    trade_type: str
    description: str
    attach: str | None
    # None for a payment that was made elsewhere: whoever took it knows already.
    notify_url: str | None
    total: int
    openid: str | None
    expires_at: float | None
    fingerprint: str
    created_at: float
    prepay_id: str
    prepay_at: float
    code_url: str | None
    trade_state: str = "NOTPAY"
    transaction_id: str | None = None
    success_at: float | None = None
    refund_nos: list[str] = field(default_factory=list)
    shipping: str | None = None
    # What went back before the payment was adopted.
    refunded_before: int = 0

    @property
    def is_paid(self) -> bool:
        """Tell whether the money was received, refunded since or not."""
        return self.trade_state in PAID_STATES


class Payments:
    """The only writer of transactions."""

    def __init__(self, store: Store, ring: KeyRing, clock: Clock) -> None:
        self._store = store
        self._ring = ring
        self._clock = clock

    def prepay(self, request: PrepayRequest) -> Payment:
        """Create the transaction, or return it when the very same request was made before.

        Raises PayError ORDERPAID, ORDER_CLOSED or OUT_TRADE_NO_USED.
        """
        now = self._now()
        with self._store.transaction():
            payment = self.find(request.out_trade_no)
            if payment is None:
                payment = self._new(request, now)
            elif payment.is_paid:
                raise PayError(400, "ORDERPAID", "该订单已支付")
            elif payment.trade_state == "CLOSED":
                raise PayError(400, "ORDER_CLOSED", "该订单已关闭，请重新下单")
            elif payment.fingerprint != request.fingerprint:
                raise PayError(403, "OUT_TRADE_NO_USED", "商户订单号重复，且请求参数与首次不一致")
            elif now - payment.prepay_at >= PREPAY_SECONDS:
                self._renew(payment, now)
            self.save(payment)
        return payment

    def find(self, out_trade_no: str) -> Payment | None:
        """Return the transaction, closed by now if its time to pay is over."""
        record = self._store.get("payment", out_trade_no)
        if record is None:
            return None
        payment = Payment(**record)
        is_over = payment.expires_at is not None and payment.expires_at <= self._now()
        if is_over and payment.trade_state in ("NOTPAY", "PAYERROR"):
            payment.trade_state = "CLOSED"
        return payment

    def find_transaction(self, transaction_id: str) -> Payment | None:
        """Return the paid transaction with WeChat's own number."""
        link = self._store.get("transaction", transaction_id)
        return self.find(link["out_trade_no"]) if link else None

    def recent(self, limit: int) -> list[Payment]:
        """Return the newest transactions first."""
        found = (self.find(record["out_trade_no"]) for record in self._store.newest("payment", limit))
        return [payment for payment in found if payment is not None]

    def all(self) -> list[Payment]:
        """Return every transaction, oldest first."""
        return [Payment(**record) for record in self._store.all("payment")]

    def close(self, out_trade_no: str) -> None:
        """Close an unpaid transaction; closing again is fine. Raises PayError."""
        with self._store.transaction():
            payment = self.find(out_trade_no)
            if payment is None:
                raise PayError(404, "ORDER_NOT_EXIST", "订单不存在")
            if payment.is_paid:
                raise PayError(400, "ORDERPAID", "订单已支付，不能关闭")
            payment.trade_state = "CLOSED"
            self.save(payment)

    def pay(self, out_trade_no: str) -> Payment | None:
        """Let the user pay; None when unknown, unchanged when paid before.

        A closed transaction is paid all the same: so tests can make money arrive late.
        """
        with self._store.transaction():
            payment = self.find(out_trade_no)
            if payment is None or payment.is_paid:
                return payment
            now = self._now()
            payment.trade_state = "SUCCESS"
            payment.success_at = now
            payment.transaction_id = _transaction_id(now)
            # A native code is scanned by somebody the merchant does not know beforehand.
            payment.openid = payment.openid or "o" + random_text(27)
            self._put_paid(payment)
        return payment

    def adopt(self, payments: list[AdoptedPayment]) -> list[AdoptedPayment]:
        """Store payments that were made elsewhere, all or none; return those that were new.

        A known out_trade_no is left alone. Raises FieldError for a transaction_id of another payment.
        """
        fresh = []
        with self._store.transaction():
            for index, adopted in enumerate(payments):
                if self.find(adopted.out_trade_no) is not None:
                    continue
                if self.find_transaction(adopted.transaction_id) is not None:
                    raise FieldError(f"/payments/{index}/transaction_id", "属于另一笔订单")
                self._put_paid(_adopted(adopted))
                fresh.append(adopted)
        return fresh

    def fail(self, out_trade_no: str) -> Payment | None:
        """Let the payment fail; None when unknown, unchanged when paid or closed."""
        with self._store.transaction():
            payment = self.find(out_trade_no)
            if payment is not None and payment.trade_state == "NOTPAY":
                payment.trade_state = "PAYERROR"
                self.save(payment)
        return payment

    def save(self, payment: Payment) -> None:
        """Store the transaction."""
        self._store.put("payment", payment.out_trade_no, asdict(payment))

    def view(self, payment: Payment) -> dict[str, Any]:
        """Return the transaction as queries and callbacks show it; unpaid ones have no transaction_id."""
        shown: dict[str, Any] = {
            "appid": self._ring.app_id,
            "mchid": self._ring.mchid,
            "out_trade_no": payment.out_trade_no,
            "trade_state": payment.trade_state,
            "trade_state_desc": STATE_LABELS[payment.trade_state],
            "promotion_detail": [],
            "amount": {"total": payment.total, "currency": "CNY", "payer_currency": "CNY"},
        }
        if payment.attach is not None:
            shown["attach"] = payment.attach
        if payment.is_paid and payment.success_at is not None:
            shown["amount"]["payer_total"] = payment.total
            shown |= {
                "transaction_id": payment.transaction_id,
                "trade_type": payment.trade_type,
                "bank_type": "OTHERS",
                "success_time": china_time(payment.success_at),
                "payer": {"openid": payment.openid},
            }
        return shown

    def _now(self) -> float:
        return self._clock().timestamp()

    def _put_paid(self, payment: Payment) -> None:
        assert payment.transaction_id is not None
        self._store.put("transaction", payment.transaction_id, {"out_trade_no": payment.out_trade_no})
        self.save(payment)

    def _new(self, request: PrepayRequest, now: float) -> Payment:
        payment = Payment(**asdict(request), created_at=now, prepay_id="", prepay_at=now, code_url=None)
        self._renew(payment, now)
        return payment

    def _renew(self, payment: Payment, now: float) -> None:
        stamp = self._clock().astimezone(CHINA).strftime("%d%H%M%S")
        payment.prepay_id = "wx" + stamp + secrets.token_hex(13)
        payment.prepay_at = now
        if payment.trade_type == "NATIVE":
            payment.code_url = "weixin://wxpay/bizpayurl?pr=" + random_text(9)


def _adopted(adopted: AdoptedPayment) -> Payment:
    return Payment(
        out_trade_no=adopted.out_trade_no,
        trade_type="JSAPI",
        description="他处收款",
        attach=None,
        notify_url=None,
        total=adopted.total,
        openid=adopted.openid or "o" + random_text(27),
        expires_at=None,
        fingerprint="",
        created_at=adopted.success_at,
        prepay_id="",
        prepay_at=adopted.success_at,
        code_url=None,
        trade_state="REFUND" if adopted.refunded else "SUCCESS",
        transaction_id=adopted.transaction_id,
        success_at=adopted.success_at,
        refund_nos=[refund.refund_no for refund in adopted.refunds],
        refunded_before=adopted.refunded - sum(refund.amount for refund in adopted.refunds),
    )


def _transaction_id(now: float) -> str:
    day = china_time(now)[:10].replace("-", "")
    return "4200" + day + "".join(secrets.choice("0123456789") for _ in range(16))
