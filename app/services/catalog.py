"""What is offered where: stores and rooms as customers see them, in a fixed handful of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from math import asin, cos, radians, sin, sqrt
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select
from sqlalchemy.orm import contains_eager, selectinload

from app.domain.booking_rules import BookingPolicy
from app.domain.errors import NotFound
from app.domain.opening import OpeningRule, is_open_at
from app.domain.slots import local_date
from app.models import Facility, Media, MediaKind, Room, RoomFacility, Store
from app.services import channels
from app.services.availability import present_states
from app.services.room_rules import RoomRules
from app.services.store_config import StoreConfig, load_room_config, load_store_config
from app.services.unit_of_work import session

EARTH_RADIUS_M = 6_371_000


def list_stores(
    *, now: datetime, lat: float | None = None, lng: float | None = None, text: str = ""
) -> list[dict[str, Any]]:
    """Return the stores in service, the nearest first where a position is given.

    `distance_m` is the great-circle distance, None without a position. *text* is looked for in name, city
    and address.
    """
    query = select(Store).where(Store.is_active).order_by(Store.id).options(selectinload(Store.opening_hours))
    if text:
        columns = (Store.name, Store.city, Store.address)
        query = query.where(or_(*(column.icontains(text, autoescape=True) for column in columns)))
    stores = session().scalars(query).all()
    media = _load_media(Media.store_id.in_([store.id for store in stores]), Media.room_id.is_(None))
    items = [_store_item(store, media[store.id], _distance(store, lat, lng), now) for store in stores]
    return sorted(items, key=_nearness)


def get_store(
    store_id: int, *, now: datetime, lat: float | None = None, lng: float | None = None
) -> dict[str, Any]:
    """Return one store with introduction, media, facilities, policy, sessions and ways of paying.

    Raises NotFound.
    """
    config = load_store_config(store_id)
    store = session().scalar(
        select(Store).where(Store.id == store_id).options(selectinload(Store.opening_hours))
    )
    if store is None:
        raise NotFound()
    media = _load_media(Media.store_id == store_id, Media.room_id.is_(None))[store_id]
    return _store_item(store, media, _distance(store, lat, lng), now) | {
        "introduction": store.introduction,
        "transport": store.transport,
        "media": [_medium(row) for row in media],
        "facilities": _store_facilities(store_id),
        "policy": _policy_summary(config.policy),
        "sessions": [asdict(each) for each in config.sessions],
        "channels": [channel.value for channel in channels.online_channels(store_id)],
    }


def list_rooms(store_id: int, *, now: datetime) -> list[dict[str, Any]]:
    """Return the rooms of a store in the order shown, with their state of this moment; raises NotFound."""
    config = load_store_config(store_id)
    return _room_items(config, config.rooms, now)


def get_room(room_id: int, *, now: datetime) -> dict[str, Any]:
    """Return one room; raises NotFound."""
    config = load_room_config(room_id)
    return _room_items(config, [config.room(room_id)], now)[0]


def _room_items(config: StoreConfig, rooms: Sequence[RoomRules], now: datetime) -> list[dict[str, Any]]:
    if not rooms:
        return []
    ids = [room.room_id for room in rooms]
    rows = {row.id: row for row in session().scalars(_room_query(ids)).unique()}
    media = _load_media(Media.room_id.in_(ids))
    states = present_states(rooms, now=now)
    return [
        _room_item(rows[room.room_id], media[room.room_id])
        | {
            "price_from_fen": config.book.price_from_fen(room.priced_room, first_on=local_date(now, room.tz)),
            "state": states[room.room_id],
        }
        for room in rooms
    ]


def _room_query(ids: Collection[int]) -> Any:
    return (
        select(Room)
        .outerjoin(Room.facilities)
        .options(contains_eager(Room.facilities))
        .where(Room.id.in_(ids))
        .order_by(RoomFacility.id)
        .execution_options(populate_existing=True)
    )


def _room_item(room: Room, media: Sequence[Media]) -> dict[str, Any]:
    return {
        "id": room.id,
        "store_id": room.store_id,
        "name": room.name,
        "room_type": room.room_type.name,
        "area_m2": room.area_m2,
        "capacity": room.capacity,
        "decor_style": room.decor_style,
        "description": room.description,
        "facilities": [
            {"name": row.facility.name, "brand": row.brand, "remark": row.remark} for row in room.facilities
        ],
        "cover_url": _cover_url(media),
        "media": [_medium(row) for row in media],
    }


def _store_item(
    store: Store, media: Sequence[Media], distance_m: int | None, now: datetime
) -> dict[str, Any]:
    opening = [
        OpeningRule(row.weekday, row.on_date, row.opens_minute, row.closes_minute, row.is_closed)
        for row in store.opening_hours
    ]
    return {
        "id": store.id,
        "name": store.name,
        "city": store.city,
        "address": store.address,
        "lat": store.lat,
        "lng": store.lng,
        "distance_m": distance_m,
        "phone": store.phone,
        "time_zone": store.time_zone,
        "opening_hours": [_opening_row(rule) for rule in opening],
        "logo_url": store.logo_url,
        "cover_url": _cover_url(media),
        "is_open": is_open_at(opening, ZoneInfo(store.time_zone), now),
    }


def _opening_row(rule: OpeningRule) -> dict[str, Any]:
    return {
        "weekday": rule.weekday,
        "on_date": rule.on_date,
        "opens_minute": rule.opens_minute,
        "closes_minute": rule.closes_minute,
        "is_closed": rule.is_closed,
    }


def _load_media(*conditions: Any) -> dict[int, list[Media]]:
    """Return media by room, or by store where they belong to no room, in the order shown."""
    found: dict[int, list[Media]] = defaultdict(list)
    for row in session().scalars(select(Media).where(*conditions).order_by(Media.position, Media.id)):
        found[row.room_id or row.store_id].append(row)
    return found


def _medium(row: Media) -> dict[str, Any]:
    return {"kind": row.kind.value, "url": row.url, "poster_url": row.poster_url, "caption": row.caption}


def _cover_url(media: Iterable[Media]) -> str | None:
    pictures = [row for row in media if row.kind is not MediaKind.VIDEO]
    return next((row.url for row in pictures if row.is_cover), pictures[0].url if pictures else None)


def _store_facilities(store_id: int) -> list[dict[str, Any]]:
    """What can be found in any room of the store, each once."""
    names = session().scalars(
        select(Facility.name)
        .join(RoomFacility, RoomFacility.facility_id == Facility.id)
        .join(Room, Room.id == RoomFacility.room_id)
        .where(Room.store_id == store_id, Room.is_active)
        .distinct()
        .order_by(Facility.name)
    )
    return [{"name": name, "brand": None, "remark": None} for name in names]


def _policy_summary(policy: BookingPolicy | None) -> dict[str, Any] | None:
    """The store's own rules; single rooms may have others, which their quotes show."""
    if policy is None:
        return None
    shown = {name: getattr(policy, name) for name in policy.__slots__ if name not in ("id", "version")}
    return shown | {"cancel_steps": list(policy.cancel_steps), "change_steps": list(policy.change_steps)}


def _distance(store: Store, lat: float | None, lng: float | None) -> int | None:
    """Return metres on the sphere (haversine formula)."""
    if lat is None or lng is None or store.lat is None or store.lng is None:
        return None
    here, there = radians(lat), radians(store.lat)
    north, east = sin((there - here) / 2), sin(radians(store.lng - lng) / 2)
    chord = north**2 + cos(here) * cos(there) * east**2
    return round(2 * EARTH_RADIUS_M * asin(sqrt(min(1.0, chord))))


def _nearness(item: dict[str, Any]) -> tuple[bool, int, int]:
    distance = item["distance_m"]
    return distance is None, distance or 0, item["id"]
