"""Asks Alipay through python-alipay-sdk and hands back only what Alipay has signed."""

from __future__ import annotations

import json
import re
import time
from base64 import b64decode
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests
from alipay import AliPay
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from app.domain.clock import utc_now
from app.gateways.alipay_facts import CHINA
from app.gateways.network import as_unavailable
from app.gateways.ports import GatewayError, GatewayRefused, GatewayUnavailable
from app.gateways.unreadable import incomprehensible

SERVICE = "Alipay"
SUCCESS = "10000"
SIGN_TYPE = "RSA2"
# No answer of the gateway comes near; a bill of a busy day may.
MAX_ANSWER_BYTES = 1024 * 1024
MAX_FILE_BYTES = 64 * 1024 * 1024
_UNKNOWN_OUTCOME = {"20000"}
_BUSY = {"40005"}
# The merchant's balance can be topped up; too many requests pass by themselves.
_RETRYABLE = {"ACQ.SELLER_BALANCE_NOT_ENOUGH", "SYSTEM_RATE_LIMIT", "USER_RATE_LIMIT"}
_SPACE = re.compile(r"[ \t\r\n]*")
# Some gateways write amounts and codes as numbers; as texts they stay exactly what was signed.
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str)


@dataclass(frozen=True, slots=True)
class AlipayCredentials:
    """One application of one merchant, and the key by which Alipay is recognised (PEM or bare base64)."""

    app_id: str
    seller_id: str
    app_private_key: str = field(repr=False)
    alipay_public_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """A node of an answer that Alipay has signed; every number in it is a text."""

    node: dict[str, Any]

    @property
    def code(self) -> str:
        """The business code where there is one, else the gateway's own: `ACQ.TRADE_NOT_EXIST`, `10000`."""
        return str(self.node.get("sub_code") or self.node.get("code") or "")

    @property
    def is_success(self) -> bool:
        return self.node.get("code") == SUCCESS

    def refusal(self) -> GatewayError:
        """Return the error to raise for an answer other than success."""
        return _refusal_of(self.node)


class AlipayClient:
    """One application at one gateway; it may be shared by threads."""

    def __init__(self, credentials: AlipayCredentials, *, gateway_url: str, timeout_seconds: float) -> None:
        """Raise GatewayRefused `credentials_invalid` when a key cannot be used; no connection is made."""
        missing = [name for name, value in asdict(credentials).items() if not value.strip()]
        if missing:
            raise GatewayRefused("credentials_invalid", f"missing: {', '.join(missing)}")
        self._transport = _Transport(timeout_seconds)
        self._sdk = _make_sdk(credentials, gateway_url, self._transport)

    def ask(self, call: Callable[[AliPay], dict[str, Any]]) -> Reply:
        """Let *call* use the library and return the signed answer, success or refusal of the business.

        Raises GatewayUnavailable, and GatewayRefused for what Alipay refuses without a signature.
        """
        try:
            return Reply(call(self._sdk))
        except GatewayError:
            raise
        except Exception as error:  # The library throws whatever its inner steps throw.
            raise as_unavailable(error, SERVICE) from None

    def require(self, call: Callable[[AliPay], dict[str, Any]]) -> Reply:
        """As `ask`, but raise GatewayRefused or GatewayUnavailable for anything but success."""
        reply = self.ask(call)
        if not reply.is_success:
            raise reply.refusal()
        return reply

    def is_signed(self, values: dict[str, str], signature: str) -> bool:
        """Tell whether Alipay signed *values*, the fields of a notice without `sign` and `sign_type`."""
        try:
            # The library takes fields out of what it is given.
            return bool(self._sdk.verify(dict(values), signature))
        except Exception:  # Odd signatures make it throw.
            return False

    def download(self, url: str) -> bytes:
        """Return the file behind an address that Alipay gave us; raises GatewayUnavailable."""
        try:
            return self._transport.fetch(url, MAX_FILE_BYTES)
        except GatewayError:
            raise
        except Exception as error:
            raise as_unavailable(error, SERVICE) from None


class _Transport:
    """Reads answers within a time and a size; the library's own knows no end of either."""

    def __init__(self, timeout_seconds: float) -> None:
        # The first is for connecting. The second must outlast a slow creation of a trade.
        self._timeout = (timeout_seconds, 3 * timeout_seconds)

    def fetch(self, url: str, most: int) -> bytes:
        until = time.monotonic() + sum(self._timeout)
        # Uncompressed, so that each part comes as it arrives and a bomb cannot unfold.
        plain = {"Accept-Encoding": "identity"}
        with requests.get(
            url, headers=plain, timeout=self._timeout, allow_redirects=False, stream=True
        ) as response:
            if response.status_code != 200:
                raise GatewayUnavailable(f"{SERVICE} answered {response.status_code}", outcome_unknown=True)
            content = bytearray()
            while part := response.raw.read1(65536):
                content += part
                if len(content) > most or time.monotonic() > until:
                    raise GatewayUnavailable(f"{SERVICE} answered without end", outcome_unknown=True)
        return bytes(content)


class _Sdk(AliPay):
    """The library with our clock, our transport, and answers read as JSON instead of by counting braces."""

    def __init__(self, transport: _Transport, gateway_url: str, **settings: str) -> None:
        super().__init__(sign_type=SIGN_TYPE, **settings)
        self._transport = transport
        self._gateway = gateway_url

    def build_body(self, method: str, biz_content: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Stamp requests with China's time: the library takes the machine's, whatever that is."""
        kwargs["timestamp"] = utc_now().astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")
        body: dict[str, Any] = super().build_body(method, biz_content, **kwargs)
        return body

    def verified_sync_response(self, data: dict[str, Any], response_type: str) -> dict[str, Any]:
        """Send a request and return the node of its answer, once Alipay's signature of it is verified."""
        name = data["method"].replace(".", "_") + "_response"
        answer = self._transport.fetch(f"{self._gateway}?{self.sign_data(data)}", MAX_ANSWER_BYTES)
        return self._read(answer.decode("utf-8"), name)

    def _read(self, text: str, name: str) -> dict[str, Any]:
        members = _members(text)
        node, raw = members.get(name) or members.get("error_response") or (None, "")
        if not isinstance(node, dict):
            raise incomprehensible(SERVICE)
        signature, _ = members.get("sign", (None, ""))
        if signature is None and node.get("code") not in (None, SUCCESS):
            # Whoever asks with a wrong id or key is refused without a signature.
            raise _refusal_of(node)
        if not isinstance(signature, str) or not self._verify(raw, signature):
            raise GatewayUnavailable(f"{SERVICE} answered without a valid signature", outcome_unknown=True)
        return node


def _members(text: str) -> dict[str, tuple[Any, str]]:
    """Return value and raw text of each member of the JSON object *text*; raises ValueError.

    What is signed is the text of one member, byte for byte.
    """
    found: dict[str, tuple[Any, str]] = {}
    at = _expect(text, 0, "{")
    while True:
        key, at = _DECODER.raw_decode(text, at)
        start = _expect(text, at, ":")
        value, end = _DECODER.raw_decode(text, start)
        found[str(key)] = (value, text[start:end])
        at = _skip(text, end)
        if text[at : at + 1] == "}":
            return found
        at = _expect(text, at, ",")


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _expect(text: str, at: int, sign: str) -> int:
    """Return where the next value begins after *sign*, which must be the next sign that is no space."""
    at = _skip(text, at)
    if text[at : at + 1] != sign:
        raise ValueError("no JSON object")
    return _skip(text, at + 1)


def _refusal_of(node: dict[str, Any]) -> GatewayError:
    code, sub_code = str(node.get("code") or ""), str(node.get("sub_code") or "")
    # `unknow-error` is how Alipay spells it, with several prefixes; the same goes for SYSTEM_ERROR.
    is_unknown = code in _UNKNOWN_OUTCOME or sub_code.endswith(("unknow-error", "SYSTEM_ERROR"))
    if is_unknown or not code:
        return GatewayUnavailable(f"{SERVICE} answered {code} {sub_code}".rstrip(), outcome_unknown=True)
    is_retryable = code in _BUSY or sub_code in _RETRYABLE
    return GatewayRefused(
        sub_code or code, str(node.get("sub_msg") or node.get("msg") or "")[:200], is_retryable=is_retryable
    )


def _make_sdk(credentials: AlipayCredentials, gateway_url: str, transport: _Transport) -> AliPay:
    if not urlsplit(gateway_url).hostname:
        raise ValueError("the address of the gateway names no host")
    try:
        return _Sdk(
            transport,
            gateway_url,
            appid=credentials.app_id,
            app_private_key_string=_private_pem(credentials.app_private_key),
            alipay_public_key_string=_public_pem(credentials.alipay_public_key),
        )
    except Exception:  # What a key that cannot be read makes the libraries throw is not ours to know.
        raise GatewayRefused("credentials_invalid", "a key of the merchant cannot be read") from None


def _private_pem(key: str) -> str:
    """Bring a PEM, or the bare base64 that the console shows, into the form that the library reads."""
    loaded = (
        load_pem_private_key(key.encode(), None)
        if "-----BEGIN" in key
        else load_der_private_key(_der(key), None)
    )
    return loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _public_pem(key: str) -> str:
    loaded = load_pem_public_key(key.encode()) if "-----BEGIN" in key else load_der_public_key(_der(key))
    return loaded.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _der(key: str) -> bytes:
    return b64decode("".join(key.split()), validate=True)
