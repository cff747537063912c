"""Rooms: what they are, and what is free in one of them."""

from __future__ import annotations

from typing import Any

from flask import Response

from app.api.answers import json_answer
from app.api.availability import availability_answer
from app.api.endpoints import Access, Blueprint
from app.api.schemas.stores import DaySchema, MonthQuery, RoomAvailabilitySchema, RoomSchema, WindowQuery
from app.domain.clock import utc_now
from app.services import availability, catalog

blueprint = Blueprint("rooms", "Rooms")


@blueprint.operation("GET", "/rooms/<id:room_id>", answer=RoomSchema, access=Access.PUBLIC, has_tag=True)
def get_room(room_id: int) -> dict[str, Any]:
    """Return one room with its state of this moment."""
    return catalog.get_room(room_id, now=utc_now())


@blueprint.operation(
    "GET",
    "/rooms/<id:room_id>/availability",
    query=WindowQuery,
    answer=RoomAvailabilitySchema,
    access=Access.PUBLIC,
    has_tag=True,
)
def get_availability(query: dict[str, Any], room_id: int) -> Response:
    """Return what is free in one room; poll it with If-None-Match."""
    return availability_answer(
        lambda known: availability.read_room_availability(room_id, **query, now=utc_now(), known=known)
    )


@blueprint.operation(
    "GET",
    "/rooms/<id:room_id>/calendar",
    query=MonthQuery,
    answer=DaySchema(many=True),
    access=Access.PUBLIC,
    has_tag=True,
)
def get_calendar(query: dict[str, Any], room_id: int) -> Response:
    """Return the days of a month with their free minutes and lowest price."""
    days = availability.get_room_calendar(room_id, month=query["month"], now=utc_now())
    return json_answer(DaySchema(many=True).dump(days))
