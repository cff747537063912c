"""What every daily bill has to pass before anything of it is believed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from app.domain.reconciliation import BillEntry, bill_date, repeated_keys
from app.gateways.ports import BillUnusable
from app.gateways.unreadable import FactsMalformed

# Far more than the busiest chain of stores has in a day.
MOST_BYTES = 256 * 1024 * 1024


def checked(read: Callable[[], list[BillEntry]], bill_on: date) -> tuple[BillEntry, ...]:
    """Return what *read* finds in a bill; raises BillUnusable where it is not the bill of that day."""
    try:
        entries = read()
    except FactsMalformed:
        raise BillUnusable("malformed") from None
    if repeated_keys(entries):
        raise BillUnusable("repeated_row")
    # When a refund counts, its acceptance or its arrival, is the service's secret.
    if any(entry.kind == "payment" and bill_date(entry.settled_at) != bill_on for entry in entries):
        raise BillUnusable("other_day")
    return tuple(entries)
