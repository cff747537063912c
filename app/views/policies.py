"""The booking rules of stores and of single rooms, with what a room has for itself and what it shares."""

from __future__ import annotations

from typing import Any

from flask import flash, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.orm import joinedload
from wtforms.validators import NumberRange

from app.extensions import db
from app.models import BookingPolicy, Room
from app.views import shapes
from app.views.base import KitInterface, ReferenceView
from app.views.kit.cells import BADGE
from app.views.kit.values import InvalidText, parse_key
from app.views.shape_fields import FeeStepsField

STEP_FIELDS: dict[str, Any] = {
    "cancel_steps": FeeStepsField(
        _l("Cancellation fees"),
        description=_l(
            "In percent of what was paid; no step at all means free of charge. With less notice than every"
            " step asks for, the percentage after the start counts; without one, everything is kept."
        ),
    ),
    "change_steps": FeeStepsField(
        _l("Change fees"), description=_l("As for cancelling; staff change bookings without a fee.")
    ),
}
# Lowest and highest value of each number. Nothing a shop could mean lies outside.
RANGES: dict[str, tuple[int, int]] = {
    "min_lead_minutes": (0, 43200),
    "max_ahead_days": (1, 730),
    "min_minutes": (1, 10080),
    "max_minutes": (1, 10080),
    "start_step_minutes": (1, 1440),
    "length_step_minutes": (1, 1440),
    "buffer_before_minutes": (0, 720),
    "buffer_after_minutes": (0, 720),
    "hold_minutes": (1, 1440),
    "max_open_holds": (1, 1000),
    "max_bookings_per_day": (1, 1000),
    "confirm_deadline_minutes": (1, 10080),
    "check_in_early_minutes": (0, 1440),
    "change_max_count": (0, 1000),
    "change_deadline_minutes": (0, 43200),
    "overtime_grace_minutes": (0, 720),
    "overtime_unit_minutes": (1, 720),
    "overtime_percent": (0, 1000),
    "no_show_release_minutes": (0, 10080),
    "no_show_refund_percent": (0, 100),
    "early_refund_percent": (0, 100),
    "refund_window_days": (0, 3650),
}


def number_range(low: int, high: int) -> NumberRange:
    """Return the validator of a number between two others."""
    return NumberRange(min=low, max=high, message=_l("From %(low)s to %(high)s.", low=low, high=high))


def room_text(room: Any) -> Any:
    """Return the room that rules count for; without one they are the whole store's."""
    return BADGE.format(colour="blue", label=_("Whole store")) if room is None else str(room)


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
    show_template = "pages/policy_show.html"
    edit_template = "pages/policy_edit.html"
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
    formatters_columns = {
        "room": room_text,
        "cancel_steps": shapes.fee_steps_text,
        "change_steps": shapes.fee_steps_text,
    }
    search_columns = ["store", "room", "requires_confirmation"]
    order_columns = ["store.name", "min_minutes", "hold_minutes"]
    base_order = ("store.name", "asc")
    validators_columns = {name: [number_range(*ends)] for name, ends in RANGES.items()}
    description_columns: dict[str, Any] = {
        "room": _l(
            "Empty: the rules of the whole store. A room with its own rules follows none of the store's."
        ),
        "min_lead_minutes": _l("How long before its start a booking has to be made. Staff may always."),
        "max_ahead_days": _l("Today and so many days more; by their end the booking has to be over."),
        "start_step_minutes": _l("30: bookings start on the hour and at half past."),
        "length_step_minutes": _l("Lengths grow by it from the shortest on; also the step of extensions."),
        "buffer_before_minutes": _l("Kept free before each booking."),
        "buffer_after_minutes": _l("For cleaning; the longer of this and the room's own minutes counts."),
        "hold_minutes": _l("An order that is not paid by then gives the room back."),
        "max_open_holds": _l("Orders that one customer may have waiting for payment."),
        "requires_confirmation": _l("A paid booking then waits for staff."),
        "confirm_deadline_minutes": _l("Not confirmed by then: refused by itself and refunded in full."),
        "check_in_early_minutes": _l("Customers may check in so early if the room is empty."),
        "change_max_count": _l("By customers; 0: only staff change bookings."),
        "overtime_percent": _l("100: the ordinary hourly price; 150: half as much again."),
        "no_show_refund_percent": _l("Of what was paid, when the time ends or the room is released."),
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

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.extra_args = {"facts_of": self.facts_of}

    def _apply_presets(self, form: Any) -> None:
        """A room's own rules (`?room_id=`) start as a copy of those of its store."""
        super()._apply_presets(form)
        room = self._preset_room() if request.method != "POST" and "room" in form else None
        default = None if room is None else self._default_of(room.store_id)
        if default is not None:
            form.process(obj=default)
            form["room"].data = room

    def _preset_room(self) -> Any:
        try:
            return self.datamodel.get_related_obj("room", parse_key(Room, request.args.get("room_id", "")))
        except InvalidText:
            return None

    def _default_of(self, store_id: int) -> Any:
        query = select(BookingPolicy).where(
            BookingPolicy.store_id == store_id, BookingPolicy.room_id.is_(None)
        )
        return db.session.scalar(query)

    def post_update(self, item: Any) -> None:
        """Say which rooms do not follow when the rules of their store change."""
        rooms = [row["name"] for row in self._own_rooms(item)] if item.room_id is None else []
        if rooms:
            text = _("These rooms have rules of their own and keep them: %(rooms)s.", rooms="、".join(rooms))
            flash(text, "info")

    def facts_of(self, pk: Any) -> dict[str, Any]:
        """Return how the rules of a page stand to those of the store or of its rooms.

        For a room: the store's `default` row, `differences` (label, the store's value, the room's) and how
        many are the `same`. For a store: the `own` rules of rooms and the `other` rooms that follow it.
        """
        item = self.datamodel.get(pk, self._base_filters)
        if item.room_id is None:
            own = self._own_rooms(item)
            return {"item": item, "default": None, "own": own, "other": self._following(item, own)}
        default = self._default_of(item.store_id)
        differences = self._differences(default, item) if default is not None else []
        same = len(self._rule_names()) - len(differences)
        return {"item": item, "default": default, "differences": differences, "same": same}

    def _rule_names(self) -> list[str]:
        return [name for name in self.show_columns if name not in ("store", "room")]

    def _differences(self, default: Any, item: Any) -> list[tuple[Any, Any, Any]]:
        found = []
        for name in self._rule_names():
            theirs, own = getattr(default, name), getattr(item, name)
            if theirs != own:
                write = self.formatters_columns[name]
                found.append((self.label_columns[name], write(theirs), write(own)))
        return found

    def _own_rooms(self, item: Any) -> list[dict[str, Any]]:
        query = (
            select(BookingPolicy)
            .where(BookingPolicy.store_id == item.store_id, BookingPolicy.room_id.is_not(None))
            .order_by(BookingPolicy.id)
            .options(joinedload(BookingPolicy.room))
        )
        rows = db.session.scalars(query).all()
        return [
            {
                "id": row.id,
                "room_id": row.room_id,
                "name": str(row.room),
                "count": len(self._differences(item, row)),
            }
            for row in rows
        ]

    def _following(self, item: Any, own: list[dict[str, Any]]) -> list[Any]:
        query = select(Room).where(Room.store_id == item.store_id, Room.is_active).order_by(Room.position)
        taken = {row["room_id"] for row in own}
        return [room for room in db.session.scalars(query) if room.id not in taken]
