"""WeChat Pay API v3 through wechatpayv3 in public-key mode: payments, refunds, callbacks and bills."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import Any, TypeVar
from uuid import uuid4

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from wechatpayv3 import WeChatPay, WeChatPayType

from app.domain.clock import utc_now
from app.gateways import wechat_pay_facts as facts
from app.gateways.bill_checks import checked
from app.gateways.network import as_unavailable
from app.gateways.ports import (
    BillNotReady,
    CallbackHeaders,
    CallbackInvalid,
    CloseResult,
    DailyBill,
    GatewayRefused,
    GatewayUnavailable,
    PaymentCallback,
    PaymentFacts,
    PaymentRequest,
    RefundCallback,
    RefundFacts,
    RefundRequest,
)
from app.gateways.unreadable import incomprehensible, trusted, understood
from app.gateways.wechat_pay_bills import path_of_bill, read_bill, unpacked
from app.gateways.wechat_pay_callbacks import check_before_opening

_T = TypeVar("_T")
_SERVICE = "WeChat Pay"
_CHINA = timezone(timedelta(hours=8))
_PAYMENT_NO = re.compile(r"[0-9A-Za-z_-]{6,32}", re.ASCII)
_REFUND_NO = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
_UNKNOWN_PAYMENT = {"ORDERNOTEXIST", "ORDER_NOT_EXIST"}
_UNKNOWN_REFUND = {"RESOURCE_NOT_EXISTS", "RESOURCE_NOT_EXIST"}
_PAID = {"ORDERPAID", "ORDER_PAID"}
_CLOSED = {"ORDER_CLOSED", "ORDERCLOSED"}
# The merchant's balance can be topped up; the others pass by themselves.
_RETRYABLE = {"FREQUENCY_LIMITED", "RATELIMIT_EXCEEDED", "NOT_ENOUGH", "SYSTEM_ERROR"}
# Said with status 500, and yet a plain refusal.
_REFUSED_WITH_500 = {"OPENID_MISMATCH"}
_MAX_DESCRIPTION = 127
_MAX_REASON = 80
_NO_BILL = {"NO_STATEMENT_EXIST"}
_BILL_LATER = {"STATEMENT_CREATING"}
_PAYMENT_EVENTS = {"TRANSACTION.SUCCESS"}
_REFUND_EVENTS = {"REFUND.SUCCESS", "REFUND.ABNORMAL", "REFUND.CLOSED"}


@dataclass(frozen=True, slots=True)
class WeChatPayCredentials:
    """What identifies one merchant, and the public key by which the service is recognised (PEM texts)."""

    mchid: str
    app_id: str
    merchant_private_key: str = field(repr=False)
    merchant_serial_no: str
    api_v3_key: str = field(repr=False)
    public_key_id: str
    public_key: str = field(repr=False)


class WeChatPayChannel:
    """PaymentChannel over the real protocol (WeChat Pay API v3); one instance may be shared by threads."""

    def __init__(self, credentials: WeChatPayCredentials, *, base_url: str, timeout_seconds: float) -> None:
        """Raise GatewayRefused `credentials_invalid` when a key cannot be used; no connection is made."""
        self._credentials = credentials
        self._base_url = base_url.rstrip("/")
        self._sdk = _make_sdk(credentials, base_url, timeout_seconds)

    def create_payment(self, request: PaymentRequest) -> dict[str, str]:
        """Return the client's parameters; repeating the same request gives a payment for the same order."""
        _check_payment(request)
        answer = self._require(self._prepay(request))
        if request.kind == "native":
            return {"code_url": _text(answer, "code_url")}
        return self._client_parameters(_text(answer, "prepay_id"))

    def query_payment(self, payment_no: str, started_at: datetime | None = None) -> PaymentFacts:
        """Return the facts; `absent` when the service never saw the number."""
        _check_number(_PAYMENT_NO, payment_no)
        reply = self._call(lambda: self._sdk.query(out_trade_no=payment_no))
        if reply.code in _UNKNOWN_PAYMENT:
            return PaymentFacts(payment_no=payment_no, status="absent")
        # Said with status 202 while the payer types the password.
        if reply.code == "USERPAYING":
            return PaymentFacts(payment_no=payment_no, status="pending")
        found = understood(_SERVICE, lambda: facts.payment_facts(self._require(reply)))
        return _expect(found, found.payment_no == payment_no)

    def close_payment(self, payment_no: str, started_at: datetime | None = None) -> CloseResult:
        """Close; the service has been seen to agree to closing what it does not know."""
        _check_number(_PAYMENT_NO, payment_no)
        reply = self._call(lambda: self._sdk.close(out_trade_no=payment_no))
        if reply.code in _PAID:
            return "already_paid"
        if not reply.is_success and reply.code not in _CLOSED | _UNKNOWN_PAYMENT:
            raise reply.refusal()
        return "closed"

    def refund(self, request: RefundRequest) -> RefundFacts:
        """Ask for the refund; the answer is most often `processing`."""
        _check_refund(request)
        answer = self._require(
            self._call(
                lambda: self._sdk.refund(
                    out_refund_no=request.refund_no,
                    out_trade_no=request.payment_no,
                    amount={"refund": request.amount_fen, "total": request.total_fen, "currency": "CNY"},
                    reason=request.reason[:_MAX_REASON] or None,
                    notify_url=request.notify_url,
                )
            )
        )
        found = understood(_SERVICE, lambda: facts.refund_facts(answer))
        return _expect(found, found.refund_no == request.refund_no)

    def query_refund(self, request: RefundRequest) -> RefundFacts:
        """Return the facts; `absent` when the service never saw the number."""
        refund_no = request.refund_no
        _check_number(_REFUND_NO, refund_no)
        reply = self._call(lambda: self._sdk.query_refund(out_refund_no=refund_no))
        if reply.code in _UNKNOWN_REFUND:
            return RefundFacts(refund_no=refund_no, status="absent")
        found = understood(_SERVICE, lambda: facts.refund_facts(self._require(reply)))
        return _expect(found, found.refund_no == refund_no)

    def parse_payment_callback(self, headers: CallbackHeaders, body: bytes, now: datetime) -> PaymentCallback:
        """Verify and open the notice of a payment."""
        opened = self._open(headers, body, now, _PAYMENT_EVENTS)
        return trusted(
            lambda: PaymentCallback(
                facts.callback_id(opened), opened["event_type"], facts.payment_facts(opened["resource"])
            )
        )

    def parse_refund_callback(self, headers: CallbackHeaders, body: bytes, now: datetime) -> RefundCallback:
        """Verify and open the notice of a refund."""
        opened = self._open(headers, body, now, _REFUND_EVENTS)
        return trusted(
            lambda: RefundCallback(
                facts.callback_id(opened), opened["event_type"], facts.refund_notice_facts(opened["resource"])
            )
        )

    def download_bill(self, bill_on: date) -> DailyBill | None:
        """Return the bill of all trades of a day of China's calendar; None for a day without any.

        Raises BillNotReady before about ten the next morning, BillUnusable, GatewayRefused for a bill that
        is too old, and GatewayUnavailable for one that cannot be had.
        """
        reply = self._call(lambda: self._sdk.trade_bill(bill_on.isoformat(), "ALL", "GZIP"))
        if reply.code in _NO_BILL:
            return None
        if reply.code in _BILL_LATER:
            raise BillNotReady(str(reply.code))
        answer = self._require(reply)
        if answer.get("hash_type") != "SHA1":
            raise incomprehensible(_SERVICE)
        address = understood(_SERVICE, lambda: path_of_bill(_text(answer, "download_url"), self._base_url))
        content = unpacked(self._download(address), sha1=_text(answer, "hash_value"))
        mchid = self._credentials.mchid
        return DailyBill(content, "csv", checked(lambda: read_bill(content, mchid=mchid), bill_on))

    def _download(self, path: str) -> bytes:
        try:
            status, content = self._sdk.download_bill(path)
        except Exception as error:
            raise as_unavailable(error, _SERVICE) from None
        if status != 200:
            raise _Reply.read(status, content).refusal()
        return content if isinstance(content, bytes) else content.encode()

    def _open(self, headers: CallbackHeaders, body: bytes, now: datetime, events: set[str]) -> dict[str, Any]:
        signed = check_before_opening(headers, body, now, serial=self._credentials.public_key_id)
        try:
            opened = self._sdk.callback(signed, body)
        except Exception:  # The library throws whatever its inner steps throw.
            raise CallbackInvalid("not_verified") from None
        # None stands for a wrong signature as well as for a ciphertext that does not open.
        if not isinstance(opened, dict):
            raise CallbackInvalid("not_verified")
        if not isinstance(opened.get("resource"), dict):
            raise CallbackInvalid("malformed_facts")
        if opened.get("event_type") not in events:
            raise CallbackInvalid("unexpected_event")
        return opened

    def _prepay(self, request: PaymentRequest) -> _Reply:
        is_native = request.kind == "native"
        return self._call(
            lambda: self._sdk.pay(
                description=request.description[:_MAX_DESCRIPTION],
                out_trade_no=request.payment_no,
                amount={"total": request.amount_fen, "currency": "CNY"},
                payer=None if is_native else {"openid": request.openid},
                time_expire=request.expires_at.astimezone(_CHINA).isoformat(timespec="seconds"),
                notify_url=request.notify_url,
                pay_type=WeChatPayType.NATIVE if is_native else WeChatPayType.JSAPI,
            )
        )

    def _client_parameters(self, prepay_id: str) -> dict[str, str]:
        """Sign what `wx.requestPayment` takes; the stamp is part of the signature, not of our records."""
        app_id, package = self._credentials.app_id, f"prepay_id={prepay_id}"
        stamp, nonce = str(int(utc_now().timestamp())), uuid4().hex
        return {
            "appId": app_id,
            "timeStamp": stamp,
            "nonceStr": nonce,
            "package": package,
            "signType": "RSA",
            "paySign": str(self._sdk.sign([app_id, stamp, nonce, package])),
        }

    def _call(self, send: Callable[[], tuple[int, str | bytes]]) -> _Reply:
        try:
            status, content = send()
        except Exception as error:  # Bad signatures of answers are plain Exceptions.
            raise as_unavailable(error, _SERVICE) from None
        return _Reply.read(status, content)

    def _require(self, reply: _Reply) -> dict[str, Any]:
        if not reply.is_success:
            raise reply.refusal()
        if not reply.content:
            raise incomprehensible(_SERVICE)
        return reply.content


@dataclass(frozen=True, slots=True)
class _Reply:
    """Status and JSON object of an answer; an object that cannot be read is empty."""

    status: int
    content: dict[str, Any]

    @classmethod
    def read(cls, status: int, content: str | bytes) -> _Reply:
        try:
            parsed = json.loads(content)
        except (ValueError, RecursionError):
            parsed = None
        return cls(status, parsed if isinstance(parsed, dict) else {})

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def code(self) -> str | None:
        """The service's own error code; a success has none."""
        code = self.content.get("code")
        return code if isinstance(code, str) else None

    def refusal(self) -> GatewayRefused | GatewayUnavailable:
        """Return the error to raise for an answer outside 2xx."""
        code = self.code
        # An error without a code of the service was said by something in between.
        if code is None or not self._is_certain(code):
            return GatewayUnavailable(
                f"{_SERVICE} answered {self.status} {code or ''}".rstrip(), outcome_unknown=True
            )
        is_retryable = self.status == 429 or code in _RETRYABLE
        return GatewayRefused(code, str(self.content.get("message", ""))[:200], is_retryable=is_retryable)

    def _is_certain(self, code: str) -> bool:
        return 400 <= self.status < 500 or code in _REFUSED_WITH_500


def _make_sdk(credentials: WeChatPayCredentials, base_url: str, timeout_seconds: float) -> WeChatPay:
    # Without a public key the library would fetch certificates, from the real service, while being made.
    missing = [name for name, value in asdict(credentials).items() if not value.strip()]
    if missing:
        raise GatewayRefused("credentials_invalid", f"missing: {', '.join(missing)}")
    if len(credentials.api_v3_key.encode()) != 32:
        raise GatewayRefused("credentials_invalid", "the API v3 key must have 32 bytes")
    try:
        sdk = WeChatPay(
            wechatpay_type=WeChatPayType.MINIPROG,
            mchid=credentials.mchid,
            private_key=_as_pkcs8(credentials.merchant_private_key),
            cert_serial_no=credentials.merchant_serial_no,
            appid=credentials.app_id,
            apiv3_key=credentials.api_v3_key,
            public_key=credentials.public_key.replace("\r\n", "\n"),
            public_key_id=credentials.public_key_id,
            # The first is for connecting. The second must outlast a slow prepay; the default is for ever.
            timeout=(timeout_seconds, 3 * timeout_seconds),
        )
    except Exception:  # The library reports unusable keys as plain Exceptions.
        raise GatewayRefused("credentials_invalid", "a key of the merchant cannot be read") from None
    sdk._core._gate_way = base_url.rstrip("/")
    # Otherwise each answer with an unknown serial number would make the library fetch certificates.
    sdk._core._update_certificates = _fetch_nothing
    return sdk


def _fetch_nothing() -> None:
    """Stand in for the fetching of certificates, which public-key mode has no use for."""


def _as_pkcs8(private_key: str) -> str:
    """Bring a PEM of either form, whatever its line ends, into the only one that the library reads."""
    if "-----BEGIN" not in private_key:
        return private_key.strip()
    key = load_pem_private_key(private_key.encode(), password=None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _check_number(pattern: re.Pattern[str], number: str) -> None:
    # The library writes numbers into the path as they are.
    if not pattern.fullmatch(number):
        raise GatewayRefused("PARAM_ERROR", "a number of ours has characters or a length not allowed")


def _check_payment(request: PaymentRequest) -> None:
    _check_number(_PAYMENT_NO, request.payment_no)
    if request.amount_fen < 1 or not request.description:
        raise GatewayRefused("PARAM_ERROR", "a payment needs an amount and a description")
    if request.kind == "jsapi" and not request.openid:
        raise GatewayRefused("PARAM_ERROR", "a payment in the mini-program needs the payer's openid")


def _check_refund(request: RefundRequest) -> None:
    _check_number(_PAYMENT_NO, request.payment_no)
    _check_number(_REFUND_NO, request.refund_no)
    if not 1 <= request.amount_fen <= request.total_fen:
        raise GatewayRefused("PARAM_ERROR", "a refund is more than nothing and at most the payment")


def _text(answer: dict[str, Any], key: str) -> str:
    value = answer.get(key)
    if not isinstance(value, str) or not value:
        raise incomprehensible(_SERVICE)
    return value


def _expect(found: _T, is_ours: bool) -> _T:
    if not is_ours:
        raise incomprehensible(_SERVICE)
    return found
