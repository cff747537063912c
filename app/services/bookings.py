"""Making bookings, letting holds run out, and what happens to a booking when its order is paid."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from app.domain import booking_rules as rules
from app.domain.actor import SYSTEM, Actor
from app.domain.errors import REFUSALS, Blacklisted
from app.domain.slots import Span
from app.domain.states import BookingState, OrderStatus
from app.models import Booking, IdempotencyKey, Order, OrderSource
from app.services import notifications, pending_changes, vouchers
from app.services.booking_facts import CREATED, Facts, read_facts
from app.services.booking_rows import booking_of as booking_of
from app.services.idempotency import Answer, Keep, kept_answer, kept_row
from app.services.inserts import insert_together
from app.services.locks import lock_buyer_and_room, lock_order
from app.services.new_orders import NewOrder, adopt, new_order
from app.services.new_orders import save_order as save_order
from app.services.notice_drafts import Subject
from app.services.notifications import deliver_later, draft_notices
from app.services.order_log import move_order
from app.services.quotes import BookingRequest, Draft, Offer, draft_offer, refuse
from app.services.room_rules import load_occupancy
from app.services.store_config import config_at, load_room_config
from app.services.unit_of_work import session, transactional


def create_booking(request: BookingRequest, *, note: str = "", actor: Actor, now: datetime) -> str:
    """Hold a room for a customer and return the number of the new order.

    With nothing due the order is confirmed at once. Raises every refusal of a quote, and of the customer:
    Blacklisted, CustomerLimit; refusals carry alternatives. RoomTaken when somebody else was faster.
    """
    keep = Keep(None, lambda order: Answer(201, order.no.encode()))
    return answer_booking(request, keep, note=note, actor=actor, now=now).body.decode()


def answer_booking(
    request: BookingRequest, keep: Keep, *, note: str = "", actor: Actor, now: datetime
) -> Answer:
    """As `create_booking`, and return the answer that *keep* makes of the order, kept with it.

    A repetition gets the kept answer and has no effect; a refusal is left to the caller to keep. Raises
    IdempotencyConflict.
    """
    config = load_room_config(request.room_id)
    try:
        draft = draft_offer(request, config, actor=actor, now=now)
        return _book(request, draft, keep, note=note, actor=actor, now=now)
    except REFUSALS as refusal:
        # Nobody waits for this: locks and transaction have been given up.
        raise refuse(refusal, request, config, actor=actor, now=now) from None


@transactional
def _book(
    request: BookingRequest, draft: Draft, keep: Keep, *, note: str, actor: Actor, now: datetime
) -> Answer:
    lock_buyer_and_room(actor.id, request.room_id)
    facts = read_facts(draft, actor.id, keep.request, now=now)
    if keep.request is not None and (kept := kept_answer(keep.request, facts, now=now)):
        return kept
    while facts.config_version != draft.config.version:
        # The owner changed something while we waited, and what has to be asked depends on it.
        config = config_at(draft.config.store_id, facts.config_version)
        draft = draft_offer(request, config, actor=actor, now=now)
        facts = read_facts(draft, actor.id, keep.request, now=now)
    if facts.is_stale_hold_in_way(draft.busy, now=now):
        release_stale_holds(request.room_id, now=now)
        facts = read_facts(draft, actor.id, keep.request, now=now)
    offer = _decide(draft, facts)
    new = new_order(
        facts.order_id,
        offer,
        customer_id=actor.id,
        source=OrderSource.MINI_PROGRAM,
        note=note,
        actor=actor,
        now=now,
    )
    if offer.quote.total_fen == 0:
        return _save_free(new, keep, actor=actor, now=now)
    return _save(new, keep, facts, now=now)


def _decide(draft: Draft, facts: Facts) -> Offer:
    """Return the priced offer if place and customer allow it."""
    policy = draft.room.policy
    rules.check_place(policy, draft.span, busy=facts.busy(), blocks=facts.blocks())
    offer = draft.priced(facts.buyer)
    if facts.is_blacklisted:
        raise Blacklisted(data={"rule": "blacklist", "limit": None})
    rules.check_customer_limits(
        policy, open_holds=facts.open_holds, bookings_that_day=facts.bookings_that_day
    )
    return offer


def _save(new: NewOrder, keep: Keep, facts: Facts, *, now: datetime) -> Answer:
    """Write everything at once: the order, its notices, and the answer under its key."""
    order = new.as_read()
    answer = keep.answer(order)
    notices = draft_notices(CREATED, Subject.of(order), facts.for_notices(new.offer), now=now)
    keys = [] if keep.request is None else [kept_row(keep.request, answer, now=now)]
    deliver_later(notices, new.write(notices=notices, keys=keys))
    return answer


def _save_free(new: NewOrder, keep: Keep, *, actor: Actor, now: datetime) -> Answer:
    """Write an order with nothing due, which a voucher or a price of nothing pays, and confirm it."""
    new.write()
    order = adopt(new)
    if new.offer.voucher is not None:
        vouchers.lock_voucher(new.offer.voucher, order)
    settle_paid(order, actor=actor, now=now)
    answer = keep.answer(order)
    if keep.request is not None:
        insert_together({IdempotencyKey.__table__: [kept_row(keep.request, answer, now=now)]})
    return answer


def settle_paid(order: Order, *, actor: Actor, now: datetime) -> None:
    """Turn the hold of a fully paid order into a reservation and confirm it, unless staff have to.

    The caller holds the locks of the room and the order.
    """
    _reserve(order, booking_of(order), "pay", actor=actor, now=now)


def _reserve(order: Order, booking: Booking, event: str, *, actor: Actor, now: datetime) -> None:
    booking.state = BookingState.RESERVED
    booking.hold_expires_at = None
    minutes = order.policy["confirm_deadline_minutes"]
    # Whoever stands at the counter was let have the room by somebody of the staff already.
    is_walk_in = order.source is OrderSource.COUNTER
    must_confirm = bool(order.policy["requires_confirmation"]) and not is_walk_in
    move_order(
        order,
        event,
        OrderStatus.PAID,
        actor=actor,
        now=now,
        paid_at=now,
        expires_at=None,
        finished_at=None,
        confirm_by_at=now + timedelta(minutes=minutes) if must_confirm else None,
    )
    notifications.queue_notice("order_paid", order=order, now=now)
    if not must_confirm:
        move_order(order, "confirm", OrderStatus.AWAITING_USE, actor=SYSTEM, now=now)
        notifications.queue_notice("booking_confirmed", order=order, now=now)


def rebook(order: Order, *, actor: Actor, now: datetime) -> bool:
    """Take the room again for an order whose hold was gone when its money came; tell whether it was free.

    The caller holds the locks of the room and the order.
    """
    booking = booking_of(order)
    if booking.end_at <= now or not is_still_free(booking, order, now=now):
        return False
    # Holds that have run out do not count for the check above, but they do for the constraint.
    release_stale_holds(booking.room_id, now=now)
    _reserve(order, booking, "rebook", actor=actor, now=now)
    return True


def is_still_free(booking: Booking, order: Order, *, now: datetime) -> bool:
    """Tell whether nothing else occupies the room in the booking's time."""
    busy = Span(booking.busy_from_at, booking.busy_until_at)
    others, blocks = load_occupancy([booking.room_id], busy, now=now, except_order_id=order.id)[
        booking.room_id
    ]
    core = Span(booking.start_at, booking.end_at)
    return not others and not any(block.span.overlaps(core) for block in blocks)


def release_stale_holds(room_id: int, *, now: datetime) -> None:
    """Let go of this room's holds that have run out, so that expiry counts when somebody writes.

    The caller holds the room's lock. A payment that is still on its way is closed by the job, and one that
    succeeds all the same finds its room again or is refunded.
    """
    stale = session().scalars(
        select(Booking).where(
            Booking.room_id == room_id, Booking.state == BookingState.HELD, Booking.hold_expires_at <= now
        )
    )
    for booking in stale.all():
        order = lock_order(booking.order_id)
        if booking.change_id is not None:
            pending_changes.expire_pending(order, now=now)
        else:
            expire_order(order, now=now)


def expire_order(order: Order, *, now: datetime) -> None:
    """Cancel an unpaid booking order whose time to pay is over; does nothing when it is no longer unpaid."""
    if order.status is not OrderStatus.PENDING_PAYMENT:
        return
    release(order, BookingState.EXPIRED)
    move_order(order, "expire", OrderStatus.CANCELLED, actor=SYSTEM, now=now, finished_at=now)
    vouchers.unlock_vouchers(order)
    notifications.queue_notice("order_expired", order=order, now=now)


def release(order: Order, state: BookingState = BookingState.RELEASED) -> None:
    """Free the room of an order that is not used."""
    booking = booking_of(order)
    if booking.state in (BookingState.HELD, BookingState.RESERVED):
        booking.state = state
        booking.hold_expires_at = None
        session().flush()
