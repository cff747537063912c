"""A merchant's keys and certificates, made once."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from app.domain import merchant_keys as keys

NOW = datetime(2026, 3, 4, 4, 0, tzinfo=UTC)
SERIAL = 0x0ABCDEF123456789ABCDEF123456789ABCDEF123
PASSWORD = "pfx-password-of-the-test"
API_V3_KEY = "k3y0fTheTest" + "x" * 20


def new_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


KEY, OTHER_KEY, SERVICE_KEY = new_key(), new_key(), new_key()


def certificate_of(
    key: rsa.RSAPrivateKey, *, signed_by: rsa.RSAPrivateKey | None = None, days: int = 365, name: str = "shop"
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root" if signed_by else name)])
    start = NOW - timedelta(days=400)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(SERIAL)
        .not_valid_before(start)
        .not_valid_after(NOW + timedelta(days=days))
        .sign(signed_by or key, hashes.SHA256())
    )


ROOT = certificate_of(SERVICE_KEY, name="root")
MIDDLE = certificate_of(OTHER_KEY, signed_by=SERVICE_KEY, name="middle")


def pfx(key: rsa.RSAPrivateKey = KEY, *, days: int = 365) -> str:
    lock = serialization.BestAvailableEncryption(PASSWORD.encode())
    content = pkcs12.serialize_key_and_certificates(b"shop", key, certificate_of(key, days=days), None, lock)
    return base64.b64encode(content).decode()


PFX = pfx()


def wechat(**changes: Any) -> dict[str, str]:
    """What the form of WeChat Pay sends."""
    return {
        "mchid": "1900000001",
        "app_id": "wx0123456789abcdef",
        "merchant_serial_no": "",
        "merchant_certificate": keys.certificate_pem(certificate_of(KEY)),
        "merchant_private_key": keys.private_pem(KEY),
        "api_v3_key": API_V3_KEY,
        "public_key_id": "PUB_KEY_ID_0119000000012026",
        "public_key": keys.public_pem(SERVICE_KEY.public_key()),
    } | changes


def alipay(**changes: Any) -> dict[str, str]:
    """What the form of Alipay sends."""
    return {
        "app_id": "2021000000000001",
        "seller_id": "2088000000000001",
        "app_private_key": keys.private_pem(KEY),
        "alipay_public_key": keys.public_pem(SERVICE_KEY.public_key()),
    } | changes


def unionpay(**changes: Any) -> dict[str, str]:
    """What the form of UnionPay sends."""
    return {
        "merchant_no": "777290058110048",
        "signing_pfx": PFX,
        "pfx_password": PASSWORD,
        "root_certificate": keys.certificate_pem(ROOT),
        "middle_certificate": keys.certificate_pem(MIDDLE),
        "signer_name": "中国银联股份有限公司",
    } | changes
