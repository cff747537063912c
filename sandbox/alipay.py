"""Alipay's gateway as a server: signed requests in, signed answers out; its control is in alipay_control."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from flask import Blueprint, Response, request

from sandbox.alipay_bills import make_bill
from sandbox.alipay_control import CHANNEL, SETTLE_TASK, TARGET, AlipayControl
from sandbox.alipay_refunds import Refunds
from sandbox.alipay_rules import (
    CREATE,
    MOMENT,
    PRECREATE,
    USER_ID,
    AlipayError,
    business,
    read_day,
    read_refund,
    read_trade,
)
from sandbox.alipay_signing import SIGN_TYPE, AlipaySigner, write_node
from sandbox.alipay_trades import Trades
from sandbox.clock import CHINA
from sandbox.faults import Fault
from sandbox.fields import FieldError
from sandbox.services import Context, PaymentChannel, json_response
from sandbox.signing import random_text

MAX_AGE_SECONDS = 600
BILL_SECONDS = 30
CONTENT_TYPE = "text/html;charset=utf-8"

Parameters = dict[str, str]
Node = dict[str, Any]


class Alipay:
    """One gateway address; which method is meant is one of its parameters."""

    operations = {
        TARGET: frozenset(
            {"create", "precreate", "query", "close", "refund", "refund_query", "login", "bill",
             "payment_callback", "refund_callback"}
        )
    }  # fmt: skip
    callback_targets = frozenset({TARGET})

    def __init__(self, context: Context) -> None:
        self._context = context
        self._keys = context.ring.services["alipay"]
        self._signer = AlipaySigner(self._keys)
        self._trades = Trades(context.store, context.clock)
        self._refunds = Refunds(context.store, context.clock, self._trades)
        control = AlipayControl(context, self._keys, self._signer, self._trades, self._refunds)
        self.channel: tuple[str, PaymentChannel] | None = (CHANNEL, control)
        self._control = control
        self._views = {
            method: context.faults.wrap(TARGET, operation, self._view(method, act), self._busy(method))
            for method, operation, act in (
                ("alipay.trade.create", "create", self._create),
                ("alipay.trade.precreate", "precreate", self._precreate),
                ("alipay.trade.query", "query", self._query),
                ("alipay.trade.close", "close", self._close),
                ("alipay.trade.refund", "refund", self._refund),
                ("alipay.trade.fastpay.refund.query", "refund_query", self._query_refund),
                ("alipay.system.oauth.token", "login", self._log_in),
                ("alipay.data.dataservice.bill.downloadurl.query", "bill", self._bill),
            )
        }

    def blueprints(self) -> list[Blueprint]:
        """Return the gateway and the address of bills."""
        paths = Blueprint("alipay", __name__)
        paths.add_url_rule("/gateway.do", "gateway", self._gateway, methods=["GET", "POST"])
        paths.add_url_rule("/alipay/bills/<token>", "download", self._download)
        control = Blueprint("control_alipay", __name__, url_prefix="/_control/payments/alipay")
        control.add_url_rule("/<number>/scan", "scan", self._scan, methods=["POST"])
        return [paths, control]

    def _gateway(self) -> Response:
        """Refuse what is not from the application without a signature, as the real gateway does."""
        parameters = _parameters()
        try:
            self._check_request(parameters)
        except AlipayError as error:
            name = _response_name(parameters.get("method", "")) or "error_response"
            return _answer(f'{{"{name}":{write_node(error.node())}}}')
        return self._views[parameters["method"]]()

    def _check_request(self, parameters: Parameters) -> None:
        invalid = "40002"
        if parameters.get("app_id") != self._keys["app_id"]:
            raise AlipayError(invalid, "isv.invalid-app-id", "无效的AppID参数")
        if parameters.get("method") not in self._views:
            raise AlipayError(invalid, "isv.invalid-method", "不存在的方法名")
        if parameters.get("sign_type") != SIGN_TYPE:
            raise AlipayError(invalid, "isv.invalid-signature-type", "无效的签名类型")
        if parameters.get("charset", "").lower() != "utf-8":
            raise AlipayError(invalid, "isv.invalid-charset", "字符集错误")
        if not parameters.get("sign"):
            raise AlipayError("40001", "isv.missing-signature", "缺少签名参数")
        if not self._signer.is_signed(parameters):
            raise AlipayError(invalid, "isv.invalid-signature", "无效签名")
        if not self._is_present(parameters.get("timestamp", "")):
            raise AlipayError(invalid, "isv.invalid-timestamp", "非法的时间戳参数")

    def _is_present(self, text: str) -> bool:
        """Tell whether *text* is about now on China's clock, which a machine elsewhere may not keep."""
        if not MOMENT.fullmatch(text):
            return False
        try:
            stamp = datetime.fromisoformat(text).replace(tzinfo=CHINA)
        except ValueError:
            return False
        return abs((self._context.clock() - stamp).total_seconds()) <= MAX_AGE_SECONDS

    def _view(self, method: str, act: Callable[[Parameters], Node]) -> Callable[..., Response]:
        """Return a view that answers what *act* does, or why it does not, signed."""
        name = _response_name(method)

        def view() -> Response:
            try:
                node = act(_parameters())
            except AlipayError as error:
                node = error.node()
            except FieldError as error:
                node = AlipayError("40004", "ACQ.INVALID_PARAMETER", f"参数无效：{error}").node()
            return _answer(self._signer.answer(name, node))

        view.__name__ = name
        return view

    def _busy(self, method: str) -> Callable[[Fault], Response]:
        """Return what makes the answer of an overloaded service, or of something before it."""

        def busy(fault: Fault) -> Response:
            if fault.status != 500:
                return Response("<html>busy</html>", fault.status, content_type="text/html")
            node = AlipayError("20000", "isp.unknow-error", "系统繁忙").node()
            return _answer(self._signer.answer(_response_name(method), node))

        return busy

    def _scan(self, number: str) -> Response:
        return json_response(self._control.scan(number))

    def _create(self, parameters: Parameters) -> Node:
        trade = self._trades.create(self._trade_request(parameters, CREATE))
        return _success(out_trade_no=trade.out_trade_no, trade_no=trade.trade_no)

    def _precreate(self, parameters: Parameters) -> Node:
        trade = self._trades.create(self._trade_request(parameters, PRECREATE))
        return _success(out_trade_no=trade.out_trade_no, qr_code=trade.qr_code)

    def _trade_request(self, parameters: Parameters, product: str) -> Any:
        fields, now = business(parameters), self._context.clock()
        return read_trade(fields, product, self._keys["app_id"], parameters.get("notify_url"), now)

    def _query(self, parameters: Parameters) -> Node:
        trade = self._trades.known(business(parameters).text("out_trade_no", 64))
        return _success(**self._trades.view(trade))

    def _close(self, parameters: Parameters) -> Node:
        trade = self._trades.close(business(parameters).text("out_trade_no", 64))
        return _success(out_trade_no=trade.out_trade_no, trade_no=trade.trade_no)

    def _refund(self, parameters: Parameters) -> Node:
        delay = self._context.settings.refund_delay_seconds
        wanted = read_refund(business(parameters))
        is_known = self._refunds.find(wanted.out_request_no) is not None
        refund, has_moved = self._refunds.create(wanted, is_done=delay == 0)
        if not is_known and delay >= 0:
            # Whether the money has moved or not, the notice about it comes afterwards.
            self._context.tasks.schedule(SETTLE_TASK, refund.out_request_no, delay)
        return _success(**self._refunds.answer(refund, has_moved=has_moved))

    def _query_refund(self, parameters: Parameters) -> Node:
        fields = business(parameters)
        number = fields.text("out_request_no", 64)
        return _success(**self._refunds.view(fields.text("out_trade_no", 64), number))

    def _log_in(self, parameters: Parameters) -> Node:
        """Take a one-use code; the codes of the control path are good for each of the two platforms."""
        if parameters.get("grant_type") != "authorization_code":
            raise AlipayError("40002", "isv.invalid-parameter", "grant_type不支持")
        store, code = self._context.store, parameters.get("code", "")
        with store.transaction():
            record = store.get("login_code", code)
            if record is None or record["is_used"] or record["expires_at"] <= self._now():
                raise AlipayError("40002", "isv.code-invalid", "授权码code无效")
            store.put("login_code", code, record | {"is_used": True})
        person = str(record["openid"])
        name = "user_id" if USER_ID.fullmatch(person) else "open_id"
        # A success of this one method carries no code.
        return {
            name: person,
            "access_token": "authusrB" + random_text(32),
            "expires_in": 1296000,
            "auth_start": self._stamp(),
        }

    def _bill(self, parameters: Parameters) -> Node:
        """Give a bill's address for half a minute; that of today holds what there is so far."""
        day = read_day(business(parameters))
        if day > self._context.clock().astimezone(CHINA).date():
            raise AlipayError("40002", "isv.invalid-parameter", "账单日期无效")
        if self._make_bill(day) is None:
            raise AlipayError("40004", "BILL_NOT_EXIST", "账单不存在")
        token = random_text(32)
        record = {"day": day.isoformat(), "expires_at": self._now() + BILL_SECONDS}
        self._context.store.put("alipay_bill", token, record)
        return _success(bill_download_url=f"{request.url_root}alipay/bills/{token}")

    def _download(self, token: str) -> Response:
        record = self._context.store.get("alipay_bill", token)
        if record is None or record["expires_at"] <= self._now():
            return Response("<html>expired</html>", 403, content_type="text/html")
        return Response(self._make_bill(date.fromisoformat(record["day"])), content_type="application/zip")

    def _make_bill(self, day: date) -> bytes | None:
        return make_bill(self._keys["seller_id"], day, self._trades.all(), self._refunds.all())

    def _stamp(self) -> str:
        return self._context.clock().astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")

    def _now(self) -> float:
        return self._context.clock().timestamp()


def _parameters() -> Parameters:
    """Return what was sent, in the address (as one library does) or as a form (as the others do)."""
    return request.args.to_dict() | request.form.to_dict()


def _response_name(method: str) -> str:
    return f"{method.replace('.', '_')}_response" if method else ""


def _success(**facts: Any) -> Node:
    return {"code": "10000", "msg": "Success"} | facts


def _answer(text: str) -> Response:
    return Response(text, content_type=CONTENT_TYPE)
