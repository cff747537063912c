"""UnionPay in the test's hand: its certificates, genuine and forged, and messages signed with them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from urllib.parse import parse_qsl, urlencode

from app.domain.clock import utc_now
from app.gateways.ports import PaymentRequest, RefundRequest
from app.gateways.unionpay import UnionPayAddresses, UnionPayChannel, UnionPayCredentials
from sandbox.keys import ServiceKeys, private_pem
from sandbox.unionpay_keys import SIGNER, Issuer, issue, new_unionpay_keys, pem_of
from sandbox.unionpay_messages import Messages, as_answer
from tests.gateways.loopback import Answer, Received

TIMEOUT_SECONDS = 0.3
STARTED_AT = datetime(2026, 3, 14, 4, 0, 5, tzinfo=UTC)
PAYMENT = PaymentRequest(
    payment_no="P260314000000000001",
    started_at=STARTED_AT,
    amount_fen=12800,
    description="雀坊 望京店 · 牡丹包间",
    openid=None,
    expires_at=datetime(2026, 3, 14, 4, 15, 5, tzinfo=UTC),
    notify_url="https://example.test/api/v1/payments/unionpay/notify",
    kind="page",
)
REFUND = RefundRequest(
    refund_no="R260314000000000001",
    started_at=STARTED_AT,
    payment_no=PAYMENT.payment_no,
    transaction_no="202603141200051234567",
    amount_fen=6400,
    total_fen=12800,
    reason="提前取消",
    notify_url="https://example.test/api/v1/refunds/unionpay/notify",
)
FRONT, BACK, QUERY = (f"/gateway/api/{name}.do" for name in ("frontTransReq", "backTransReq", "queryTrans"))


@lru_cache(maxsize=1)
def keys() -> ServiceKeys:
    """One authority with its merchant for all tests of this process."""
    return new_unionpay_keys(utc_now())


def merchant_no() -> str:
    return keys().given["merchant_no"]


def make_channel(url: str, *, opens_page: bool = False, **changes: str) -> UnionPayChannel:
    addresses = UnionPayAddresses(url, "https://example.test/", opens_page=opens_page)
    credentials = UnionPayCredentials(**keys().given | changes)
    return UnionPayChannel(credentials, addresses, timeout_seconds=TIMEOUT_SECONDS)


def signed(fields: dict[str, str], **other_keys: str) -> dict[str, str]:
    """Sign *fields* as UnionPay does, or with keys that are not UnionPay's."""
    return Messages(keys().kept | other_keys).sign(fields)


def answer(fields: dict[str, str], **other_keys: str) -> Answer:
    """What the gateway answers: values that are not escaped."""
    told = {"merId": merchant_no(), "version": "5.1.0", "respMsg": "说明"} | fields
    return Answer(200, as_answer(signed(told, **other_keys)).encode())


def transaction(**changes: str) -> dict[str, str]:
    """The facts of the payment as notices and answers carry them."""
    return {
        "accessType": "0",
        "bizType": "000201",
        "currencyCode": "156",
        "encoding": "UTF-8",
        "merId": merchant_no(),
        "orderId": PAYMENT.payment_no,
        "queryId": "202603141200051234567",
        "settleAmt": "12800",
        "traceNo": "123456",
        "traceTime": "0314120107",
        "txnAmt": "12800",
        "txnSubType": "01",
        "txnTime": "20260314120005",
        "txnType": "01",
        "version": "5.1.0",
    } | changes


def refunded(**changes: str) -> dict[str, str]:
    """The facts of the refund."""
    refund = {"orderId": REFUND.refund_no, "txnAmt": "6400", "txnType": "04", "txnSubType": "00"}
    return transaction(**refund | {"queryId": "202603141300007654321"} | changes)


def notice(fields: dict[str, str], **other_keys: str) -> bytes:
    """A notice of success: an ordinary form."""
    return urlencode(signed({"respCode": "00", "respMsg": "success"} | fields, **other_keys)).encode()


def form_of(request: Received) -> dict[str, str]:
    """The fields of a posted form, its signature verified as UnionPay does."""
    return Messages(keys().kept).read(request.body)


def altered(body: bytes, **changes: str) -> bytes:
    """A notice whose fields were changed after it was signed."""
    return urlencode(dict(parse_qsl(body.decode())) | changes).encode()


@dataclass(frozen=True)
class Impostor:
    """Somebody else's key with a certificate, as `other_keys` of the functions above."""

    keys: dict[str, str]

    @classmethod
    def of(cls, made: Issuer) -> Impostor:
        return cls({"signing_key": private_pem(made.key), "signing_certificate": pem_of(made.certificate)})


@lru_cache(maxsize=1)
def impostors() -> dict[str, tuple[str, Impostor]]:
    """Everybody who is not UnionPay, with the reason for which they are refused."""
    now, genuine = utc_now(), f"041@1@{SIGNER}@1"
    root = issue("CFCA Sandbox Root", None, now, is_authority=True)
    middle = issue("CFCA Sandbox OCA", root, now, is_authority=True)
    ours = _middle()
    long_ago = now - timedelta(days=400)
    return {
        "self-signed in UnionPay's name": ("certificate_foreign", Impostor.of(issue(genuine, None, now))),
        "of another authority": ("certificate_foreign", Impostor.of(issue(genuine, middle, now))),
        "of the same authority for somebody else": (
            "certificate_of_another",
            Impostor.of(issue(f"041@1@another@{SIGNER}", ours, now)),
        ),
        "expired": (
            "certificate_expired",
            Impostor.of(issue(genuine, ours, long_ago, valid=timedelta(days=30))),
        ),
        "not valid yet": (
            "certificate_expired",
            Impostor.of(issue(genuine, ours, now + timedelta(days=30))),
        ),
        "the authority itself": ("certificate_foreign", Impostor.of(ours)),
        "genuine certificate, another key": (
            "not_verified",
            Impostor({"signing_key": private_pem(issue("x", None, now).key)}),
        ),
        "no certificate": ("certificate_missing", Impostor({"signing_certificate": ""})),
        "a certificate that is none": (
            "certificate_foreign",
            Impostor({"signing_certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}),
        ),
        "a giant certificate": ("certificate_missing", Impostor({"signing_certificate": "A" * 9000})),
    }


def _middle() -> Issuer:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(keys().kept["middle_key"].encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return Issuer(key, x509.load_pem_x509_certificate(keys().kept["middle_certificate"].encode()))
