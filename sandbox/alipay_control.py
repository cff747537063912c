"""What tests and the person at the laptop let happen to trades and refunds of Alipay, and its notices."""

from __future__ import annotations

import json
import secrets
from typing import Any

from sandbox.alipay_refunds import Refund, Refunds
from sandbox.alipay_rules import moment, yuan
from sandbox.alipay_signing import AlipaySigner
from sandbox.alipay_trades import CLOSED, PAID, WAITING, Trade, Trades, buyer_fields
from sandbox.clock import china_time
from sandbox.fields import Fields
from sandbox.notifier import NOT_SENT, CallbackFormat, Delivery, Notification
from sandbox.services import Context, Refused
from sandbox.wechat_pay_rules import read_adopted

TARGET = "alipay"
CHANNEL = "alipay"
SETTLE_TASK = "alipay_refund"
FORM = "application/x-www-form-urlencoded; charset=utf-8"
# Seconds between the eight sendings of a notice (25 h in all), before the scale of the settings.
RETRY_SCHEDULE = (240, 600, 600, 3600, 7200, 21600, 54000)
# The page and the other services say it so.
STATES = {WAITING: "NOTPAY", PAID: "SUCCESS", CLOSED: "CLOSED"}


class AlipayControl:
    """Control of one merchant's trades; see sandbox.services.PaymentChannel."""

    def __init__(
        self,
        context: Context,
        keys: dict[str, str],
        signer: AlipaySigner,
        trades: Trades,
        refunds: Refunds,
    ) -> None:
        self._context = context
        self._keys = keys
        self._signer = signer
        self._trades = trades
        self._refunds = refunds
        context.notifier.register(
            CHANNEL,
            CallbackFormat(
                target=TARGET,
                headers=lambda _: {"Content-Type": FORM},
                is_accepted=is_accepted,
                schedule=RETRY_SCHEDULE,
                render=self._render,
            ),
        )
        context.tasks.register(SETTLE_TASK, self.settle_refund)

    def pay(self, out_trade_no: str) -> dict[str, Any]:
        """See PaymentChannel; a code is scanned first."""
        trade = _found(self._trades.pay(out_trade_no))
        return self.show_payment(out_trade_no) | self._notify_payment(trade, PAID).as_dict()

    def adopt(self, payments: list[Fields]) -> int:
        """See PaymentChannel; the fields are those of AdoptedPayment."""
        now = self._context.clock()
        return self._refunds.adopt([read_adopted(fields, now) for fields in payments])

    def fail(self, out_trade_no: str) -> dict[str, Any]:
        """See PaymentChannel; Alipay knows no failed trade, only one that is closed unpaid."""
        trade = _found(self._trades.fail(out_trade_no))
        if trade.is_paid:
            raise Refused(409, "invalid_transition", f"the trade is {trade.status}")
        return self.show_payment(out_trade_no) | self._notify_payment(trade, CLOSED).as_dict()

    def scan(self, out_trade_no: str) -> dict[str, Any]:
        """Let somebody scan a code without paying: from now on Alipay knows the trade."""
        trade = _found(self._trades.scan(out_trade_no))
        if not trade.is_scanned:
            raise Refused(409, "invalid_transition", "the code has expired")
        return self.show_payment(out_trade_no)

    def show_payment(self, out_trade_no: str) -> dict[str, Any]:
        """See PaymentChannel."""
        trade = _found(self._trades.find(out_trade_no))
        state = "REFUND" if self._refunds.refunded(trade) else STATES[trade.status]
        status = PAID if state in ("SUCCESS", "REFUND") else CLOSED
        return {
            "channel": CHANNEL,
            "out_trade_no": out_trade_no,
            "trade_state": state,
            "trade_status": trade.status,
            "is_scanned": trade.is_scanned,
            "trade_no": trade.trade_no,
            "qr_code": trade.qr_code,
            "description": trade.subject,
            "total": trade.total,
            "buyer": trade.buyer,
            "notify_url": trade.notify_url,
            "created_at": china_time(trade.created_at),
            "callback": self._callback(_key("payment", out_trade_no, status)),
            "refunds": [self._shown_refund(refund) for refund in self._refunds.of(trade)],
        }

    def probe(self, out_trade_no: str) -> dict[str, Any]:
        """See PaymentChannel: a notice of success that is signed for another sum."""
        trade = _found(self._trades.find(out_trade_no))
        if trade.notify_url is None:
            return NOT_SENT.as_dict()
        form = self._render(json.dumps(self._fields(trade, PAID)))
        forged = form.replace(b"total_amount=", b"total_amount=1", 1)
        delivery = self._context.notifier.post_raw(
            trade.notify_url, forged, {"Content-Type": FORM}, is_accepted
        )
        return delivery.as_dict()

    def succeed_refund(self, out_refund_no: str) -> dict[str, Any]:
        """See PaymentChannel."""
        refund = _found(self._refunds.succeed(out_refund_no))
        self._context.tasks.cancel(SETTLE_TASK, out_refund_no)
        return self._shown_refund(refund) | self._notify_refund(refund).as_dict()

    def break_refund(self, out_refund_no: str) -> dict[str, Any]:
        """See PaymentChannel; nothing is sent: Alipay refuses the next request for the refund."""
        refund = _found(self._refunds.break_off(out_refund_no))
        if refund.status != "ABNORMAL":
            raise Refused(409, "invalid_transition", f"the refund is {refund.status}")
        self._context.tasks.cancel(SETTLE_TASK, out_refund_no)
        return self._shown_refund(refund) | NOT_SENT.as_dict()

    def show_refund(self, out_refund_no: str) -> dict[str, Any]:
        """See PaymentChannel."""
        return self._shown_refund(_found(self._refunds.find(out_refund_no)))

    def recent(self, limit: int) -> list[dict[str, Any]]:
        """See PaymentChannel."""
        return [self.show_payment(trade.out_trade_no) for trade in self._trades.recent(limit)]

    def settle_refund(self, out_refund_no: str) -> None:
        """Let a refund that is under way succeed by itself, and send its notice; a task of the sandbox."""
        refund = self._refunds.find(out_refund_no)
        if refund is not None and refund.status != "ABNORMAL":
            self.succeed_refund(out_refund_no)

    def _notify_payment(self, trade: Trade, status: str) -> Delivery:
        return self._notify(
            "payment", _key("payment", trade.out_trade_no, status), trade, self._fields(trade, status)
        )

    def _notify_refund(self, refund: Refund) -> Delivery:
        """Repeat the notice of the trade, with what was refunded: a refund has no address of its own."""
        trade = _found(self._trades.find(refund.out_trade_no))
        fields = self._fields(trade, trade.status) | {
            "out_biz_no": refund.out_request_no,
            "refund_fee": yuan(self._refunds.refunded(trade)),
            "gmt_refund": f"{moment(refund.success_at or 0.0)}.000",
        }
        key = _key("refund", refund.out_request_no, "SUCCESS")
        return self._notify("refund", key, trade, fields)

    def _notify(self, operation: str, key: str, trade: Trade, fields: dict[str, str]) -> Delivery:
        if trade.notify_url is None:
            return NOT_SENT
        first = Notification(key, CHANNEL, f"{operation}_callback", trade.notify_url, json.dumps(fields))
        return self._context.notifier.send(first)

    def _fields(self, trade: Trade, status: str) -> dict[str, str]:
        """Return what a notice says about a trade; its id stays through all sendings."""
        fields = {
            "notify_type": "trade_status_sync",
            "notify_id": secrets.token_hex(17),
            "charset": "utf-8",
            "version": "1.0",
            "app_id": self._keys["app_id"],
            "auth_app_id": self._keys["app_id"],
            "seller_id": self._keys["seller_id"],
            "trade_no": trade.trade_no,
            "out_trade_no": trade.out_trade_no,
            "trade_status": status,
            "total_amount": yuan(trade.total),
            "subject": trade.subject,
            # The library keeps empty fields when it verifies, and so does the real signature.
            "body": "",
            "gmt_create": moment(trade.created_at),
        } | buyer_fields(trade, "buyer_id")
        if trade.paid_at is not None:
            amounts = dict.fromkeys(("receipt_amount", "buyer_pay_amount"), yuan(trade.total))
            bills = json.dumps([{"amount": yuan(trade.total), "fundChannel": "ALIPAYACCOUNT"}])
            fields |= amounts | {"gmt_payment": moment(trade.paid_at), "fund_bill_list": bills}
        return fields

    def _render(self, body: str) -> bytes:
        """Stamp and sign a notice anew for each sending."""
        stamp = moment(self._context.clock().timestamp())
        return self._signer.notice(json.loads(body) | {"notify_time": stamp})

    def _shown_refund(self, refund: Refund) -> dict[str, Any]:
        return {
            "out_refund_no": refund.out_request_no,
            "out_trade_no": refund.out_trade_no,
            "refund": refund.amount,
            "refund_status": refund.status,
            "callback": self._callback(_key("refund", refund.out_request_no, "SUCCESS")),
        }

    def _callback(self, key: str) -> dict[str, Any] | None:
        notification = self._context.notifier.find(key)
        if notification is None:
            return None
        return {"fate": notification.fate, "attempts": notification.attempts, "status": notification.status}


def is_accepted(status: int, answer: bytes) -> bool:
    """Tell whether a merchant has taken a notice: only this word, and nothing around it, ends it."""
    return status == 200 and answer == b"success"


def _key(operation: str, number: str, event: str) -> str:
    return f"{CHANNEL}:{operation}:{number}:{event}"


def _found(thing: Any) -> Any:
    if thing is None:
        raise Refused(404, "not_found", "no such number")
    return thing
