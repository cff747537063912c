"""The other side of WeChat Pay for tests: keys, signatures, encryption, and the requests it would check."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from app.gateways import WeChatPayCredentials
from tests.gateways.loopback import Answer, Received

NOW = datetime(2026, 3, 14, 4, 0, tzinfo=UTC)
STAMP = int(NOW.timestamp())
PUBLIC_KEY_ID = "PUB_KEY_ID_0116000000000000000000000001"
API_V3_KEY = "0123456789abcdef0123456789abcdef"
NONCE = "fdasflkja484"
SIGNATURE_TYPE = "WECHATPAY2-SHA256-RSA2048"


@lru_cache
def key_of(owner: str) -> RSAPrivateKey:
    """Return the one key that *owner* has in this test run."""
    return generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(owner: str, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    return key_of(owner).private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def public_pem(owner: str) -> str:
    return key_of(owner).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def credentials(**changes: str) -> WeChatPayCredentials:
    made = WeChatPayCredentials(
        mchid="1900000001",
        app_id="wx0000000000000001",
        merchant_private_key=private_pem("merchant"),
        merchant_serial_no="5F1B7E0000000000000000000000000000000001",
        api_v3_key=API_V3_KEY,
        public_key_id=PUBLIC_KEY_ID,
        public_key=public_pem("service"),
    )
    return replace(made, **changes)


def sign(text: str | bytes, owner: str = "service") -> str:
    message = text.encode() if isinstance(text, str) else text
    return base64.b64encode(key_of(owner).sign(message, PKCS1v15(), SHA256())).decode()


def signed_headers(
    body: bytes, *, stamp: int = STAMP, serial: str = PUBLIC_KEY_ID, owner: str = "service"
) -> dict[str, str]:
    """Return the five headers over *body*."""
    nonce = "5K8264ILTKCH16CQ2502SI8ZNMTM67VS"
    signature = sign(b"%d\n%s\n%s\n" % (stamp, nonce.encode(), body), owner)
    return {
        "Wechatpay-Timestamp": str(stamp),
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Signature": signature,
        "Wechatpay-Serial": serial,
        "Wechatpay-Signature-Type": SIGNATURE_TYPE,
    }


def sign_success(answer: Answer) -> Answer:
    """Sign an answer of the service as it signs every 2xx, 204 included."""
    if not 200 <= answer.status < 300 or answer.hangs or answer.drops:
        return answer
    headers = {"Content-Type": "application/json; charset=utf-8"} | signed_headers(answer.body)
    return replace(answer, headers=headers | answer.headers)


@dataclass(frozen=True)
class Authorization:
    """The Authorization header of a request, taken apart by name."""

    mchid: str
    nonce_str: str
    signature: str
    timestamp: str
    serial_no: str

    @classmethod
    def of(cls, request: Received) -> Authorization:
        value = dict(request.headers)["Authorization"]
        assert value.startswith(SIGNATURE_TYPE + " ")
        return cls(**dict(re.findall(r'(\w+)="([^"]*)"', value)))


def check_request_signature(request: Received) -> Authorization:
    """Fail unless the merchant signed exactly the bytes that arrived."""
    found = Authorization.of(request)
    head = f"{request.method}\n{request.target}\n{found.timestamp}\n{found.nonce_str}\n"
    verify("merchant", found.signature, head.encode() + request.body + b"\n")
    return found


def verify(owner: str, signature: str, message: bytes) -> None:
    """Raise InvalidSignature unless *owner* signed *message*."""
    key_of(owner).public_key().verify(base64.b64decode(signature), message, PKCS1v15(), SHA256())


def transaction(**changes: Any) -> dict[str, Any]:
    """A paid transaction as queries and callbacks carry it."""
    paid: dict[str, Any] = {
        "appid": "wx0000000000000001",
        "mchid": "1900000001",
        "out_trade_no": "P20260314000001",
        "transaction_id": "4200001234202603140000000001",
        "trade_type": "JSAPI",
        "trade_state": "SUCCESS",
        "trade_state_desc": "支付成功",
        "bank_type": "OTHERS",
        "attach": "",
        "success_time": "2026-03-14T11:59:58+08:00",
        "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
        "amount": {"total": 12800, "payer_total": 12300, "currency": "CNY", "payer_currency": "CNY"},
    }
    return paid | changes


def refund_notice(**changes: Any) -> dict[str, Any]:
    """A refund as callbacks carry it."""
    done: dict[str, Any] = {
        "mchid": "1900000001",
        "out_trade_no": "P20260314000001",
        "transaction_id": "4200001234202603140000000001",
        "out_refund_no": "R20260314000001",
        "refund_id": "50300807092026031400000000001",
        "refund_status": "SUCCESS",
        "success_time": "2026-03-14T11:59:59+08:00",
        "user_received_account": "支付用户零钱",
        "amount": {"total": 12800, "refund": 6400, "payer_total": 12800, "payer_refund": 6400},
    }
    return done | changes


def refund(**changes: Any) -> dict[str, Any]:
    """A refund as requests and queries carry it."""
    accepted: dict[str, Any] = {
        "refund_id": "50300807092026031400000000001",
        "out_refund_no": "R20260314000001",
        "transaction_id": "4200001234202603140000000001",
        "out_trade_no": "P20260314000001",
        "channel": "ORIGINAL",
        "create_time": "2026-03-14T11:59:59+08:00",
        "status": "PROCESSING",
        "amount": {"total": 12800, "refund": 6400, "payer_total": 12800, "payer_refund": 6400},
    }
    return accepted | changes


def callback_body(
    plain: Any, *, event: str = "TRANSACTION.SUCCESS", api_v3_key: str = API_V3_KEY, **changes: Any
) -> bytes:
    """Return the encrypted envelope around *plain*; a str is encrypted as it is."""
    text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
    sealed = AESGCM(api_v3_key.encode()).encrypt(NONCE.encode(), text.encode(), b"transaction")
    envelope: dict[str, Any] = {
        "id": "EV-2026031411595812345",
        "create_time": "2026-03-14T11:59:59+08:00",
        "resource_type": "encrypt-resource",
        "event_type": event,
        "summary": "支付成功",
        "resource": {
            "algorithm": "AEAD_AES_256_GCM",
            "original_type": "transaction",
            "ciphertext": base64.b64encode(sealed).decode(),
            "associated_data": "transaction",
            "nonce": NONCE,
        },
    }
    return json.dumps(envelope | changes, ensure_ascii=False).encode()


def assert_keeps_secrets(error: BaseException) -> None:
    assert error.__suppress_context__ or error.__context__ is None
    for secret in (credentials().api_v3_key, "PRIVATE KEY", "signature="):
        assert secret not in str(error)
