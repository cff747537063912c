"""The UnionPay gateway 5.1.0 as a server: forms in, signed answers and notices out."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException

from sandbox.faults import Fault
from sandbox.services import Context, PaymentChannel
from sandbox.unionpay_control import CHANNEL, SETTLE_TASK, TARGET, UnionPayControl
from sandbox.unionpay_messages import MessageRefused, Messages, Unreadable, as_answer, refuse
from sandbox.unionpay_orders import WORDS, Orders, Refund

ANSWER_TYPE = "text/html; charset=utf-8"
PAGE = """<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>银联在线支付</title>
<body><h1>银联在线支付（沙箱）</h1>
<p>订单 {number}，金额 {yuan} 元。请在沙箱首页完成支付。</p></body></html>"""


class UnionPay:
    """The merchant's side of the gateway; its control is UnionPayControl."""

    operations = {
        TARGET: frozenset({"pay", "query", "refund", "payment_callback", "refund_callback"}),
    }
    callback_targets = frozenset({TARGET})

    def __init__(self, context: Context) -> None:
        self._context = context
        self._messages = Messages(context.ring.services[CHANNEL])
        self._orders = Orders(context.store, context.clock)
        control = UnionPayControl(context, self._messages, self._orders)
        self.channel: tuple[str, PaymentChannel] | None = (CHANNEL, control)
        context.tasks.register(SETTLE_TASK, control.settle_refund)

    def blueprints(self) -> list[Blueprint]:
        """Return the paths below /gateway/api."""
        paths = Blueprint(CHANNEL, __name__, url_prefix="/gateway/api")
        paths.register_error_handler(Unreadable, lambda _: _plain("Invalid request."))
        paths.register_error_handler(MessageRefused, self._refused)
        paths.register_error_handler(HTTPException, lambda _: _plain("Invalid request."))
        for rule, operation, view in (
            ("/frontTransReq.do", "pay", self._front),
            ("/backTransReq.do", "refund", self._back),
            ("/queryTrans.do", "query", self._query),
        ):
            guarded = self._context.faults.wrap(TARGET, operation, view, self._busy)
            paths.add_url_rule(rule, operation, guarded, methods=["POST"])
        return [paths]

    def _front(self) -> Response:
        fields = self._messages.read(request.get_data())
        _expect(fields, ("01", "01"))
        payment = self._orders.bring(fields)
        yuan = f"{payment.amount // 100}.{payment.amount % 100:02d}"
        return Response(PAGE.format(number=escape(payment.number), yuan=yuan), content_type=ANSWER_TYPE)

    def _back(self) -> Response:
        fields = self._messages.read(request.get_data())
        _expect(fields, ("04", "00"))
        refund = self._orders.refund(fields)
        delay = self._context.settings.refund_delay_seconds
        if delay >= 0:
            self._context.tasks.schedule(SETTLE_TASK, refund.number, delay)
        told = _echo(fields) | {"queryId": refund.query_id, "origQryId": fields["origQryId"]}
        return self._answer(told | {"txnAmt": str(refund.amount)}, "00", "成功[0000000]")

    def _query(self) -> Response:
        fields = self._messages.read(request.get_data())
        _expect(fields, ("00", "00"))
        found = self._orders.look_up(fields["orderId"], fields["txnTime"])
        if found is None:
            refuse("34", "查无此交易")
        outcome = WORDS[found.state]
        # A refund that nobody has settled was accepted, which is not yet a success.
        words = {"origRespCode": outcome, "origRespMsg": "成功" if outcome == "00" else "处理中或失败"}
        shown = self._orders.view(found) | {"merId": self._messages.merchant_no}
        if isinstance(found, Refund) and found.state != "SUCCESS":
            shown.pop("traceTime", None)
        return self._answer(shown | words, "00", "成功[0000000]")

    def _refused(self, error: MessageRefused) -> Response:
        try:
            sent = dict(request.form.items())
        except ValueError:
            sent = {}
        known = {name: value for name, value in sent.items() if name in ("orderId", "txnTime", "txnType")}
        return self._answer(known, error.code, error.message)

    def _busy(self, fault: Fault) -> Response:
        """The gateway's own error answer; another status than 500 comes bare, from something in between."""
        if fault.status != 500:
            return Response("busy", fault.status, content_type=ANSWER_TYPE)
        return self._answer({}, "06", "系统繁忙，请稍后再试")

    def _answer(self, fields: Mapping[str, str], code: str, message: str) -> Response:
        told = {"version": "5.1.0", "encoding": "UTF-8", "accessType": "0"} | dict(fields)
        told |= {"merId": self._messages.merchant_no, "respCode": code, "respMsg": message}
        return Response(as_answer(self._messages.sign(told)), content_type=ANSWER_TYPE)


def _expect(fields: Mapping[str, str], txn: tuple[str, str]) -> None:
    if (fields["txnType"], fields["txnSubType"]) != txn:
        refuse("32", "无此交易权限[txnType]")


def _echo(fields: Mapping[str, str]) -> dict[str, str]:
    names = ("orderId", "txnTime", "txnType", "txnSubType", "bizType", "currencyCode")
    return {name: fields[name] for name in names if name in fields}


def _plain(text: str) -> Response:
    return Response(text, content_type=ANSWER_TYPE)
