"""Fits values into the field types of subscribe messages; one value too long loses the whole message."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

from app.gateways.ports import GatewayRefused

_ELLIPSIS = "…"
_FIELD_KEY = re.compile(r"([a-z_]+?)\d*", re.ASCII)
_AMOUNT = re.compile(r"[\u00a5\uffe5$\u20ac\u00a3]?\d{1,10}(\.\d{1,2})?\u5143?", re.ASCII)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)


def _shorten(limit: int) -> Callable[[str], str]:
    def shorten(value: str) -> str:
        return value if len(value) <= limit else value[: limit - 1].rstrip() + _ELLIPSIS

    return shorten


def _only(is_allowed: Callable[[str], bool], limit: int) -> Callable[[str], str]:
    def keep(value: str) -> str:
        return "".join(char for char in value if is_allowed(char))[:limit]

    return keep


def _is_cjk(char: str) -> bool:
    return "\u4e00" <= char <= "\u9fff"


def _is_visible_ascii(char: str) -> bool:
    return "!" <= char <= "~"


def _is_ascii_letter(char: str) -> bool:
    return char.isascii() and char.isalpha()


def _fit_name(value: str) -> str:
    # A name is at most 10 characters when it holds Chinese, at most 20 when it is letters alone.
    return value[:20] if value.isascii() else value[:10]


def _fit_number(value: str) -> str:
    # Half a number would be a wrong number, so one that is too long is left out as unusable.
    return value if _NUMBER.fullmatch(value) and len(value) <= 32 else ""


def _fit_amount(value: str) -> str:
    compact = value.replace(",", "").replace(" ", "")
    return compact if _AMOUNT.fullmatch(compact) else ""


def _unchanged(value: str) -> str:
    return value


_FITTERS: dict[str, Callable[[str], str]] = {
    "thing": _shorten(20),
    "phrase": _only(_is_cjk, 5),
    "character_string": _only(_is_visible_ascii, 32),
    "letter": _only(_is_ascii_letter, 32),
    "symbol": lambda value: value[:5],
    "name": _fit_name,
    "car_number": lambda value: value[:8],
    "phone_number": lambda value: value[:17],
    "number": _fit_number,
    "amount": _fit_amount,
    # Times and dates are not shortened: a cut time is another time.
    "time": _unchanged,
    "date": _unchanged,
    "enum": _unchanged,
}


def fit_field(key: str, value: str) -> str:
    """Return *value* as the field named *key* (`thing1`, `amount2`, …) allows it.

    Limits: WeChat, subscribe messages. Raises GatewayRefused 47003, as the service would, when nothing usable
    is left.
    """
    match = _FIELD_KEY.fullmatch(key)
    fitter = _FITTERS.get(match.group(1)) if match else None
    fitted = fitter(_one_line(value)) if fitter else ""
    if not fitted:
        raise GatewayRefused("47003", f"argument invalid! data.{key}.value invalid")
    return fitted


def fit_fields(fields: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the `data` object of a subscribe message; raises GatewayRefused 47003."""
    return {key: {"value": fit_field(key, value)} for key, value in fields.items()}


def _one_line(value: str) -> str:
    """Replace line breaks, control and unpaired surrogate characters by single spaces."""
    cleaned = "".join(" " if unicodedata.category(char) in {"Cc", "Cs"} else char for char in value)
    return " ".join(cleaned.split())
