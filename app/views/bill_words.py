"""What the screens of bills say about problems and kinds of differences."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from markupsafe import Markup

from app.domain.money import format_fen
from app.domain.states import DifferenceKind

PROBLEMS: dict[str, Any] = {
    "not_made": _l("The service has not made this bill yet."),
    "no_answer": _l("The service does not answer."),
    "not_stored": _l("The file could not be stored."),
    "hash_mismatch": _l("The file is not the one that the service announced."),
    "malformed": _l("The file does not look like a bill of this service."),
    "sums_mismatch": _l("The sums at the end of the bill are not those of its rows."),
    "repeated_row": _l("The bill lists a payment or refund twice."),
    "other_merchant": _l("The bill belongs to another merchant."),
    "other_day": _l("The bill has payments of another day."),
}
MEANINGS: dict[DifferenceKind, Any] = {
    DifferenceKind.MISSING_HERE: _l(
        "The service received this money; nobody here knows the number. Was it another till of the account?"
    ),
    DifferenceKind.MISSING_THERE: _l(
        "Our books have this money as received; the bill does not have it. Ask the service."
    ),
    DifferenceKind.AMOUNT_DIFFERS: _l("The service received another amount than our books have."),
    DifferenceKind.STATUS_DIFFERS: _l(
        "The service received this money, but it could not be booked. Look at the order."
    ),
    DifferenceKind.REFUND_MISSING_HERE: _l(
        "Money went back that nobody here refunded, perhaps by hand at the service."
    ),
    DifferenceKind.REFUND_MISSING_THERE: _l(
        "Our books have this refund as done; the bill does not have it. Ask the service."
    ),
    DifferenceKind.REFUND_AMOUNT_DIFFERS: _l("Another amount went back than our books have."),
    DifferenceKind.REFUND_STATUS_DIFFERS: _l(
        "The service and our books disagree whether this refund arrived. Look at the order."
    ),
    DifferenceKind.BILL_UNUSABLE: _l("Nothing of this bill was used. It is fetched again by itself."),
}

_SIDE = Markup('<span class="bill-side">{}<small>{}</small></span>')
_BILL = Markup('<span class="text-nowrap">{}</span>')


def side_cell(side: tuple[int, int]) -> Markup:
    """Return what one side of a bill counts, given as fen and how many."""
    fen, count = side
    return _SIDE.format(format_fen(fen), count)


def bill_cell(bill: Any) -> Markup:
    """Return the name of a bill on one line."""
    return _BILL.format(str(bill))


def problem_text(reason: str) -> str:
    """Return why there is no usable bill, for people; empty without a problem."""
    if not reason:
        return ""
    return str(PROBLEMS.get(reason) or _("The service refused: %(code)s", code=reason))
