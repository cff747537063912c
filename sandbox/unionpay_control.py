"""What tests and the person at the laptop let happen to payments and refunds at UnionPay."""

from __future__ import annotations

import re
from typing import Any

from sandbox.clock import china_time
from sandbox.fields import Fields
from sandbox.notifier import NOT_SENT, CallbackFormat, Delivery, Notification
from sandbox.services import Context, Refused
from sandbox.unionpay_messages import FORM, Messages, as_notice, china_stamp
from sandbox.unionpay_orders import MOST_FEN, Orders, Payment, Refund

TARGET = "unionpay"
CHANNEL = "unionpay"
SETTLE_TASK = "unionpay_refund"
# Seconds between the sends of one notice: up to five, before the scale of the settings.
RETRY_SCHEDULE = (60, 120, 240, 300)
NUMBER = re.compile(r"[0-9A-Za-z]{8,40}", re.ASCII)


class UnionPayControl:
    """Control of the payment service; see PaymentChannel."""

    def __init__(self, context: Context, messages: Messages, orders: Orders) -> None:
        self._context = context
        self._messages = messages
        self._orders = orders
        notices = CallbackFormat(
            target=TARGET,
            headers=lambda _: {"Content-Type": FORM},
            is_accepted=lambda status, _: status == 200,
            schedule=RETRY_SCHEDULE,
        )
        context.notifier.register(CHANNEL, notices)

    def pay(self, out_trade_no: str) -> dict[str, Any]:
        """See PaymentChannel."""
        payment = _found(self._orders.pay(out_trade_no))
        return self.show_payment(out_trade_no) | self._notify("payment", payment).as_dict()

    def fail(self, out_trade_no: str) -> dict[str, Any]:
        """See PaymentChannel; UnionPay tells nobody of a failure."""
        payment = _found(self._orders.fail(out_trade_no))
        if payment.state != "PAYERROR":
            raise Refused(409, "invalid_transition", f"the payment is {payment.state}")
        return self.show_payment(out_trade_no)

    def adopt(self, payments: list[Fields]) -> int:
        """See PaymentChannel."""
        with self._context.store.transaction():
            return sum(self._orders.adopt(self._adopted(fields)) for fields in payments)

    def _adopted(self, fields: Fields) -> Payment:
        paid_at = fields.instant("paid_at")
        if paid_at is None or not 0 < paid_at.timestamp() <= self._context.clock().timestamp():
            fields.fail("paid_at", "应为过去的时间")
        total = fields.integer("total_fen", 1, MOST_FEN)
        return Payment(
            number=fields.text("out_trade_no", 40, NUMBER),
            txn_time=china_stamp(paid_at.timestamp()),
            amount=total,
            back_url=None,
            created_at=paid_at.timestamp(),
            expires_at=None,
            state="SUCCESS",
            query_id=fields.text("transaction_id", 32, re.compile(r"[0-9A-Za-z]{1,32}", re.ASCII)),
            settled_at=paid_at.timestamp(),
            refunded_before=fields.integer("refunded_fen", 0, total, 0),
        )

    def show_payment(self, out_trade_no: str) -> dict[str, Any]:
        """See PaymentChannel."""
        payment = _found(self._orders.find_payment(out_trade_no))
        refunds = [self._orders.find_refund(number) for number in payment.refund_nos]
        return {
            "channel": CHANNEL,
            "out_trade_no": payment.number,
            "trade_type": "UNIONPAY",
            "trade_state": payment.state,
            "transaction_id": payment.query_id,
            "description": "银联在线支付",
            "total": payment.amount,
            "notify_url": payment.back_url,
            "created_at": china_time(payment.created_at),
            "callback": self._callback(_key("payment", payment.number)),
            "refunds": [self._shown_refund(refund) for refund in refunds if refund is not None],
        }

    def probe(self, out_trade_no: str) -> dict[str, Any]:
        """See PaymentChannel: the notice with one fen more than was signed."""
        payment = _found(self._orders.find_payment(out_trade_no))
        if payment.back_url is None:
            return NOT_SENT.as_dict()
        told = self._told(payment) | {"txnAmt": str(payment.amount + 1)}
        body = as_notice(told).encode()
        return self._context.notifier.post_raw(payment.back_url, body, {"Content-Type": FORM}).as_dict()

    def succeed_refund(self, out_refund_no: str) -> dict[str, Any]:
        """See PaymentChannel."""
        refund = _found(self._orders.settle(out_refund_no, "SUCCESS"))
        self._context.tasks.cancel(SETTLE_TASK, out_refund_no)
        return self._shown_refund(refund) | self._notify("refund", refund).as_dict()

    def break_refund(self, out_refund_no: str) -> dict[str, Any]:
        """See PaymentChannel; UnionPay tells nobody of a failure, only a query finds it."""
        refund = _found(self._orders.settle(out_refund_no, "ABNORMAL"))
        if refund.state != "ABNORMAL":
            raise Refused(409, "invalid_transition", f"the refund is {refund.state}")
        self._context.tasks.cancel(SETTLE_TASK, out_refund_no)
        return self._shown_refund(refund) | NOT_SENT.as_dict()

    def show_refund(self, out_refund_no: str) -> dict[str, Any]:
        """See PaymentChannel."""
        return self._shown_refund(_found(self._orders.find_refund(out_refund_no)))

    def recent(self, limit: int) -> list[dict[str, Any]]:
        """See PaymentChannel."""
        return [self.show_payment(payment.number) for payment in self._orders.recent(limit)]

    def settle_refund(self, out_refund_no: str) -> None:
        """Let a refund that is still under way succeed by itself; a task of the sandbox."""
        refund = self._orders.find_refund(out_refund_no)
        if refund is not None and refund.state == "PROCESSING":
            self.succeed_refund(out_refund_no)

    def _notify(self, operation: str, thing: Payment | Refund) -> Delivery:
        if thing.back_url is None:
            return NOT_SENT
        body = as_notice(self._told(thing))
        first = Notification(
            _key(operation, thing.number), CHANNEL, f"{operation}_callback", thing.back_url, body
        )
        return self._context.notifier.send(first)

    def _told(self, thing: Payment | Refund) -> dict[str, str]:
        outcome = {"merId": self._messages.merchant_no, "respCode": "00", "respMsg": "success"}
        return self._messages.sign(self._orders.view(thing) | outcome)

    def _shown_refund(self, refund: Refund) -> dict[str, Any]:
        return {
            "out_refund_no": refund.number,
            "out_trade_no": refund.payment_no,
            "refund_id": refund.query_id,
            "refund": refund.amount,
            "refund_status": refund.state,
            "callback": self._callback(_key("refund", refund.number)),
        }

    def _callback(self, key: str) -> dict[str, Any] | None:
        notification = self._context.notifier.find(key)
        if notification is None:
            return None
        return {"fate": notification.fate, "attempts": notification.attempts, "status": notification.status}


def _key(operation: str, number: str) -> str:
    return f"{CHANNEL}:{operation}:{number}"


def _found(thing: Any) -> Any:
    if thing is None:
        raise Refused(404, "not_found", "no such number")
    return thing
