"""Redemption at the desk: preview with reasons, confirm exactly once, reverse within the window."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.fernet import InvalidToken
from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from app.domain.actor import ALL_STORES, Actor
from app.domain.errors import (
    DomainError,
    Forbidden,
    InvalidField,
    InvalidTransition,
    NotFound,
    VoucherNotHere,
)
from app.domain.states import BookingState, OrderStatus, RedemptionMethod, VoucherStatus
from app.extensions import keyring, use_scope
from app.models import Booking, Customer, Order, OrderSource, Redemption, Room, Voucher
from app.services import (
    bookings,
    doors,
    group_orders,
    notifications,
    pending_changes,
    refunds,
    stays,
    vouchers,
)
from app.services.booking_rows import booking_of
from app.services.locks import lock_order, lock_rooms
from app.services.order_log import move_order
from app.services.redemption_log import Attempt, check_misses, log_attempt
from app.services.redemption_rooms import free_rooms, offer_room
from app.services.refund_decisions import drop_open_request
from app.services.store_config import load_room
from app.services.unit_of_work import session, transactional

NONCE_MINUTES = 15
# How long after the redemption it can be taken back; later the room has been used.
REVERSAL_MINUTES = 30


@dataclass(frozen=True, slots=True)
class Nonce:
    """What a preview hands out for its confirmation: opaque and unforgeable to everybody else."""

    voucher_id: int
    store_id: int
    staff_id: int | None
    method: str
    expires_at: int
    salt: str

    def seal(self) -> str:
        """Return the text that stands for it."""
        values = [self.voucher_id, self.store_id, self.staff_id, self.method, self.expires_at, self.salt]
        return keyring.encrypt(json.dumps(values))

    @staticmethod
    def open(text: str) -> Nonce:
        """Return the nonce behind a text; raises InvalidField for any other text."""
        try:
            return Nonce(*json.loads(keyring.decrypt(text)))
        except (InvalidToken, UnicodeError, ValueError, TypeError):
            raise InvalidField.of("nonce", _l("Please look at the voucher again first.")) from None


def preview(
    store_id: int,
    *,
    code: str | None = None,
    voucher_id: int | None = None,
    actor: Actor,
    address: str = "",
    now: datetime,
) -> dict[str, Any]:
    """Return what a code or a picked voucher is good for here and now.

    `{voucher, customer, valid, reasons, rooms, nonce}`; `nonce` is null when it is not valid. Raises
    Forbidden outside the staff's stores, NotFound for an unknown code, RateLimited after too many of them.
    """
    if not actor.scope.allows(store_id):
        raise Forbidden()
    check_misses(actor, address, now=now)
    attempt = Attempt("preview", store_id, actor, address, _method(code, voucher_id), code or "")
    with use_scope(ALL_STORES):
        try:
            voucher = _find(code, voucher_id, actor=actor, now=now)
        except DomainError as refusal:
            log_attempt(attempt, refusal.code, now=now)
            raise
        answer = _preview(voucher, store_id, attempt.method, actor=actor, now=now)
        reasons = answer["reasons"]
        log_attempt(attempt, reasons[0]["code"] if reasons else "ok", voucher_id=voucher.id, now=now)
    return answer


def _method(code: str | None, voucher_id: int | None) -> RedemptionMethod:
    if voucher_id is not None:
        return RedemptionMethod.PICKED
    is_scan = (code or "").strip().startswith(vouchers.QR_PREFIX)
    return RedemptionMethod.SCANNED if is_scan else RedemptionMethod.TYPED


def _find(code: str | None, voucher_id: int | None, *, actor: Actor, now: datetime) -> Voucher:
    if (code is None) == (voucher_id is None):
        raise InvalidField.of("code", _l("Type a code or pick a voucher."))
    if code is not None:
        voucher = vouchers.find_by_scan(code, now=now)
    else:
        voucher = session().get(Voucher, voucher_id, populate_existing=True)
        if voucher is not None and not _is_in_scope(voucher, actor):
            voucher = None
    if voucher is None:
        raise NotFound(_l("There is no voucher with this code."))
    return voucher


def _is_in_scope(voucher: Voucher, actor: Actor) -> bool:
    return any(actor.scope.allows(store_id) for store_id in voucher.terms["store_ids"])


def _preview(
    voucher: Voucher, store_id: int, method: RedemptionMethod, *, actor: Actor, now: datetime
) -> dict[str, Any]:
    rooms: list[dict[str, Any]] = []
    reasons: list[dict[str, Any]] = []
    try:
        rooms = _rooms(voucher, store_id, now=now)
    except DomainError as refusal:
        reasons.append({"code": refusal.code, "message": str(refusal.message), "data": refusal.data})
    nonce = _new_nonce(voucher, store_id, method, actor, now).seal() if rooms else None
    return {
        "voucher": describe_for_staff(voucher),
        "customer": mask_name(voucher.customer),
        "valid": bool(rooms),
        "reasons": reasons,
        "rooms": rooms,
        "nonce": nonce,
    }


def _rooms(voucher: Voucher, store_id: int, *, now: datetime) -> list[dict[str, Any]]:
    """Return where the voucher can be used now: its booked room, else every free room; raises why not."""
    if voucher.status is VoucherStatus.LOCKED:
        return [_booked_room(voucher, store_id)]
    vouchers.check_status(voucher)
    return free_rooms(voucher, store_id, now=now)


def _booked_room(voucher: Voucher, store_id: int) -> dict[str, Any]:
    booking = session().scalar(
        select(Booking).where(
            Booking.order_id == voucher.booking_order_id, Booking.state == BookingState.RESERVED
        )
    )
    if booking is None:
        vouchers.check_status(voucher)
        raise NotFound()
    if booking.store_id != store_id:
        raise VoucherNotHere(data={"rule": "booking", "limit": booking.store_id})
    return {
        "room_id": booking.room_id,
        "name": booking.room.name,
        "free_until_at": booking.end_at,
        "is_booked": True,
    }


def _new_nonce(
    voucher: Voucher, store_id: int, method: RedemptionMethod, actor: Actor, now: datetime
) -> Nonce:
    expires_at = int((now + timedelta(minutes=NONCE_MINUTES)).timestamp())
    return Nonce(voucher.id, store_id, actor.id, method.value, expires_at, secrets.token_hex(8))


def describe_for_staff(voucher: Voucher) -> dict[str, Any]:
    """Return a voucher as staff see it: never the whole code."""
    return {
        "id": voucher.id,
        "code_tail": voucher.code_tail,
        "status": voucher.status.value,
        "status_label": str(voucher.status.label),
        "campaign": voucher.campaign.title,
        "minutes": voucher.terms["minutes"],
        "people": voucher.terms["people"],
        "valid_from_at": voucher.valid_from_at,
        "valid_until_at": voucher.valid_until_at,
        "store_ids": voucher.terms["store_ids"],
        "order_no": voucher.order.no,
    }


def mask_name(customer: Customer) -> dict[str, Any]:
    """Return a customer for staff: the first sign of the name, the last four of the phone."""
    name = customer.nickname
    return {
        "name": f"{name[:1]}{'*' * min(3, max(1, len(name) - 1))}" if name else "",
        "phone": customer.phone_masked or None,
    }


def confirm(nonce: str, room_id: int, *, actor: Actor, address: str = "", now: datetime) -> dict[str, Any]:
    """Redeem a previewed voucher into a room that is free now, once; a repeated nonce gets its first answer.

    Returns `{redemption_id, order_no, room, end_at, access}`. Raises InvalidField for a stale nonce,
    Forbidden for another's, the voucher's refusals, RoomTaken.
    """
    ticket = Nonce.open(nonce)
    if ticket.staff_id != actor.id or not actor.scope.allows(ticket.store_id):
        raise Forbidden()
    attempt = Attempt("confirm", ticket.store_id, actor, address, RedemptionMethod.of(ticket.method), "")
    key = keyring.keyed_hash("redemption-nonce", nonce)
    with use_scope(ALL_STORES):
        done = _find_done(key)
        if done is None:
            try:
                done = _confirm(ticket, key, room_id, actor=actor, now=now)
            except DomainError as refusal:
                # A twin with the same nonce may have been faster; then its answer is ours.
                done = _find_done(key)
                if done is None:
                    log_attempt(attempt, refusal.code, voucher_id=ticket.voucher_id, now=now)
                    raise
            else:
                log_attempt(attempt, "ok", voucher_id=ticket.voucher_id, now=now)
        return _answer(done, now=now)


def _find_done(key: str) -> Redemption | None:
    return session().scalar(
        select(Redemption).where(Redemption.nonce == key).execution_options(populate_existing=True)
    )


@transactional
def _confirm(ticket: Nonce, key: str, room_id: int, *, actor: Actor, now: datetime) -> Redemption:
    if datetime.fromtimestamp(ticket.expires_at, UTC) <= now:
        raise InvalidField.of("nonce", _l("Please look at the voucher again first."))
    room = load_room(room_id)
    if room.store_id != ticket.store_id:
        raise NotFound()
    voucher = session().get(Voucher, ticket.voucher_id, populate_existing=True)
    assert voucher is not None
    method = RedemptionMethod.of(ticket.method)
    if voucher.status is VoucherStatus.LOCKED:
        return _use_booking(voucher, key, room_id, method, actor=actor, now=now)
    lock_rooms([room_id])
    bookings.release_stale_holds(room_id, now=now)
    lock_order(voucher.order_id)
    session().refresh(voucher)
    vouchers.check_status(voucher)
    offer = offer_room(voucher, room, now=now)
    order = bookings.save_order(
        offer,
        customer_id=voucher.customer_id,
        source=OrderSource.REDEMPTION,
        is_in_use=True,
        actor=actor,
        now=now,
    )
    vouchers.redeem_now(voucher, order)
    return vouchers.record_redemption(voucher, order, method, nonce=key, actor=actor, now=now)


def _use_booking(
    voucher: Voucher, key: str, room_id: int, method: RedemptionMethod, *, actor: Actor, now: datetime
) -> Redemption:
    """Check the customer into the booking that the voucher is locked in."""
    assert voucher.booking_order_id is not None
    order, booking = stays.lock_stay(voucher.booking_order_id)
    if booking.room_id != room_id:
        raise InvalidField.of("room_id", _l("The voucher is booked for another room."))
    stays.let_guests_in(order, booking, actor=actor, now=now)
    vouchers.redeem_for_booking(order, method=method, nonce=key, actor=actor, now=now)
    done = _find_done(key)
    assert done is not None
    return done


def _answer(redemption: Redemption, *, now: datetime) -> dict[str, Any]:
    """Return the first answer of a redemption, asking the door only once."""
    if "sealed" not in redemption.answer:
        booking = booking_of(session().get_one(Order, redemption.order_id))
        access = doors.open_room(booking, now=now)
        _keep_answer(redemption.id, booking, access)
        session().refresh(redemption)
    answer: dict[str, Any] = json.loads(keyring.decrypt(redemption.answer["sealed"]))
    return answer


@transactional
def _keep_answer(redemption_id: int, booking: Booking, access: dict[str, Any] | None) -> None:
    redemption = session().get_one(
        Redemption, redemption_id, populate_existing=True, with_for_update={"key_share": True}
    )
    if "sealed" in redemption.answer:
        # A twin that asked the door at the same time was faster; both get one answer.
        return
    booking = session().get_one(Booking, booking.id)
    if access is not None and access["expires_at"] is not None:
        access = access | {"expires_at": access["expires_at"].isoformat()}
    order_no = session().scalar(select(Order.no).where(Order.id == redemption.order_id))
    room = session().get_one(Room, booking.room_id)
    answer = {
        "redemption_id": str(redemption.id),
        "order_no": order_no,
        "room": {"id": str(room.id), "name": room.name},
        "end_at": booking.end_at.isoformat(),
        "access": access,
    }
    # Door codes are never kept in clear.
    redemption.answer = {"sealed": keyring.encrypt(json.dumps(answer))}


@transactional
def reverse(redemption_id: int, *, reason: str, actor: Actor, now: datetime) -> int:
    """Take a redemption at the desk back, as a row of its own: the room is freed, the voucher good again.

    Raises NotFound, InvalidField without a reason, InvalidTransition when it was reversed before, the use is
    over, it was the customer's own booking, or the window has passed.
    """
    if not reason.strip():
        raise InvalidField.of("reason", _l("Please give a reason."))
    redemption = session().get(Redemption, redemption_id, populate_existing=True)
    if redemption is None or redemption.reverses_id is not None:
        raise NotFound()
    if not actor.scope.allows(redemption.store_id):
        raise NotFound()
    if redemption.method is RedemptionMethod.SELF or _is_late(redemption, now):
        raise InvalidTransition(_l("This redemption can no longer be reversed."), data={"event": "reverse"})
    order, booking = stays.lock_stay(redemption.order_id)
    if order.source is not OrderSource.REDEMPTION:
        raise InvalidTransition(_l("This redemption can no longer be reversed."), data={"event": "reverse"})
    _end_use(order, booking, reason, actor=actor, now=now)
    return _save_reversal(redemption, reason, actor=actor, now=now)


def _end_use(order: Order, booking: Booking, reason: str, *, actor: Actor, now: datetime) -> None:
    """End the stay as if it had never been: what was paid for more time goes back, too."""
    pending_changes.drop_pending(order, actor=actor, now=now, reason=reason)
    drop_open_request(order, actor=actor, now=now)
    paid_fen = refunds.refundable_fen(order)
    target = OrderStatus.REFUNDING if paid_fen else OrderStatus.CANCELLED
    move_order(order, "reverse", target, actor=actor, now=now, reason=reason, finished_at=now)
    booking.state = BookingState.RELEASED
    booking.ended_at = now
    if paid_fen:
        refunds.refund_order(order, paid_fen, reason="reverse", actor=actor, now=now)


def is_reversible(redemption_id: int, *, now: datetime) -> bool:
    """Tell whether a redemption that is in scope can still be taken back."""
    redemption = session().get(Redemption, redemption_id)
    if redemption is None or redemption.reverses_id is not None or _is_late(redemption, now):
        return False
    if redemption.method is RedemptionMethod.SELF:
        return False
    order = session().get_one(Order, redemption.order_id)
    return order.source is OrderSource.REDEMPTION and order.status is OrderStatus.IN_USE


def _is_late(redemption: Redemption, now: datetime) -> bool:
    return now - redemption.redeemed_at > timedelta(minutes=REVERSAL_MINUTES)


def _save_reversal(redemption: Redemption, reason: str, *, actor: Actor, now: datetime) -> int:
    voucher = redemption.voucher
    sale = lock_order(voucher.order_id)
    vouchers.restore(voucher)
    reversal = Redemption(
        voucher_id=voucher.id,
        store_id=redemption.store_id,
        room_id=redemption.room_id,
        order_id=redemption.order_id,
        staff_id=actor.id,
        staff_name=actor.name,
        method=redemption.method,
        redeemed_at=now,
        reverses_id=redemption.id,
        reason=reason[:200],
    )
    session().add(reversal)
    session().flush()
    group_orders.after_reversal(sale, actor=actor, now=now)
    notifications.queue_notice(
        "redemption_reversed",
        order=sale,
        occurrence=str(reversal.id),
        variables={"campaign": voucher.campaign.title, "code_tail": voucher.code_tail, "reason": reason},
        now=now,
    )
    return reversal.id
