"""Stores: where they are, what they offer, which rooms they have and what is free."""

from __future__ import annotations

from typing import Any

from flask import Response

from app.api.availability import availability_answer
from app.api.endpoints import Access, Blueprint
from app.api.pages import slice_of
from app.api.schemas.common import PageQuery, page_schema
from app.api.schemas.stores import (
    PositionQuery,
    RoomSchema,
    StoreAvailabilitySchema,
    StoreItemSchema,
    StoreSchema,
    StoresQuery,
    WindowQuery,
)
from app.domain.clock import utc_now
from app.services import availability, catalog

blueprint = Blueprint("stores", "Stores")


@blueprint.operation(
    "GET",
    "/stores",
    query=StoresQuery,
    answer=page_schema(StoreItemSchema),
    access=Access.PUBLIC,
    has_tag=True,
)
def list_stores(query: dict[str, Any]) -> dict[str, Any]:
    """List the stores in service, the nearest first where a position is given."""
    found = catalog.list_stores(lat=query["lat"], lng=query["lng"], text=query["q"].strip(), now=utc_now())
    return slice_of(found, query["cursor"], query["limit"])


@blueprint.operation(
    "GET",
    "/stores/<id:store_id>",
    query=PositionQuery,
    answer=StoreSchema,
    access=Access.PUBLIC,
    has_tag=True,
)
def get_store(query: dict[str, Any], store_id: int) -> dict[str, Any]:
    """Return one store with its pictures, facilities, rules and sessions."""
    return catalog.get_store(store_id, lat=query["lat"], lng=query["lng"], now=utc_now())


@blueprint.operation(
    "GET",
    "/stores/<id:store_id>/rooms",
    query=PageQuery,
    answer=page_schema(RoomSchema),
    access=Access.PUBLIC,
    has_tag=True,
)
def list_rooms(query: dict[str, Any], store_id: int) -> dict[str, Any]:
    """List the rooms of a store with their state of this moment."""
    return slice_of(catalog.list_rooms(store_id, now=utc_now()), query["cursor"], query["limit"])


@blueprint.operation(
    "GET",
    "/stores/<id:store_id>/availability",
    query=WindowQuery,
    answer=StoreAvailabilitySchema,
    access=Access.PUBLIC,
    has_tag=True,
)
def get_availability(query: dict[str, Any], store_id: int) -> Response:
    """Return what is free in every room of a store; poll it with If-None-Match."""
    return availability_answer(
        lambda known: availability.read_store_availability(store_id, **query, now=utc_now(), known=known)
    )
