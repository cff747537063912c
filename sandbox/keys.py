"""Keys and identities of the simulated merchant and platform, made once and kept in the data directory."""

from __future__ import annotations

import json
import os
import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

ALPHANUMERIC = string.ascii_letters + string.digits
KEYS_FILE = "keys.json"
CREDENTIALS_FILE = "credentials.json"


@dataclass(frozen=True)
class KeyRing:
    """What the platform side knows; the merchant's private key is only in the credentials file.

    All keys are PEM text with line feeds; serial numbers are upper-case hex; api_v3_key is 32 characters.
    """

    app_id: str
    app_secret: str
    mchid: str
    merchant_serial_no: str
    merchant_public_key: str
    api_v3_key: str
    public_key_id: str
    platform_private_key: str
    certificate_private_key: str
    certificate: str
    certificate_serial_no: str
    # What further services keep on their side, by the name of their credentials.
    services: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class ServiceKeys:
    """What a further service keeps on its side, and what its merchant copies from its console."""

    kept: dict[str, str]
    given: dict[str, str]


def open_key_ring(
    data_dir: Path, now: datetime, makers: Mapping[str, Callable[[datetime], ServiceKeys]]
) -> KeyRing:
    """Read the keys of *data_dir*, or make all of them when either file is missing.

    *makers* make those of further services, also of one that joins later, by the name of its credentials.
    """
    keys_path, credentials_path = data_dir / KEYS_FILE, data_dir / CREDENTIALS_FILE
    is_new = not (keys_path.exists() and credentials_path.exists())
    if is_new:
        merchant_key = new_key()
        ring = _make_key_ring(merchant_key, now)
        credentials = merchant_credentials(ring, private_pem(merchant_key))
    else:
        ring = KeyRing(**json.loads(keys_path.read_text("utf-8")))
        credentials = json.loads(credentials_path.read_text("utf-8"))
    missing = [name for name in makers if name not in ring.services or name not in credentials]
    for name in missing:
        made = makers[name](now)
        ring.services[name], credentials[name] = made.kept, made.given
    if missing or is_new:
        _write_private(keys_path, asdict(ring))
        # Written last, so that a reader who sees it can rely on the keys being there.
        _write_private(credentials_path, credentials)
    return ring


def new_alipay_keys(_now: datetime) -> ServiceKeys:
    """Make an application of a merchant of Alipay, and the key with which Alipay signs."""
    app_key, alipay_key = new_key(), new_key()
    names = {"app_id": "2021" + _random(string.digits, 12), "seller_id": "2088" + _random(string.digits, 12)}
    return ServiceKeys(
        kept=names
        | {
            "app_public_key": _public_pem(app_key.public_key()),
            "alipay_private_key": private_pem(alipay_key),
        },
        given=names
        | {
            "app_private_key": private_pem(app_key),
            "alipay_public_key": _public_pem(alipay_key.public_key()),
        },
    )


def merchant_credentials(ring: KeyRing, merchant_private_key: str) -> dict[str, dict[str, str]]:
    """Return what a merchant would copy from the real consoles into its channel settings."""
    return {
        "wechat": {"app_id": ring.app_id, "app_secret": ring.app_secret},
        "wechat_pay": {
            "mchid": ring.mchid,
            "app_id": ring.app_id,
            "merchant_private_key": merchant_private_key,
            "merchant_serial_no": ring.merchant_serial_no,
            "api_v3_key": ring.api_v3_key,
            "public_key_id": ring.public_key_id,
            "public_key": public_pem(ring.platform_private_key),
        },
    }


def public_pem(private_pem: str) -> str:
    """Return the public half of a private key, PEM."""
    key = serialization.load_pem_private_key(private_pem.encode(), None)
    return _public_pem(key.public_key())


def _make_key_ring(merchant_key: rsa.RSAPrivateKey, now: datetime) -> KeyRing:
    platform_key, certificate_key = new_key(), new_key()
    certificate = _certificate(certificate_key, now)
    return KeyRing(
        app_id="wx" + secrets.token_hex(8),
        app_secret=secrets.token_hex(16),
        mchid="19" + _random(string.digits, 8),
        merchant_serial_no=secrets.token_hex(20).upper(),
        merchant_public_key=_public_pem(merchant_key.public_key()),
        api_v3_key=_random(ALPHANUMERIC, 32),
        public_key_id="PUB_KEY_ID_01" + _random(string.digits, 32),
        platform_private_key=private_pem(platform_key),
        certificate_private_key=private_pem(certificate_key),
        certificate=certificate.public_bytes(serialization.Encoding.PEM).decode(),
        certificate_serial_no=f"{certificate.serial_number:040X}",
    )


def _certificate(key: rsa.RSAPrivateKey, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sandbox payment platform")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=5 * 365))
        .sign(key, hashes.SHA256())
    )


def new_key() -> rsa.RSAPrivateKey:
    """Return a new key of 2048 bits."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(key: rsa.RSAPrivateKey) -> str:
    """Return a private key as PEM."""
    # wechatpayv3 accepts PKCS8 only.
    encoding, layout = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, layout, serialization.NoEncryption()).decode()


def _public_pem(key: object) -> str:
    if not isinstance(key, rsa.RSAPublicKey):
        raise TypeError("only RSA keys are kept here")
    layout = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, layout).decode()


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def _write_private(path: Path, content: object) -> None:
    """Write JSON that only the owner may read, complete or not at all."""
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
