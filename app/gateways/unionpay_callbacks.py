"""What a notice of the UnionPay gateway must look like before its signature is looked at."""

from __future__ import annotations

from urllib.parse import parse_qsl

from app.gateways.ports import CallbackInvalid

MAX_BODY_BYTES = 32 * 1024
MAX_FIELDS = 80


def fields_of(body: bytes) -> dict[str, str]:
    """Return the fields of a posted form; raises CallbackInvalid.

    A field that comes twice could be checked in one form and believed in the other, so it is refused.
    """
    if not 0 < len(body) <= MAX_BODY_BYTES:
        raise CallbackInvalid("body_size")
    try:
        text = body.decode("ascii")
        pairs = parse_qsl(
            text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise CallbackInvalid("body_malformed") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise CallbackInvalid("field_repeated")
    if any("\x00" in part for pair in pairs for part in pair):
        raise CallbackInvalid("body_malformed")
    return fields
