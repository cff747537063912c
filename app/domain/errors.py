"""Refusals: each is a class with a stable code, a translated message and structured data."""

from __future__ import annotations

from typing import Any, ClassVar

from flask_babel import lazy_gettext as _l


class DomainError(Exception):
    """A refusal that changed nothing.

    `code` is stable and snake_case, `message` is localised text for people, `data` structured facts
    (JSON-ready), `errors` maps a field to its messages.
    """

    code: ClassVar[str] = "refused"
    # What HTTP calls this kind of refusal, for every door that speaks it.
    status: ClassVar[int] = 422
    default_message: ClassVar[Any] = _l("This cannot be done.")

    def __init__(
        self,
        message: Any = None,
        *,
        data: dict[str, Any] | None = None,
        errors: dict[str, list[Any]] | None = None,
    ) -> None:
        self.message = message if message is not None else self.default_message
        self.data = data
        self.errors = errors
        super().__init__(self.code)


class Malformed(DomainError):
    """The request could not be understood at all (HTTP 400)."""

    code = "malformed"
    status = 400
    default_message = _l("The request could not be understood.")


class Unauthenticated(DomainError):
    """Nobody, or nobody any more, is logged in (HTTP 401)."""

    code = "token_missing"
    status = 401
    default_message = _l("Please log in.")


class TokenInvalid(Unauthenticated):
    code = "token_invalid"
    default_message = _l("Your login is no longer valid. Please log in again.")


class TokenExpired(Unauthenticated):
    code = "token_expired"
    default_message = _l("Your login has expired. Please log in again.")


class Forbidden(DomainError):
    """The actor may not do this (HTTP 403)."""

    code = "forbidden"
    status = 403
    default_message = _l("You are not allowed to do this.")


class NotFound(DomainError):
    """Nothing there, or nothing that the actor may see (HTTP 404)."""

    code = "not_found"
    status = 404
    default_message = _l("This was not found.")


class RateLimited(DomainError):
    """Too many tries (HTTP 429); `data["retry_after_seconds"]` says when to come back."""

    code = "rate_limited"
    status = 429
    default_message = _l("Too many requests. Please wait a moment.")


class Unavailable(DomainError):
    """Something that we depend on does not answer just now (HTTP 503)."""

    code = "unavailable"
    status = 503
    default_message = _l("This service is not available right now. Please try again shortly.")


class Conflict(DomainError):
    """The state of things forbids it; another try may see another state (HTTP 409)."""

    status = 409


class RoomTaken(Conflict):
    code = "room_taken"
    default_message = _l("The room has just been taken for this time.")


class InvalidTransition(Conflict):
    code = "invalid_transition"
    default_message = _l("This is not possible in the present state.")


class IdempotencyConflict(Conflict):
    code = "idempotency_conflict"
    default_message = _l("This key was already used for another request.")


class VoucherLocked(Conflict):
    code = "voucher_locked"
    default_message = _l("The voucher is already used in a booking.")


class VoucherAlreadyRedeemed(Conflict):
    code = "voucher_already_redeemed"
    default_message = _l("The voucher has already been redeemed.")


class SoldOut(Conflict):
    code = "sold_out"
    default_message = _l("This is sold out.")


class TeamFull(Conflict):
    code = "team_full"
    default_message = _l("This team is already full.")


class LimitReached(Conflict):
    code = "limit_reached"
    default_message = _l("You have reached the limit for this offer.")


class ShiftRequired(Conflict):
    """Money over the counter belongs to a shift, and the cashier has none open in this store."""

    code = "shift_required"
    default_message = _l("Please open your shift in this store first.")


class ShiftAlreadyOpen(Conflict):
    code = "shift_already_open"
    default_message = _l("You already have an open shift in this store.")


class SlipUsed(Conflict):
    code = "slip_used"
    default_message = _l("This slip has already been recorded.")


class AmountChanged(Conflict):
    """What is to be paid is no longer what was shown; `data["due_fen"]` is what it is now."""

    code = "amount_changed"
    default_message = _l("The amount has changed meanwhile. Please look again.")


class AlreadyRunning(Conflict):
    code = "already_running"
    default_message = _l("Somebody is at it already. Please look again in a moment.")


class Refused(DomainError):
    """The request is understood and not acceptable (HTTP 422)."""


class InvalidField(Refused):
    code = "invalid_field"
    default_message = _l("Please check the marked fields.")

    @classmethod
    def of(cls, field: str, message: Any) -> InvalidField:
        """Return the refusal of one field."""
        return cls(errors={field: [message]})


class ChannelOff(InvalidField):
    """A way of paying that is switched off, everywhere or in the order's store."""

    code = "channel_off"
    default_message = _l("This way of paying is switched off.")


class CardNumberRefused(InvalidField):
    """Somebody typed what may be the whole number of a card; it is never stored."""

    code = "card_number_refused"
    default_message = _l("Never type the number of a card; its last 4 digits are enough.")


class DifferenceUnexplained(InvalidField):
    """Counted and expected money differ; `data["differences"]` says by how much, a reason is missing."""

    code = "difference_unexplained"
    default_message = _l("What was counted differs from what was expected. Please give the reason.")


class RuleRefused(Refused):
    """A booking rule refused; `data` carries `rule`, `limit` and `alternatives`."""


class InPast(RuleRefused):
    code = "in_past"
    default_message = _l("This time has already passed.")


class TooSoon(RuleRefused):
    code = "too_soon"
    default_message = _l("This is too soon. Please book a little earlier in advance.")


class TooFar(RuleRefused):
    code = "too_far"
    default_message = _l("This is too far ahead.")


class TooShort(RuleRefused):
    code = "too_short"
    default_message = _l("This is shorter than the minimum length.")


class TooLong(RuleRefused):
    code = "too_long"
    default_message = _l("This is longer than the maximum length.")


class OffStep(RuleRefused):
    code = "off_step"
    default_message = _l("Please choose one of the offered start and end times.")


class Closed(RuleRefused):
    code = "closed"
    default_message = _l("The store is closed at this time.")


class Blocked(RuleRefused):
    code = "blocked"
    default_message = _l("The room is out of use at this time.")


class NoPrice(RuleRefused):
    code = "no_price"
    default_message = _l("No price is set for this time. Please contact the store.")


class CustomerLimit(RuleRefused):
    code = "customer_limit"
    default_message = _l("You have reached the booking limit.")


class Blacklisted(RuleRefused):
    code = "blacklisted"
    default_message = _l("Booking is not possible with this account. Please contact the store.")


class VoucherLength(RuleRefused):
    code = "voucher_length"
    default_message = _l("The length of the booking must equal the voucher's package.")


class VoucherNotHere(RuleRefused):
    code = "voucher_not_here"
    default_message = _l("The voucher cannot be used in this room.")


class VoucherNotNow(RuleRefused):
    code = "voucher_not_now"
    default_message = _l("The voucher cannot be used at this time.")


class VoucherExpired(RuleRefused):
    code = "voucher_expired"
    default_message = _l("The voucher has expired.")


class RefundNotAllowed(Refused):
    code = "refund_not_allowed"
    default_message = _l("A refund is not possible here.")


class ChangeNotAllowed(RuleRefused):
    code = "change_not_allowed"
    default_message = _l("A change is not possible here.")


# What refuses a quote or a booking and carries `rule`, `limit` and `alternatives` in its data.
REFUSALS = (RuleRefused, RoomTaken, VoucherLocked, VoucherAlreadyRedeemed)
