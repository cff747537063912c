"""Trades of Alipay: made for a buyer, or by whoever scans a code; paid, closed, and how they are shown."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.alipay_rules import PRECREATE, TradeRequest, moment, refused, yuan
from sandbox.clock import Clock
from sandbox.fields import FieldError
from sandbox.signing import random_text
from sandbox.state import Store
from sandbox.wechat_pay_rules import AdoptedPayment

WAITING, PAID, CLOSED = "WAIT_BUYER_PAY", "TRADE_SUCCESS", "TRADE_CLOSED"


@dataclass
class Trade:
    """One trade, or a code that may become one; times are epoch seconds, amounts fen."""

    out_trade_no: str
    product: str
    subject: str
    total: int
    buyer: str | None
    expires_at: float | None
    # None for a payment that was made elsewhere: whoever took it knows already.
    notify_url: str | None
    fingerprint: str
    created_at: float
    trade_no: str
    qr_code: str | None = None
    is_scanned: bool = True
    status: str = WAITING
    paid_at: float | None = None
    refund_nos: list[str] = field(default_factory=list)
    # What went back before the payment was adopted.
    refunded_before: int = 0

    @property
    def is_paid(self) -> bool:
        """Tell whether the money was received, refunded since or not."""
        return self.paid_at is not None


class Trades:
    """The only writer of trades."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def create(self, request: TradeRequest) -> Trade:
        """Make the trade or the code, or return it when the very same request was made before.

        Raises AlipayError TRADE_HAS_SUCCESS, TRADE_HAS_CLOSE or CONTEXT_INCONSISTENT.
        """
        with self._store.transaction():
            trade = self.find(request.out_trade_no)
            if trade is None:
                trade = self._new(request)
                self.save(trade)
            elif trade.is_paid:
                raise refused("ACQ.TRADE_HAS_SUCCESS", "交易已被支付")
            elif trade.status == CLOSED:
                raise refused("ACQ.TRADE_HAS_CLOSE", "交易已经关闭")
            elif trade.fingerprint != request.fingerprint:
                raise refused("ACQ.CONTEXT_INCONSISTENT", "交易信息被篡改")
        return trade

    def find(self, out_trade_no: str) -> Trade | None:
        """Return the trade or code, closed by now if its time to pay is over."""
        record = self._store.get("alipay_trade", out_trade_no)
        if record is None:
            return None
        trade = Trade(**record)
        if trade.expires_at is not None and trade.expires_at <= self._now() and trade.status == WAITING:
            trade.status = CLOSED
        return trade

    def known(self, out_trade_no: str) -> Trade:
        """Return the trade; a code that nobody has scanned is none. Raises AlipayError TRADE_NOT_EXIST."""
        trade = self.find(out_trade_no)
        if trade is None or not trade.is_scanned:
            raise refused("ACQ.TRADE_NOT_EXIST", "交易不存在")
        return trade

    def close(self, out_trade_no: str) -> Trade:
        """Close a trade that waits for its buyer; raises AlipayError."""
        with self._store.transaction():
            trade = self.known(out_trade_no)
            if trade.status == CLOSED and not trade.is_paid:
                raise refused("ACQ.TRADE_HAS_CLOSE", "交易已经关闭")
            if trade.status != WAITING:
                raise refused("ACQ.REASON_TRADE_STATUS_INVALID", "交易状态异常")
            trade.status = CLOSED
            self.save(trade)
        return trade

    def scan(self, out_trade_no: str) -> Trade | None:
        """Let somebody scan the code without paying; a code that has expired makes no trade any more."""
        with self._store.transaction():
            trade = self.find(out_trade_no)
            if trade is not None and trade.status == WAITING and not trade.is_scanned:
                trade.is_scanned, trade.buyer = True, trade.buyer or _somebody()
                self.save(trade)
        return trade

    def pay(self, out_trade_no: str) -> Trade | None:
        """Let the buyer pay; None when unknown, unchanged when paid before.

        A closed trade is paid all the same: so tests can make money arrive late.
        """
        with self._store.transaction():
            trade = self.find(out_trade_no)
            if trade is not None and not trade.is_paid:
                trade.status, trade.paid_at, trade.is_scanned = PAID, self._now(), True
                trade.buyer = trade.buyer or _somebody()
                self.save(trade)
        return trade

    def fail(self, out_trade_no: str) -> Trade | None:
        """Let the buyer give up: the trade is closed unpaid. None when unknown, unchanged when paid."""
        with self._store.transaction():
            trade = self.find(out_trade_no)
            if trade is not None and trade.status == WAITING:
                trade.status, trade.is_scanned = CLOSED, True
                trade.buyer = trade.buyer or _somebody()
                self.save(trade)
        return trade

    def adopt(self, payments: list[AdoptedPayment]) -> int:
        """Store payments that were made elsewhere, all or none; return how many were new.

        A known out_trade_no is left alone. Raises FieldError for a transaction_id of another payment.
        """
        count = 0
        with self._store.transaction():
            for index, adopted in enumerate(payments):
                if self.find(adopted.out_trade_no) is not None:
                    continue
                if self._store.get("alipay_trade_no", adopted.transaction_id) is not None:
                    raise FieldError(f"/payments/{index}/transaction_id", "属于另一笔订单")
                self.save(_adopted(adopted))
                count += 1
        return count

    def recent(self, limit: int) -> list[Trade]:
        """Return the newest trades first."""
        found = (self.find(record["out_trade_no"]) for record in self._store.newest("alipay_trade", limit))
        return [trade for trade in found if trade is not None]

    def all(self) -> list[Trade]:
        """Return every trade, oldest first."""
        return [Trade(**record) for record in self._store.all("alipay_trade")]

    def save(self, trade: Trade) -> None:
        """Store the trade under both of its numbers."""
        self._store.put("alipay_trade", trade.out_trade_no, asdict(trade))
        self._store.put("alipay_trade_no", trade.trade_no, {"out_trade_no": trade.out_trade_no})

    def view(self, trade: Trade) -> dict[str, Any]:
        """Return the trade as a query shows it."""
        shown: dict[str, Any] = {
            "out_trade_no": trade.out_trade_no,
            "trade_no": trade.trade_no,
            "trade_status": trade.status,
            "total_amount": yuan(trade.total),
            "buyer_logon_id": "137******00",
            "point_amount": "0.00",
            "invoice_amount": "0.00",
        } | buyer_fields(trade, "buyer_user_id")
        if trade.paid_at is not None:
            amounts = dict.fromkeys(("receipt_amount", "buyer_pay_amount"), yuan(trade.total))
            bills = [{"amount": yuan(trade.total), "fund_channel": "ALIPAYACCOUNT"}]
            shown |= amounts | {"send_pay_date": moment(trade.paid_at), "fund_bill_list": bills}
        return shown

    def _new(self, request: TradeRequest) -> Trade:
        now = self._now()
        is_code = request.product == PRECREATE
        return Trade(
            **asdict(request),
            created_at=now,
            trade_no=_trade_no(now),
            qr_code="https://qr.alipay.com/bax" + random_text(21).lower() if is_code else None,
            is_scanned=not is_code,
        )

    def _now(self) -> float:
        return self._clock().timestamp()


def buyer_fields(trade: Trade, number_name: str) -> dict[str, str]:
    """Return the buyer under the name of numbers, or under that of ids of newer applications."""
    buyer = trade.buyer or ""
    return {number_name if buyer.startswith("2088") else "buyer_open_id": buyer} if buyer else {}


def _somebody() -> str:
    # A code is scanned by somebody the merchant does not know beforehand.
    return "2088" + "".join(secrets.choice("0123456789") for _ in range(12))


def _trade_no(now: float) -> str:
    day = moment(now)[:10].replace("-", "")
    return day + "22001" + "".join(secrets.choice("0123456789") for _ in range(15))


def _adopted(adopted: AdoptedPayment) -> Trade:
    return Trade(
        out_trade_no=adopted.out_trade_no,
        product="",
        subject="他处收款",
        total=adopted.total,
        buyer=adopted.openid or _somebody(),
        expires_at=None,
        notify_url=None,
        fingerprint="",
        created_at=adopted.success_at,
        trade_no=adopted.transaction_id,
        status=CLOSED if adopted.refunded == adopted.total else PAID,
        paid_at=adopted.success_at,
        refunded_before=adopted.refunded - sum(refund.amount for refund in adopted.refunds),
        refund_nos=[refund.refund_no for refund in adopted.refunds],
    )
