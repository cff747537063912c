"""Every status with its label, and one transition table for each machine."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self

from flask_babel import lazy_gettext as _l

from app.domain.errors import InvalidTransition


class LabelledEnum(StrEnum):
    """A stored value together with its label and, for badges, a colour name."""

    label: Any
    colour: str

    def __new__(cls, value: str, label: Any, colour: str = "secondary") -> LabelledEnum:
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label
        member.colour = colour
        return member

    @classmethod
    def of(cls, value: str) -> Self:
        """Return the member with this stored value; raises ValueError."""
        for member in cls:
            if member.value == value:
                return member
        raise ValueError(value)


class OrderKind(LabelledEnum):
    BOOKING = ("booking", _l("Booking"), "blue")
    GROUP_BUY = ("group_buy", _l("Group buy"), "purple")


class OrderStatus(LabelledEnum):
    """Booking and group-buy orders share the column; each kind uses its own table below."""

    PENDING_PAYMENT = ("pending_payment", _l("Pending payment"), "yellow")
    PAID = ("paid", _l("Paid"), "azure")
    AWAITING_USE = ("awaiting_use", _l("Awaiting use"), "blue")
    IN_USE = ("in_use", _l("In use"), "green")
    COMPLETED = ("completed", _l("Completed"), "secondary")
    CANCELLED = ("cancelled", _l("Cancelled"), "secondary")
    REFUNDING = ("refunding", _l("Refunding"), "orange")
    REFUNDED = ("refunded", _l("Refunded"), "secondary")
    FORMING = ("forming", _l("Team forming"), "azure")
    ISSUED = ("issued", _l("Awaiting redemption"), "blue")
    USED = ("used", _l("Redeemed"), "green")
    EXPIRED = ("expired", _l("Expired"), "secondary")


class BookingState(LabelledEnum):
    """What a booking does to its room: the first four occupy it, the last two do not."""

    HELD = ("held", _l("Held"), "yellow")
    RESERVED = ("reserved", _l("Reserved"), "blue")
    IN_USE = ("in_use", _l("In use"), "green")
    ENDED = ("ended", _l("Ended"), "secondary")
    RELEASED = ("released", _l("Released"), "secondary")
    EXPIRED = ("expired", _l("Expired"), "secondary")


OCCUPYING_STATES = (BookingState.HELD, BookingState.RESERVED, BookingState.IN_USE, BookingState.ENDED)


class ChangeKind(LabelledEnum):
    CHANGE = ("change", _l("Change"), "blue")
    EXTENSION = ("extend", _l("Extension"), "green")


class ChangeStatus(LabelledEnum):
    """A pending change waits for its payment; expired ran out of time, dropped was given up."""

    PENDING = ("pending", _l("Pending payment"), "yellow")
    APPLIED = ("applied", _l("Applied"), "green")
    EXPIRED = ("expired", _l("Expired"), "secondary")
    DROPPED = ("dropped", _l("Dropped"), "secondary")


class PaymentStatus(LabelledEnum):
    PENDING = ("pending", _l("Pending"), "yellow")
    SUCCEEDED = ("succeeded", _l("Succeeded"), "green")
    FAILED = ("failed", _l("Failed"), "red")
    CLOSED = ("closed", _l("Closed"), "secondary")


class RefundStatus(LabelledEnum):
    CREATED = ("created", _l("Created"), "yellow")
    PROCESSING = ("processing", _l("Processing"), "orange")
    SUCCEEDED = ("succeeded", _l("Succeeded"), "green")
    ABNORMAL = ("abnormal", _l("Abnormal"), "red")
    CLOSED = ("closed", _l("Closed"), "secondary")


class ShippingStatus(LabelledEnum):
    """A report to the platform that what was paid has been delivered; dropped ones are not needed."""

    WAITING = ("waiting", _l("Waiting"), "yellow")
    SENDING = ("sending", _l("Sending"), "azure")
    REPORTED = ("reported", _l("Reported"), "green")
    FAILED = ("failed", _l("Failed, will retry"), "orange")
    DEAD = ("dead", _l("Failed for good"), "red")
    DROPPED = ("dropped", _l("Not needed"), "secondary")


class RefundRequestStatus(LabelledEnum):
    REQUESTED = ("requested", _l("Waiting for review"), "yellow")
    APPROVED = ("approved", _l("Approved"), "green")
    REFUSED = ("refused", _l("Refused"), "red")
    WITHDRAWN = ("withdrawn", _l("Withdrawn"), "secondary")


class PaymentChannel(LabelledEnum):
    """How money came in: through an online service, or over the counter."""

    WECHAT_JSAPI = ("wechat_jsapi", _l("WeChat Pay"), "green")
    WECHAT_NATIVE = ("wechat_native", _l("WeChat Pay QR"), "green")
    ALIPAY = ("alipay", _l("Alipay"), "blue")
    ALIPAY_QR = ("alipay_qr", _l("Alipay QR"), "blue")
    UNIONPAY = ("unionpay", _l("UnionPay"), "red")
    COUNTER_CASH = ("counter_cash", _l("Cash"), "yellow")
    COUNTER_POS = ("counter_pos", _l("Card at the counter"), "cyan")


COUNTER_CHANNELS = (PaymentChannel.COUNTER_CASH, PaymentChannel.COUNTER_POS)


class ShiftStatus(LabelledEnum):
    OPEN = ("open", _l("Open"), "green")
    CLOSED = ("closed", _l("Closed"), "secondary")


class BillStatus(LabelledEnum):
    """What became of the daily bill of a payment service."""

    NOT_READY = ("not_ready", _l("Not ready"), "yellow")
    FAILED = ("failed", _l("Not usable"), "red")
    DIFFERS = ("differs", _l("Differences"), "orange")
    MATCHED = ("matched", _l("Matched"), "green")


class DifferenceKind(LabelledEnum):
    """How a bill and our books differ; "here" is our books, "there" the bill."""

    MISSING_HERE = ("missing_here", _l("Payment that nobody here knows"), "red")
    MISSING_THERE = ("missing_there", _l("Payment missing in the bill"), "red")
    AMOUNT_DIFFERS = ("amount_differs", _l("Payment with another amount"), "orange")
    STATUS_DIFFERS = ("status_differs", _l("Payment received, not booked"), "orange")
    REFUND_MISSING_HERE = ("refund_missing_here", _l("Refund that nobody here knows"), "red")
    REFUND_MISSING_THERE = ("refund_missing_there", _l("Refund missing in the bill"), "red")
    REFUND_AMOUNT_DIFFERS = ("refund_amount_differs", _l("Refund with another amount"), "orange")
    REFUND_STATUS_DIFFERS = ("refund_status_differs", _l("Refund in another state"), "orange")
    BILL_UNUSABLE = ("bill_unusable", _l("Bill that cannot be used"), "red")


class DifferenceStatus(LabelledEnum):
    """Resolved was explained by somebody, mended is gone without anybody's doing."""

    OPEN = ("open", _l("Unresolved"), "orange")
    RESOLVED = ("resolved", _l("Resolved"), "green")
    MENDED = ("mended", _l("Settled by itself"), "secondary")


class CampaignStatus(LabelledEnum):
    DRAFT = ("draft", _l("Draft"), "secondary")
    PUBLISHED = ("published", _l("Published"), "green")
    PAUSED = ("paused", _l("Paused"), "yellow")
    ENDED = ("ended", _l("Ended"), "secondary")


class TeamStatus(LabelledEnum):
    FORMING = ("forming", _l("Forming"), "azure")
    COMPLETE = ("complete", _l("Complete"), "green")
    FAILED = ("failed", _l("Failed"), "secondary")


class VoucherStatus(LabelledEnum):
    ISSUED = ("issued", _l("Awaiting redemption"), "blue")
    LOCKED = ("locked", _l("Locked"), "yellow")
    REDEEMED = ("redeemed", _l("Redeemed"), "green")
    EXPIRED = ("expired", _l("Expired"), "secondary")
    REFUNDING = ("refunding", _l("Refunding"), "orange")
    REFUNDED = ("refunded", _l("Refunded"), "secondary")
    VOIDED = ("voided", _l("Voided"), "secondary")


class NotificationStatus(LabelledEnum):
    PENDING = ("pending", _l("Waiting"), "yellow")
    SENDING = ("sending", _l("Sending"), "azure")
    SENT = ("sent", _l("Sent"), "green")
    FAILED = ("failed", _l("Failed, will retry"), "orange")
    DEAD = ("dead", _l("Failed for good"), "red")
    EXPIRED = ("expired", _l("Expired"), "secondary")


class NotificationChannel(LabelledEnum):
    WECHAT = ("wechat", _l("WeChat message"), "green")
    IN_APP = ("in_app", _l("In-app message"), "blue")


class RedemptionMethod(LabelledEnum):
    SCANNED = ("scanned", _l("Scanned"), "blue")
    TYPED = ("typed", _l("Typed code"), "blue")
    PICKED = ("picked", _l("Picked from orders"), "blue")
    SELF = ("self", _l("Used in a booking"), "azure")


O = OrderStatus  # noqa: E741  The tables below are read by people; the short name keeps them tables.

# (event, from) -> allowed results. Source: the transition tables of the product's specification.
BOOKING_ORDER: dict[tuple[str, OrderStatus], frozenset[OrderStatus]] = {
    ("pay", O.PENDING_PAYMENT): frozenset({O.PAID}),
    ("pay_failed", O.PENDING_PAYMENT): frozenset({O.PENDING_PAYMENT}),
    ("cancel", O.PENDING_PAYMENT): frozenset({O.CANCELLED}),
    ("expire", O.PENDING_PAYMENT): frozenset({O.CANCELLED}),
    ("confirm", O.PAID): frozenset({O.AWAITING_USE}),
    ("refuse", O.PAID): frozenset({O.REFUNDING, O.CANCELLED}),
    ("cancel", O.PAID): frozenset({O.REFUNDING, O.CANCELLED}),
    ("cancel", O.AWAITING_USE): frozenset({O.REFUNDING, O.CANCELLED}),
    ("change", O.PAID): frozenset({O.PAID}),
    ("change", O.AWAITING_USE): frozenset({O.AWAITING_USE}),
    ("extend", O.AWAITING_USE): frozenset({O.AWAITING_USE}),
    ("extend", O.IN_USE): frozenset({O.IN_USE}),
    ("move", O.IN_USE): frozenset({O.IN_USE}),
    ("overtime", O.IN_USE): frozenset({O.IN_USE}),
    ("check_in", O.AWAITING_USE): frozenset({O.IN_USE}),
    ("no_show", O.AWAITING_USE): frozenset({O.COMPLETED, O.REFUNDING}),
    ("check_out", O.IN_USE): frozenset({O.COMPLETED}),
    ("end", O.IN_USE): frozenset({O.COMPLETED}),
    # A payment that arrives after the hold is gone either takes the room again or is refunded.
    ("rebook", O.CANCELLED): frozenset({O.PAID}),
    ("refund_late_payment", O.CANCELLED): frozenset({O.REFUNDING}),
    ("refund_approve", O.PAID): frozenset({O.REFUNDING}),
    ("refund_approve", O.AWAITING_USE): frozenset({O.REFUNDING}),
    ("refund_approve", O.IN_USE): frozenset({O.REFUNDING}),
    ("refund_approve", O.COMPLETED): frozenset({O.REFUNDING}),
    ("refund_done", O.REFUNDING): frozenset({O.REFUNDED, O.PAID, O.AWAITING_USE, O.IN_USE, O.COMPLETED}),
    ("reverse", O.IN_USE): frozenset({O.CANCELLED, O.REFUNDING}),
}

GROUP_BUY_ORDER: dict[tuple[str, OrderStatus], frozenset[OrderStatus]] = {
    ("pay", O.PENDING_PAYMENT): frozenset({O.FORMING, O.ISSUED}),
    ("pay_failed", O.PENDING_PAYMENT): frozenset({O.PENDING_PAYMENT}),
    ("cancel", O.PENDING_PAYMENT): frozenset({O.CANCELLED}),
    ("expire", O.PENDING_PAYMENT): frozenset({O.CANCELLED}),
    ("refund_late_payment", O.CANCELLED): frozenset({O.REFUNDING}),
    ("team_full", O.FORMING): frozenset({O.ISSUED}),
    ("team_failed", O.FORMING): frozenset({O.REFUNDING}),
    ("redeem", O.ISSUED): frozenset({O.USED}),
    ("reverse", O.USED): frozenset({O.ISSUED}),
    ("expire", O.ISSUED): frozenset({O.EXPIRED}),
    ("refund_approve", O.FORMING): frozenset({O.REFUNDING}),
    ("refund_approve", O.ISSUED): frozenset({O.REFUNDING}),
    ("refund_done", O.REFUNDING): frozenset({O.REFUNDED, O.ISSUED, O.USED}),
}

ORDER_TABLES = {OrderKind.BOOKING: BOOKING_ORDER, OrderKind.GROUP_BUY: GROUP_BUY_ORDER}

P = PaymentStatus
PAYMENT: dict[tuple[str, PaymentStatus], frozenset[PaymentStatus]] = {
    ("succeed", P.PENDING): frozenset({P.SUCCEEDED}),
    ("succeed", P.FAILED): frozenset({P.SUCCEEDED}),
    ("succeed", P.CLOSED): frozenset({P.SUCCEEDED}),
    ("fail", P.PENDING): frozenset({P.FAILED}),
    ("close", P.PENDING): frozenset({P.CLOSED}),
    ("close", P.FAILED): frozenset({P.CLOSED}),
}

R = RefundStatus
REFUND: dict[tuple[str, RefundStatus], frozenset[RefundStatus]] = {
    ("accept", R.CREATED): frozenset({R.PROCESSING}),
    ("succeed", R.CREATED): frozenset({R.SUCCEEDED}),
    ("succeed", R.PROCESSING): frozenset({R.SUCCEEDED}),
    ("succeed", R.ABNORMAL): frozenset({R.SUCCEEDED}),
    # Somebody has looked after it: once more, under the same number.
    ("retry", R.ABNORMAL): frozenset({R.CREATED}),
    ("fail", R.CREATED): frozenset({R.ABNORMAL, R.CLOSED}),
    ("fail", R.PROCESSING): frozenset({R.ABNORMAL, R.CLOSED}),
}

Q = RefundRequestStatus
REFUND_REQUEST: dict[tuple[str, RefundRequestStatus], frozenset[RefundRequestStatus]] = {
    ("approve", Q.REQUESTED): frozenset({Q.APPROVED}),
    ("refuse", Q.REQUESTED): frozenset({Q.REFUSED}),
    ("withdraw", Q.REQUESTED): frozenset({Q.WITHDRAWN}),
}

D = DifferenceStatus
DIFFERENCE: dict[tuple[str, DifferenceStatus], frozenset[DifferenceStatus]] = {
    ("resolve", D.OPEN): frozenset({D.RESOLVED}),
    ("mend", D.OPEN): frozenset({D.MENDED}),
    # Found once more, or with other amounts than those that were explained.
    ("reopen", D.RESOLVED): frozenset({D.OPEN}),
    ("reopen", D.MENDED): frozenset({D.OPEN}),
}

B = BookingState
BOOKING: dict[tuple[str, BookingState], frozenset[BookingState]] = {
    ("reserve", B.HELD): frozenset({B.RESERVED}),
    ("expire", B.HELD): frozenset({B.EXPIRED}),
    ("release", B.HELD): frozenset({B.RELEASED}),
    ("release", B.RESERVED): frozenset({B.RELEASED}),
    ("check_in", B.RESERVED): frozenset({B.IN_USE}),
    ("end", B.RESERVED): frozenset({B.ENDED}),
    ("end", B.IN_USE): frozenset({B.ENDED}),
    ("rebook", B.EXPIRED): frozenset({B.RESERVED}),
    ("rebook", B.RELEASED): frozenset({B.RESERVED}),
}

H = ChangeStatus
CHANGE: dict[tuple[str, ChangeStatus], frozenset[ChangeStatus]] = {
    ("apply", H.PENDING): frozenset({H.APPLIED}),
    ("expire", H.PENDING): frozenset({H.EXPIRED}),
    ("drop", H.PENDING): frozenset({H.DROPPED}),
    # A payment that arrives after the hold is gone finds its place again or is refunded.
    ("apply", H.EXPIRED): frozenset({H.APPLIED}),
}

V = VoucherStatus
VOUCHER: dict[tuple[str, VoucherStatus], frozenset[VoucherStatus]] = {
    ("lock", V.ISSUED): frozenset({V.LOCKED}),
    ("unlock", V.LOCKED): frozenset({V.ISSUED}),
    ("redeem", V.ISSUED): frozenset({V.REDEEMED}),
    ("redeem", V.LOCKED): frozenset({V.REDEEMED}),
    ("reverse", V.REDEEMED): frozenset({V.ISSUED}),
    ("expire", V.ISSUED): frozenset({V.EXPIRED}),
    ("refund", V.ISSUED): frozenset({V.REFUNDING}),
    ("refund_done", V.REFUNDING): frozenset({V.REFUNDED}),
    ("void", V.ISSUED): frozenset({V.VOIDED}),
}

C = CampaignStatus
CAMPAIGN: dict[tuple[str, CampaignStatus], frozenset[CampaignStatus]] = {
    ("publish", C.DRAFT): frozenset({C.PUBLISHED}),
    ("publish", C.PAUSED): frozenset({C.PUBLISHED}),
    ("pause", C.PUBLISHED): frozenset({C.PAUSED}),
    ("end", C.PUBLISHED): frozenset({C.ENDED}),
    ("end", C.PAUSED): frozenset({C.ENDED}),
}

T = TeamStatus
TEAM: dict[tuple[str, TeamStatus], frozenset[TeamStatus]] = {
    ("complete", T.FORMING): frozenset({T.COMPLETE}),
    ("fail", T.FORMING): frozenset({T.FAILED}),
}

Table = dict[tuple[str, Any], frozenset[Any]]


def check_transition(table: Table, event: str, source: Any, target: Any) -> None:
    """Raise InvalidTransition unless *table* lists source → target for *event*."""
    if target not in table.get((event, source), frozenset()):
        raise InvalidTransition(data={"event": event, "status": str(source)})
