"""What the counter writes down of a payment: the money handed over, or the slip of the card terminal."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l

from app.domain.errors import CardNumberRefused, InvalidField

MOST_FEN = 10_000_000
# Cards have 13 to 19 digits; the longest number on a slip that we keep is its reference number with 12.
CARD_DIGITS = 13
_DIGITS = re.compile(rf"(?:\d[\s.,/_-]*){{{CARD_DIGITS},}}")
_TERMINAL = re.compile(r"[0-9A-Z]{4,11}", re.ASCII)
_REFERENCE = re.compile(r"[0-9A-Z]{6,12}", re.ASCII)
_TAIL = re.compile(r"[0-9]{4}", re.ASCII)
_SEPARATORS = re.compile(r"[\s.\u2010-\u2015-]+")
_WHOLE = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Slip:
    """A slip of the card terminal: which terminal, its reference number, the card's last four digits."""

    terminal_no: str
    reference_no: str
    card_tail: str


def refuse_card_number(field: str, text: str) -> None:
    """Raise CardNumberRefused when *text* holds what may be the number of a card, however it is spaced."""
    if _DIGITS.search(unicodedata.normalize("NFKC", text)):
        raise CardNumberRefused.of(
            field, _l("Never type the number of a card; its last 4 digits are enough.")
        )


def read_slip(values: Mapping[str, Any]) -> Slip:
    """Read `terminal_no`, `reference_no` and `card_tail`; raises InvalidField, CardNumberRefused."""
    # Every field is looked at before any is refused for its form: a card's number fits none of them.
    texts = {name: str(values.get(name) or "") for name in ("terminal_no", "reference_no", "card_tail")}
    for name, text in texts.items():
        refuse_card_number(name, text)
    return Slip(
        terminal_no=_part(texts, "terminal_no", _TERMINAL, _l("4 to 11 letters and digits, as on the slip.")),
        reference_no=_part(
            texts, "reference_no", _REFERENCE, _l("6 to 12 letters and digits, as on the slip.")
        ),
        card_tail=_part(texts, "card_tail", _TAIL, _l("The last 4 digits of the card.")),
    )


def _part(texts: Mapping[str, str], name: str, form: re.Pattern[str], message: Any) -> str:
    cleaned = _SEPARATORS.sub("", unicodedata.normalize("NFKC", texts[name])).upper()
    if not form.fullmatch(cleaned):
        raise InvalidField.of(name, message)
    return cleaned


def read_fen(values: Mapping[str, Any], name: str) -> int | None:
    """Read an amount from 0 to ¥100,000 in whole fen, as JSON or a form gives it, None when it is absent.

    Raises InvalidField.
    """
    value = values.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_FEN:
        raise InvalidField.of(name, _l("Please give an amount from ¥0 to ¥100,000."))
    return value


def change_fen(due_fen: int, tendered_fen: int | None) -> int:
    """Return what goes back to a guest who hands over *tendered_fen*; absent means the exact amount.

    Raises InvalidField when it is less than what is due.
    """
    if tendered_fen is None:
        return 0
    if tendered_fen < due_fen:
        raise InvalidField.of("tendered_fen", _l("This is less than what is to be paid."))
    return tendered_fen - due_fen
