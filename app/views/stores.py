"""Stores and rooms with what belongs to them."""

from __future__ import annotations

from typing import Any

from flask import flash
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms.validators import Length, NumberRange

from app.domain.clock import utc_now
from app.domain.slots import Span
from app.models import Facility, Media, OpeningHours, Room, RoomBlock, RoomFacility, RoomType, Store
from app.services import opening_weeks, room_blocks
from app.views.base import KitInterface, ReferenceView
from app.views.kit.converter import optional
from app.views.kit.current import current_actor
from app.views.kit.fields import SwitchField
from app.views.kit.values import format_clock
from app.views.shape_fields import WeekdayField
from app.views.shapes import day_name, picture

DAY_FIELDS: dict[str, Any] = {
    "weekday": WeekdayField(_l("Weekday"), allow_blank=True, validators=[optional()])
}


class KeepBookingsField(SwitchField):
    """Whether a block may be saved although bookings lie in it; no column of the block."""

    def populate_obj(self, obj: Any, name: str) -> None:
        """Hand the answer to the hook that checks the block."""
        obj.are_bookings_kept = bool(self.data)


KEEP_LABEL = _l("Keep bookings that lie in this time")
KEEP_FIELDS: dict[str, Any] = {
    "are_bookings_kept": KeepBookingsField(
        KEEP_LABEL,
        description=_l("They stay until somebody moves or cancels them, and show as work on the first page."),
    )
}


def coming_week() -> list[dict[str, Any]]:
    """Return the coming days of the user's stores as they will be open."""
    return opening_weeks.list_weeks(actor=current_actor(), now=utc_now())


def closed_bookings() -> list[dict[str, Any]]:
    """Return the coming bookings of the user's stores that no opening hours cover."""
    return opening_weeks.list_closed_bookings(actor=current_actor(), now=utc_now())


class OpeningHoursView(ReferenceView):
    """When a store is open, by weekday or for one date."""

    route_base = "/opening-hours"
    datamodel = KitInterface(OpeningHours)
    list_title = _l("Opening hours")
    item_title = _l("Opening hours")
    list_template = "pages/opening_list.html"
    extra_args = {
        "coming_week": coming_week,
        "closed_bookings": closed_bookings,
        "day_name": day_name,
        "format_clock": format_clock,
    }
    label_columns = {
        "weekday": _l("Weekday"),
        "on_date": _l("Date"),
        "opens_minute": _l("Opens"),
        "closes_minute": _l("Closes"),
        "is_closed": _l("Closed all day"),
    }
    list_columns = ["store", "weekday", "on_date", "opens_minute", "closes_minute", "is_closed"]
    show_columns = list_columns
    add_columns = list_columns
    edit_columns = list_columns
    search_columns = ["store", "weekday", "on_date", "is_closed"]
    order_columns = ["store.name", "weekday", "on_date", "opens_minute"]
    base_order = ("store.name", "asc")
    add_form_extra_fields = DAY_FIELDS
    edit_form_extra_fields = DAY_FIELDS
    formatters_columns = {"weekday": lambda day: "–" if day is None else day_name(day)}
    description_columns = {
        "weekday": _l("Every week on this day; several rows of one day add up."),
        "on_date": _l("A special day: its hours replace the weekday's hours of that date."),
        "is_closed": _l("Opening and closing times then do not count."),
        "closes_minute": _l("May lie past midnight: 26:00 is two in the morning of the next day."),
    }
    constraint_messages = {
        "ck_opening_hours_weekday_or_date": ("weekday", _l("Give either a weekday or a date.")),
        "ck_opening_hours_minutes_range": ("closes_minute", _l("Closing must come after opening.")),
    }


class MediaView(ReferenceView):
    """Pictures and videos of stores and rooms, in the order shown."""

    route_base = "/media-items"
    datamodel = KitInterface(Media)
    list_title = _l("Pictures")
    item_title = _l("Picture")
    label_columns = {
        "url": _l("Picture"),
        "poster_url": _l("Poster"),
        "caption": _l("Caption"),
        "is_cover": _l("Cover"),
    }
    list_columns = ["url", "caption", "kind", "store", "is_cover", "position"]
    show_columns = ["store", "kind", "url", "poster_url", "caption", "is_cover", "position"]
    add_columns = show_columns
    edit_columns = show_columns
    formatters_columns = {"url": picture, "poster_url": picture}
    search_columns = ["store", "kind", "is_cover"]
    order_columns = ["position"]
    base_order = ("position", "asc")


class RoomFacilityView(ReferenceView):
    """Which facility stands in which room."""

    route_base = "/room-facilities"
    datamodel = KitInterface(RoomFacility)
    list_title = _l("Facilities of rooms")
    item_title = _l("Facility of a room")
    label_columns = {"facility": _l("Facility"), "brand": _l("Brand")}
    list_columns = ["room", "facility", "brand", "remark"]
    show_columns = list_columns
    add_columns = list_columns
    edit_columns = list_columns
    search_columns = ["room", "facility"]
    order_columns = ["brand"]
    constraint_messages = {
        "uq_room_facilities_room_id_facility_id": ("facility", _l("This room has it already."))
    }


class RoomView(ReferenceView):
    """The bookable units."""

    route_base = "/rooms"
    datamodel = KitInterface(Room)
    list_title = _l("Rooms")
    item_title = _l("Room")
    label_columns = {
        "area_m2": _l("Area (m²)"),
        "capacity": _l("Persons"),
        "decor_style": _l("Decor"),
        "cleaning_minutes": _l("Cleaning (minutes)"),
    }
    list_columns = ["name", "store", "room_type", "capacity", "area_m2", "is_active"]
    show_columns = [
        *("store", "name", "room_type", "capacity", "area_m2", "decor_style"),
        *("description", "cleaning_minutes", "position", "is_active"),
    ]
    add_columns = show_columns
    edit_columns = show_columns
    search_columns = ["store", "room_type", "name", "capacity", "is_active"]
    quick_search_columns = ["name"]
    quick_search_hint = _l("Room name")
    order_columns = ["name", "store.name", "capacity", "area_m2"]
    base_order = ("store.name", "asc")
    related_views = [RoomFacilityView]
    validators_columns = {"name": [Length(max=64)], "capacity": [NumberRange(min=1, max=100)]}
    constraint_messages = {
        "uq_rooms_store_id_name": ("name", _l("The store has a room of this name already.")),
        "ck_rooms_capacity_range": ("capacity", _l("From 1 to 100 persons.")),
        "ck_rooms_cleaning_range": ("cleaning_minutes", _l("From 0 to 600 minutes.")),
        "ck_rooms_area_positive": ("area_m2", _l("The area must be more than 0.")),
    }
    description_columns = {
        "cleaning_minutes": _l("The longer of this and the policy's buffer follows each booking.")
    }


class StoreView(ReferenceView):
    """The places themselves."""

    route_base = "/stores"
    datamodel = KitInterface(Store)
    list_title = _l("Stores")
    item_title = _l("Store")
    label_columns = {
        "city": _l("City"),
        "address": _l("Address"),
        "phone": _l("Phone"),
        "lat": _l("Latitude"),
        "lng": _l("Longitude"),
        "time_zone": _l("Time zone"),
        "introduction": _l("Introduction"),
        "wifi": _l("Wi-Fi"),
        "transport": _l("How to get there"),
        "logo_url": _l("Logo"),
    }
    list_columns = ["name", "city", "address", "phone", "is_active"]
    show_columns = [
        *("name", "city", "address", "phone", "lat", "lng", "time_zone"),
        *("introduction", "wifi", "transport", "logo_url", "is_active"),
    ]
    add_columns = show_columns
    edit_columns = show_columns
    search_columns = ["name", "city", "is_active"]
    quick_search_columns = ["name", "address"]
    quick_search_hint = _l("Store or address")
    order_columns = ["name", "city"]
    base_order = ("name", "asc")
    formatters_columns = {"logo_url": picture}
    related_views = [RoomView, OpeningHoursView, MediaView]
    constraint_messages = {
        "uq_stores_name": ("name", _l("There is a store of this name already.")),
        "ck_stores_lat_range": ("lat", _l("From -90 to 90.")),
        "ck_stores_lng_range": ("lng", _l("From -180 to 180.")),
    }


class RoomTypeView(ReferenceView):
    """The owner's list of room types."""

    route_base = "/room-types"
    datamodel = KitInterface(RoomType)
    is_store_scoped = False
    list_title = _l("Room types")
    item_title = _l("Room type")
    list_columns = ["name"]
    show_columns = ["name"]
    add_columns = ["name"]
    edit_columns = ["name"]
    search_columns = ["name"]
    order_columns = ["name"]


class FacilityView(ReferenceView):
    """The owner's dictionary of facilities."""

    route_base = "/facilities"
    datamodel = KitInterface(Facility)
    is_store_scoped = False
    list_title = _l("Facilities")
    item_title = _l("Facility")
    list_columns = ["name"]
    show_columns = ["name"]
    add_columns = ["name"]
    edit_columns = ["name"]
    search_columns = ["name"]
    order_columns = ["name"]


class RoomBlockView(ReferenceView):
    """Times at which rooms are out of use; bookings in them are moved first, or kept knowingly."""

    route_base = "/room-blocks"
    datamodel = KitInterface(RoomBlock)
    list_title = _l("Room blocks")
    item_title = _l("Room block")
    label_columns = {"are_bookings_kept": KEEP_LABEL}
    list_columns = ["room", "store", "start_at", "end_at", "reason"]
    show_columns = ["store", "room", "start_at", "end_at", "reason"]
    add_columns = [*show_columns, "are_bookings_kept"]
    edit_columns = add_columns
    add_form_extra_fields = KEEP_FIELDS
    edit_form_extra_fields = KEEP_FIELDS
    search_columns = ["store", "room", "start_at"]
    order_columns = ["start_at", "end_at"]
    base_order = ("start_at", "desc")
    constraint_messages = {"ck_room_blocks_span_order": ("end_at", _l("The end must be after the start."))}

    def pre_add(self, item: Any) -> None:
        """A block covers live bookings only where somebody said so."""
        now, kept = utc_now(), item.are_bookings_kept
        room_blocks.check_block(item.room.id, item.start_at, item.end_at, are_bookings_kept=kept, now=now)

    def post_add(self, item: Any) -> None:
        """Name the bookings that lie in the block all the same."""
        span = Span(item.start_at, item.end_at)
        numbers = room_blocks.list_orders_in(item.room_id, span, now=utc_now())
        if numbers:
            text = _("These bookings lie in the blocked time: %(numbers)s.", numbers="、".join(numbers))
            flash(text, "warning")

    def post_update(self, item: Any) -> None:
        """As for a new block."""
        self.post_add(item)

    def pre_update(self, item: Any) -> None:
        """As for a new block."""
        self.pre_add(item)
