"""Doors: letting guests in, keeping their code as good as their stay, and taking it back."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select, update

from app.domain.actor import SYSTEM
from app.domain.errors import Unavailable
from app.domain.states import BookingState
from app.gateways.ports import GatewayError, RoomAccess, RoomControl
from app.models import Booking, DoorAccess, OrderEvent
from app.services import channels
from app.services.inserts import insert_into
from app.services.locks import lock_order
from app.services.order_log import record_event
from app.services.sweeps import within_budget
from app.services.unit_of_work import change_rows, session, transactional

log = logging.getLogger(__name__)


def open_room(booking: Booking, *, now: datetime) -> dict[str, Any] | None:
    """Let the guests of a booking in and return `{kind, code, expires_at}`; None when the door is silent.

    Who was let in already sees the same code again. A store without doors of ours has nothing to say either.
    A door that fails is an event of the order, and is tried again by `keep_doors_in_step`.
    """
    booking_id, order_id = booking.id, booking.order_id
    shown = access_of(booking, now=now)
    if shown is not None:
        return shown
    control = _control()
    if control is None:
        return None
    try:
        _let_in(control, booking, now=now)
    except GatewayError as error:
        log.error("door of room %s did not answer: %s", booking.room_id, error)
        _record(order_id, "door_failed", now=now)
        return None
    return access_of(session().get_one(Booking, booking_id), now=now)


def _control() -> RoomControl | None:
    try:
        return channels.room_control()
    except Unavailable:
        return None


def access_of(booking: Booking, *, now: datetime) -> dict[str, Any] | None:
    """Return the access of guests who are in, as their owner may see it, while the door takes it."""
    if booking.state is not BookingState.IN_USE:
        return None
    row = session().scalar(
        select(DoorAccess).where(
            DoorAccess.booking_id == booking.id, DoorAccess.revoked_at.is_(None), DoorAccess.expires_at > now
        )
    )
    return None if row is None else {"kind": row.kind, "code": row.code, "expires_at": row.expires_at}


def _let_in(control: RoomControl, booking: Booking, *, now: datetime) -> None:
    room_ref, store_id, booking_id = str(booking.room_id), booking.store_id, booking.id
    access = control.let_in(room_ref, min(now, booking.start_at), booking.end_at)
    _keep(booking_id, store_id, room_ref, access, now=now)


@transactional
def _keep(booking_id: int, store_id: int, room_ref: str, access: RoomAccess, *, now: datetime) -> None:
    """Keep what the door was told; a code that has run out is replaced by the one that is good now."""
    values = {
        "store_id": store_id,
        "room_ref": room_ref,
        "access_ref": access.ref,
        "kind": access.kind,
        "code": access.code,
        "expires_at": access.expires_at,
        "created_at": now,
        "revoked_at": None,
    }
    session().execute(
        insert_into(DoorAccess)
        .values(booking_id=booking_id, **values)
        .on_conflict_do_update(index_elements=["booking_id"], set_=values)
    )


@transactional
def _record(order_id: int, event: str, *, now: datetime) -> None:
    record_event(lock_order(order_id), event, actor=SYSTEM, now=now)


def keep_doors_in_step(*, now: datetime, limit: int = 200) -> int:
    """Bring the doors to what the stays are now; returns how many were told something.

    Codes of guests who left or moved are taken back, those of guests who stay longer are prolonged, and doors
    that were silent are asked again. What fails is tried again with the next run.
    """
    control = _control()
    if control is None:
        return 0
    rows = [*_out_of_step(now, limit), *_silent(now, limit)]
    count = 0
    for booking_id in within_budget(rows):
        try:
            count += _bring_in_step(control, booking_id, now=now)
        except GatewayError as error:
            log.warning("door of booking %s is tried again: %s", booking_id, error)
    return count


def _out_of_step(now: datetime, limit: int) -> list[int]:
    query = (
        select(DoorAccess.booking_id)
        .join(Booking, Booking.id == DoorAccess.booking_id)
        .where(
            DoorAccess.revoked_at.is_(None),
            or_(Booking.state != BookingState.IN_USE, Booking.end_at > DoorAccess.expires_at),
        )
    )
    return list(session().scalars(query.order_by(DoorAccess.id).limit(limit)))


def _silent(now: datetime, limit: int) -> list[int]:
    """Bookings in use that have no code, although their door was asked for one."""
    failed = (
        select(OrderEvent.id)
        .where(OrderEvent.order_id == Booking.order_id, OrderEvent.event == "door_failed")
        .exists()
    )
    query = (
        select(Booking.id)
        .outerjoin(DoorAccess, DoorAccess.booking_id == Booking.id)
        .where(Booking.state == BookingState.IN_USE, Booking.end_at > now, DoorAccess.id.is_(None), failed)
    )
    return list(session().scalars(query.order_by(Booking.id).limit(limit)))


def _bring_in_step(control: RoomControl, booking_id: int, *, now: datetime) -> bool:
    booking = session().get_one(Booking, booking_id, populate_existing=True)
    access = session().scalar(select(DoorAccess).where(DoorAccess.booking_id == booking_id))
    if booking.state is not BookingState.IN_USE:
        return access is not None and _take_back(control, access, now=now)
    if access is None:
        order_id = booking.order_id
        _let_in(control, booking, now=now)
        _record(order_id, "door_opened", now=now)
        return True
    if booking.end_at <= access.expires_at:
        return False
    if access.expires_at <= now:
        # The door has forgotten a code that ran out.
        _let_in(control, booking, now=now)
        return True
    access_id, end_at = access.id, booking.end_at
    control.prolong(access.room_ref, access.access_ref, end_at)
    _note(access_id, expires_at=end_at)
    return True


def _take_back(control: RoomControl, access: DoorAccess, *, now: datetime) -> bool:
    access_id = access.id
    if access.expires_at > now:
        control.shut_out(access.room_ref, access.access_ref)
    _note(access_id, revoked_at=now)
    return True


@transactional
def _note(access_id: int, **values: Any) -> None:
    change_rows(
        update(DoorAccess).where(DoorAccess.id == access_id, DoorAccess.revoked_at.is_(None)).values(**values)
    )
