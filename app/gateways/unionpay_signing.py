"""Signatures of the UnionPay gateway 5.1.0: ours with the merchant's key, theirs by a certificate they send.

The certificate comes inside the message that it shall prove, so it proves nothing by itself: its chain has to
end at the configured root and its subject has to name UnionPay.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

LEAST_KEY_BITS = 2048
MOST_CERTIFICATE_SIGNS = 8192
MOST_SIGNATURE_SIGNS = 1024


class KeysUnusable(ValueError):
    """A key or certificate of ours cannot be read; nothing of it is repeated."""


class NotVerified(ValueError):
    """A message does not prove that it is UnionPay's; `reason` is a stable snake_case word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Signer:
    """The merchant's signing key and what UnionPay calls its certificate (the serial number in decimal)."""

    key: rsa.RSAPrivateKey = field(repr=False)
    cert_id: str

    @classmethod
    def read(cls, pfx_base64: str, password: str) -> Signer:
        """Open the .pfx file that the merchant downloads; raises KeysUnusable."""
        try:
            content = base64.b64decode(pfx_base64, validate=True)
            key, certificate, _others = pkcs12.load_key_and_certificates(content, password.encode())
        except (ValueError, TypeError):
            raise KeysUnusable("the merchant's certificate file cannot be opened") from None
        if not isinstance(key, rsa.RSAPrivateKey) or certificate is None or key.key_size < LEAST_KEY_BITS:
            raise KeysUnusable("the merchant's certificate file lacks an RSA key with its certificate")
        return cls(key, str(certificate.serial_number))

    def sign(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Return *fields* without empty ones, with `certId` and `signature`."""
        complete = {name: value for name, value in fields.items() if value} | {"certId": self.cert_id}
        signature = self.key.sign(digest_of(complete), padding.PKCS1v15(), hashes.SHA256())
        return complete | {"signature": base64.b64encode(signature).decode()}


@dataclass(frozen=True, slots=True)
class Verifier:
    """Whom we believe: the root, the certificate between, and the name of the signer."""

    root: x509.Certificate
    middle: x509.Certificate
    signer_name: str

    @classmethod
    def read(cls, root_pem: str, middle_pem: str, signer_name: str) -> Verifier:
        """Read both certificates; raises KeysUnusable."""
        try:
            root, middle = (x509.load_pem_x509_certificate(pem.encode()) for pem in (root_pem, middle_pem))
            root.verify_directly_issued_by(root)
            middle.verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature):
            raise KeysUnusable(
                "the certificates of UnionPay cannot be read or do not belong together"
            ) from None
        return cls(root, middle, signer_name)

    def check(self, fields: Mapping[str, str], now: datetime) -> None:
        """Raise NotVerified unless UnionPay signed exactly these fields."""
        key = self._key_of(fields.get("signPubKeyCert", ""), now)
        encoded = fields.get("signature", "")
        if not 0 < len(encoded) <= MOST_SIGNATURE_SIGNS:
            raise NotVerified("signature_missing")
        try:
            signature = base64.b64decode(encoded, validate=True)
            key.verify(signature, digest_of(fields), padding.PKCS1v15(), hashes.SHA256())
        except (binascii.Error, ValueError, InvalidSignature):
            raise NotVerified("not_verified") from None

    def _key_of(self, pem: str, now: datetime) -> rsa.RSAPublicKey:
        if not 0 < len(pem) <= MOST_CERTIFICATE_SIGNS:
            raise NotVerified("certificate_missing")
        try:
            certificate = x509.load_pem_x509_certificate(pem.encode())
            certificate.verify_directly_issued_by(self.middle)
            names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            key = certificate.public_key()
        except Exception:  # A hostile certificate makes the library throw whatever its inner steps throw.
            raise NotVerified("certificate_foreign") from None
        for each in (certificate, self.middle, self.root):
            if not each.not_valid_before_utc <= now <= each.not_valid_after_utc:
                raise NotVerified("certificate_expired")
        if not any(self._is_named(str(name.value)) for name in names):
            raise NotVerified("certificate_of_another")
        if not isinstance(key, rsa.RSAPublicKey) or key.key_size < LEAST_KEY_BITS:
            raise NotVerified("certificate_foreign")
        return key

    def _is_named(self, common_name: str) -> bool:
        """The signer's name is the whole common name, or its third part as in `041@…@name@…`."""
        parts = common_name.split("@")
        return common_name == self.signer_name or (len(parts) > 2 and parts[2] == self.signer_name)


def digest_of(fields: Mapping[str, str]) -> bytes:
    """Return what is signed: the SHA-256 of the sorted fields, written in lower-case hex."""
    text = "&".join(
        f"{name}={fields[name]}" for name in sorted(fields) if name != "signature" and fields[name]
    )
    return hashlib.sha256(text.encode()).hexdigest().encode()
