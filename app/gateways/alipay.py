"""Alipay through python-alipay-sdk: trades, codes to scan, refunds, notices, logins and bills."""

from __future__ import annotations

import re
from datetime import date, datetime
from hashlib import sha256

from app.gateways import alipay_facts as facts
from app.gateways.alipay_bills import read_bill
from app.gateways.alipay_callbacks import read_notice
from app.gateways.alipay_client import SERVICE, AlipayClient, AlipayCredentials, Reply
from app.gateways.bill_checks import checked
from app.gateways.ports import (
    CallbackHeaders,
    CallbackInvalid,
    CloseResult,
    DailyBill,
    GatewayRefused,
    GatewayUnavailable,
    LoginIdentity,
    PaymentCallback,
    PaymentFacts,
    PaymentRequest,
    RefundCallback,
    RefundFacts,
    RefundRequest,
)
from app.gateways.unreadable import incomprehensible, trusted, understood

_PAYMENT_NO = re.compile(r"[0-9A-Za-z_]{6,64}", re.ASCII)
_REFUND_NO = re.compile(r"[0-9A-Za-z_]{1,64}", re.ASCII)
_LOGIN_CODE = re.compile(r"[0-9A-Za-z_-]{1,128}", re.ASCII)
# Applications of before 2023 know people by this number, newer ones by an id of their own.
_USER_ID = re.compile(r"2088\d{12}", re.ASCII)
_FORBIDDEN_IN_SUBJECT = re.compile(r"[/=&\s]+")
_MAX_SUBJECT = 128
_MAX_REASON = 80
_MAX_CALLBACK_ID = 64
_MINI_PROGRAM, _CODE = "JSAPI_PAY", "QR_CODE_OFFLINE"
_UNKNOWN_TRADE = {"ACQ.TRADE_NOT_EXIST", "TRADE_NOT_EXIST"}
_CLOSED = {"ACQ.TRADE_HAS_CLOSE"}
# Only a trade that waits for its buyer can be closed; which other state it is in, a query tells.
_NOT_WAITING = {
    "ACQ.TRADE_HAS_SUCCESS",
    "ACQ.TRADE_HAS_FINISHED",
    "ACQ.TRADE_STATUS_ERROR",
    "ACQ.REASON_TRADE_STATUS_INVALID",
    "ACQ.REASON_ILLEGAL_STATUS",
}
_NO_BILL = {"BILL_NOT_EXIST", "NO_BILL_DATA"}


class AlipayGateway:
    """Payments, logins and bills over the real protocol (Alipay: open API); threads may share an instance."""

    def __init__(self, credentials: AlipayCredentials, *, gateway_url: str, timeout_seconds: float) -> None:
        """Raise GatewayRefused `credentials_invalid` when a key cannot be used; no connection is made."""
        self._credentials = credentials
        self._client = AlipayClient(credentials, gateway_url=gateway_url, timeout_seconds=timeout_seconds)

    def create_payment(self, request: PaymentRequest) -> dict[str, str]:
        """Return `{trade_no}` for the mini-program, or `{code_url, qr_code}`, both the code to scan.

        Whoever pays without being known to Alipay through us gets a code too: it opens Alipay on a phone.
        Alipay makes the trade of a code when somebody scans it; until then it knows no such number.
        """
        _check_payment(request)
        trade = {
            "subject": _subject(request.description),
            "out_trade_no": request.payment_no,
            "total_amount": facts.yuan_of(request.amount_fen),
            "time_expire": request.expires_at.astimezone(facts.CHINA).strftime("%Y-%m-%d %H:%M:%S"),
            "notify_url": request.notify_url,
        }
        if request.kind == "jsapi" and request.openid:
            return {"trade_no": self._create_trade(trade, request.openid)}
        reply = self._client.require(lambda sdk: sdk.api_alipay_trade_precreate(product_code=_CODE, **trade))
        _expect(reply, "out_trade_no", request.payment_no)
        code = reply.node.get("qr_code")
        if not isinstance(code, str) or not code.isprintable() or not code.startswith("https://"):
            raise incomprehensible(SERVICE)
        return {"code_url": code, "qr_code": code}

    def query_payment(self, payment_no: str, started_at: datetime | None = None) -> PaymentFacts:
        """Return the facts; `absent` also for a code that nobody has scanned."""
        _check_number(_PAYMENT_NO, payment_no)
        reply = self._client.ask(lambda sdk: sdk.api_alipay_trade_query(out_trade_no=payment_no))
        if reply.code in _UNKNOWN_TRADE:
            return PaymentFacts(payment_no=payment_no, status="absent")
        if not reply.is_success:
            raise reply.refusal()
        _expect(reply, "out_trade_no", payment_no)
        # Signed for us, and about what we have asked: it need not name whose trade it is.
        return understood(
            SERVICE,
            lambda: facts.trade_facts(
                reply.node, merchant_no=self._credentials.seller_id, app_id=self._credentials.app_id
            ),
        )

    def close_payment(self, payment_no: str, started_at: datetime | None = None) -> CloseResult:
        """Close the trade; `absent` for a code that nobody has scanned, which stays good until it expires."""
        _check_number(_PAYMENT_NO, payment_no)
        reply = self._client.ask(lambda sdk: sdk.api_alipay_trade_close(out_trade_no=payment_no))
        if reply.is_success or reply.code in _CLOSED:
            return "closed"
        if reply.code in _UNKNOWN_TRADE:
            return "absent"
        if reply.code not in _NOT_WAITING:
            raise reply.refusal()
        results: dict[str, CloseResult] = {"succeeded": "already_paid", "closed": "closed"}
        status = self.query_payment(payment_no).status
        if status not in results:
            raise GatewayUnavailable(f"{SERVICE} neither closes a trade nor ends it", outcome_unknown=True)
        return results[status]

    def refund(self, request: RefundRequest) -> RefundFacts:
        """Ask for the refund; Alipay most often answers when the money has moved."""
        _check_refund(request)
        reply = self._client.require(
            lambda sdk: sdk.api_alipay_trade_refund(
                refund_amount=facts.yuan_of(request.amount_fen),
                out_trade_no=request.payment_no,
                out_request_no=request.refund_no,
                refund_reason=request.reason[:_MAX_REASON],
            )
        )
        _expect(reply, "out_trade_no", request.payment_no)
        if reply.node.get("fund_change") == "Y":
            return understood(
                SERVICE,
                lambda: facts.succeeded_refund(
                    reply.node, refund_no=request.refund_no, amount_fen=request.amount_fen
                ),
            )
        # Said of a repetition, and of a refund that is still under way.
        known = self.query_refund(request)
        if known.status == "succeeded":
            return known
        return RefundFacts(request.refund_no, "processing", amount_fen=request.amount_fen)

    def query_refund(self, request: RefundRequest) -> RefundFacts:
        """Return `succeeded`, or `absent` for everything else: then the same refund is asked for again."""
        _check_refund(request)
        question = {
            "out_trade_no": request.payment_no,
            "out_request_no": request.refund_no,
            "query_options": ["gmt_refund_pay"],
        }
        reply = self._client.ask(lambda sdk: sdk.server_api("alipay.trade.fastpay.refund.query", question))
        if reply.code in _UNKNOWN_TRADE:
            return RefundFacts(refund_no=request.refund_no, status="absent")
        if not reply.is_success:
            raise reply.refusal()
        found = understood(
            SERVICE,
            lambda: facts.refund_facts(
                reply.node, refund_no=request.refund_no, amount_fen=request.amount_fen
            ),
        )
        if found.payment_no not in (None, request.payment_no):
            raise incomprehensible(SERVICE)
        return found

    def parse_payment_callback(self, headers: CallbackHeaders, body: bytes, now: datetime) -> PaymentCallback:
        """Verify and open a notice about a trade; one about a refund of it says so in `refund`."""
        notice = self._open(body, now)
        found = trusted(
            lambda: facts.trade_facts(
                notice, merchant_no=facts.required(notice, "seller_id"), app_id=notice["app_id"]
            )
        )
        refund = trusted(lambda: _refund_of(notice))
        return PaymentCallback(_callback_id(notice), _event(notice), found, refund)

    def parse_refund_callback(self, headers: CallbackHeaders, body: bytes, now: datetime) -> RefundCallback:
        """Verify and open the notice of a refund."""
        told = self.parse_payment_callback(headers, body, now)
        if told.refund is None:
            raise CallbackInvalid("unexpected_event")
        return RefundCallback(told.callback_id, told.event, told.refund)

    def exchange_login_code(self, code: str) -> LoginIdentity:
        """Turn the one-use code of a login into an identity; refusal code isv.code-invalid."""
        if not _LOGIN_CODE.fullmatch(code):
            raise GatewayRefused("isv.code-invalid", "a code has characters or a length not allowed")
        reply = self._client.ask(
            lambda sdk: sdk.verified_sync_response(
                sdk.build_body("alipay.system.oauth.token", grant_type="authorization_code", code=code), ""
            )
        )
        # A success of this one call carries no code.
        if "code" in reply.node and not reply.is_success:
            raise reply.refusal()
        subject = understood(
            SERVICE, lambda: facts.optional(reply.node, "user_id") or facts.required(reply.node, "open_id")
        )
        return LoginIdentity(openid=subject, unionid=None)

    def download_bill(self, bill_on: date) -> DailyBill | None:
        """Return the payments and refunds that Alipay settled on a day of China's calendar.

        A day without any has no bill, and neither has one whose bill is not made yet. Raises BillUnusable,
        GatewayRefused for a bill that is too old, and GatewayUnavailable for one that cannot be had.
        """
        question = {"bill_type": "trade", "bill_date": bill_on.isoformat()}
        reply = self._client.ask(
            lambda sdk: sdk.server_api("alipay.data.dataservice.bill.downloadurl.query", question)
        )
        if reply.code in _NO_BILL:
            return None
        if not reply.is_success:
            raise reply.refusal()
        address = reply.node.get("bill_download_url")
        if not isinstance(address, str) or not address.startswith(("https://", "http://")):
            raise incomprehensible(SERVICE)
        content = self._client.download(address)
        seller_id = self._credentials.seller_id
        return DailyBill(content, "zip", checked(lambda: read_bill(content, seller_id=seller_id), bill_on))

    def _create_trade(self, trade: dict[str, str], buyer: str) -> str:
        who = {"buyer_id" if _USER_ID.fullmatch(buyer) else "buyer_open_id": buyer}
        reply = self._client.require(
            lambda sdk: sdk.api_alipay_trade_create(
                product_code=_MINI_PROGRAM, op_app_id=self._credentials.app_id, **who, **trade
            )
        )
        _expect(reply, "out_trade_no", trade["out_trade_no"])
        return understood(SERVICE, lambda: facts.required(reply.node, "trade_no"))

    def _open(self, body: bytes, now: datetime) -> dict[str, str]:
        notice, signature = read_notice(body, now)
        if not self._client.is_signed(notice, signature):
            raise CallbackInvalid("not_verified")
        if notice.get("app_id") != self._credentials.app_id:
            raise CallbackInvalid("app_mismatch")
        if notice.get("seller_id") != self._credentials.seller_id:
            raise CallbackInvalid("merchant_mismatch")
        return notice


def _refund_of(notice: dict[str, str]) -> RefundFacts | None:
    """Return the refund that a notice tells of; it repeats the trade, which stays paid or is closed by it."""
    if not notice.get("gmt_refund"):
        return None
    # The sum of a notice is that of all refunds of the trade.
    return facts.succeeded_refund(
        notice,
        refund_no=facts.required(notice, "out_biz_no"),
        amount_fen=None,
        merchant_no=notice["seller_id"],
    )


def _event(notice: dict[str, str]) -> str:
    return f"{notice['trade_status']}{'.REFUND' if notice.get('gmt_refund') else ''}"


def _callback_id(notice: dict[str, str]) -> str:
    number = notice["notify_id"]
    return number if len(number) <= _MAX_CALLBACK_ID else sha256(number.encode()).hexdigest()


def _subject(description: str) -> str:
    return _FORBIDDEN_IN_SUBJECT.sub(" ", description).strip()[:_MAX_SUBJECT]


def _check_number(pattern: re.Pattern[str], number: str) -> None:
    if not pattern.fullmatch(number):
        raise GatewayRefused("PARAM_ERROR", "a number of ours has characters or a length not allowed")


def _check_payment(request: PaymentRequest) -> None:
    _check_number(_PAYMENT_NO, request.payment_no)
    if request.amount_fen < 1 or not _subject(request.description):
        raise GatewayRefused("PARAM_ERROR", "a payment needs an amount and a description")
    if request.kind not in ("jsapi", "native"):
        raise GatewayRefused("PARAM_ERROR", "Alipay collects in its mini-program or by a code")


def _check_refund(request: RefundRequest) -> None:
    _check_number(_PAYMENT_NO, request.payment_no)
    _check_number(_REFUND_NO, request.refund_no)
    if not 1 <= request.amount_fen <= request.total_fen:
        raise GatewayRefused("PARAM_ERROR", "a refund is more than nothing and at most the payment")


def _expect(reply: Reply, key: str, value: str) -> None:
    if reply.node.get(key) != value:
        raise incomprehensible(SERVICE)
