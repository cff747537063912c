"""The price system as rows: sessions and price rules."""

from __future__ import annotations

from typing import Any

from flask_babel import lazy_gettext as _l

from app.models import BookingSession, PriceRule
from app.views import shapes
from app.views.base import KitInterface, ReferenceView
from app.views.calendar_warnings import calendar_warnings
from app.views.shape_fields import WeekdaysField

DAY_FIELDS: dict[str, Any] = {
    "weekdays": WeekdaysField(_l("Only on"), description=_l("None ticked: every day of the kind above."))
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
