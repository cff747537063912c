"""Messages of the UnionPay gateway seen from UnionPay's side: read, verified, signed, written."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import NoReturn
from urllib.parse import parse_qsl, urlencode

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sandbox.clock import CHINA

FORM = "application/x-www-form-urlencoded; charset=utf-8"
STAMP = "%Y%m%d%H%M%S"
# What every request has to carry, and how.
FORMS = {
    "version": re.compile(r"5\.1\.0"),
    "encoding": re.compile(r"UTF-8"),
    "signMethod": re.compile(r"01"),
    "txnType": re.compile(r"\d{2}", re.ASCII),
    "txnSubType": re.compile(r"\d{2}", re.ASCII),
    "bizType": re.compile(r"\d{6}", re.ASCII),
    "accessType": re.compile(r"0"),
    "merId": re.compile(r"[0-9A-Za-z]{15}", re.ASCII),
    "orderId": re.compile(r"[0-9A-Za-z]{8,40}", re.ASCII),
    "txnTime": re.compile(r"\d{14}", re.ASCII),
}


class Unreadable(Exception):
    """What was posted is no request at all; answered by a plain sentence."""


class MessageRefused(Exception):
    """A request is answered by this response code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def refuse(code: str, message: str) -> NoReturn:
    """Answer the request by *code*."""
    raise MessageRefused(code, message)


class Messages:
    """Verifies the merchant's messages and signs UnionPay's with the certificate that it sends along."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        certificate = x509.load_pem_x509_certificate(keys["merchant_certificate"].encode())
        public, private = (
            certificate.public_key(),
            serialization.load_pem_private_key(keys["signing_key"].encode(), None),
        )
        if not isinstance(public, rsa.RSAPublicKey) or not isinstance(private, rsa.RSAPrivateKey):
            raise TypeError("only RSA keys are kept here")
        self.merchant_no = keys["merchant_no"]
        self._cert_id = str(certificate.serial_number)
        self._merchant, self._private = public, private
        self._certificate = keys["signing_certificate"]

    def read(self, body: bytes) -> dict[str, str]:
        """Return the verified fields of a posted form; raises Unreadable, MessageRefused."""
        try:
            pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
        except ValueError:
            raise Unreadable from None
        fields = dict(pairs)
        if len(fields) != len(pairs) or "signature" not in fields:
            raise Unreadable
        for name, form in FORMS.items():
            if name not in fields:
                refuse("13", f"报文交易要素缺失[{name}]")
            if not form.fullmatch(fields[name]):
                refuse("10", f"报文格式错误[{name}]")
        self._verify(fields)
        return fields

    def _verify(self, fields: Mapping[str, str]) -> None:
        if fields["merId"] != self.merchant_no:
            refuse("31", "商户状态不正确[商户不存在]")
        if fields.get("certId") != self._cert_id:
            refuse("11", "验证签名失败[certId]")
        try:
            signature = base64.b64decode(fields["signature"], validate=True)
            self._merchant.verify(signature, digest_of(fields), padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, binascii.Error, ValueError):
            refuse("11", "验证签名失败")

    def sign(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Return *fields* with the certificate and the signature."""
        complete = {name: value for name, value in fields.items() if value}
        complete |= {"signMethod": "01", "signPubKeyCert": self._certificate}
        signature = self._private.sign(digest_of(complete), padding.PKCS1v15(), hashes.SHA256())
        return complete | {"signature": base64.b64encode(signature).decode()}


def digest_of(fields: Mapping[str, str]) -> bytes:
    """Return what is signed: the hex text of the hash of the sorted, not empty fields."""
    names = sorted(name for name in fields if name != "signature" and fields[name])
    text = "&".join(f"{name}={fields[name]}" for name in names)
    return hashlib.sha256(text.encode()).hexdigest().encode()


def as_answer(fields: Mapping[str, str]) -> str:
    """Write an answer, whose values are not escaped."""
    return "&".join(f"{name}={value}" for name, value in fields.items())


def as_notice(fields: Mapping[str, str]) -> str:
    """Write a notice, which is an ordinary form."""
    return urlencode(fields)


def china_stamp(epoch: float) -> str:
    """Return *epoch* seconds as UnionPay writes instants."""
    return datetime.fromtimestamp(epoch, CHINA).strftime(STAMP)


def epoch_of(stamp: str) -> float | None:
    """Return the epoch seconds of such a text, None for one that is no instant."""
    try:
        return datetime.strptime(stamp, STAMP).replace(tzinfo=CHINA).timestamp()
    except ValueError:
        return None
