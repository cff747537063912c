"""What the back office asks of each payment service's credentials, and how it reads what people type."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from flask_babel import lazy_gettext as _l

from app.domain import merchant_keys as keys
from app.domain.errors import InvalidField

MOST_TEXT = 128
MOST_KEY = 16384
# A .pfx file in Base64.
MOST_FILE = 65536

NOT_PRIVATE = _l("This is not an RSA private key of at least 2048 bits in PEM form.")
NOT_PUBLIC = _l("This is not an RSA public key of at least 2048 bits in PEM form.")
NOT_CERTIFICATE = _l("This is not a certificate in PEM form.")
EXPIRED = _l("This certificate is not in force today.")
MISSING = _l("This is missing.")


class Form(StrEnum):
    """How a field is typed and shown."""

    TEXT = "text"
    SECRET = "secret"
    PRIVATE_KEY = "private_key"
    PUBLIC_KEY = "public_key"
    CERTIFICATE = "certificate"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Field:
    """One credential: its name in the database, what it is called, and the form it has to have."""

    name: str
    label: Any
    form: Form = Form.TEXT
    pattern: str = ""
    hint: Any = ""
    is_optional: bool = False

    @property
    def is_secret(self) -> bool:
        return self.form in (Form.SECRET, Form.PRIVATE_KEY, Form.FILE)


FIELDS: dict[str, tuple[Field, ...]] = {
    "wechat_pay": (
        Field("mchid", _l("Merchant number"), pattern=r"[0-9]{8,10}", hint=_l("8 to 10 digits.")),
        Field(
            "app_id", _l("App id"), pattern=r"wx[0-9a-f]{16}", hint=_l("wx and 16 digits or letters a to f.")
        ),
        Field(
            "merchant_serial_no",
            _l("Serial number of the merchant certificate"),
            pattern=r"[0-9A-Fa-f]{32,40}",
            hint=_l("40 hexadecimal digits; left empty, it is taken from the certificate."),
            is_optional=True,
        ),
        Field(
            "merchant_certificate",
            _l("Merchant certificate"),
            Form.CERTIFICATE,
            hint=_l("apiclient_cert.pem; the private key is checked against it."),
            is_optional=True,
        ),
        Field(
            "merchant_private_key",
            _l("Merchant private key"),
            Form.PRIVATE_KEY,
            hint=_l("apiclient_key.pem, with its first and last line."),
        ),
        Field(
            "api_v3_key",
            _l("API v3 key"),
            Form.SECRET,
            pattern=r"[0-9A-Za-z]{32}",
            hint=_l("32 digits or letters."),
        ),
        Field(
            "public_key_id",
            _l("Id of WeChat Pay's public key"),
            pattern=r"PUB_KEY_ID_[0-9]{1,64}",
            hint=_l("PUB_KEY_ID_ and digits."),
        ),
        Field("public_key", _l("WeChat Pay's public key"), Form.PUBLIC_KEY),
    ),
    "alipay": (
        Field("app_id", _l("App id"), pattern=r"[0-9]{16}", hint=_l("16 digits.")),
        Field(
            "seller_id",
            _l("Merchant number"),
            pattern=r"2088[0-9]{12}",
            hint=_l("16 digits that begin with 2088."),
        ),
        Field(
            "app_private_key",
            _l("Private key of the app"),
            Form.PRIVATE_KEY,
            hint=_l("PEM, or the text that the console's tool shows."),
        ),
        Field(
            "alipay_public_key",
            _l("Alipay's public key"),
            Form.PUBLIC_KEY,
            hint=_l("Alipay's, not the one of the app."),
        ),
    ),
    "unionpay": (
        Field("merchant_no", _l("Merchant number"), pattern=r"[0-9A-Za-z]{15}", hint=_l("15 digits.")),
        Field("signing_pfx", _l("Signing certificate (.pfx)"), Form.FILE),
        Field("pfx_password", _l("Password of the .pfx file"), Form.SECRET),
        Field("root_certificate", _l("UnionPay's root certificate"), Form.CERTIFICATE),
        Field("middle_certificate", _l("UnionPay's middle certificate"), Form.CERTIFICATE),
        Field(
            "signer_name",
            _l("Name in UnionPay's signing certificate"),
            hint=_l("Normally %(name)s.", name="中国银联股份有限公司"),
        ),
    ),
}

Errors = dict[str, list[Any]]


def read_fields(
    channel: str, values: Mapping[str, str], kept: Mapping[str, str], *, now: datetime
) -> dict[str, str]:
    """Return every credential of *channel* in its stored form: keys and certificates as PEM.

    A secret that is left empty stays as *kept*. Raises InvalidField with what is wrong, by field; nothing of
    what was typed is repeated in it.
    """
    found: dict[str, str] = {}
    errors: Errors = {}
    for field in FIELDS[channel]:
        text = str(values.get(field.name) or "").strip()
        if not text and field.is_secret:
            text = kept.get(field.name, "")
        try:
            found[field.name] = _read(field, text)
        except InvalidField as wrong:
            errors |= wrong.errors or {}
    if not errors:
        errors = _CHECKS[channel](found, now)
    if errors:
        raise InvalidField(errors=errors)
    return {name: text for name, text in found.items() if text}


def _read(field: Field, text: str) -> str:
    if not text:
        if field.is_optional:
            return ""
        raise InvalidField.of(field.name, MISSING)
    most = {Form.TEXT: MOST_TEXT, Form.SECRET: MOST_TEXT, Form.FILE: MOST_FILE}.get(field.form, MOST_KEY)
    if len(text) > most or "\0" in text:
        raise InvalidField.of(field.name, _l("This is too long."))
    if field.pattern and not re.fullmatch(field.pattern, text, re.ASCII):
        raise InvalidField.of(field.name, field.hint)
    reader, message = _READERS.get(field.form, (str, ""))
    try:
        return reader(text)
    except keys.KeyUnreadable:
        raise InvalidField.of(field.name, message) from None


_READERS: dict[Form, tuple[Callable[[str], str], Any]] = {
    Form.PRIVATE_KEY: (lambda text: keys.private_pem(keys.read_private_key(text)), NOT_PRIVATE),
    Form.PUBLIC_KEY: (lambda text: keys.public_pem(keys.read_public_key(text)), NOT_PUBLIC),
    Form.CERTIFICATE: (lambda text: keys.certificate_pem(keys.read_certificate(text)), NOT_CERTIFICATE),
}


def _check_wechat(found: dict[str, str], now: datetime) -> Errors:
    key = keys.read_private_key(found["merchant_private_key"])
    if keys.is_same_key(key, keys.read_public_key(found["public_key"])):
        return {"public_key": [_l("This is your own public key; the one of the service is needed.")]}
    if found["merchant_certificate"]:
        certificate = keys.read_certificate(found["merchant_certificate"])
        if not keys.is_in_force(certificate, now):
            return {"merchant_certificate": [EXPIRED]}
        if not keys.is_same_key(key, certificate):
            return {"merchant_private_key": [_l("The private key does not belong to the certificate.")]}
        serial = f"{certificate.serial_number:040X}"
        found["merchant_serial_no"] = found["merchant_serial_no"] or serial
        # A leading zero is sometimes left out.
        if int(found["merchant_serial_no"], 16) != certificate.serial_number:
            return {"merchant_serial_no": [_l("This is not the serial number of the certificate.")]}
    if not found["merchant_serial_no"]:
        return {"merchant_serial_no": [MISSING]}
    found["merchant_serial_no"] = found["merchant_serial_no"].upper()
    return {}


def _check_alipay(found: dict[str, str], now: datetime) -> Errors:
    key = keys.read_private_key(found["app_private_key"])
    if keys.is_same_key(key, keys.read_public_key(found["alipay_public_key"])):
        return {"alipay_public_key": [_l("This is your own public key; the one of the service is needed.")]}
    return {}


def _check_unionpay(found: dict[str, str], now: datetime) -> Errors:
    try:
        key, certificate = keys.read_pfx(found["signing_pfx"], found["pfx_password"])
    except keys.KeyUnreadable:
        message = _l("The file cannot be opened with this password, or lacks an RSA key and certificate.")
        return {"signing_pfx": [message]}
    if not keys.is_same_key(key, certificate):
        return {"signing_pfx": [_l("The private key does not belong to the certificate.")]}
    if not keys.is_in_force(certificate, now):
        return {"signing_pfx": [EXPIRED]}
    found["signing_pfx"] = "".join(found["signing_pfx"].split())
    return _check_chain(found, now)


def _check_chain(found: dict[str, str], now: datetime) -> Errors:
    """The root signs itself and the middle certificate."""
    names = ("root_certificate", "middle_certificate")
    root, middle = (keys.read_certificate(found[name]) for name in names)
    for name, certificate in zip(names, (root, middle), strict=True):
        if not keys.is_in_force(certificate, now):
            return {name: [EXPIRED]}
        try:
            certificate.verify_directly_issued_by(root)
        except Exception:  # A wrong signature, name or kind of key: each has an error of its own.
            return {name: [_l("This certificate was not signed by the root certificate.")]}
    return {}


_CHECKS = {"wechat_pay": _check_wechat, "alipay": _check_alipay, "unionpay": _check_unionpay}
