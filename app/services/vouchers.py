"""Vouchers: finding them, locking them into bookings, showing them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import segno
from flask_babel import lazy_gettext as _l
from sqlalchemy import select, update

from app.domain.actor import Actor
from app.domain.errors import (
    InvalidField,
    NotFound,
    VoucherAlreadyRedeemed,
    VoucherExpired,
    VoucherLocked,
    VoucherNotNow,
)
from app.domain.slots import Span
from app.domain.states import RedemptionMethod, VoucherStatus
from app.domain.voucher_codes import is_well_formed, normalise_code
from app.domain.voucher_rules import VoucherRoom, VoucherTerms, check_use, terms_of
from app.extensions import keyring
from app.models import Campaign, Order, Redemption, Room, Voucher
from app.services.booking_rows import booking_of
from app.services.cursors import after_id, page_of
from app.services.locks import lock_order
from app.services.room_rules import RoomRules
from app.services.unit_of_work import change_rows, session

QR_MINUTES = 5
QR_PREFIX = "QF1"


def code_hash(code: str) -> str:
    """Return the keyed hash by which a normalised code is found."""
    return keyring.keyed_hash("voucher", code)


def find_by_code(typed: str) -> Voucher | None:
    """Return the voucher of a typed code, however it is spaced; None when there is none."""
    code = normalise_code(typed)
    if not is_well_formed(code):
        return None
    return session().scalar(
        select(Voucher).where(Voucher.code_hash == code_hash(code)).execution_options(populate_existing=True)
    )


def voucher_terms(voucher: Voucher) -> VoucherTerms:
    """Return the terms the voucher was sold under."""
    return terms_of(voucher.terms, valid_from_at=voucher.valid_from_at, valid_until_at=voucher.valid_until_at)


def voucher_room(room: RoomRules) -> VoucherRoom:
    """Return what a voucher looks at in a room."""
    return VoucherRoom(room.room_id, room.store_id, room.room_type_id)


def check_status(voucher: Voucher) -> None:
    """Refuse a voucher that is locked, redeemed, expired, refunding, refunded or voided."""
    if voucher.status is VoucherStatus.LOCKED:
        raise VoucherLocked()
    if voucher.status is VoucherStatus.REDEEMED:
        raise VoucherAlreadyRedeemed(data=redemption_facts(voucher))
    if voucher.status is VoucherStatus.EXPIRED:
        raise VoucherExpired(data={"rule": "status", "limit": voucher.status.value})
    if voucher.status is not VoucherStatus.ISSUED:
        raise VoucherNotNow(
            _l("The voucher is being refunded or no longer valid."),
            data={"rule": "status", "limit": voucher.status.value},
        )


def check_for_booking(typed: str, *, customer_id: int, room: RoomRules, span: Span, now: datetime) -> Voucher:
    """Return the customer's own voucher for a booking of *span*; raises NotFound and the voucher refusals."""
    voucher = find_by_code(typed)
    if voucher is None or voucher.customer_id != customer_id:
        raise NotFound()
    check_status(voucher)
    check_use(voucher_terms(voucher), voucher_room(room), span, now=now, tz=room.tz)
    return voucher


def lock_voucher(voucher: Voucher, order: Order) -> None:
    """Lock a voucher into a booking; of two that race the later gets VoucherLocked."""
    _move(voucher.id, VoucherStatus.ISSUED, VoucherStatus.LOCKED, booking_order_id=order.id)
    session().refresh(voucher)


def _move(voucher_id: int, source: VoucherStatus, target: VoucherStatus, **values: Any) -> None:
    changed = change_rows(
        update(Voucher)
        .where(Voucher.id == voucher_id, Voucher.status == source)
        .values(status=target, **values)
    )
    if changed != 1:
        raise VoucherLocked()


def unlock_vouchers(order: Order) -> None:
    """Give the vouchers locked in a booking back to the customer."""
    change_rows(
        update(Voucher)
        .where(Voucher.booking_order_id == order.id, Voucher.status == VoucherStatus.LOCKED)
        .values(status=VoucherStatus.ISSUED, booking_order_id=None)
    )


def vouchers_of_booking(order: Order) -> Sequence[Voucher]:
    """Return the vouchers that a booking uses or used."""
    return session().scalars(select(Voucher).where(Voucher.booking_order_id == order.id)).all()


def redeem_for_booking(
    order: Order,
    *,
    actor: Actor,
    now: datetime,
    method: RedemptionMethod = RedemptionMethod.SELF,
    nonce: str | None = None,
) -> None:
    """Redeem the vouchers locked in a booking when its customer is let in."""
    for voucher in vouchers_of_booking(order):
        if voucher.status is VoucherStatus.LOCKED:
            # The order that sold it is locked before the voucher, everywhere.
            lock_order(voucher.order_id)
            _move(voucher.id, VoucherStatus.LOCKED, VoucherStatus.REDEEMED)
            record_redemption(voucher, order, method, nonce=nonce, actor=actor, now=now)


def redeem_now(voucher: Voucher, order: Order) -> None:
    """Redeem an issued voucher into the order that uses it; of two that race the later is refused."""
    try:
        _move(voucher.id, VoucherStatus.ISSUED, VoucherStatus.REDEEMED, booking_order_id=order.id)
    except VoucherLocked:
        session().refresh(voucher)
        check_status(voucher)
        raise


def restore(voucher: Voucher) -> None:
    """Make a redeemed voucher good again; raises VoucherLocked when it is not redeemed."""
    _move(voucher.id, VoucherStatus.REDEEMED, VoucherStatus.ISSUED, booking_order_id=None)
    session().refresh(voucher)


def record_redemption(
    voucher: Voucher,
    order: Order,
    method: RedemptionMethod,
    *,
    nonce: str | None,
    actor: Actor,
    now: datetime,
) -> Redemption:
    """Save the redemption of a voucher by a booking order, with what follows from it."""
    from app.services import group_orders, notifications

    booking = booking_of(order)
    redemption = Redemption(
        voucher_id=voucher.id,
        store_id=booking.store_id,
        room_id=booking.room_id,
        order_id=order.id,
        staff_id=actor.id if actor.is_staff else None,
        staff_name=actor.name if actor.is_staff else "",
        method=method,
        nonce=nonce,
        redeemed_at=now,
    )
    session().add(redemption)
    session().flush()
    session().refresh(voucher)
    group_orders.after_redemption(voucher, actor=actor, now=now)
    notifications.queue_notice(
        "voucher_redeemed",
        order=order,
        occurrence=str(redemption.id),
        variables={"campaign": voucher.campaign.title, "code_tail": voucher.code_tail},
        now=now,
    )
    return redemption


def latest_redemption(voucher: Voucher) -> Redemption | None:
    """Return the redemption that stands: the last one that was not reversed."""
    last = session().scalar(
        select(Redemption).where(Redemption.voucher_id == voucher.id).order_by(Redemption.id.desc()).limit(1)
    )
    return None if last is None or last.reverses_id is not None else last


def redemption_facts(voucher: Voucher) -> dict[str, Any]:
    """Return who redeemed a voucher, when and where, for the one who tries again."""
    redemption = latest_redemption(voucher)
    if redemption is None:
        return {}
    return {
        "redeemed_at": redemption.redeemed_at.isoformat(),
        "redeemed_by": redemption.staff_name,
        "store": redemption.store.name,
        "room": redemption.room.name,
    }


def list_vouchers(
    customer_id: int, *, status: str | None = None, cursor: str | None = None, limit: int = 20
) -> dict[str, Any]:
    """Return `{items, next_cursor}` of a customer's vouchers, the newest first."""
    query = select(Voucher).where(Voucher.customer_id == customer_id)
    if status is not None:
        query = query.where(Voucher.status == _status(status))
    if cursor is not None:
        query = query.where(Voucher.id < after_id(cursor))
    rows = session().scalars(query.order_by(Voucher.id.desc()).limit(limit + 1)).all()
    page, next_cursor = page_of(rows, limit)
    rooms = _rooms_by_store(page)
    return {"items": [describe_voucher(voucher, rooms) for voucher in page], "next_cursor": next_cursor}


def _status(value: str) -> VoucherStatus:
    try:
        return VoucherStatus.of(value)
    except ValueError:
        raise InvalidField.of("status", _l("This value is not known.")) from None


def get_own_voucher(typed: str, *, customer_id: int) -> Voucher:
    """Return a customer's own voucher by its code; raises NotFound."""
    voucher = find_by_code(typed)
    if voucher is None or voucher.customer_id != customer_id:
        raise NotFound()
    return voucher


def get_voucher(typed: str, *, customer_id: int) -> dict[str, Any]:
    """Return a customer's own voucher as the JSON interface shows it; raises NotFound."""
    voucher = get_own_voucher(typed, customer_id=customer_id)
    return describe_voucher(voucher, _rooms_by_store([voucher]))


def _rooms_by_store(vouchers: Sequence[Voucher]) -> list[VoucherRoom]:
    store_ids = {store_id for voucher in vouchers for store_id in voucher.terms["store_ids"]}
    rows = session().execute(
        select(Room.id, Room.store_id, Room.room_type_id)
        .where(Room.store_id.in_(store_ids), Room.is_active)
        .order_by(Room.id)
    )
    return [VoucherRoom(*row) for row in rows]


def describe_brief(voucher: Voucher) -> dict[str, Any]:
    """Return a voucher as its order shows it."""
    return {"code": voucher.code, "status": voucher.status.value, "valid_until_at": voucher.valid_until_at}


def describe_voucher(voucher: Voucher, rooms: Sequence[VoucherRoom]) -> dict[str, Any]:
    """Return everything that its owner is shown of a voucher."""
    from app.domain.voucher_rules import usable_rooms

    redemption = latest_redemption(voucher) if voucher.status is VoucherStatus.REDEEMED else None
    booking_no = (
        session().scalar(select(Order.no).where(Order.id == voucher.booking_order_id))
        if voucher.booking_order_id
        else None
    )
    return {
        "code": voucher.code,
        "status": voucher.status.value,
        "status_label": voucher.status.label,
        "campaign": {
            "id": voucher.campaign_id,
            "title": voucher.campaign.title,
            "package": package_of(voucher.terms),
        },
        "order_no": voucher.order.no,
        "booking_no": booking_no,
        "valid_from_at": voucher.valid_from_at,
        "valid_until_at": voucher.valid_until_at,
        "usable_rooms": [room.id for room in usable_rooms(voucher_terms(voucher), rooms)],
        "usable_bands": voucher.terms.get("bands") or [],
        "redemption": redemption
        and {
            "at": redemption.redeemed_at,
            "store_id": redemption.store_id,
            "room_id": redemption.room_id,
            "method": redemption.method.value,
        },
    }


def package_of(terms: dict[str, Any]) -> dict[str, Any]:
    """Return the package part of stored terms, as campaigns and vouchers show it."""
    return {
        "minutes": terms["minutes"],
        "people": terms["people"],
        "room_types": terms.get("room_types") or [],
        "weekdays": terms.get("weekdays") or [],
        "bands": terms.get("bands") or [],
        "excluded_on": terms.get("excluded_on") or [],
    }


def make_qr(typed: str, *, customer_id: int, now: datetime) -> dict[str, Any]:
    """Return `{payload, expires_at, svg}`: a signed code for scanning that is soon worthless to others."""
    voucher = get_own_voucher(typed, customer_id=customer_id)
    expires_at = (now + timedelta(minutes=QR_MINUTES)).replace(microsecond=0)
    payload = _signed(voucher.id, int(expires_at.timestamp()))
    picture = io.BytesIO()
    segno.make(payload, error="m").save(picture, kind="svg", scale=6, border=2, xmldecl=False)
    return {"payload": payload, "expires_at": expires_at, "svg": picture.getvalue().decode()}


def _signed(voucher_id: int, expires: int) -> str:
    text = f"{voucher_id}.{expires}"
    return f"{QR_PREFIX}.{text}.{keyring.keyed_hash('voucher-qr', text)[:32]}"


def find_by_scan(payload: str, *, now: datetime) -> Voucher | None:
    """Return the voucher of a scanned payload: signed and in time, or simply a printed code."""
    parts = payload.strip().split(".")
    if len(parts) != 4 or parts[0] != QR_PREFIX:
        return find_by_code(payload)
    _, voucher_id, expires, _ = parts
    if not (voucher_id.isdecimal() and expires.isdecimal() and len(voucher_id) < 10 and len(expires) < 12):
        return None
    if _digest(payload.strip()) != _digest(_signed(int(voucher_id), int(expires))):
        return None
    if datetime.fromtimestamp(int(expires), UTC) <= now:
        raise VoucherExpired(_l("The QR code is too old. Please let the customer show it again."))
    return session().get(Voucher, int(voucher_id), populate_existing=True)


def _digest(text: str) -> bytes:
    """Compare digests instead of signatures, so that the time taken tells nothing."""
    return hashlib.sha256(text.encode()).digest()


def stored_terms(campaign: Campaign) -> dict[str, Any]:
    """Return the terms of a campaign as they are frozen into a sold voucher."""
    return {
        "minutes": campaign.package_minutes,
        "people": campaign.people,
        "store_ids": [store.id for store in campaign.stores],
        "room_ids": [room.id for room in campaign.rooms],
        "room_type_ids": [room_type.id for room_type in campaign.room_types],
        "room_types": [room_type.name for room_type in campaign.room_types],
        "weekdays": list(campaign.weekdays or []),
        "bands": list(campaign.bands or []),
        "excluded_on": list(campaign.excluded_on or []),
    }
