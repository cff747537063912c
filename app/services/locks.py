"""Locks, taken once and in the one order that docs/locking.md gives: customer, rooms, …, voucher.

Rows are locked for everything but their key, so that rows which merely point to them (events, notices) can be
written meanwhile: a lock of the whole row would deadlock with those.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, exists, select, update

from app.domain.errors import NotFound
from app.models import Campaign, Customer, Order, Room
from app.services.unit_of_work import change_rows, session

_ROOMS, _CUSTOMERS = Room.__table__, Customer.__table__
_BUYER = (
    select(_CUSTOMERS.c.id)
    .where(_CUSTOMERS.c.id == bindparam("customer"))
    .with_for_update(key_share=True)
    .cte("buyer")
)
_BUYER_AND_ROOM = (
    update(_ROOMS)
    .where(_ROOMS.c.id == bindparam("room"), exists(select(_BUYER.c.id)))
    .values(state_version=_ROOMS.c.state_version + 1, updated_at=_ROOMS.c.updated_at)
)


def lock_rooms(room_ids: Iterable[int]) -> None:
    """Lock the rooms in key order and count their change of state.

    The update is the lock: whoever comes second waits for the row instead of meeting the constraint,
    which alone would deadlock in chains under a crowd. SQLite has one writer at a time anyway.
    """
    for room_id in sorted(set(room_ids)):
        change_rows(
            update(Room)
            .where(Room.id == room_id)
            .values(state_version=Room.state_version + 1, updated_at=Room.updated_at)
        )


def lock_buyer_and_room(customer_id: int | None, room_id: int) -> None:
    """Lock a customer and then a room, as `lock_customer` and `lock_rooms` do, in one statement.

    The room is written once the customer's row, which is joined to it, has been had. Where there is no such
    customer nothing is locked, which is for the caller to find. SQLite's writer has every lock already.
    """
    session().connection().execute(_BUYER_AND_ROOM, {"customer": customer_id, "room": room_id})


def lock_order(order_id: int) -> Order:
    """Lock an order and return it as it is now."""
    return (
        session()
        .execute(
            select(Order)
            .where(Order.id == order_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        .scalar_one()
    )


def lock_campaign(campaign_id: int) -> None:
    """Lock a campaign, which comes before its teams."""
    session().execute(select(Campaign.id).where(Campaign.id == campaign_id).with_for_update(key_share=True))


def lock_customer(customer_id: int | None) -> Customer:
    """Lock a customer, so that two requests of one person cannot both pass a limit; raises NotFound."""
    customer = (
        session()
        .execute(
            select(Customer)
            .where(Customer.id == customer_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        .scalar_one_or_none()
    )
    if customer is None:
        raise NotFound()
    return customer
