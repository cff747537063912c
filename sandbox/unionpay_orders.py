"""Payments and refunds that UnionPay keeps: brought by a browser, paid, refunded, and shown by a query."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.clock import Clock
from sandbox.fields import FieldError
from sandbox.state import Store
from sandbox.unionpay_messages import china_stamp, epoch_of, refuse

MOST_FEN = 10**11
MOST_REFUNDS = 50
WORDS = {"NOTPAY": "05", "SUCCESS": "00", "PAYERROR": "60", "PROCESSING": "05", "ABNORMAL": "60"}


@dataclass
class Payment:
    """One payment; times are epoch seconds, amounts fen. Known by number and `txn_time` together."""

    number: str
    txn_time: str
    amount: int
    back_url: str | None
    created_at: float
    expires_at: float | None
    state: str = "NOTPAY"
    query_id: str | None = None
    trace_no: str | None = None
    settled_at: float | None = None
    refund_nos: list[str] = field(default_factory=list)
    # What went back before the payment was adopted.
    refunded_before: int = 0


@dataclass
class Refund:
    """One refund of a payment; it is a transaction of its own."""

    number: str
    txn_time: str
    payment_no: str
    amount: int
    back_url: str | None
    query_id: str
    trace_no: str
    created_at: float
    state: str = "PROCESSING"
    settled_at: float | None = None


class Orders:
    """The only writer of payments and refunds."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def bring(self, fields: Mapping[str, str]) -> Payment:
        """Take the form that a payer's browser brings; the same form again is the same payment."""
        amount, timeout = read_amount(fields), epoch_of(fields.get("payTimeout", ""))
        if fields.get("currencyCode") != "156":
            refuse("10", "报文格式错误[currencyCode]")
        now = self._now()
        if timeout is not None and timeout <= now:
            refuse("39", "交易不在受理时间范围内[payTimeout]")
        with self._store.transaction():
            payment = self.find_payment(fields["orderId"])
            if payment is None:
                payment = Payment(
                    number=fields["orderId"],
                    txn_time=fields["txnTime"],
                    amount=amount,
                    back_url=fields.get("backUrl"),
                    created_at=now,
                    expires_at=timeout,
                )
                self._save(payment)
            elif (payment.txn_time, payment.amount) != (fields["txnTime"], amount):
                refuse("12", "重复交易[orderId]")
            elif payment.state == "SUCCESS":
                refuse("12", "重复交易[已支付]")
        return payment

    def find_payment(self, number: str) -> Payment | None:
        """Return the payment with this number."""
        record = self._store.get("unionpay_payment", number)
        return Payment(**record) if record else None

    def find_refund(self, number: str) -> Refund | None:
        """Return the refund with this number."""
        record = self._store.get("unionpay_refund", number)
        return Refund(**record) if record else None

    def look_up(self, number: str, txn_time: str) -> Payment | Refund | None:
        """Return the transaction that a query names by number and time."""
        found = self.find_payment(number) or self.find_refund(number)
        return found if found is not None and found.txn_time == txn_time else None

    def pay(self, number: str) -> Payment | None:
        """Let the payer pay; None when unknown, unchanged when paid before.

        One whose time is over is paid all the same: so tests can make money arrive late.
        """
        with self._store.transaction():
            payment = self.find_payment(number)
            if payment is not None and payment.state != "SUCCESS":
                payment.state, payment.settled_at = "SUCCESS", self._now()
                payment.query_id, payment.trace_no = self._new_query_id(), _digits(6)
                self._save(payment)
        return payment

    def fail(self, number: str) -> Payment | None:
        """Let the card be refused; None when unknown, unchanged when paid."""
        with self._store.transaction():
            payment = self.find_payment(number)
            if payment is not None and payment.state == "NOTPAY":
                payment.state = "PAYERROR"
                self._save(payment)
        return payment

    def adopt(self, payment: Payment) -> bool:
        """Store a payment that was made elsewhere and tell whether it was new; raises FieldError."""
        with self._store.transaction():
            if self.find_payment(payment.number) is not None:
                return False
            if self._store.get("unionpay_query_id", payment.query_id or "") is not None:
                raise FieldError("/payments", "transaction_id属于另一笔订单")
            self._save(payment)
        return True

    def refund(self, fields: Mapping[str, str]) -> Refund:
        """Take a refund; the same number again is refused as a repetition (12)."""
        amount = read_amount(fields)
        with self._store.transaction():
            if self.find_refund(fields["orderId"]) is not None or self.find_payment(fields["orderId"]):
                refuse("12", "重复交易[orderId]")
            payment = self._paid_by(fields.get("origQryId", ""))
            refunds = [self.find_refund(number) for number in payment.refund_nos]
            gone = payment.refunded_before + sum(refund.amount for refund in refunds if refund)
            if gone + amount > payment.amount or len(refunds) >= MOST_REFUNDS:
                refuse("36", "与原交易信息不符[退货金额超限]")
            refund = Refund(
                number=fields["orderId"],
                txn_time=fields["txnTime"],
                payment_no=payment.number,
                amount=amount,
                back_url=fields.get("backUrl"),
                query_id=self._new_query_id(),
                trace_no=_digits(6),
                created_at=self._now(),
            )
            payment.refund_nos.append(refund.number)
            self._save(payment)
            self._save(refund)
        return refund

    def _paid_by(self, query_id: str) -> Payment:
        link = self._store.get("unionpay_query_id", query_id)
        payment = self.find_payment(link["number"]) if link else None
        if payment is None or payment.state != "SUCCESS":
            refuse("35", "原交易不存在或状态不正确")
        return payment

    def settle(self, number: str, state: str) -> Refund | None:
        """Let a refund end as SUCCESS or ABNORMAL; None when unknown, unchanged when it has succeeded."""
        with self._store.transaction():
            refund = self.find_refund(number)
            if refund is not None and refund.state != "SUCCESS":
                refund.state = state
                refund.settled_at = self._now() if state == "SUCCESS" else None
                self._save(refund)
        return refund

    def recent(self, limit: int) -> list[Payment]:
        """Return the newest payments first."""
        return [Payment(**record) for record in self._store.newest("unionpay_payment", limit)]

    def view(self, found: Payment | Refund) -> dict[str, str]:
        """Return a transaction as notices and, with other names for its outcome, queries show it."""
        shown = {
            "accessType": "0",
            "bizType": "000201",
            "currencyCode": "156",
            "encoding": "UTF-8",
            "orderId": found.number,
            "txnAmt": str(found.amount),
            "txnTime": found.txn_time,
            "txnType": "01" if isinstance(found, Payment) else "04",
            "txnSubType": "01" if isinstance(found, Payment) else "00",
            "version": "5.1.0",
        }
        if found.settled_at is not None:
            trace = china_stamp(found.settled_at)[4:]
            shown |= {"traceTime": trace, "traceNo": found.trace_no or "", "settleDate": trace[:4]}
            shown |= {"settleAmt": str(found.amount), "settleCurrencyCode": "156"}
        if found.query_id:
            shown["queryId"] = found.query_id
        if isinstance(found, Refund):
            payment = self.find_payment(found.payment_no)
            shown["origQryId"] = (payment and payment.query_id) or ""
        return shown

    def _save(self, thing: Payment | Refund) -> None:
        kind = "unionpay_payment" if isinstance(thing, Payment) else "unionpay_refund"
        self._store.put(kind, thing.number, asdict(thing))
        if isinstance(thing, Payment) and thing.query_id:
            self._store.put("unionpay_query_id", thing.query_id, {"number": thing.number})

    def _new_query_id(self) -> str:
        return china_stamp(self._now()) + _digits(7)

    def _now(self) -> float:
        return self._clock().timestamp()


def read_amount(fields: Mapping[str, Any]) -> int:
    """Return the amount of a request in fen; refuses what is none."""
    text = str(fields.get("txnAmt", ""))
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= MOST_FEN):
        refuse("10", "报文格式错误[txnAmt]")
    return int(text)


def _digits(length: int) -> str:
    return "".join(secrets.choice("0123456789") for _ in range(length))
