"""The codes with which operations refuse, for the OpenAPI document."""

from __future__ import annotations

QUOTE_CODES = (
    "not_found",
    "room_taken",
    "in_past",
    "too_soon",
    "too_far",
    "too_short",
    "too_long",
    "off_step",
    "closed",
    "blocked",
    "no_price",
    "voucher_locked",
    "voucher_already_redeemed",
    "voucher_length",
    "voucher_not_here",
    "voucher_not_now",
    "voucher_expired",
)
BOOKING_CODES = (*QUOTE_CODES, "customer_limit", "blacklisted")
GROUP_ORDER_CODES = ("sold_out", "team_full", "limit_reached", "blacklisted")
EXTENSION_CODES = (
    "invalid_transition",
    "room_taken",
    "off_step",
    "too_long",
    "too_far",
    "closed",
    "blocked",
    "no_price",
    "blacklisted",
)
CHANGE_CODES = (*BOOKING_CODES, "change_not_allowed", "invalid_transition")
TRANSITION_CODES = ("invalid_transition",)
PAYMENT_CODES = (*TRANSITION_CODES, "channel_off")
REFUND_CODES = ("refund_not_allowed",)
