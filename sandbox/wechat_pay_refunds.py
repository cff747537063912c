"""Refunds of WeChat Pay: accepted first, money back (or not) later."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.clock import Clock, china_time
from sandbox.keys import KeyRing
from sandbox.state import Store
from sandbox.wechat_pay_orders import Payment, Payments
from sandbox.wechat_pay_rules import MOST_REFUNDS, AdoptedPayment, AdoptedRefund, PayError, RefundRequest

REFUND_WINDOW_SECONDS = 365 * 86400


@dataclass
class Refund:
    """One refund; times are epoch seconds, amounts fen."""

    out_refund_no: str
    out_trade_no: str
    transaction_id: str
    refund_id: str
    reason: str | None
    notify_url: str | None
    funds_account: str
    refund: int
    total: int
    fingerprint: str
    created_at: float
    status: str = "PROCESSING"
    success_at: float | None = None


class Refunds:
    """The only writer of refunds."""

    def __init__(self, store: Store, ring: KeyRing, clock: Clock, payments: Payments) -> None:
        self._store = store
        self._ring = ring
        self._clock = clock
        self._payments = payments

    def create(self, request: RefundRequest) -> tuple[Refund, bool]:
        """Accept a refund; return it and whether it is new (the same number and body is answered again).

        Raises PayError RESOURCE_NOT_EXISTS or INVALID_REQUEST. The real pause of a minute between refunds
        of one payment is not enforced.
        """
        with self._store.transaction():
            earlier = self.find(request.out_refund_no)
            if earlier is not None:
                if earlier.fingerprint != request.fingerprint:
                    raise PayError(400, "INVALID_REQUEST", "订单金额或退款金额与之前请求不一致，请核实后再试")
                return earlier, False
            payment = self._payment_of(request)
            self._check_refundable(payment, request)
            refund = self._new(payment, request)
            payment.refund_nos.append(refund.out_refund_no)
            payment.trade_state = "REFUND"
            self._payments.save(payment)
            self._save(refund)
        return refund, True

    def adopt(self, payments: list[AdoptedPayment]) -> int:
        """Store payments that were made elsewhere with their refunds; see `Payments.adopt`."""
        with self._store.transaction():
            fresh = self._payments.adopt(payments)
            for payment in fresh:
                for refund in payment.refunds:
                    self._save(_adopted(payment, refund))
        return len(fresh)

    def all(self) -> list[Refund]:
        """Return every refund, oldest first."""
        return [Refund(**record) for record in self._store.all("refund")]

    def find(self, out_refund_no: str) -> Refund | None:
        """Return the refund, or None."""
        record = self._store.get("refund", out_refund_no)
        return Refund(**record) if record else None

    def of(self, payment: Payment) -> list[Refund]:
        """Return the refunds of a payment, oldest first."""
        found = (self.find(number) for number in payment.refund_nos)
        return [refund for refund in found if refund is not None]

    def recent(self, limit: int) -> list[Refund]:
        """Return the newest refunds first."""
        return [Refund(**record) for record in self._store.newest("refund", limit)]

    def succeed(self, out_refund_no: str) -> Refund | None:
        """Let the money arrive, also after ABNORMAL (an operator sorted it out); None when unknown."""
        with self._store.transaction():
            refund = self.find(out_refund_no)
            if refund is not None and refund.status != "SUCCESS":
                refund.status = "SUCCESS"
                refund.success_at = self._clock().timestamp()
                self._save(refund)
        return refund

    def break_off(self, out_refund_no: str) -> Refund | None:
        """Turn a PROCESSING refund ABNORMAL (the user's card is dead); others stay; None when unknown."""
        with self._store.transaction():
            refund = self.find(out_refund_no)
            if refund is not None and refund.status == "PROCESSING":
                refund.status = "ABNORMAL"
                self._save(refund)
        return refund

    def view(self, refund: Refund) -> dict[str, Any]:
        """Return the refund as requests and queries show it."""
        shown: dict[str, Any] = {
            "refund_id": refund.refund_id,
            "out_refund_no": refund.out_refund_no,
            "transaction_id": refund.transaction_id,
            "out_trade_no": refund.out_trade_no,
            "channel": "ORIGINAL",
            "user_received_account": "支付用户零钱",
            "create_time": china_time(refund.created_at),
            "status": refund.status,
            "funds_account": refund.funds_account,
            "promotion_detail": [],
            "amount": {
                "total": refund.total,
                "refund": refund.refund,
                "payer_total": refund.total,
                "payer_refund": refund.refund,
                "settlement_total": refund.total,
                "settlement_refund": refund.refund,
                "discount_refund": 0,
                "currency": "CNY",
            },
        }
        if refund.success_at is not None:
            shown["success_time"] = china_time(refund.success_at)
        return shown

    def callback(self, refund: Refund) -> dict[str, Any]:
        """Return the plaintext of the refund's callback."""
        shown: dict[str, Any] = {
            "mchid": self._ring.mchid,
            "out_trade_no": refund.out_trade_no,
            "transaction_id": refund.transaction_id,
            "out_refund_no": refund.out_refund_no,
            "refund_id": refund.refund_id,
            "refund_status": refund.status,
            "user_received_account": "支付用户零钱",
            "amount": {
                "total": refund.total,
                "refund": refund.refund,
                "payer_total": refund.total,
                "payer_refund": refund.refund,
            },
        }
        if refund.success_at is not None:
            shown["success_time"] = china_time(refund.success_at)
        return shown

    def _payment_of(self, request: RefundRequest) -> Payment:
        if request.transaction_id is not None:
            payment = self._payments.find_transaction(request.transaction_id)
        else:
            payment = self._payments.find(request.out_trade_no or "")
        if payment is None or request.out_trade_no not in (None, payment.out_trade_no):
            raise PayError(404, "RESOURCE_NOT_EXISTS", "订单号不存在")
        return payment

    def _check_refundable(self, payment: Payment, request: RefundRequest) -> None:
        if not payment.is_paid or payment.success_at is None:
            raise PayError(400, "INVALID_REQUEST", "订单未支付，不能退款")
        if self._clock().timestamp() - payment.success_at > REFUND_WINDOW_SECONDS:
            raise PayError(400, "INVALID_REQUEST", "订单已超过可退款的最大期限")
        if request.total != payment.total:
            raise PayError(400, "INVALID_REQUEST", "订单金额或退款金额与之前请求不一致，请核实后再试")
        # A refund that is still under way, or abnormal, keeps its share of the money.
        refunded = payment.refunded_before + sum(refund.refund for refund in self.of(payment))
        if refunded + request.refund > payment.total:
            raise PayError(400, "INVALID_REQUEST", "申请退款金额超过订单可退金额")
        if len(payment.refund_nos) >= MOST_REFUNDS:
            raise PayError(400, "INVALID_REQUEST", "部分退款次数超过限制")

    def _new(self, payment: Payment, request: RefundRequest) -> Refund:
        return Refund(
            out_refund_no=request.out_refund_no,
            out_trade_no=payment.out_trade_no,
            transaction_id=payment.transaction_id or "",
            refund_id=_refund_id(),
            reason=request.reason,
            notify_url=request.notify_url,
            funds_account=request.funds_account,
            refund=request.refund,
            total=request.total,
            fingerprint=request.fingerprint,
            created_at=self._clock().timestamp(),
        )

    def _save(self, refund: Refund) -> None:
        self._store.put("refund", refund.out_refund_no, asdict(refund))


def _refund_id() -> str:
    return "5030" + "".join(secrets.choice("0123456789") for _ in range(24))


def _adopted(payment: AdoptedPayment, refund: AdoptedRefund) -> Refund:
    return Refund(
        out_refund_no=refund.refund_no,
        out_trade_no=payment.out_trade_no,
        transaction_id=payment.transaction_id,
        refund_id=_refund_id(),
        reason=None,
        notify_url=None,
        funds_account="AVAILABLE",
        refund=refund.amount,
        total=payment.total,
        fingerprint="",
        created_at=refund.success_at,
        status="SUCCESS",
        success_at=refund.success_at,
    )
