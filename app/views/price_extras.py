"""What stands beside the price rules: the owner's calendar and discounts, as rows."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.domain.errors import Forbidden
from app.models import CalendarDay, DiscountRule
from app.views import shapes
from app.views.base import KitInterface, ReferenceView
from app.views.calendar_warnings import calendar_warnings
from app.views.kit.current import current_actor
from app.views.prices import DAY_FIELDS


def shown_store(store: Any) -> str:
    """Return the name of a store; none is all of them."""
    return str(_("All stores") if store is None else store)


class ChainWideView(ReferenceView):
    """Rows of one store or of the whole chain: the chain's are for those who see every store."""

    def pre_add(self, item: Any) -> None:
        """Refuse a row of the whole chain from somebody who works in some of its stores."""
        if item.store is None and not current_actor().scope.is_all:
            raise Forbidden(
                _l("Only somebody in charge of all stores may change what counts in all of them.")
            )

    def pre_update(self, item: Any) -> None:
        """As for a new row, also for what the row was before."""
        self.pre_add(item)
        self.pre_delete(item)

    def pre_delete(self, item: Any) -> None:
        """As for a new row; the foreign key still holds what is stored."""
        if item.store_id is None and not current_actor().scope.is_all:
            raise Forbidden(
                _l("Only somebody in charge of all stores may change what counts in all of them.")
            )


class CalendarDayView(ChainWideView):
    """Days that count as something other than the public calendar says."""

    route_base = "/calendar-days"
    datamodel = KitInterface(CalendarDay)
    list_title = _l("Holiday calendar")
    item_title = _l("Calendar day")
    list_template = "pages/price_list.html"
    extra_args = {"calendar_warnings": calendar_warnings}
    label_columns = {
        "on_date": _l("Date"),
        "kind": _l("Counts as"),
        "label": _l("Name"),
    }
    formatters_columns = {"store": shown_store}
    list_columns = ["on_date", "kind", "label", "store"]
    show_columns = ["store", "on_date", "kind", "label"]
    add_columns = show_columns
    edit_columns = show_columns
    search_columns = ["store", "on_date", "kind"]
    quick_search_columns = ["label"]
    order_columns = ["on_date", "label"]
    base_order = ("on_date", "desc")
    description_columns = {
        "store": _l("Empty: all stores. A store's own day goes before that of all stores."),
        "on_date": _l("Goes before the public calendar with its exchanged working days."),
    }
    constraint_messages = {
        "uq_calendar_days_store_id_on_date": ("on_date", _l("This date is in the calendar already.")),
        "uq_calendar_days_chain": ("on_date", _l("This date is in the calendar already.")),
    }


class DiscountRuleView(ChainWideView):
    """What is taken off the price of bookings."""

    route_base = "/discount-rules"
    datamodel = KitInterface(DiscountRule)
    list_title = _l("Discount rules")
    item_title = _l("Discount rule")
    list_template = "pages/price_list.html"
    extra_args = {"calendar_warnings": calendar_warnings}
    label_columns = {
        "off_percent": _l("Percent off"),
        "off_fen": _l("Amount off"),
        "scope": _l("Counts for"),
        "day_kind": _l("Days"),
        "weekdays": _l("Only on"),
        "band": _l("Time of the day"),
        "band_start_minute": _l("From"),
        "band_end_minute": _l("Until"),
        "valid_from_on": _l("Valid from"),
        "valid_until_on": _l("Valid until"),
        "first_order_only": _l("First order only"),
        "segment": _l("Segment"),
    }
    list_columns = [
        *("name", "store", "off_percent", "off_fen", "day_kind", "band"),
        *("first_order_only", "is_active"),
    ]
    show_fieldsets = [
        (
            _l("Discount"),
            {"fields": ["store", "name", "off_percent", "off_fen", "first_order_only", "segment"]},
        ),
        (_l("Rooms"), {"fields": ["scope", "room_type", "room"]}),
        (
            _l("Start of the booking"),
            {"fields": ["day_kind", "weekdays", "band_start_minute", "band_end_minute"]},
        ),
        (_l("Validity"), {"fields": ["valid_from_on", "valid_until_on", "is_active"]}),
    ]
    add_fieldsets = show_fieldsets
    edit_fieldsets = show_fieldsets
    show_columns: list[str] = []
    add_columns: list[str] = []
    edit_columns: list[str] = []
    add_form_extra_fields = DAY_FIELDS
    edit_form_extra_fields = DAY_FIELDS
    formatters_columns = {
        "store": shown_store,
        "off_percent": lambda percent: "–" if percent is None else f"{percent}%",
        "weekdays": shapes.weekdays_text,
        "band": shapes.band_text,
    }
    search_columns = ["store", "scope", "day_kind", "room_type", "room", "first_order_only", "is_active"]
    quick_search_columns = ["name"]
    order_columns = ["name", "off_percent", "off_fen"]
    base_order = ("name", "asc")
    description_columns = {
        "store": _l("Empty: all stores."),
        "off_percent": _l(
            "Either a percentage or an amount. Of several discounts the best one counts alone."
        ),
        "off_fen": _l("Never more than the price itself."),
        "first_order_only": _l("Only for customers who are logged in and have no earlier booking order."),
        "segment": _l("Only for customers of this segment, which is set on their pages. Empty: everybody."),
        "band_end_minute": _l("Earlier than the start: past midnight. Equal: all day."),
    }
    constraint_messages = {
        "ck_discount_rules_one_amount": ("off_percent", _l("Give either a percentage or an amount.")),
        "ck_discount_rules_percent_range": ("off_percent", _l("From 1 to 100 percent.")),
        "ck_discount_rules_fen_range": ("off_fen", _l("From ¥0.01 to ¥100,000.")),
        "ck_discount_rules_scope_target": ("scope", _l("Give the room or room type that the scope names.")),
        "ck_discount_rules_room_needs_store": ("store", _l("Give the store of the room.")),
        "ck_discount_rules_validity_order": ("valid_until_on", _l("The end must not be before the start.")),
    }
