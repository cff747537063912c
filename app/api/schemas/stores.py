"""Stores and rooms, and what is free in them."""

from __future__ import annotations

from flask_babel import gettext as _
from marshmallow import ValidationError, fields, validates_schema

from app.api.schemas.base import AnswerSchema, Degrees, Id, Instant, RequestSchema, Text, fen
from app.api.schemas.common import FacilitySchema, FeeStepSchema, MediumSchema, PageQuery

STATES = ["free", "held", "reserved", "in_use", "cleaning", "blocked", "closed"]


class PositionQuery(RequestSchema):
    """Where the customer is, for distances."""

    lat = Degrees(90, load_default=None)
    lng = Degrees(180, load_default=None)

    @validates_schema
    def check_pair(self, data: dict[str, float | None], **kwargs: object) -> None:
        """A position needs both coordinates."""
        for name, other in (("lat", "lng"), ("lng", "lat")):
            if data.get(name) is None and data.get(other) is not None:
                raise ValidationError(_("A position needs lat and lng."), name)


class StoresQuery(PositionQuery, PageQuery):
    """Which stores, from where."""

    q = Text(at_most=64, load_default="")


class OpeningHoursSchema(AnswerSchema):
    """One opening, of a weekday (0 = Monday) or of one date, which then replaces the weekday's.

    Minutes run from local midnight; closing may be on the following day, up to 2880.
    """

    weekday = fields.Integer(allow_none=True)
    on_date = fields.Date(allow_none=True)
    opens_minute = fields.Integer()
    closes_minute = fields.Integer()
    is_closed = fields.Boolean()


class StoreItemSchema(AnswerSchema):
    """A store as lists show it."""

    id = Id()
    name = fields.String()
    city = fields.String()
    address = fields.String()
    lat = fields.Float(allow_none=True)
    lng = fields.Float(allow_none=True)
    distance_m = fields.Integer(allow_none=True)
    phone = fields.String()
    time_zone = fields.String(metadata={"example": "Asia/Shanghai"})
    opening_hours = fields.List(fields.Nested(OpeningHoursSchema))
    logo_url = fields.String(allow_none=True)
    cover_url = fields.String(allow_none=True)
    is_open = fields.Boolean()


class PolicySchema(AnswerSchema):
    """The booking rules that a customer has to know; lengths and leads are minutes."""

    min_lead_minutes = fields.Integer()
    max_ahead_days = fields.Integer()
    min_minutes = fields.Integer()
    max_minutes = fields.Integer()
    start_step_minutes = fields.Integer()
    length_step_minutes = fields.Integer()
    buffer_before_minutes = fields.Integer()
    buffer_after_minutes = fields.Integer()
    hold_minutes = fields.Integer()
    max_open_holds = fields.Integer()
    max_bookings_per_day = fields.Integer()
    requires_confirmation = fields.Boolean()
    confirm_deadline_minutes = fields.Integer()
    check_in_early_minutes = fields.Integer()
    cancel_steps = fields.List(fields.Nested(FeeStepSchema))
    change_steps = fields.List(fields.Nested(FeeStepSchema))
    change_max_count = fields.Integer()
    change_deadline_minutes = fields.Integer()
    has_overtime = fields.Boolean()
    overtime_grace_minutes = fields.Integer()
    overtime_unit_minutes = fields.Integer()
    overtime_percent = fields.Integer()
    overtime_cap_fen = fen(allow_none=True)
    no_show_release_minutes = fields.Integer(allow_none=True)
    no_show_refund_percent = fields.Integer()
    early_refund_percent = fields.Integer()
    refund_window_days = fields.Integer()


class SessionSchema(AnswerSchema):
    """A named start time and length; the start is in minutes from local midnight."""

    id = Id()
    name = fields.String()
    start_minute = fields.Integer()
    length_minutes = fields.Integer()


class StoreSchema(StoreItemSchema):
    """A store with everything that its page shows."""

    introduction = fields.String()
    transport = fields.String()
    media = fields.List(fields.Nested(MediumSchema))
    facilities = fields.List(fields.Nested(FacilitySchema))
    policy = fields.Nested(PolicySchema, allow_none=True)
    sessions = fields.List(fields.Nested(SessionSchema))
    channels = fields.List(
        fields.String(), metadata={"description": "The ways of paying that POST payments takes here."}
    )


class RoomSchema(AnswerSchema):
    """A room; its state is that of this moment."""

    id = Id()
    store_id = Id()
    name = fields.String()
    room_type = fields.String()
    area_m2 = fields.Float(allow_none=True)
    capacity = fields.Integer()
    decor_style = fields.String()
    description = fields.String()
    facilities = fields.List(fields.Nested(FacilitySchema))
    cover_url = fields.String(allow_none=True)
    media = fields.List(fields.Nested(MediumSchema))
    price_from_fen = fen(allow_none=True)
    state = fields.String(metadata={"enum": STATES})


class WindowQuery(RequestSchema):
    """The time to show, at most 31 days; it may begin in the past."""

    from_at = Instant(data_key="from", required=True)
    to_at = Instant(data_key="to", required=True)


class SpanSchema(AnswerSchema):
    """A stretch of a room's time; `reason` is null where it is free."""

    start_at = Instant()
    end_at = Instant()
    state = fields.String(metadata={"enum": STATES})
    reason = fields.String(allow_none=True)


class RoomTimelineSchema(AnswerSchema):
    """A room's present state, and its time: sorted, without gaps, clipped to the window."""

    room_id = Id()
    state = fields.String(metadata={"enum": STATES})
    spans = fields.List(fields.Nested(SpanSchema))


class StoreAvailabilitySchema(AnswerSchema):
    """What is free in a store; the version changes whenever the answer may."""

    version = fields.String()
    rooms = fields.List(fields.Nested(RoomTimelineSchema))


class RoomAvailabilitySchema(RoomTimelineSchema):
    """What is free in one room."""

    version = fields.String()


class MonthQuery(RequestSchema):
    """The month to show."""

    month = Text(at_least=7, at_most=7, pattern=r"^\d{4}-(0[1-9]|1[0-2])$", required=True)


class DaySchema(AnswerSchema):
    """How much of a local day is free, and the lowest price."""

    date = fields.Date()
    free_minutes = fields.Integer()
    price_from_fen = fen(allow_none=True)
