"""Value limits of subscribe messages (official table of the subscribe-message parameters)."""

from __future__ import annotations

import re
from typing import Any

CLOCK = r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?"
DAY = r"\d{4}(年(0?[1-9]|1[0-2])月(0?[1-9]|[12]\d|3[01])日|-\d{2}-\d{2}|/\d{2}/\d{2}|\.\d{2}\.\d{2})"
MOMENT = rf"({DAY} ?)?{CLOCK}"

# One pattern per value type; a whole value must match.
LIMITS = {
    "thing": r"(?s).{1,20}",
    "number": r"-?\d{1,32}(\.\d{1,32})?",
    "letter": r"[A-Za-z]{1,32}",
    "symbol": r"[^\w\s]{1,5}",
    "character_string": r"[\x20-\x7e]{1,32}",
    "time": rf"{MOMENT}( ?~ ?{MOMENT})?|{DAY}( ?~ ?{DAY})?",
    "date": rf"{DAY}( {CLOCK})?( ?~ ?{DAY}( {CLOCK})?)?",
    "amount": r"[¥￥$€£]?\d{1,10}(\.\d{1,2})?元?",
    "phone_number": r"[\d+\-() ]{1,17}",
    "car_number": r"[A-Z0-9\u4e00-\u9fff]{1,8}",
    "name": r"[\u4e00-\u9fff·]{1,10}|[A-Za-z .'-]{1,20}",
    "phrase": r"[\u4e00-\u9fff]{1,5}",
    "enum": r"(?s).{1,20}",
}
KEY = re.compile(rf"({'|'.join(LIMITS)})\d{{1,3}}")
PATTERNS = {kind: re.compile(pattern) for kind, pattern in LIMITS.items()}


def wrong_field(data: Any) -> str | None:
    """Return the path of the first value that the service would refuse, as it names it, or None."""
    if not isinstance(data, dict) or not data:
        return "data"
    for key, entry in data.items():
        value = entry.get("value") if isinstance(entry, dict) else None
        kind = KEY.fullmatch(key)
        if kind is None or not isinstance(value, str) or not PATTERNS[kind[1]].fullmatch(value):
            return f"data.{key}.value"
    return None
