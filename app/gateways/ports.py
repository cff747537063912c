"""What the application may ask of the outside world, and the plain facts that come back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, Protocol

from app.domain.reconciliation import BillEntry as BillEntry

PaymentKind = Literal["jsapi", "native", "page"]
PaymentFactStatus = Literal["pending", "succeeded", "failed", "closed", "absent"]
RefundFactStatus = Literal["processing", "succeeded", "abnormal", "closed", "absent"]
CloseResult = Literal["closed", "already_paid", "absent"]
# A mapping whose items() yields a repeated header twice, or the pairs themselves.
CallbackHeaders = Mapping[str, str] | Iterable[tuple[str, str]]


class GatewayError(Exception):
    """Something outside did not do what it was asked; messages never hold secrets, phones or addresses."""


class GatewayUnavailable(GatewayError):
    """No usable answer: network trouble, time-out, 5xx, or an answer that cannot be trusted or understood.

    `outcome_unknown` is True when the request may have taken effect: query before doing anything else, and
    repeat only with the same number. It is False when the request certainly did not arrive.
    """

    def __init__(self, message: str, *, outcome_unknown: bool) -> None:
        super().__init__(message)
        self.outcome_unknown = outcome_unknown


class GatewayRefused(GatewayError):
    """The service understood and said no; `code` is its own code as text (`43101`, `ORDER_CLOSED`, …).

    `is_retryable` is True when the same request may succeed later (busy, over quota, balance too low).
    """

    def __init__(self, code: str, message: str, *, is_retryable: bool = False) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.is_retryable = is_retryable


class CallbackInvalid(GatewayError):
    """A callback that must be answered with a refusal: forged, replayed, altered or malformed.

    `reason` is a stable snake_case word for logs and tests; nothing of the callback is repeated in it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BillNotReady(GatewayError):
    """The service has not made the bill of this day yet: ask again later."""


class BillUnusable(GatewayError):
    """A bill that came and must not be used: `reason` is a stable snake_case word.

    hash_mismatch, malformed (not what a bill looks like, or cut off), sums_mismatch, repeated_row,
    other_merchant, other_day.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MediaNotFound(GatewayError):
    """There is no stored file under this key."""


@dataclass(frozen=True, slots=True)
class LoginIdentity:
    """Who logged in. The session key of the service never leaves the gateway."""

    openid: str
    unionid: str | None


@dataclass(frozen=True, slots=True)
class ShippingInfo:
    """What the platform wants to know before it releases the money of a paid order."""

    transaction_no: str
    openid: str
    description: str
    delivered_at: datetime


class MiniProgram(Protocol):
    """The mini-program platform. Every call may raise GatewayUnavailable or GatewayRefused."""

    def exchange_login_code(self, code: str) -> LoginIdentity:
        """Turn the one-use code of a login into an identity; refusal codes 40029, 40163, 40226, 45011."""

    def exchange_phone_code(self, code: str) -> str:
        """Turn the one-use code of the phone button into a number.

        Mainland numbers are their 11 digits (`13800138000`), others `+` country code and digits. After
        GatewayUnavailable the code is spent: the customer has to tap again.
        """

    def send_subscribe_message(
        self, openid: str, template_id: str, page: str, fields: Mapping[str, str]
    ) -> None:
        """Send one subscribe message; values are cut to what their field type allows.

        Not idempotent: never send again after `outcome_unknown`, nor after a refusal that is not retryable
        (43101 no consent left, 47003 bad value, 40037 template, 40003 openid).
        """

    def make_mini_program_code(self, scene: str, page: str) -> bytes:
        """Return the picture (JPEG or PNG) of a code that opens *page* with *scene* (at most 32 signs)."""

    def is_trade_managed(self) -> bool:
        """Tell whether the platform holds the money of paid orders until they are reported."""

    def upload_shipping_info(self, info: ShippingInfo) -> None:
        """Report that a paid order was delivered; safe to repeat.

        Refusal codes of what was reported before: 10060002, 10060003, 10060023; 10060001 is an order that the
        platform does not know, or not yet.
        """


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """One attempt to collect money; `payment_no` is unique for ever and tied to exactly these values.

    `openid` is what the service calls the payer, where a login of its own told us.
    """

    payment_no: str
    started_at: datetime
    amount_fen: int
    description: str
    openid: str | None
    expires_at: datetime
    notify_url: str
    kind: PaymentKind


@dataclass(frozen=True, slots=True)
class PaymentFacts:
    """What the service says about one payment. The caller compares merchant, app, amount and currency.

    `absent` means the service does not know the number. `amount_fen` is the sum of the order; it, the
    currency, `transaction_no` and `paid_at` are certain to be present only when `succeeded`.
    """

    payment_no: str
    status: PaymentFactStatus
    amount_fen: int | None = None
    currency: str | None = None
    transaction_no: str | None = None
    paid_at: datetime | None = None
    payer_openid: str | None = field(default=None, repr=False)
    merchant_no: str | None = None
    app_id: str | None = None


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """One refund; every retry carries the same `refund_no` and the same values.

    `transaction_no` is the service's own number of the payment, `started_at` when the refund was made up.
    """

    refund_no: str
    started_at: datetime
    payment_no: str
    transaction_no: str | None
    amount_fen: int
    total_fen: int
    reason: str
    notify_url: str


@dataclass(frozen=True, slots=True)
class RefundFacts:
    """What the service says about one refund; `processing` is accepted, not refunded.

    `abnormal` needs an operator: the payer's account cannot take the money back. `amount_fen` is absent
    only for `absent`; `payment_no` and `merchant_no` are absent where the answer does not carry them.
    """

    refund_no: str
    status: RefundFactStatus
    provider_refund_no: str | None = None
    amount_fen: int | None = None
    finished_at: datetime | None = None
    payment_no: str | None = None
    merchant_no: str | None = None


@dataclass(frozen=True, slots=True)
class PaymentCallback:
    """A verified notice about a payment; `callback_id` is the same on every repetition.

    Some services tell about a refund by repeating what they say about the payment: then `refund` has it.
    """

    callback_id: str
    event: str
    facts: PaymentFacts
    refund: RefundFacts | None = None


@dataclass(frozen=True, slots=True)
class RefundCallback:
    """A verified notice about a refund; `callback_id` is the same on every repetition."""

    callback_id: str
    event: str
    facts: RefundFacts


class PaymentChannel(Protocol):
    """An online payment service; all but the parsers may raise GatewayUnavailable or GatewayRefused."""

    def create_payment(self, request: PaymentRequest) -> dict[str, str]:
        """Register the payment and return what the client needs to collect it.

        jsapi: `{appId, timeStamp, nonceStr, package, signType, paySign}`; native: `{code_url}`; page: where
        a browser posts which form fields.
        """

    def query_payment(self, payment_no: str, started_at: datetime) -> PaymentFacts:
        """Return the present facts; an unknown number is `absent`, not an error.

        Some services know a payment by its number and the second in which it was started.
        """

    def close_payment(self, payment_no: str, started_at: datetime) -> CloseResult:
        """Make sure that nobody can pay any more, or learn that somebody has.

        `absent`: there is nothing to close yet, but a code that is out can be scanned until it expires.
        """

    def refund(self, request: RefundRequest) -> RefundFacts:
        """Ask for a refund by the original route; safe to repeat with the same number."""

    def query_refund(self, request: RefundRequest) -> RefundFacts:
        """Return the present facts; an unknown number is `absent`, not an error."""

    def parse_payment_callback(self, headers: CallbackHeaders, body: bytes, now: datetime) -> PaymentCallback:
        """Verify and open a callback without any connection; raises CallbackInvalid."""

    def parse_refund_callback(self, headers: CallbackHeaders, body: bytes, now: datetime) -> RefundCallback:
        """Verify and open a callback without any connection; raises CallbackInvalid."""


@dataclass(frozen=True, slots=True)
class DailyBill:
    """The bill of a day: the file that was read (`csv` or `zip`), and what it says in its own order."""

    content: bytes = field(repr=False)
    suffix: Literal["csv", "zip"]
    entries: tuple[BillEntry, ...]


class Bills(Protocol):
    """A service that tells what it settled on a day."""

    def download_bill(self, bill_on: date) -> DailyBill | None:
        """Return the bill of a past day of China's calendar; None when the service has none of that day.

        Some services say so as well of a bill that is not made yet. Raises BillNotReady, BillUnusable,
        GatewayRefused for a bill that is too old, GatewayUnavailable for one that cannot be had.
        """


class BilledChannel(PaymentChannel, Bills, Protocol):
    """A payment service that sends bills."""


class Logins(Protocol):
    """A service that says who somebody is."""

    def exchange_login_code(self, code: str) -> LoginIdentity:
        """Turn a one-use code into an identity; may raise GatewayUnavailable or GatewayRefused."""


class AlipayChannel(BilledChannel, Logins, Protocol):
    """Alipay is all of these at once."""


@dataclass(frozen=True, slots=True)
class RoomAccess:
    """How the guest gets in: `code` is what to type at the door, never to be logged; `ref` names it there."""

    kind: Literal["code"]
    code: str | None = field(repr=False)
    expires_at: datetime
    ref: str = ""


class RoomControl(Protocol):
    """Doors of rooms, which *room_ref* names; all may raise GatewayUnavailable or GatewayRefused."""

    def let_in(self, room_ref: str, start_at: datetime, end_at: datetime) -> RoomAccess:
        """Give access to the room for `[start_at, end_at)`."""

    def prolong(self, room_ref: str, access_ref: str, end_at: datetime) -> None:
        """Let an access that was given last until *end_at*."""

    def shut_out(self, room_ref: str, access_ref: str) -> None:
        """Take an access back; one that is gone already is no error."""


class MediaStorage(Protocol):
    """Pictures and videos under keys such as `rooms/1f3a.jpg` (lower case, `/` between folders)."""

    def save(self, key: str, content: bytes) -> None:
        """Store *content* whole or not at all, replacing what was there; raises GatewayUnavailable."""

    def read(self, key: str) -> bytes:
        """Return the content; raises MediaNotFound."""

    def delete(self, key: str) -> None:
        """Remove the file; removing what is not there is no error."""

    def url(self, key: str) -> str:
        """Return the address of the file below this site's root."""
