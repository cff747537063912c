"""A certificate authority of the sandbox's own: UnionPay's certificates, and the merchant's file."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from sandbox.keys import ServiceKeys, new_key, private_pem

SIGNER = "中国银联股份有限公司"
# What UnionPay gives to merchants who download their file.
PFX_PASSWORD = "000000"
VALID = timedelta(days=10 * 365)


@dataclass(frozen=True)
class Issuer:
    """A key that signs certificates, and its own certificate."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate


def new_unionpay_keys(now: datetime) -> ServiceKeys:
    """Make the authority, the certificate that UnionPay signs messages with, and a merchant's file."""
    root = issue("CFCA Sandbox Root", None, now, is_authority=True)
    middle = issue("CFCA Sandbox OCA", root, now, is_authority=True)
    signing = issue(f"041@8310000000083040@{SIGNER}@00016495", middle, now)
    merchant_no = "7772900" + "".join(secrets.choice("0123456789") for _ in range(8))
    merchant = issue(f"041@{merchant_no}@Sandbox merchant@1", middle, now)
    return ServiceKeys(
        kept={
            "merchant_no": merchant_no,
            "merchant_certificate": pem_of(merchant.certificate),
            "signing_key": private_pem(signing.key),
            "signing_certificate": pem_of(signing.certificate),
            "middle_key": private_pem(middle.key),
            "middle_certificate": pem_of(middle.certificate),
        },
        given={
            "merchant_no": merchant_no,
            "signing_pfx": _pfx(merchant),
            "pfx_password": PFX_PASSWORD,
            "root_certificate": pem_of(root.certificate),
            "middle_certificate": pem_of(middle.certificate),
            "signer_name": SIGNER,
        },
    )


def issue(
    common_name: str,
    issuer: Issuer | None,
    now: datetime,
    *,
    is_authority: bool = False,
    valid: timedelta = VALID,
) -> Issuer:
    """Make a key with its certificate, signed by *issuer* or, without one, by itself."""
    key = new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + valid)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .sign(issuer.key if issuer else key, hashes.SHA256())
    )
    return Issuer(key, certificate)


def pem_of(certificate: x509.Certificate) -> str:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _pfx(merchant: Issuer) -> str:
    locked = serialization.BestAvailableEncryption(PFX_PASSWORD.encode())
    content = pkcs12.serialize_key_and_certificates(
        b"merchant", merchant.key, merchant.certificate, None, locked
    )
    return base64.b64encode(content).decode()
