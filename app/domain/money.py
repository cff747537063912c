"""Integer fen and the only ways in which they are rounded and written."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal


def half_up(numerator: int, denominator: int) -> int:
    """Return numerator/denominator rounded half up, away from zero for negative amounts."""
    quotient = Decimal(numerator) / Decimal(denominator)
    return int(quotient.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def percent_of(amount_fen: int, percent: int) -> int:
    """Return *percent* (0–100) of *amount_fen*, half up, in fen."""
    return half_up(amount_fen * percent, 100)


def format_fen(amount_fen: int) -> str:
    """Write fen as yuan with two decimals and thousands separators: 123450 -> ``¥1,234.50``."""
    sign = "-" if amount_fen < 0 else ""
    return f"{sign}¥{Decimal(abs(amount_fen)) / 100:,.2f}"
