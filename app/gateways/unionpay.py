"""Bank cards through the UnionPay gateway 5.1.0: the payer's form, query, refund and notices.

UnionPay knows a payment by its number and the second in which it was started, learns of it only when the
payer's browser brings the form, and has no way to close it: a form that is out can be paid until the time it
carries.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime

import requests

from app.domain.clock import utc_now
from app.gateways import unionpay_facts as facts
from app.gateways.network import as_unavailable
from app.gateways.ports import (
    CallbackHeaders,
    CallbackInvalid,
    CloseResult,
    GatewayRefused,
    GatewayUnavailable,
    PaymentCallback,
    PaymentFacts,
    PaymentRequest,
    RefundCallback,
    RefundFacts,
    RefundRequest,
)
from app.gateways.unionpay_callbacks import fields_of
from app.gateways.unionpay_signing import KeysUnusable, NotVerified, Signer, Verifier
from app.gateways.unreadable import FactsMalformed, incomprehensible, trusted, understood

_SERVICE = "UnionPay"
_FRONT, _BACK, _QUERY = "frontTransReq.do", "backTransReq.do", "queryTrans.do"
# Source: UnionPay gateway 5.1.0, answer codes. 02, 06, 37 and 39 pass by themselves.
_RETRYABLE = frozenset({"02", "06", "37", "39"})
_NUMBER = re.compile(r"[0-9A-Za-z]{8,40}", re.ASCII)
_MAX_ANSWER_BYTES = 64 * 1024
_PAYMENT, _REFUND, _LOOK_UP = ("01", "01"), ("04", "00"), ("00", "00")


@dataclass(frozen=True, slots=True)
class UnionPayCredentials:
    """What identifies one merchant, and by which certificates UnionPay is recognised (PEM texts).

    `signing_pfx` is the downloaded .pfx file in Base64; `signer_name` stands in the certificate that UnionPay
    signs with, normally 中国银联股份有限公司.
    """

    merchant_no: str
    signing_pfx: str = field(repr=False)
    pfx_password: str = field(repr=False)
    root_certificate: str = field(repr=False)
    middle_certificate: str = field(repr=False)
    signer_name: str


@dataclass(frozen=True, slots=True)
class UnionPayAddresses:
    """Where the gateway lives, and where the payer's browser goes afterwards.

    `opens_page`: bring the form to the service ourselves, as the payer's browser will. Only for a sandbox, in
    which payments are then completed without any browser.
    """

    base_url: str
    front_url: str
    opens_page: bool = False


class UnionPayChannel:
    """PaymentChannel over the real protocol (UnionPay gateway 5.1.0); threads may share an instance."""

    def __init__(
        self, credentials: UnionPayCredentials, addresses: UnionPayAddresses, *, timeout_seconds: float
    ) -> None:
        """Raise GatewayRefused `credentials_invalid` when a key cannot be used; no connection is made."""
        missing = [name for name, value in asdict(credentials).items() if not value.strip()]
        if missing:
            raise GatewayRefused("credentials_invalid", f"missing: {', '.join(missing)}")
        try:
            self._signer = Signer.read(credentials.signing_pfx, credentials.pfx_password)
            self._verifier = Verifier.read(
                credentials.root_certificate, credentials.middle_certificate, credentials.signer_name
            )
        except KeysUnusable as error:
            raise GatewayRefused("credentials_invalid", str(error)) from None
        self._merchant_no = credentials.merchant_no
        self._addresses = addresses
        self._timeout = (timeout_seconds, 3 * timeout_seconds)

    def create_payment(self, request: PaymentRequest) -> dict[str, str]:
        """Return `action`, the address to which the payer's browser posts, and every field of the form.

        Repeating the same request gives the same form.
        """
        _check(request.payment_no, request.amount_fen)
        form = self._signed(
            _PAYMENT,
            number=request.payment_no,
            started_at=request.started_at,
            channelType="08",
            txnAmt=str(request.amount_fen),
            currencyCode="156",
            frontUrl=self._addresses.front_url,
            backUrl=request.notify_url,
            payTimeout=facts.stamp(request.expires_at),
        )
        if self._addresses.opens_page:
            self._post(_FRONT, form)
        return {"action": self._address(_FRONT)} | form

    def query_payment(self, payment_no: str, started_at: datetime) -> PaymentFacts:
        """Return the facts; `absent` as long as no browser has brought the form."""
        answer = self._look_up(payment_no, started_at)
        if answer is None:
            return PaymentFacts(payment_no=payment_no, status="absent")
        result = understood(_SERVICE, lambda: facts.code(answer, "origRespCode"))
        return understood(_SERVICE, lambda: facts.payment_facts(answer, result))

    def close_payment(self, payment_no: str, started_at: datetime) -> CloseResult:
        """Learn whether somebody has paid; there is no closing: the form stays good until its time is over.

        Whoever pays it all the same gets the money back: see `absent` in the port.
        """
        found = self.query_payment(payment_no, started_at)
        return "already_paid" if found.status == "succeeded" else "absent"

    def refund(self, request: RefundRequest) -> RefundFacts:
        """Ask for the refund; accepted is not refunded. An answer that decides nothing leads to a query."""
        _check(request.refund_no, request.amount_fen)
        if not request.transaction_no or request.amount_fen > request.total_fen:
            raise GatewayRefused("PARAM_ERROR", "a refund needs UnionPay's number, and at most the payment")
        form = self._signed(
            _REFUND,
            number=request.refund_no,
            started_at=request.started_at,
            channelType="08",
            origQryId=request.transaction_no,
            txnAmt=str(request.amount_fen),
            currencyCode="156",
            backUrl=request.notify_url,
        )
        answer = self._ask(_BACK, form)
        result = understood(_SERVICE, lambda: facts.code(answer, "respCode"))
        if result in facts.UNKNOWN_OUTCOME:
            return self._after_doubt(request, result)
        if result not in facts.SUCCEEDED:
            raise _refusal(result, answer)
        return RefundFacts(
            refund_no=request.refund_no,
            status="processing",
            provider_refund_no=answer.get("queryId") or None,
            amount_fen=request.amount_fen,
            merchant_no=self._merchant_no,
        )

    def _after_doubt(self, request: RefundRequest, result: str) -> RefundFacts:
        found = self.query_refund(request)
        if found.status == "absent":
            raise GatewayUnavailable(f"{_SERVICE} answered {result} to a refund", outcome_unknown=True)
        return found

    def query_refund(self, request: RefundRequest) -> RefundFacts:
        """Return the facts; `absent` when the service never saw the number."""
        answer = self._look_up(request.refund_no, request.started_at)
        if answer is None:
            return RefundFacts(refund_no=request.refund_no, status="absent")
        result = understood(_SERVICE, lambda: facts.code(answer, "origRespCode"))
        return understood(_SERVICE, lambda: facts.refund_facts(answer, result))

    def parse_payment_callback(self, headers: CallbackHeaders, body: bytes, now: datetime) -> PaymentCallback:
        """Verify and open the notice of a payment; UnionPay tells of successes only."""
        told, result = self._open(body, now, _PAYMENT[0])
        return trusted(
            lambda: PaymentCallback(
                _callback_id(told), f"PAYMENT.{result}", facts.payment_facts(told, result)
            )
        )

    def parse_refund_callback(self, headers: CallbackHeaders, body: bytes, now: datetime) -> RefundCallback:
        """Verify and open the notice of a refund."""
        told, result = self._open(body, now, _REFUND[0])
        return trusted(
            lambda: RefundCallback(_callback_id(told), f"REFUND.{result}", facts.refund_facts(told, result))
        )

    def _open(self, body: bytes, now: datetime, txn_type: str) -> tuple[dict[str, str], str]:
        told = fields_of(body)
        try:
            self._verifier.check(told, now)
        except NotVerified as error:
            raise CallbackInvalid(error.reason) from None
        # The answer to a query is signed alike and says 00 about itself, whatever became of the payment.
        if told.get("txnType") != txn_type or "origRespCode" in told:
            raise CallbackInvalid("unexpected_event")
        if told.get("merId") != self._merchant_no:
            raise CallbackInvalid("merchant_mismatch")
        result = told.get("respCode", "")
        if result not in facts.SUCCEEDED:
            raise CallbackInvalid("unexpected_event")
        return told, result

    def _look_up(self, number: str, started_at: datetime) -> dict[str, str] | None:
        """Return what the service knows of a number, None when it knows nothing."""
        if not _NUMBER.fullmatch(number):
            raise GatewayRefused("PARAM_ERROR", "a number of ours has characters or a length not allowed")
        answer = self._ask(_QUERY, self._signed(_LOOK_UP, number=number, started_at=started_at))
        result = understood(_SERVICE, lambda: facts.code(answer, "respCode"))
        if result == facts.NOT_FOUND:
            return None
        if result not in facts.SUCCEEDED:
            raise _refusal(result, answer)
        if (answer.get("orderId"), answer.get("txnTime")) != (number, facts.stamp(started_at)):
            raise incomprehensible(_SERVICE)
        return answer

    def _signed(
        self, txn: tuple[str, str], *, number: str, started_at: datetime, **more: str
    ) -> dict[str, str]:
        common = {
            "version": "5.1.0",
            "encoding": "UTF-8",
            "signMethod": "01",
            "txnType": txn[0],
            "txnSubType": txn[1],
            "bizType": "000201",
            "accessType": "0",
            "merId": self._merchant_no,
            "orderId": number,
            "txnTime": facts.stamp(started_at),
        }
        return self._signer.sign(common | more)

    def _ask(self, path: str, form: Mapping[str, str]) -> dict[str, str]:
        """Post a form and return the fields of the answer once its signature is verified."""
        answer = _answer_fields(self._post(path, form))
        try:
            self._verifier.check(answer, utc_now())
        except NotVerified as error:
            raise GatewayUnavailable(
                f"the answer of {_SERVICE} cannot be trusted ({error.reason})", outcome_unknown=True
            ) from None
        if answer.get("merId", self._merchant_no) != self._merchant_no:
            raise incomprehensible(_SERVICE)
        return answer

    def _post(self, path: str, form: Mapping[str, str]) -> bytes:
        try:
            with requests.post(
                self._address(path), data=form, timeout=self._timeout, allow_redirects=False, stream=True
            ) as answer:
                content = bytes(answer.raw.read(_MAX_ANSWER_BYTES + 1, decode_content=True))
        except Exception as error:  # Whatever the connection throws says only that there is no answer.
            raise as_unavailable(error, _SERVICE) from None
        if answer.status_code != 200 or len(content) > _MAX_ANSWER_BYTES:
            raise GatewayUnavailable(f"{_SERVICE} answered {answer.status_code}", outcome_unknown=True)
        return content

    def _address(self, path: str) -> str:
        return f"{self._addresses.base_url.rstrip('/')}/gateway/api/{path}"


def _answer_fields(content: bytes) -> dict[str, str]:
    """Read `k=v&k=v` whose values are not escaped: Base64 keeps its `=` and `+`, certificates their lines."""
    try:
        parts = content.decode("utf-8").split("&")
    except ValueError:
        raise incomprehensible(_SERVICE) from None
    pairs = [part.partition("=") for part in parts]
    fields = {name: value for name, _equals, value in pairs}
    # A plain sentence, as for a malformed request, has no fields.
    if len(fields) != len(pairs) or "respCode" not in fields:
        raise incomprehensible(_SERVICE)
    return fields


def _callback_id(told: Mapping[str, str]) -> str:
    """UnionPay's own number of the transaction is the same on every repetition of its notice."""
    number = told.get("queryId", "")
    if not re.fullmatch(r"[0-9A-Za-z]{1,32}", number, re.ASCII):
        raise FactsMalformed("queryId")
    return f"{told['txnType']}-{number}"


def _check(number: str, amount_fen: int) -> None:
    if not _NUMBER.fullmatch(number) or amount_fen < 1:
        raise GatewayRefused("PARAM_ERROR", "a number of 8 to 40 letters and digits and an amount are needed")


def _refusal(result: str, answer: Mapping[str, str]) -> GatewayRefused:
    return GatewayRefused(result, answer.get("respMsg", "")[:200], is_retryable=result in _RETRYABLE)
