"""WeChat Pay API v3 as a server: signed requests in, signed answers and encrypted callbacks out."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

from cryptography import x509
from flask import Blueprint, Response, g, request
from werkzeug.exceptions import HTTPException

from sandbox.clock import china_time
from sandbox.faults import Fault
from sandbox.fields import BodyError, FieldError, Fields, json_object
from sandbox.notifier import NOT_SENT, CallbackFormat, Delivery, Notification
from sandbox.services import Context, PaymentChannel, Refused, json_response
from sandbox.signing import PlatformSigner, SignatureRefused, SignedRequest, random_text
from sandbox.wechat_pay_bills import Bills
from sandbox.wechat_pay_orders import Payment, Payments
from sandbox.wechat_pay_refunds import Refund, Refunds
from sandbox.wechat_pay_rules import PayError, read_adopted, read_prepay, read_refund

TARGET = "wechat_pay"
CHANNEL = "wechat"
SETTLE_TASK = "wechat_refund"
KEY_MODES = ("public_key", "certificate", "both")
# Seconds between the attempts of one callback (24 h 4 m in all), before the scale of the settings.
RETRY_SCHEDULE = (
    15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600,
)  # fmt: skip
SUMMARIES = {
    "TRANSACTION.SUCCESS": "支付成功",
    "REFUND.SUCCESS": "退款成功",
    "REFUND.ABNORMAL": "退款异常",
}


class WeChatPay:
    """The merchant API; its control is WeChatPayControl."""

    operations = {
        TARGET: frozenset(
            {"prepay", "query", "close", "refund", "refund_query", "certificates", "bill", "bill_file",
             "payment_callback", "refund_callback"}
        )
    }  # fmt: skip
    callback_targets = frozenset({TARGET})

    def __init__(self, context: Context) -> None:
        self._context = context
        self._ring = context.ring
        self._signer = PlatformSigner(context.ring, context.clock)
        self._payments = Payments(context.store, context.ring, context.clock)
        self._refunds = Refunds(context.store, context.ring, context.clock, self._payments)
        self._bills = Bills(context, self._payments, self._refunds)
        control = WeChatPayControl(context, self._signer, self._payments, self._refunds)
        self.channel: tuple[str, PaymentChannel] | None = (CHANNEL, control)
        context.tasks.register(SETTLE_TASK, control.settle_refund)

    def blueprints(self) -> list[Blueprint]:
        """Return the /v3 paths."""
        paths = Blueprint("wechat_pay", __name__, url_prefix="/v3")
        paths.before_request(self._verify)
        paths.after_request(self._sign)
        _add_refusals(paths)
        number = "/pay/transactions/out-trade-no/<out_trade_no>"
        self._add(paths, "POST", "/pay/transactions/jsapi", "prepay", self._prepay_jsapi)
        self._add(paths, "POST", "/pay/transactions/native", "prepay", self._prepay_native)
        self._add(paths, "GET", number, "query", self._query)
        self._add(paths, "GET", "/pay/transactions/id/<transaction_id>", "query", self._query_transaction)
        self._add(paths, "POST", number + "/close", "close", self._close)
        self._add(paths, "POST", "/refund/domestic/refunds", "refund", self._refund)
        self._add(
            paths, "GET", "/refund/domestic/refunds/<out_refund_no>", "refund_query", self._query_refund
        )
        self._add(paths, "GET", "/certificates", "certificates", self._certificates)
        self._add(paths, "GET", "/bill/tradebill", "bill", self._bills.ask)
        self._add(paths, "GET", "/billdownload/file", "bill_file", self._bills.fetch)
        paths.add_url_rule(
            "/<path:path>", "unknown", _unknown_path, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]
        )
        return [paths]

    def _add(
        self, paths: Blueprint, method: str, rule: str, operation: str, view: Callable[..., Response]
    ) -> None:
        guarded = self._context.faults.wrap(TARGET, operation, view, _busy)
        paths.add_url_rule(rule, view.__name__, guarded, methods=[method])

    def _verify(self) -> Response | None:
        signed = SignedRequest(
            request.method, _raw_target(), request.get_data(), request.headers.get("Authorization", "")
        )
        try:
            self._signer.verify(signed)
        except SignatureRefused as error:
            return _refusal(401, "SIGN_ERROR", str(error))
        serial = request.headers.get("Wechatpay-Serial", "")
        if serial and not self._is_platform_serial(serial):
            return _refusal(400, "PARAM_ERROR", "Wechatpay-Serial不正确", "Wechatpay-Serial")
        g.answer_serial = self._ring.public_key_id if serial.startswith("PUB_KEY_ID_") else None
        return None

    def _is_platform_serial(self, serial: str) -> bool:
        if serial == self._ring.public_key_id:
            return True
        try:
            return int(serial, 16) == int(self._ring.certificate_serial_no, 16)
        except ValueError:
            return False

    def _sign(self, response: Response) -> Response:
        """Sign every 2xx, the empty 204 too; refusals and files go out unsigned."""
        if 200 <= response.status_code < 300 and not g.get("is_unsigned"):
            serial = g.answer_serial or platform_serial(self._context)
            response.headers.extend(self._signer.headers(response.get_data(), serial))
        response.headers["Request-ID"] = random_text(32)
        return response

    def _prepay_jsapi(self) -> Response:
        return json_response({"prepay_id": self._prepay("JSAPI").prepay_id})

    def _prepay_native(self) -> Response:
        return json_response({"code_url": self._prepay("NATIVE").code_url})

    def _prepay(self, trade_type: str) -> Payment:
        body = json_object(request.get_data())
        ring, now = self._ring, self._context.clock()
        return self._payments.prepay(read_prepay(body, trade_type, ring.mchid, ring.app_id, now))

    def _query(self, out_trade_no: str) -> Response:
        return self._shown(self._payments.find(out_trade_no))

    def _query_transaction(self, transaction_id: str) -> Response:
        return self._shown(self._payments.find_transaction(transaction_id))

    def _shown(self, payment: Payment | None) -> Response:
        if request.args.get("mchid") != self._ring.mchid:
            raise FieldError("mchid", "与签名的商户号不一致")
        if payment is None:
            raise PayError(404, "ORDER_NOT_EXIST", "订单不存在")
        return json_response(self._payments.view(payment))

    def _close(self, out_trade_no: str) -> Response:
        if json_object(request.get_data()).get("mchid") != self._ring.mchid:
            raise FieldError("/mchid", "与签名的商户号不一致")
        self._payments.close(out_trade_no)
        return Response(status=204)

    def _refund(self) -> Response:
        refund, is_new = self._refunds.create(read_refund(json_object(request.get_data())))
        delay = self._context.settings.refund_delay_seconds
        if is_new and delay >= 0:
            self._context.tasks.schedule(SETTLE_TASK, refund.out_refund_no, delay)
        return json_response(self._refunds.view(refund))

    def _query_refund(self, out_refund_no: str) -> Response:
        refund = self._refunds.find(out_refund_no)
        if refund is None:
            raise PayError(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
        return json_response(self._refunds.view(refund))

    def _certificates(self) -> Response:
        if self._context.settings.wechat_pay_key_mode == "public_key":
            raise PayError(404, "RESOURCE_NOT_EXISTS", "无可用的平台证书，请使用微信支付公钥")
        ring = self._ring
        certificate = x509.load_pem_x509_certificate(ring.certificate.encode())
        sealed = self._signer.encrypt(ring.certificate.encode(), "certificate")
        entry = {
            "serial_no": ring.certificate_serial_no,
            "effective_time": china_time(certificate.not_valid_before_utc.timestamp()),
            "expire_time": china_time(certificate.not_valid_after_utc.timestamp()),
            "encrypt_certificate": sealed,
        }
        return json_response({"data": [entry]})


class WeChatPayControl:
    """What tests and the person at the laptop let happen to payments and refunds."""

    def __init__(
        self, context: Context, signer: PlatformSigner, payments: Payments, refunds: Refunds
    ) -> None:
        self._context = context
        self._signer = signer
        self._payments = payments
        self._refunds = refunds
        callback_format = CallbackFormat(
            target=TARGET,
            headers=lambda body: signer.headers(body, platform_serial(context)),
            is_accepted=lambda status, _: status in (200, 204),
            schedule=RETRY_SCHEDULE,
        )
        context.notifier.register(CHANNEL, callback_format)

    def pay(self, out_trade_no: str) -> dict[str, Any]:
        """See PaymentChannel."""
        payment = _found(self._payments.pay(out_trade_no))
        plaintext = self._payments.view(payment)
        delivery = self._notify("payment", out_trade_no, payment.notify_url, "TRANSACTION.SUCCESS", plaintext)
        return self.show_payment(out_trade_no) | delivery.as_dict()

    def adopt(self, payments: list[Fields]) -> int:
        """See PaymentChannel; the fields are those of AdoptedPayment."""
        now = self._context.clock()
        return self._refunds.adopt([read_adopted(fields, now) for fields in payments])

    def fail(self, out_trade_no: str) -> dict[str, Any]:
        """See PaymentChannel."""
        payment = _found(self._payments.fail(out_trade_no))
        if payment.trade_state != "PAYERROR":
            raise Refused(409, "invalid_transition", f"the payment is {payment.trade_state}")
        return self.show_payment(out_trade_no)

    def show_payment(self, out_trade_no: str) -> dict[str, Any]:
        """See PaymentChannel."""
        payment = _found(self._payments.find(out_trade_no))
        return {
            "channel": CHANNEL,
            "out_trade_no": out_trade_no,
            "trade_type": payment.trade_type,
            "trade_state": payment.trade_state,
            "transaction_id": payment.transaction_id,
            "description": payment.description,
            "total": payment.total,
            "openid": payment.openid,
            "notify_url": payment.notify_url,
            "created_at": china_time(payment.created_at),
            # A mini-program gets its money when it has reported what was delivered.
            "is_released": payment.shipping is not None,
            "shipping": payment.shipping and json.loads(payment.shipping),
            "callback": self._callback(_key("payment", out_trade_no, "TRANSACTION.SUCCESS")),
            "refunds": [self._shown_refund(refund) for refund in self._refunds.of(payment)],
        }

    def probe(self, out_trade_no: str) -> dict[str, Any]:
        """See PaymentChannel; WeChat does this now and then to find merchants who do not verify."""
        payment = _found(self._payments.find(out_trade_no))
        if payment.notify_url is None:
            return NOT_SENT.as_dict()
        body = json.dumps(self._body("payment", "TRANSACTION.SUCCESS", self._payments.view(payment))).encode()
        headers = self._signer.headers(b"", platform_serial(self._context))
        headers["Wechatpay-Signature"] = "WECHATPAY/SIGNTEST/" + headers["Wechatpay-Signature"]
        return self._context.notifier.post_raw(payment.notify_url, body, headers).as_dict()

    def succeed_refund(self, out_refund_no: str) -> dict[str, Any]:
        """See PaymentChannel."""
        refund = _found(self._refunds.succeed(out_refund_no))
        self._context.tasks.cancel(SETTLE_TASK, out_refund_no)
        return self._shown_refund(refund) | self._notify_refund(refund, "REFUND.SUCCESS").as_dict()

    def break_refund(self, out_refund_no: str) -> dict[str, Any]:
        """See PaymentChannel."""
        refund = _found(self._refunds.break_off(out_refund_no))
        if refund.status != "ABNORMAL":
            raise Refused(409, "invalid_transition", f"the refund is {refund.status}")
        self._context.tasks.cancel(SETTLE_TASK, out_refund_no)
        return self._shown_refund(refund) | self._notify_refund(refund, "REFUND.ABNORMAL").as_dict()

    def show_refund(self, out_refund_no: str) -> dict[str, Any]:
        """See PaymentChannel."""
        return self._shown_refund(_found(self._refunds.find(out_refund_no)))

    def recent(self, limit: int) -> list[dict[str, Any]]:
        """See PaymentChannel."""
        return [self.show_payment(payment.out_trade_no) for payment in self._payments.recent(limit)]

    def settle_refund(self, out_refund_no: str) -> None:
        """Let a refund that is still PROCESSING succeed by itself; a task of the sandbox."""
        refund = self._refunds.find(out_refund_no)
        if refund is not None and refund.status == "PROCESSING":
            self.succeed_refund(out_refund_no)

    def _notify_refund(self, refund: Refund, event: str) -> Delivery:
        plaintext = self._refunds.callback(refund)
        return self._notify("refund", refund.out_refund_no, refund.notify_url, event, plaintext)

    def _notify(
        self, operation: str, number: str, url: str | None, event: str, plaintext: dict[str, Any]
    ) -> Delivery:
        if url is None:
            return NOT_SENT
        body = json.dumps(self._body(operation, event, plaintext), ensure_ascii=False)
        first = Notification(_key(operation, number, event), CHANNEL, f"{operation}_callback", url, body)
        return self._context.notifier.send(first)

    def _body(self, operation: str, event: str, plaintext: dict[str, Any]) -> dict[str, Any]:
        original_type = "transaction" if operation == "payment" else "refund"
        sealed = self._signer.encrypt(json.dumps(plaintext, ensure_ascii=False).encode(), original_type)
        return {
            "id": str(uuid.uuid4()),
            "create_time": china_time(self._context.clock().timestamp()),
            "resource_type": "encrypt-resource",
            "event_type": event,
            "summary": SUMMARIES[event],
            "resource": sealed | {"original_type": original_type},
        }

    def _shown_refund(self, refund: Refund) -> dict[str, Any]:
        names = ("out_refund_no", "out_trade_no", "refund_id", "refund")
        shown = {name: getattr(refund, name) for name in names} | {"refund_status": refund.status}
        event = "REFUND.ABNORMAL" if refund.status == "ABNORMAL" else "REFUND.SUCCESS"
        return shown | {"callback": self._callback(_key("refund", refund.out_refund_no, event))}

    def _callback(self, key: str) -> dict[str, Any] | None:
        notification = self._context.notifier.find(key)
        if notification is None:
            return None
        return {"fate": notification.fate, "attempts": notification.attempts, "status": notification.status}


def platform_serial(context: Context) -> str:
    """Return what identifies the key that signs callbacks in the present key mode."""
    ring = context.ring
    by_certificate = context.settings.wechat_pay_key_mode == "certificate"
    return ring.certificate_serial_no if by_certificate else ring.public_key_id


def _key(operation: str, number: str, event: str) -> str:
    return f"{CHANNEL}:{operation}:{number}:{event}"


def _found(thing: Any) -> Any:
    if thing is None:
        raise Refused(404, "not_found", "no such number")
    return thing


def _raw_target() -> str:
    """Return path?query byte for byte as it was sent, for that is what was signed."""
    target = str(request.environ["RAW_URI"])
    # WSGI hands bytes over as Latin-1; surrogateescape takes them back out unchanged.
    return target.encode("latin-1").decode("utf-8", "surrogateescape")


def _refusal(status: int, code: str, message: str, field: str | None = None) -> Response:
    body: dict[str, Any] = {"code": code, "message": message}
    if field is not None:
        body["detail"] = {"field": field}
    return json_response(body, status)


def _add_refusals(paths: Blueprint) -> None:
    """Give every kind of refusal WeChat Pay's form."""
    paths.register_error_handler(PayError, lambda error: _refusal(error.status, error.code, str(error)))
    paths.register_error_handler(
        FieldError, lambda error: _refusal(400, "PARAM_ERROR", f"参数错误：{error}", error.field)
    )
    paths.register_error_handler(BodyError, lambda _: _refusal(400, "PARAM_ERROR", "请求体不是合法JSON"))
    paths.register_error_handler(
        HTTPException, lambda error: _refusal(error.code or 400, "INVALID_REQUEST", "HTTP请求不符合要求")
    )


def _busy(fault: Fault) -> Response:
    if fault.status == 429:
        return _refusal(429, "FREQUENCY_LIMITED", "频率超限")
    return _refusal(fault.status, "SYSTEM_ERROR", "系统错误")


def _unknown_path(path: str) -> Response:
    return _refusal(404, "RESOURCE_NOT_EXISTS", "接口不存在")
