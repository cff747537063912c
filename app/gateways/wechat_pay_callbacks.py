"""What a WeChat Pay callback must look like before the SDK may touch it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from app.gateways.ports import CallbackHeaders, CallbackInvalid

MAX_BODY_BYTES = 64 * 1024
MAX_AGE = timedelta(minutes=5)
_SIGNATURE_TYPE = "WECHATPAY2-SHA256-RSA2048"
_PROBE = "WECHATPAY/SIGNTEST/"
# What each header may hold. A repeated header that a server has joined by a comma fits none of them.
_HEADERS = {
    "Wechatpay-Timestamp": re.compile(r"[1-9]\d{8,10}", re.ASCII),
    "Wechatpay-Nonce": re.compile(r"[0-9A-Za-z_+/=-]{1,128}", re.ASCII),
    "Wechatpay-Signature": re.compile(r"[0-9A-Za-z+/]{40,2048}={0,2}", re.ASCII),
    "Wechatpay-Serial": re.compile(r"[0-9A-Za-z_]{1,128}", re.ASCII),
    "Wechatpay-Signature-Type": re.compile(re.escape(_SIGNATURE_TYPE)),
}
_RESOURCE_TEXTS = ("algorithm", "ciphertext", "nonce")


def check_before_opening(
    headers: CallbackHeaders, body: bytes, now: datetime, *, serial: str
) -> dict[str, str]:
    """Return the five signed headers under their canonical names, and nothing else, for the SDK.

    The SDK checks neither age nor repetition, fetches certificates for any unknown serial number, and takes
    headers under other names; none of that may depend on who is calling. Raises CallbackInvalid.
    """
    if not 0 < len(body) <= MAX_BODY_BYTES:
        raise CallbackInvalid("body_size")
    signed = _signed_headers(headers)
    _check_age(signed["Wechatpay-Timestamp"], now)
    if signed["Wechatpay-Serial"] != serial:
        raise CallbackInvalid("unknown_serial")
    _check_shape(body)
    return signed


def _signed_headers(headers: CallbackHeaders) -> dict[str, str]:
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    counts = Counter(name.lower() for name, _ in pairs)
    values = {name.lower(): value for name, value in pairs}
    # The service checks now and then that callers do refuse a bad signature.
    if values.get("wechatpay-signature", "").startswith(_PROBE):
        raise CallbackInvalid("probe")
    for name, pattern in _HEADERS.items():
        count = counts[name.lower()]
        if count != 1:
            raise CallbackInvalid("header_missing" if count == 0 else "header_repeated")
        if not pattern.fullmatch(values[name.lower()]):
            raise CallbackInvalid("header_malformed")
    return {name: values[name.lower()] for name in _HEADERS}


def _check_age(timestamp: str, now: datetime) -> None:
    if abs(now.timestamp() - int(timestamp)) >= MAX_AGE.total_seconds():
        raise CallbackInvalid("timestamp_out_of_range")


def _check_shape(body: bytes) -> None:
    envelope = _parse(body)
    resource = envelope.get("resource")
    is_expected = (
        isinstance(envelope.get("id"), str)
        and isinstance(envelope.get("event_type"), str)
        and envelope.get("resource_type") == "encrypt-resource"
        and isinstance(resource, dict)
        and all(isinstance(resource.get(key), str) for key in _RESOURCE_TEXTS)
        and isinstance(resource.get("associated_data", ""), str)
    )
    if not is_expected:
        raise CallbackInvalid("body_malformed")


def _parse(body: bytes) -> dict[str, Any]:
    """Deep nesting ends in RecursionError, bad UTF-8 and huge numbers in ValueError."""
    try:
        parsed = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise CallbackInvalid("body_malformed") from None
    if not isinstance(parsed, dict):
        raise CallbackInvalid("body_malformed")
    return parsed
