"""Keys and certificates as merchants paste them: read in every usual form, written in one."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12

LEAST_KEY_BITS = 2048


class KeyUnreadable(ValueError):
    """This is no key or certificate of the wanted kind; nothing of it is repeated."""


def read_private_key(text: str) -> rsa.RSAPrivateKey:
    """Read a PEM, or the bare base64 that a console shows; raises KeyUnreadable."""
    try:
        key = (
            serialization.load_pem_private_key(text.encode(), None)
            if "-----BEGIN" in text
            else serialization.load_der_private_key(_bytes(text), None)
        )
    except Exception:  # What a key that cannot be read makes the library throw is not ours to know.
        raise KeyUnreadable from None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < LEAST_KEY_BITS:
        raise KeyUnreadable
    return key


def read_public_key(text: str) -> rsa.RSAPublicKey:
    """Read a PEM or bare base64; raises KeyUnreadable."""
    try:
        key = (
            serialization.load_pem_public_key(text.encode())
            if "-----BEGIN" in text
            else serialization.load_der_public_key(_bytes(text))
        )
    except Exception:  # As above.
        raise KeyUnreadable from None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < LEAST_KEY_BITS:
        raise KeyUnreadable
    return key


def read_certificate(text: str) -> x509.Certificate:
    """Read a certificate in PEM form; raises KeyUnreadable."""
    try:
        certificate = x509.load_pem_x509_certificate(text.encode())
        # Its key is asked for later; one of an unknown kind shall not be accepted now.
        certificate.public_key()
    except Exception:  # As above.
        raise KeyUnreadable from None
    return certificate


def read_pfx(text: str, password: str) -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    """Open a .pfx file given in Base64 and return its key and certificate; raises KeyUnreadable."""
    try:
        key, certificate, _others = pkcs12.load_key_and_certificates(_bytes(text), password.encode())
    except Exception:  # As above.
        raise KeyUnreadable from None
    if not isinstance(key, rsa.RSAPrivateKey) or certificate is None or key.key_size < LEAST_KEY_BITS:
        raise KeyUnreadable
    return key, certificate


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise KeyUnreadable from None


def private_pem(key: rsa.RSAPrivateKey) -> str:
    """Return a private key as PKCS8 PEM, which every client library reads."""
    layout, lock = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, layout, lock).decode()


def public_pem(key: rsa.RSAPublicKey) -> str:
    """Return a public key as PEM."""
    layout = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, layout).decode()


def certificate_pem(certificate: x509.Certificate) -> str:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def fingerprint(key: object) -> str:
    """Return the beginning of the SHA-256 of a public key, the same for its private half and certificate."""
    public = key.public_key() if isinstance(key, rsa.RSAPrivateKey | x509.Certificate) else key
    assert isinstance(public, rsa.RSAPublicKey)
    layout = serialization.PublicFormat.SubjectPublicKeyInfo
    digest = hashes.Hash(hashes.SHA256())
    digest.update(public.public_bytes(serialization.Encoding.DER, layout))
    return digest.finalize()[:8].hex(":", 2)


def is_same_key(one: object, other: object) -> bool:
    """Tell whether two keys or certificates belong together."""
    return fingerprint(one) == fingerprint(other)


def is_in_force(certificate: x509.Certificate, now: datetime) -> bool:
    """Tell whether a certificate is valid at *now*."""
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
