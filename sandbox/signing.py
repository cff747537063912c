"""WeChat Pay v3 signatures and encryption, seen from the platform's side."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import string
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sandbox.clock import Clock
from sandbox.keys import KeyRing

SCHEME = "WECHATPAY2-SHA256-RSA2048"
MAX_AGE_SECONDS = 300
FIELD = re.compile(r'\s*([a-z_]+)="([^"]*)"\s*')
ALPHANUMERIC = string.ascii_letters + string.digits


class SignatureRefused(Exception):
    """The Authorization header does not prove the merchant; the message says which check failed."""


@dataclass(frozen=True)
class SignedRequest:
    """The signed parts of a request: *target* is path?query exactly as sent, *body* the raw bytes."""

    method: str
    target: str
    body: bytes
    authorization: str


class PlatformSigner:
    """Verifies merchants and signs answers and callbacks with the platform's keys."""

    def __init__(self, ring: KeyRing, clock: Clock) -> None:
        self.ring = ring
        self._clock = clock
        self._merchant = _rsa_public(ring.merchant_public_key)
        self._private = {
            ring.public_key_id: _rsa_private(ring.platform_private_key),
            ring.certificate_serial_no: _rsa_private(ring.certificate_private_key),
        }

    def verify(self, request: SignedRequest) -> None:
        """Raise SignatureRefused unless mchid, serial, age, nonce and signature are all right."""
        fields = _authorization_fields(request.authorization)
        self._check_identity(fields)
        head = f"{request.method}\n{request.target}\n{fields['timestamp']}\n{fields['nonce_str']}\n"
        message = head.encode("utf-8", "surrogateescape") + request.body + b"\n"
        try:
            signature = base64.b64decode(fields["signature"], validate=True)
            self._merchant.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, binascii.Error, ValueError) as error:
            raise SignatureRefused("签名错误，验签失败") from error

    def _check_identity(self, fields: dict[str, str]) -> None:
        if fields["mchid"] != self.ring.mchid:
            raise SignatureRefused("商户号不存在")
        # SDKs print the serial number as a number and lose leading zeros.
        if _hex_number(fields["serial_no"]) != int(self.ring.merchant_serial_no, 16):
            raise SignatureRefused("商户证书序列号有误")
        stamp = fields["timestamp"]
        if not re.fullmatch(r"[0-9]{1,12}", stamp):
            raise SignatureRefused("时间戳格式错误")
        if abs(self._clock().timestamp() - int(stamp)) > MAX_AGE_SECONDS:
            raise SignatureRefused("时间戳已过期")

    def headers(self, body: bytes, serial: str) -> dict[str, str]:
        """Return the five headers that sign *body*; *serial* is the public key id or certificate serial."""
        stamp = str(int(self._clock().timestamp()))
        nonce = random_text(32)
        message = f"{stamp}\n{nonce}\n".encode() + body + b"\n"
        signature = self._private[serial].sign(message, padding.PKCS1v15(), hashes.SHA256())
        return {
            "Wechatpay-Timestamp": stamp,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Signature": base64.b64encode(signature).decode(),
            "Wechatpay-Serial": serial,
            "Wechatpay-Signature-Type": SCHEME,
        }

    def encrypt(self, plaintext: bytes, associated_data: str) -> dict[str, str]:
        """Return the AES-256-GCM envelope of *plaintext* under the merchant's API v3 key."""
        nonce = random_text(12)
        cipher = AESGCM(self.ring.api_v3_key.encode())
        sealed = cipher.encrypt(nonce.encode(), plaintext, associated_data.encode())
        return {
            "algorithm": "AEAD_AES_256_GCM",
            "ciphertext": base64.b64encode(sealed).decode(),
            "associated_data": associated_data,
            "nonce": nonce,
        }


def random_text(length: int) -> str:
    """Return unguessable letters and digits."""
    return "".join(secrets.choice(ALPHANUMERIC) for _ in range(length))


def _authorization_fields(header: str) -> dict[str, str]:
    scheme, _, rest = header.partition(" ")
    if scheme != SCHEME:
        raise SignatureRefused("Authorization认证类型不正确")
    fields: dict[str, str] = {}
    for part in rest.split(","):
        match = FIELD.fullmatch(part)
        if match is None:
            raise SignatureRefused("Authorization格式错误")
        fields[match[1]] = match[2]
    for name in ("mchid", "nonce_str", "signature", "timestamp", "serial_no"):
        if not fields.get(name):
            raise SignatureRefused(f"Authorization缺少{name}")
    return fields


def _hex_number(text: str) -> int | None:
    return int(text, 16) if re.fullmatch(r"[0-9A-Fa-f]{1,64}", text) else None


def _rsa_public(pem: str) -> rsa.RSAPublicKey:
    key = serialization.load_pem_public_key(pem.encode())
    if not isinstance(key, rsa.RSAPublicKey):
        raise TypeError("only RSA keys are kept here")
    return key


def _rsa_private(pem: str) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("only RSA keys are kept here")
    return key
