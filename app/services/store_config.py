"""How a store is configured, kept in this process for as long as the database says that nothing has changed.

`StoreConfig` holds what changes rarely: whether the store is in service, its time zone, its rooms in service
with their effective policies, opening hours and special days, sessions, and the price book (active prices and
discounts, the owner's calendar). Bookings and blocks are no part of it.

`stores.config_version` is renewed by triggers in the transaction of every change, whoever writes (migration
0007). Each read asks for it, so a change counts at once in every process; versions are random and never come
again, so what a transaction saw before it was rolled back is never taken for something else. With a warm
cache each of these costs one statement, with a cold one some seven more:

    load_store_config(store_id)   raises NotFound: not there, not in service, outside the scope of staff
    load_room_config(room_id)     the same by a room in service; its `.room(room_id)` are the room's rules
    load_room(room_id), load_store_rooms(store_id), load_price_book(store_id)     the parts of it
    load_known_room(room_id)      the rules of a room that may be out of service
    config_at(store_id, version)  no statement when warm: for who reads `config_version` along with others

Inside a unit of work ask after the room is locked, so that nothing can change between look and write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, Select, bindparam, select

from app.domain import booking_rules as rules
from app.domain.errors import NotFound
from app.domain.opening import OpeningRule
from app.domain.price_books import PriceBook
from app.extensions import current_scope
from app.models import BookingPolicy, BookingSession, OpeningHours, Room, RoomType, Store
from app.services.price_books import read_price_book
from app.services.room_rules import RoomRules, policy_of_row
from app.services.unit_of_work import session

# Old versions of busy stores age out as well; a chain with more stores only reads more.
MOST_KEPT = 256

_STORE: Any = bindparam("store")
_STORES, _ROOMS, _TYPES = Store.__table__, Room.__table__, RoomType.__table__
_POLICIES, _OPENINGS, _SESSIONS = BookingPolicy.__table__, OpeningHours.__table__, BookingSession.__table__

# Statements are made once: building them costs more than the database takes to answer them.
_VERSION_OF_STORE = select(_STORES.c.id, _STORES.c.config_version).where(_STORES.c.id == _STORE)
_VERSION_OF_ROOM = (
    select(_STORES.c.id, _STORES.c.config_version)
    .join(_ROOMS, _ROOMS.c.store_id == _STORES.c.id)
    .where(_ROOMS.c.id == bindparam("room"))
)
_OWN = select(_STORES.c.name, _STORES.c.time_zone, _STORES.c.is_active).where(_STORES.c.id == _STORE)
_ALL_ROOMS = (
    select(
        _ROOMS.c.id,
        _ROOMS.c.name,
        _ROOMS.c.room_type_id,
        _ROOMS.c.cleaning_minutes,
        _ROOMS.c.is_active,
        _TYPES.c.name.label("room_type"),
    )
    .join(_TYPES, _TYPES.c.id == _ROOMS.c.room_type_id)
    .where(_ROOMS.c.store_id == _STORE)
    .order_by(_ROOMS.c.position, _ROOMS.c.id)
)
_RULES = select(_POLICIES).where(_POLICIES.c.store_id == _STORE)
_HOURS = (
    select(
        _OPENINGS.c.weekday,
        _OPENINGS.c.on_date,
        _OPENINGS.c.opens_minute,
        _OPENINGS.c.closes_minute,
        _OPENINGS.c.is_closed,
    )
    .where(_OPENINGS.c.store_id == _STORE)
    .order_by(_OPENINGS.c.id)
)
_OFFERED = (
    select(_SESSIONS.c.id, _SESSIONS.c.name, _SESSIONS.c.start_minute, _SESSIONS.c.length_minutes)
    .where(_SESSIONS.c.store_id == _STORE, _SESSIONS.c.is_active)
    .order_by(_SESSIONS.c.start_minute, _SESSIONS.c.id)
)


@dataclass(frozen=True, slots=True)
class SessionTime:
    """A named start (minutes from local midnight) and length that the store offers."""

    id: int
    name: str
    start_minute: int
    length_minutes: int


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """A store as configured at `version`; never changed, because requests share it.

    `rooms` are those in service in the order shown, none where the store is not; `known_by_id` has the others
    too. `policy` is the store's own
    default, None where it has none (rooms then follow the defaults of `BookingPolicy`).
    """

    version: int
    store_id: int
    name: str
    is_active: bool
    tz: ZoneInfo
    policy: rules.BookingPolicy | None
    opening: tuple[OpeningRule, ...]
    sessions: tuple[SessionTime, ...]
    book: PriceBook
    rooms: tuple[RoomRules, ...]
    rooms_by_id: Mapping[int, RoomRules]
    known_by_id: Mapping[int, RoomRules]

    def room(self, room_id: int) -> RoomRules:
        """Return the rules of a room in service; raises NotFound."""
        try:
            return self.rooms_by_id[room_id]
        except KeyError:
            raise NotFound() from None

    def session(self, session_id: int) -> SessionTime | None:
        """Return a session that is offered, None for any other."""
        return next((each for each in self.sessions if each.id == session_id), None)

    def session_at(self, start_minute: int, length_minutes: int) -> SessionTime | None:
        """Return a session that has exactly this time of the day, if there is one."""
        time = (start_minute, length_minutes)
        at = (each for each in self.sessions if (each.start_minute, each.length_minutes) == time)
        return next(at, None)


def load_store_config(store_id: int) -> StoreConfig:
    """Return a store in service as it is configured now; raises NotFound."""
    config = _find(_VERSION_OF_STORE, store=store_id)
    if config is None or not config.is_active:
        raise NotFound()
    return config


def load_known_store(store_id: int) -> StoreConfig:
    """Return a store as it is configured now, also one out of service; raises NotFound."""
    config = _find(_VERSION_OF_STORE, store=store_id)
    if config is None:
        raise NotFound()
    return config


def load_room_config(room_id: int) -> StoreConfig:
    """Return the store of a room in service as it is configured now; raises NotFound."""
    config = _find(_VERSION_OF_ROOM, room=room_id)
    if config is None or room_id not in config.rooms_by_id:
        raise NotFound()
    return config


def load_room(room_id: int) -> RoomRules:
    """Return the rules of one room that is in service; raises NotFound."""
    return load_room_config(room_id).room(room_id)


def load_known_room(room_id: int) -> RoomRules:
    """Return the rules of a room, also of one out of service: guests may still be in it; raises NotFound."""
    config = _find(_VERSION_OF_ROOM, room=room_id)
    if config is None or room_id not in config.known_by_id:
        raise NotFound()
    return config.known_by_id[room_id]


def load_store_rooms(store_id: int) -> tuple[RoomRules, ...]:
    """Return the rules of every room of a store that is in service, in the order shown."""
    config = _find(_VERSION_OF_STORE, store=store_id)
    return () if config is None else config.rooms


def load_price_book(store_id: int) -> PriceBook:
    """Return the active prices and discounts and the calendar of a store, which may be out of service."""
    config = _find(_VERSION_OF_STORE, store=store_id)
    return PriceBook() if config is None else config.book


def _find(statement: Select[Any], **which: int) -> StoreConfig | None:
    row = session().connection().execute(statement, which).one_or_none()
    # The scope is asked here, because what is kept is kept for everybody.
    if row is None or not current_scope().allows(row.id):
        return None
    return config_at(row.id, row.config_version)


@lru_cache(maxsize=MOST_KEPT)
def config_at(store_id: int, version: int) -> StoreConfig:
    """Return the configuration that *version*, read from the store's row just now, stands for.

    What is committed between that read and this load is taken in early, under a version that nobody will ask
    for again.
    """
    rows = {
        name: _rows(statement, store_id)
        for name, statement in (("rooms", _ALL_ROOMS), ("rules", _RULES), ("hours", _HOURS))
    }
    store = _rows(_OWN, store_id)[0]
    policies = {row.room_id: policy_of_row(row._mapping) for row in rows["rules"]}
    opening = tuple(OpeningRule(*row) for row in rows["hours"])
    known = {row.id: _room_rules(row, store, store_id, policies, opening) for row in rows["rooms"]}
    rooms = [known[row.id] for row in rows["rooms"] if row.is_active and store.is_active]
    return StoreConfig(
        version=version,
        store_id=store_id,
        name=store.name,
        is_active=store.is_active,
        tz=ZoneInfo(store.time_zone),
        policy=policies.get(None),
        opening=opening,
        sessions=tuple(SessionTime(**row._mapping) for row in _rows(_OFFERED, store_id)),
        book=read_price_book(store_id),
        rooms=tuple(rooms),
        rooms_by_id={room.room_id: room for room in rooms},
        known_by_id=known,
    )


def _rows(statement: Select[Any], store_id: int) -> list[Row[Any]]:
    return list(session().connection().execute(statement, {"store": store_id}))


def _room_rules(
    row: Row[Any],
    store: Row[Any],
    store_id: int,
    policies: Mapping[int | None, rules.BookingPolicy],
    opening: tuple[OpeningRule, ...],
) -> RoomRules:
    policy = policies.get(row.id) or policies.get(None) or rules.BookingPolicy()
    after = max(policy.buffer_after_minutes, row.cleaning_minutes)
    return RoomRules(
        room_id=row.id,
        room_name=row.name,
        room_type_id=row.room_type_id,
        room_type=row.room_type,
        store_id=store_id,
        store_name=store.name,
        tz=ZoneInfo(store.time_zone),
        policy=replace(policy, buffer_after_minutes=after),
        opening=opening,
    )
