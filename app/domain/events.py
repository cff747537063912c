"""What the events of an order's timeline are called."""

from __future__ import annotations

from typing import Any

from flask_babel import lazy_gettext as _l

EVENT_LABELS: dict[str, Any] = {
    "create": _l("Order created"),
    "pay": _l("Order paid"),
    "pay_failed": _l("Payment failed"),
    "payment_succeeded": _l("Payment received"),
    "confirm": _l("Booking confirmed"),
    "refuse": _l("Booking refused"),
    "cancel": _l("Order cancelled"),
    "expire": _l("Time ran out"),
    "rebook": _l("Room taken again after a late payment"),
    "refund_late_payment": _l("Late payment is refunded"),
    "change": _l("Booking changed"),
    "extend": _l("Booking extended"),
    "move": _l("Guests moved to another room"),
    "change_held": _l("Change waits for payment"),
    "change_expired": _l("Change was not paid in time"),
    "change_dropped": _l("Change was given up"),
    "overtime": _l("Overtime"),
    "unused_time": _l("Unused time given back"),
    "check_in": _l("Checked in"),
    "check_out": _l("Checked out"),
    "end": _l("Time is over"),
    "no_show": _l("Nobody came"),
    "refund_request": _l("Refund requested"),
    "refund_approve": _l("Refund approved"),
    "refund_refuse": _l("Refund refused"),
    "refund_withdraw": _l("Refund request withdrawn"),
    "refund_created": _l("Refund started"),
    "refund_succeeded": _l("Refund arrived"),
    "refund_abnormal": _l("Refund needs attention"),
    "refund_retried": _l("Refund tried again"),
    "refund_handed_back": _l("Money handed back another way"),
    "refund_doubled": _l("The refund arrived a second time"),
    "refund_done": _l("Refund completed"),
    "team_full": _l("Team is complete"),
    "team_failed": _l("Team was not filled in time"),
    "issue": _l("Vouchers issued"),
    "adjust": _l("Price adjusted"),
    "redeem": _l("Voucher redeemed"),
    "reverse": _l("Redemption reversed"),
    "door_failed": _l("Door did not answer"),
    "door_opened": _l("Door opened"),
}


# Reasons that the product gives by itself; what people typed is shown as they typed it.
REASON_LABELS: dict[str, Any] = EVENT_LABELS | {
    "not_confirmed": _l("Not confirmed in time"),
    "paid_late": _l("Paid too late or twice"),
    "paid_too_much": _l("Paid more than it costs"),
    "voucher_expired": _l("Voucher expired"),
}


def event_label(event: str) -> Any:
    """Return the translated name of an event; an unknown one is shown as it is stored."""
    return EVENT_LABELS.get(event, event)


def reason_label(reason: str) -> Any:
    """Return a reason for people: translated when the product gave it, else as somebody typed it."""
    return REASON_LABELS.get(reason, reason)
