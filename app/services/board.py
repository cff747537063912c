"""What staff see of their rooms at this moment."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select

from app.domain.actor import Actor
from app.models import Store
from app.services.availability import present_states
from app.services.store_config import load_store_rooms
from app.services.unit_of_work import session


def list_rooms_now(*, actor: Actor, now: datetime) -> list[dict[str, Any]]:
    """Return `{store_id, store, room_id, name, room_type, state}` of every room in the actor's stores."""
    found: list[dict[str, Any]] = []
    for store_id in list_stores(actor=actor):
        rooms = load_store_rooms(store_id[0])
        states = present_states(rooms, now=now)
        found += [
            {
                "store_id": room.store_id,
                "store": room.store_name,
                "room_id": room.room_id,
                "name": room.room_name,
                "room_type": room.room_type,
                "state": states[room.room_id],
            }
            for room in rooms
        ]
    return found


def list_stores(*, actor: Actor) -> list[tuple[int, str]]:
    """Return id and name of the stores that the actor works in."""
    query = select(Store.id, Store.name).where(Store.is_active).order_by(Store.id)
    if not actor.scope.is_all:
        query = query.where(Store.id.in_(actor.scope.store_ids))
    return [(row.id, row.name) for row in session().execute(query)]
