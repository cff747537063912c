"""The price system and the booking rules, as rows."""

from __future__ import annotations

from typing import Any

from flask_babel import lazy_gettext as _l

from app.models import BookingPolicy, BookingSession, PriceRule
from app.views import shapes
from app.views.base import KitInterface, ReferenceView
from app.views.calendar_warnings import calendar_warnings
from app.views.shape_fields import FeeStepsField, WeekdaysField

DAY_FIELDS: dict[str, Any] = {
    "weekdays": WeekdaysField(_l("Only on"), description=_l("None ticked: every day of the kind above."))
}
STEP_FIELDS: dict[str, Any] = {
    "cancel_steps": FeeStepsField(
        _l("Cancellation fees"),
        description=_l("In percent of the price; no step at all means free of charge."),
    ),
    "change_steps": FeeStepsField(_l("Change fees"), description=_l("As for cancelling.")),
}


class BookingSessionView(ReferenceView):
    """Named start times and lengths."""

    route_base = "/booking-sessions"
    datamodel = KitInterface(BookingSession)
    list_title = _l("Sessions")
    item_title = _l("Session")
    label_columns = {"start_minute": _l("Start"), "length_minutes": _l("Length (minutes)")}
    list_columns = ["name", "store", "start_minute", "length_minutes", "is_active"]
    show_columns = ["store", "name", "start_minute", "length_minutes", "is_active"]
    add_columns = show_columns
    edit_columns = show_columns
    search_columns = ["store", "name", "is_active"]
    order_columns = ["name", "start_minute"]
    base_order = ("start_minute", "asc")
    constraint_messages = {
        "uq_booking_sessions_store_id_name": ("name", _l("The store has a session of this name already.")),
        "ck_booking_sessions_length_range": ("length_minutes", _l("From 1 to 1440 minutes.")),
        "ck_booking_sessions_start_range": ("start_minute", _l("A time of the day is needed.")),
    }


class PriceRuleView(ReferenceView):
    """The rows that prices are made of."""

    route_base = "/price-rules"
    datamodel = KitInterface(PriceRule)
    list_title = _l("Price rules")
    list_template = "pages/price_list.html"
    extra_args = {"calendar_warnings": calendar_warnings}
    item_title = _l("Price rule")
    label_columns = {
        "scope": _l("Counts for"),
        "session": _l("Session"),
        "day_kind": _l("Days"),
        "dates_from_on": _l("First date"),
        "dates_until_on": _l("Last date"),
        "weekdays": _l("Only on"),
        "band": _l("Time of the day"),
        "band_start_minute": _l("From"),
        "band_end_minute": _l("Until"),
        "amount_fen": _l("Price"),
        "package_minutes": _l("Package length (minutes)"),
        "minimum_fen": _l("Minimum charge"),
        "day_cap_fen": _l("Day cap"),
        "valid_from_on": _l("Valid from"),
        "valid_until_on": _l("Valid until"),
    }
    list_columns = [
        *("name", "store", "kind", "day_kind", "weekdays", "band"),
        *("amount_fen", "priority", "is_active"),
    ]
    show_fieldsets = [
        (
            _l("Price"),
            {
                "fields": [
                    *("store", "name", "kind", "amount_fen", "package_minutes", "session"),
                    *("minimum_fen", "day_cap_fen"),
                ]
            },
        ),
        (_l("Rooms"), {"fields": ["scope", "room_type", "room"]}),
        (
            _l("Days and times"),
            {
                "fields": [
                    *("day_kind", "dates_from_on", "dates_until_on", "weekdays"),
                    *("band_start_minute", "band_end_minute"),
                ]
            },
        ),
        (_l("Validity"), {"fields": ["priority", "valid_from_on", "valid_until_on", "is_active"]}),
    ]
    add_fieldsets = show_fieldsets
    edit_fieldsets = show_fieldsets
    show_columns: list[str] = []
    add_columns: list[str] = []
    edit_columns: list[str] = []
    add_form_extra_fields = DAY_FIELDS
    edit_form_extra_fields = DAY_FIELDS
    formatters_columns = {"weekdays": shapes.weekdays_text, "band": shapes.band_text}
    search_columns = ["store", "kind", "scope", "day_kind", "room_type", "room", "is_active"]
    quick_search_columns = ["name"]
    order_columns = ["name", "amount_fen", "priority"]
    base_order = ("priority", "desc")
    description_columns = {
        "amount_fen": _l("Per hour, or flat for sessions and packages."),
        "band_end_minute": _l("Earlier than the start: past midnight. Equal: all day."),
        "priority": _l("The higher wins among rules of the same scope."),
    }
    constraint_messages = {
        "ck_price_rules_scope_target": ("scope", _l("Give the room or room type that the scope names.")),
        "ck_price_rules_session_target": ("session", _l("A session price needs its session, others none.")),
        "ck_price_rules_package_target": (
            "package_minutes",
            _l("A package price needs its length, others none."),
        ),
        "ck_price_rules_dates_given": ("dates_from_on", _l("Give the first and the last date.")),
        "ck_price_rules_validity_order": ("valid_until_on", _l("The end must not be before the start.")),
        "ck_price_rules_amount_range": ("amount_fen", _l("From ¥0 to ¥100,000.")),
    }


class BookingPolicyView(ReferenceView):
    """Booking rules of a store, or of one room in it."""

    route_base = "/booking-policies"
    datamodel = KitInterface(BookingPolicy)
    list_title = _l("Booking rules")
    item_title = _l("Booking rules")
    label_columns = {
        "min_lead_minutes": _l("Minimum lead (minutes)"),
        "max_ahead_days": _l("Days ahead"),
        "min_minutes": _l("Shortest (minutes)"),
        "max_minutes": _l("Longest (minutes)"),
        "start_step_minutes": _l("Start step (minutes)"),
        "length_step_minutes": _l("Length step (minutes)"),
        "buffer_before_minutes": _l("Buffer before (minutes)"),
        "buffer_after_minutes": _l("Buffer after (minutes)"),
        "hold_minutes": _l("Time to pay (minutes)"),
        "max_open_holds": _l("Unpaid holds per customer"),
        "max_bookings_per_day": _l("Bookings per customer and day"),
        "requires_confirmation": _l("Staff confirm by hand"),
        "confirm_deadline_minutes": _l("Time to confirm (minutes)"),
        "check_in_early_minutes": _l("Check-in before the start (minutes)"),
        "cancel_steps": _l("Cancellation fees"),
        "change_steps": _l("Change fees"),
        "change_max_count": _l("Changes per booking"),
        "change_deadline_minutes": _l("Last change before the start (minutes)"),
        "has_overtime": _l("Overtime is charged"),
        "overtime_grace_minutes": _l("Grace (minutes)"),
        "overtime_unit_minutes": _l("Billing unit (minutes)"),
        "overtime_percent": _l("Percent of the hourly price"),
        "overtime_cap_fen": _l("At most"),
        "no_show_release_minutes": _l("Release the room after (minutes)"),
        "no_show_refund_percent": _l("Refund when nobody came (percent)"),
        "early_refund_percent": _l("Refund of unused time (percent)"),
        "refund_window_days": _l("Refund requests after the end (days)"),
    }
    list_columns = ["store", "room", "min_minutes", "max_minutes", "hold_minutes", "requires_confirmation"]
    show_fieldsets = [
        (_l("Counts for"), {"fields": ["store", "room"]}),
        (
            _l("Booking"),
            {
                "fields": [
                    *("min_lead_minutes", "max_ahead_days", "min_minutes", "max_minutes"),
                    *("start_step_minutes", "length_step_minutes", "max_open_holds", "max_bookings_per_day"),
                ]
            },
        ),
        (
            _l("Stay"),
            {"fields": ["check_in_early_minutes", "buffer_before_minutes", "buffer_after_minutes"]},
        ),
        (
            _l("Payment and confirmation"),
            {"fields": ["hold_minutes", "requires_confirmation", "confirm_deadline_minutes"]},
        ),
        (
            _l("Cancelling and changing"),
            {"fields": ["cancel_steps", "change_steps", "change_max_count", "change_deadline_minutes"]},
        ),
        (
            _l("Overtime"),
            {
                "fields": [
                    *("has_overtime", "overtime_grace_minutes", "overtime_unit_minutes"),
                    *("overtime_percent", "overtime_cap_fen"),
                ]
            },
        ),
        (
            _l("No-show and leaving early"),
            {
                "fields": [
                    "no_show_release_minutes",
                    "no_show_refund_percent",
                    "early_refund_percent",
                    "refund_window_days",
                ]
            },
        ),
    ]
    add_fieldsets = show_fieldsets
    edit_fieldsets = show_fieldsets
    show_columns: list[str] = []
    add_columns: list[str] = []
    edit_columns: list[str] = []
    add_form_extra_fields = STEP_FIELDS
    edit_form_extra_fields = STEP_FIELDS
    formatters_columns = {"cancel_steps": shapes.fee_steps_text, "change_steps": shapes.fee_steps_text}
    search_columns = ["store", "room", "requires_confirmation"]
    order_columns = ["min_minutes", "hold_minutes"]
    description_columns: dict[str, Any] = {
        "room": _l("Empty: the rules of the whole store."),
        "overtime_grace_minutes": _l("Free; once they are over, time counts from the booked end."),
        "overtime_cap_fen": _l("Empty: no limit."),
        "no_show_release_minutes": _l("Empty: the room is kept until the booked end."),
        "early_refund_percent": _l("Of whole steps of length that were paid and not used."),
    }
    constraint_messages = {
        "uq_booking_policies_store_id_room_id": ("room", _l("This room has its own rules already.")),
        "uq_booking_policies_store_default": ("room", _l("The store has its rules already.")),
        "ck_booking_policies_length_order": (
            "max_minutes",
            _l("The longest must not be below the shortest."),
        ),
        "ck_booking_policies_steps_positive": ("start_step_minutes", _l("Steps must be more than 0.")),
        "ck_booking_policies_hold_range": ("hold_minutes", _l("From 1 to 1440 minutes.")),
        "ck_booking_policies_horizon_range": ("max_ahead_days", _l("At least one day ahead.")),
        "ck_booking_policies_change_count_range": ("change_max_count", _l("Must not be below 0.")),
        "ck_booking_policies_change_deadline_range": ("change_deadline_minutes", _l("Must not be below 0.")),
        "ck_booking_policies_overtime_grace_range": ("overtime_grace_minutes", _l("Must not be below 0.")),
        "ck_booking_policies_overtime_unit_range": ("overtime_unit_minutes", _l("From 1 to 720 minutes.")),
        "ck_booking_policies_overtime_percent_range": ("overtime_percent", _l("From 0 to 1000 percent.")),
        "ck_booking_policies_overtime_cap_range": ("overtime_cap_fen", _l("Must be more than ¥0.")),
        "ck_booking_policies_no_show_release_range": (
            "no_show_release_minutes",
            _l("Must not be below 0."),
        ),
        "ck_booking_policies_no_show_refund_range": (
            "no_show_refund_percent",
            _l("From 0 to 100 percent."),
        ),
        "ck_booking_policies_early_refund_range": ("early_refund_percent", _l("From 0 to 100 percent.")),
        "ck_booking_policies_refund_window_range": ("refund_window_days", _l("Must not be below 0.")),
        "ck_booking_policies_limits_positive": ("max_open_holds", _l("At least 1.")),
    }
