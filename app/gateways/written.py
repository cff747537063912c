"""Amounts and times as Chinese services write them into answers and bills, read without loss."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal

from app.gateways.unreadable import FactsMalformed

# Every time that these services write is China's, without saying so.
CHINA = timezone(timedelta(hours=8))
_YUAN = re.compile(r"(0|[1-9]\d{0,8})(\.\d{1,2})?", re.ASCII)
_FEE = re.compile(r"-?(0|[1-9]\d{0,8})(\.\d{1,5})?", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?", re.ASCII)


def fen_of(yuan: object) -> int:
    """Read yuan with at most two decimals, exactly; raises FactsMalformed for anything else."""
    if not isinstance(yuan, str) or not _YUAN.fullmatch(yuan):
        raise FactsMalformed("amount")
    return int(Decimal(yuan) * 100)


def instant_of(text: object) -> datetime:
    """Read a time of China's clock as an instant; raises FactsMalformed."""
    if not isinstance(text, str) or not _INSTANT.fullmatch(text):
        raise FactsMalformed("time")
    try:
        return datetime.fromisoformat(text).replace(tzinfo=CHINA).astimezone(UTC)
    except (ValueError, OverflowError):
        raise FactsMalformed("time") from None


def fee_fen_of(yuan: str) -> int:
    """Read a fee, of either sign and with up to five decimals, to the nearest fen; raises FactsMalformed."""
    if not _FEE.fullmatch(yuan):
        raise FactsMalformed("fee")
    return int((Decimal(yuan) * 100).quantize(Decimal(1), ROUND_HALF_UP))
