"""Alipay's signatures, seen from its side: requests in, answers and notices out."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

SIGN_TYPE = "RSA2"


class AlipaySigner:
    """Verifies the merchant's application, and signs with Alipay's key."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        public = serialization.load_pem_public_key(keys["app_public_key"].encode())
        private = serialization.load_pem_private_key(keys["alipay_private_key"].encode(), None)
        if not isinstance(public, rsa.RSAPublicKey) or not isinstance(private, rsa.RSAPrivateKey):
            raise TypeError("only RSA keys are kept here")
        self._application, self._private = public, private

    def is_signed(self, parameters: Mapping[str, str]) -> bool:
        """Tell whether the application signed a request; all but the signature itself is part of it."""
        signed = {name: value for name, value in parameters.items() if name != "sign"}
        try:
            signature = base64.b64decode(parameters.get("sign", ""), validate=True)
            self._application.verify(signature, _joined(signed), padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True

    def answer(self, name: str, node: Mapping[str, Any]) -> str:
        """Return an answer around *node*, which is written once: exactly these bytes are signed."""
        text = write_node(node)
        return f'{{"{name}":{text},"sign":"{self._sign(text.encode())}"}}'

    def notice(self, fields: Mapping[str, str]) -> bytes:
        """Return the form of a notice; its signature leaves out sign_type and keeps empty fields."""
        return urlencode({**fields, "sign_type": SIGN_TYPE, "sign": self._sign(_joined(fields))}).encode()

    def _sign(self, message: bytes) -> str:
        return base64.b64encode(self._private.sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()


def write_node(node: Mapping[str, Any]) -> str:
    """Write a node as Alipay does: compact, not escaped."""
    return json.dumps(node, ensure_ascii=False, separators=(",", ":"))


def _joined(values: Mapping[str, str]) -> bytes:
    return "&".join(f"{name}={values[name]}" for name in sorted(values)).encode()
