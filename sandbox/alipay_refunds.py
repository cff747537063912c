"""Refunds of Alipay: most often done when they are answered, sometimes a while later or never."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sandbox.alipay_rules import RefundRequest, moment, refused, yuan
from sandbox.alipay_trades import CLOSED, Trade, Trades, buyer_fields
from sandbox.clock import Clock
from sandbox.state import Store
from sandbox.wechat_pay_rules import AdoptedPayment, AdoptedRefund

REFUND_WINDOW_SECONDS = 365 * 86400


@dataclass
class Refund:
    """One refund; times are epoch seconds, amounts fen. `status`: PROCESSING, SUCCESS or ABNORMAL."""

    out_trade_no: str
    out_request_no: str
    amount: int
    reason: str | None
    created_at: float
    status: str = "PROCESSING"
    success_at: float | None = None


class Refunds:
    """The only writer of refunds."""

    def __init__(self, store: Store, clock: Clock, trades: Trades) -> None:
        self._store = store
        self._clock = clock
        self._trades = trades

    def create(self, request: RefundRequest, *, is_done: bool) -> tuple[Refund, bool]:
        """Accept a refund, done at once or not; return it and whether money has moved by this very request.

        The real pause of three seconds between refunds of one trade is not enforced. Raises AlipayError.
        """
        with self._store.transaction():
            trade = self._trades.known(request.out_trade_no)
            earlier = self.find(request.out_request_no)
            if earlier is not None:
                _check_repetition(earlier, request)
                return earlier, False
            self._check_refundable(trade, request)
            refund = Refund(**asdict(request), created_at=self._now())
            trade.refund_nos.append(refund.out_request_no)
            self._trades.save(trade)
            self._save(refund)
            if is_done:
                refund = self._succeed(refund)
        return refund, is_done

    def adopt(self, payments: list[AdoptedPayment]) -> int:
        """Store payments that were made elsewhere with their refunds; see `Trades.adopt`."""
        with self._store.transaction():
            fresh = [each for each in payments if self._trades.find(each.out_trade_no) is None]
            for payment in fresh:
                for refund in payment.refunds:
                    self._save(_adopted(payment, refund))
            return self._trades.adopt(fresh)

    def find(self, out_request_no: str) -> Refund | None:
        """Return the refund, or None."""
        record = self._store.get("alipay_refund", out_request_no)
        return Refund(**record) if record else None

    def of(self, trade: Trade) -> list[Refund]:
        """Return the refunds of a trade, oldest first."""
        found = (self.find(number) for number in trade.refund_nos)
        return [refund for refund in found if refund is not None]

    def all(self) -> list[Refund]:
        """Return every refund, oldest first."""
        return [Refund(**record) for record in self._store.all("alipay_refund")]

    def succeed(self, out_request_no: str) -> Refund | None:
        """Let the money arrive, also after ABNORMAL (an operator sorted it out); None when unknown."""
        with self._store.transaction():
            refund = self.find(out_request_no)
            if refund is not None and refund.status != "SUCCESS":
                refund = self._succeed(refund)
        return refund

    def break_off(self, out_request_no: str) -> Refund | None:
        """Let a refund under way fail (the buyer's account is dead); others stay; None when unknown."""
        with self._store.transaction():
            refund = self.find(out_request_no)
            if refund is not None and refund.status == "PROCESSING":
                refund.status = "ABNORMAL"
                self._save(refund)
        return refund

    def refunded(self, trade: Trade) -> int:
        """Return what has gone back of a trade, in fen."""
        done = (refund.amount for refund in self.of(trade) if refund.status == "SUCCESS")
        return trade.refunded_before + sum(done)

    def answer(self, refund: Refund, *, has_moved: bool) -> dict[str, Any]:
        """Return what a request for the refund is answered with; the fee is that of all refunds so far."""
        trade = self._trades.known(refund.out_trade_no)
        shown: dict[str, Any] = {
            "out_trade_no": trade.out_trade_no,
            "trade_no": trade.trade_no,
            "buyer_logon_id": "137******00",
            "fund_change": "Y" if has_moved else "N",
            "refund_fee": yuan(self.refunded(trade)),
        } | buyer_fields(trade, "buyer_user_id")
        if refund.success_at is not None:
            shown["gmt_refund_pay"] = moment(refund.success_at)
        return shown

    def view(self, out_trade_no: str, out_request_no: str) -> dict[str, Any]:
        """Return what a query shows: nothing but success, for any refund that is not done or not known."""
        trade, refund = self._trades.known(out_trade_no), self.find(out_request_no)
        if refund is None or refund.out_trade_no != out_trade_no or refund.success_at is None:
            return {}
        return {
            "out_trade_no": trade.out_trade_no,
            "trade_no": trade.trade_no,
            "out_request_no": refund.out_request_no,
            "total_amount": yuan(trade.total),
            "refund_amount": yuan(refund.amount),
            "refund_status": "REFUND_SUCCESS",
            "gmt_refund_pay": moment(refund.success_at),
        }

    def _check_refundable(self, trade: Trade, request: RefundRequest) -> None:
        if trade.paid_at is None:
            raise refused("ACQ.TRADE_STATUS_ERROR", "交易状态不合法")
        if self._now() - trade.paid_at > REFUND_WINDOW_SECONDS:
            raise refused("ACQ.TRADE_HAS_FINISHED", "交易已完结")
        # A refund that is still under way, or failed, keeps its share of the money.
        held = trade.refunded_before + sum(refund.amount for refund in self.of(trade))
        if held + request.amount > trade.total:
            raise refused("ACQ.REASON_TRADE_REFUND_FEE_ERR", "退款金额无效")

    def _succeed(self, refund: Refund) -> Refund:
        refund.status, refund.success_at = "SUCCESS", self._now()
        self._save(refund)
        trade = self._trades.known(refund.out_trade_no)
        # A trade that went back whole is closed like one that nobody paid.
        if self.refunded(trade) == trade.total:
            trade.status = CLOSED
            self._trades.save(trade)
        return refund

    def _save(self, refund: Refund) -> None:
        self._store.put("alipay_refund", refund.out_request_no, asdict(refund))

    def _now(self) -> float:
        return self._clock().timestamp()


def _check_repetition(earlier: Refund, request: RefundRequest) -> None:
    if (earlier.out_trade_no, earlier.amount) != (request.out_trade_no, request.amount):
        raise refused("ACQ.DISCORDANT_REPEAT_REQUEST", "请求信息不一致")
    if earlier.status == "ABNORMAL":
        raise refused("ACQ.TRADE_NOT_ALLOW_REFUND", "买家账户状态异常，当前交易不允许退款")


def _adopted(payment: AdoptedPayment, refund: AdoptedRefund) -> Refund:
    return Refund(
        out_trade_no=payment.out_trade_no,
        out_request_no=refund.refund_no,
        amount=refund.amount,
        reason=None,
        created_at=refund.success_at,
        status="SUCCESS",
        success_at=refund.success_at,
    )
