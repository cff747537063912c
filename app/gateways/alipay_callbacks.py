"""What a notice of Alipay must look like before its signature is looked at."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

from app.gateways.alipay_facts import instant_of
from app.gateways.ports import CallbackInvalid
from app.gateways.unreadable import FactsMalformed

MAX_BODY_BYTES = 64 * 1024
MAX_FIELDS = 100
# Alipay stamps and signs each sending anew, also the repetitions.
MAX_AGE = timedelta(minutes=5)
# A form escapes everything else, so a body with other bytes was not sent by Alipay.
_FORM = re.compile(rb"[!-~]+")
_SIGNATURE = re.compile(r"[0-9A-Za-z+/]{40,2048}={0,2}", re.ASCII)
_NOTICE_ID = re.compile(r"[0-9A-Za-z_-]{1,128}", re.ASCII)
_TYPE = "trade_status_sync"
_SIGN_TYPE = "RSA2"
_CHARSETS = {"utf-8", "utf8"}


def read_notice(body: bytes, now: datetime) -> tuple[dict[str, str], str]:
    """Return the fields that are signed, and the signature over them; raises CallbackInvalid.

    The library checks neither age nor form, throws at other kinds of signature, and takes fields that come
    twice, or in another character set, as they are.
    """
    if not 0 < len(body) <= MAX_BODY_BYTES:
        raise CallbackInvalid("body_size")
    fields = _fields(body)
    signature, sign_type = fields.pop("sign", ""), fields.pop("sign_type", "")
    if sign_type != _SIGN_TYPE:
        raise CallbackInvalid("sign_type")
    if not _SIGNATURE.fullmatch(signature):
        raise CallbackInvalid("signature_malformed")
    if fields.get("charset", "utf-8").lower() not in _CHARSETS:
        raise CallbackInvalid("charset")
    if fields.get("notify_type") != _TYPE or not _NOTICE_ID.fullmatch(fields.get("notify_id", "")):
        raise CallbackInvalid("body_malformed")
    _check_age(fields, now)
    return fields, signature


def _fields(body: bytes) -> dict[str, str]:
    if not _FORM.fullmatch(body):
        raise CallbackInvalid("body_malformed")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:  # Neither a form nor UTF-8, or too many fields.
        raise CallbackInvalid("body_malformed") from None
    if max(Counter(name for name, _ in pairs).values()) > 1:
        raise CallbackInvalid("field_repeated")
    return dict(pairs)


def _check_age(fields: dict[str, str], now: datetime) -> None:
    try:
        sent_at = instant_of(fields.get("notify_time"))
    except FactsMalformed:
        raise CallbackInvalid("body_malformed") from None
    if abs(now - sent_at) >= MAX_AGE:
        raise CallbackInvalid("timestamp_out_of_range")
