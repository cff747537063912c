"""What must be true after a race, whoever won: every check names what contradicts it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from app.domain.states import BOOKING_ORDER, OCCUPYING_STATES, OrderStatus
from tests.races.history import Attempt, BookingRow, ChangeRow, EventRow, History, OrderRow

Row = TypeVar("Row")
Place = tuple[int, datetime, datetime]

# What the booking of an order that lives does to its room.
LIVING = {
    "pending_payment": "held",
    "paid": "reserved",
    "awaiting_use": "reserved",
    "in_use": "in_use",
}
GONE = {"cancelled": ("released", "expired"), "completed": ("ended", "released")}
LIVE_STATES = tuple(dict.fromkeys(LIVING.values()))
# What customers are told once for an event, and what they are told each time.
TOLD_ONCE = {
    "cancel": "order_cancelled",
    "expire": "order_expired",
    "confirm": "booking_confirmed",
    "refuse": "booking_refused",
}
TOLD_EACH = {"booking_changed": ("change", "move"), "booking_extended": ("extend",)}
# The event that proves that an action was carried out.
PROOFS = {
    "cancel": "cancel",
    "check_in": "check_in",
    "check_out": "check_out",
    "confirm": "confirm",
    "refuse": "refuse",
    "adjust": "adjust",
}
ONCE = ("create", "pay", "confirm", "check_in", "check_out", "end", "cancel", "refuse", "no_show", "expire")
# Any of these may free what a booking occupied.
FREEING = ("cancel", "change", "check_out", "refuse", "move")
# What begins the time in which something can be paid, and what asks the service to collect.
HOLDING = ("book", "walk_in", "change", "extend", "move", "add_minutes")
PAYING = ("pay", "take_payment")
EXPECTED = (200, 201, 409, 422)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be; `check` names the rule."""

    check: str
    text: str


def find_faults(history: History) -> list[Finding]:
    """Return everything in a history that must not be."""
    return [Finding(name, text) for name, check in CHECKS.items() for text in check(history)]


def by(rows: Iterable[Row], name: str) -> dict[Any, list[Row]]:
    """Return rows by one of their fields."""
    grouped: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[getattr(row, name)].append(row)
    return grouped


def overlaps(history: History) -> Iterator[str]:
    """Whatever occupies a room is disjoint, buffers, cleaning and pieces of pending changes included."""
    for room_id, rows in by(history.bookings, "room_id").items():
        taken = sorted(
            (row for row in rows if row.state in OCCUPYING_STATES), key=lambda row: row.busy_from_at
        )
        last: BookingRow | None = None
        for row in taken:
            if last is not None and row.busy_from_at < last.busy_until_at:
                yield f"room {room_id}: bookings {last.id} and {row.id}"
            if last is None or row.busy_until_at > last.busy_until_at:
                last = row


def buffers(history: History) -> Iterator[str]:
    """A booking occupies its span and its room's buffers; a pending change has all it needs.

    Guests who were let in early have the room from then on, or from when it was clean.
    """
    bookings = by(history.bookings, "order_id")
    for row in history.bookings:
        before, after = history.buffers[row.room_id]
        latest_at = row.start_at - before
        earliest_at = min(latest_at, row.checked_in_at or latest_at)
        is_right = earliest_at <= row.busy_from_at <= latest_at and row.busy_until_at == row.end_at + after
        if row.change_id is None and not is_right:
            yield f"booking {row.id} of order {row.order_id}"
    for change in history.changes:
        if change.status == "pending" and not _is_covered(change, bookings[change.order_id]):
            yield f"change {change.id} of order {change.order_id}"


def _is_covered(change: ChangeRow, rows: list[BookingRow]) -> bool:
    own = [row for row in rows if row.room_id == change.room_id and row.state in LIVE_STATES]
    reached = change.busy_from_at
    for row in sorted(own, key=lambda row: row.busy_from_at):
        if row.busy_from_at <= reached:
            reached = max(reached, row.busy_until_at)
    return reached >= change.busy_until_at


def lives(history: History) -> Iterator[str]:
    """An order that lives has one live booking, any other none; only moved guests have had several."""
    bookings, events = by(history.bookings, "order_id"), by(history.events, "order_id")
    for order in history.orders:
        rows = [row for row in bookings[order.id] if row.change_id is None]
        live = [row.state for row in rows if row.state in LIVE_STATES]
        moves = sum(event.event == "move" for event in events[order.id])
        expected = [LIVING[order.status]] if order.status in LIVING else []
        if live != expected or len(rows) != 1 + moves:
            yield f"order {order.no} is {order.status} with {[row.state for row in rows]}"
        elif order.status in GONE and rows[-1].state not in GONE[order.status]:
            yield f"order {order.no} is {order.status}, its booking {rows[-1].state}"


def changes(history: History) -> Iterator[str]:
    """A change holds room only while it is pending, one of an order at a time, and ends with a moment."""
    pieces, orders = by(history.bookings, "change_id"), {order.id: order for order in history.orders}
    pending = Counter(change.order_id for change in history.changes if change.status == "pending")
    yield from (f"order {order_id} has {count} pending" for order_id, count in pending.items() if count > 1)
    for change in history.changes:
        states = {row.state for row in pieces[change.id]}
        is_pending = change.status == "pending"
        if states - {"held"} if is_pending else states - {"released", "expired"}:
            yield f"change {change.id} is {change.status} with pieces {sorted(states)}"
        if is_pending == (change.settled_at is not None):
            yield f"change {change.id} is {change.status}, settled at {change.settled_at}"
        if is_pending and orders[change.order_id].status not in ("paid", "awaiting_use", "in_use"):
            yield f"change {change.id} is pending, its order {orders[change.order_id].status}"


def places(history: History) -> Iterator[str]:
    """A booking is where its creation or its last change put it: a failed move leaves it where it was."""
    bookings, events = by(history.bookings, "order_id"), by(history.events, "order_id")
    made, applied = _made_places(history), by(history.changes, "order_id")
    for order in history.orders:
        told = [event for event in events[order.id] if event.event in ("change", "extend", "move")]
        moves = [index for index, event in enumerate(told) if event.event == "move"]
        steps = told[: moves[0]] if moves else told
        reached = made.get(order.no)
        for step in steps:
            data = step.data or {}
            if reached is not None and _place(data["from"]) != reached:
                yield f"order {order.no}: {step.event} from elsewhere than {reached}"
            reached = _place(data["to"])
        if order.status in LIVING and not moves and reached is not None:
            row = max((row for row in bookings[order.id] if row.change_id is None), key=lambda row: row.id)
            if (row.room_id, row.start_at, row.booked_end_at) != reached:
                yield f"order {order.no} is not at {reached}"
        count = sum(change.status == "applied" for change in applied[order.id])
        if count != len(told) - len(moves):
            yield f"order {order.no}: {count} changes applied, {len(told) - len(moves)} told of"


def _made_places(history: History) -> dict[str, Place]:
    done = (each for each in history.attempts if each.what == "book" and each.is_done)
    return {each.no: _place(each.asked) for each in done}


def _place(values: dict[str, Any]) -> Place:
    start_at, end_at = (datetime.fromisoformat(values[name]) for name in ("start_at", "end_at"))
    return int(values["room_id"]), start_at, end_at


def statuses(history: History) -> Iterator[str]:
    """Every step of an order starts where the last one ended, is in the table, and happens once."""
    events = by(history.events, "order_id")
    for order in history.orders:
        reached: str | None = None
        for event in events[order.id]:
            if event.to_status is None:
                continue
            if event.from_status != reached or not _is_legal(event):
                yield f"order {order.no}: {event.event} from {event.from_status}, it was {reached}"
            reached = event.to_status
        if reached != order.status:
            yield f"order {order.no} is {order.status}, its events end at {reached}"
        counts = Counter(event.event for event in events[order.id])
        often = [name for name in ONCE if counts[name] > 1]
        if often or counts["create"] != 1:
            yield f"order {order.no}: {often or 'no create'}"


def _is_legal(event: EventRow) -> bool:
    if event.from_status is None:
        return event.event == "create"
    source, target = OrderStatus.of(event.from_status), OrderStatus.of(event.to_status or "")
    return target in BOOKING_ORDER.get((event.event, source), frozenset())


def money(history: History) -> Iterator[str]:
    """Lines make the total; payments and refunds make what was paid and given back; nobody pays too much."""
    lines, payments = by(history.lines, "order_id"), by(history.payments, "order_id")
    refunds, events = by(history.refunds, "order_id"), by(history.events, "order_id")
    for order in history.orders:
        paid = [row for row in payments[order.id] if row.status == "succeeded"]
        back = sum(row.amount_fen for row in refunds[order.id] if row.status == "succeeded")
        kept = sum(row.amount_fen - row.refund_reserved_fen for row in paid)
        facts = {
            "lines": sum(line.amount_fen for line in lines[order.id]) == order.total_fen,
            "sums": order.base_fen + order.extra_fen - order.discount_fen == order.total_fen,
            "paid": order.paid_fen == sum(row.amount_fen for row in paid),
            "refunded": order.refunded_fen == back,
            "kept": _may_keep(order, {event.event for event in events[order.id]}, kept),
        }
        wrong = [name for name, is_right in facts.items() if not is_right]
        if wrong:
            yield f"order {order.no} ({order.status}, kept {kept} of {order.total_fen}): {wrong}"
    reserved = by(history.refunds, "payment_id")
    for payment in history.payments:
        promised = sum(row.amount_fen for row in reserved[payment.id] if row.status != "closed")
        if promised != payment.refund_reserved_fen:
            yield f"payment {payment.payment_no}: {promised} promised"


def _may_keep(order: OrderRow, events: set[str], kept: int) -> bool:
    if order.status == "pending_payment":
        return kept == 0
    if order.status in ("cancelled", "refunding", "refunded") and "no_show" not in events:
        return kept == order.cancel_fee_fen
    return 0 <= kept <= order.total_fen


def accounts(history: History) -> Iterator[str]:
    """The payment service has received and given back what the shop believes."""
    refunds = by(history.refunds, "payment_id")
    known = {account.payment_no: account for account in history.accounts}
    for payment in history.payments:
        account = known.get(payment.payment_no)
        is_paid = account is not None and account.is_paid
        back = sum(row.amount_fen for row in refunds[payment.id] if row.status == "succeeded")
        if is_paid != (payment.status == "succeeded"):
            yield f"payment {payment.payment_no} is {payment.status}, at the service {is_paid}"
        elif (
            account is not None
            and is_paid
            and (account.amount_fen, account.refunded_fen)
            != (
                payment.amount_fen,
                back,
            )
        ):
            yield f"payment {payment.payment_no}: {account.refunded_fen} went back, {back} in the books"


def answers(history: History) -> Iterator[str]:
    """Requests are carried out or refused; only whom a kill cut off may know nothing, and only staff."""
    holding = by((each for each in history.attempts if each.what in HOLDING and each.is_done), "no")
    hold = history.hold.total_seconds()
    for each in history.attempts:
        is_cut = each.status == 0 and not each.key and each.what != "paid"
        is_late = each.status == 503 and each.what in PAYING and _ran_out(each, holding[each.no], hold)
        if each.status not in EXPECTED and not is_cut and not is_late:
            yield f"{each.what} {each.no}: {each.status} {each.code}"


def _ran_out(payment: Attempt, holding: list[Attempt], hold: float) -> bool:
    """The service takes no payment whose time is over when it gets there."""
    return any(
        each.sent_at + hold <= payment.answered_at and payment.sent_at <= each.answered_at + hold
        for each in holding
    )


def acknowledged(history: History) -> Iterator[str]:
    """Whatever was answered with success is there."""
    orders = {order.no: order for order in history.orders}
    proofs = _Proofs(history)
    asked: Counter[tuple[str, str, str]] = Counter()
    for each in history.attempts:
        if not each.is_done:
            continue
        order = orders.get(each.no)
        if order is None:
            yield f"{each.what}: order {each.no} is not there"
            continue
        asked[each.no, each.what, repr(each.asked)] += 1
        if proofs.count(each, order.id) < asked[each.no, each.what, repr(each.asked)]:
            yield f"{each.what} of order {each.no}: {each.asked}"


class _Proofs:
    """Counts what in the database proves an attempt."""

    def __init__(self, history: History) -> None:
        self._events = by(history.events, "order_id")
        self._changes = by(history.changes, "order_id")
        self._payments = {payment.payment_no: payment for payment in history.payments}

    def count(self, attempt: Attempt, order_id: int) -> int:
        what, asked = attempt.what, attempt.asked
        if what in PROOFS or what in ("book", "walk_in"):
            return self._told(order_id, PROOFS.get(what, "create"))
        if what in (*PAYING, "paid"):
            return self._paid(attempt, order_id)
        if what == "move":
            # Guests who are in are moved at once, others by a change.
            return self._told(order_id, "move") + self._asked(order_id, "change", asked)
        if what == "add_minutes":
            return sum(row.kind == "extend" and row.actor_kind == "staff" for row in self._changes[order_id])
        return self._asked(order_id, what, asked)

    def _told(self, order_id: int, event: str) -> int:
        return sum(row.event == event for row in self._events[order_id])

    def _paid(self, attempt: Attempt, order_id: int) -> int:
        payment = self._payments.get(attempt.payment_no)
        is_there = payment is not None and payment.order_id == order_id
        if attempt.what == "paid":
            is_there = is_there and payment is not None and payment.status == "succeeded"
        # The same attempt to pay is continued by whoever asks again.
        return 1_000_000 if is_there else 0

    def _asked(self, order_id: int, kind: str, asked: dict[str, Any]) -> int:
        return sum(row.kind == kind and _fits(row, asked) for row in self._changes[order_id])


def _fits(row: ChangeRow, asked: dict[str, Any]) -> bool:
    """Tell whether a change is what was asked for; what was not named stayed as it was."""
    instants = {name: datetime.fromisoformat(asked[name]) for name in ("start_at", "end_at") if name in asked}
    is_room = "room_id" not in asked or int(asked["room_id"]) == row.room_id
    return is_room and all(getattr(row, name) == at for name, at in instants.items())


def unknown(history: History) -> Iterator[str]:
    """No order was made by a customer that nobody was told of."""
    told = {each.no for each in history.attempts if each.what == "book" and each.is_done}
    stores = {order.store_id for order in history.orders if order.no in told}
    for order in history.orders:
        if order.store_id in stores and order.customer_id is not None and order.no not in told:
            yield f"order {order.no}"


def winners(history: History) -> Iterator[str]:
    """While one booking is certain, nobody is told that he has the same place.

    It is certain from its answer on until its hold may run out, or somebody asks for what may free it.
    """
    asked = by((each for each in history.attempts if each.what in FREEING), "no")
    certain = defaultdict(list)
    for each in history.attempts:
        if each.what == "book" and each.is_done:
            freed = [other.sent_at for other in asked[each.no]]
            until = min([each.sent_at + history.hold.total_seconds(), *freed])
            room_id, start_at, end_at = _place(each.asked)
            before, after = history.buffers[room_id]
            certain[room_id].append((start_at - before, end_at + after, each.answered_at, until, each.no))
    for rows in certain.values():
        rows.sort(key=lambda row: row[0])
        for index, one in enumerate(rows):
            for other in rows[index + 1 :]:
                if other[0] >= one[1]:
                    break
                if max(one[2], other[2]) < min(one[3], other[3]):
                    yield f"orders {one[4]} and {other[4]}"


def outbox(history: History) -> Iterator[str]:
    """Customers are told of what happened to their orders, and never twice."""
    notices = by(
        (row for row in history.notices if (row.recipient, row.channel) == ("customer", "in_app")), "order_id"
    )
    events = by(history.events, "order_id")
    for order in history.orders:
        if order.customer_id is None:
            continue
        happened = Counter(event.event for event in events[order.id])
        told = Counter(notice.event for notice in notices[order.id])
        expected = {notice: min(1, happened[event]) for event, notice in TOLD_ONCE.items()}
        expected |= {notice: sum(happened[each] for each in some) for notice, some in TOLD_EACH.items()}
        wrong = {name: told[name] for name, count in expected.items() if told[name] != count}
        if wrong:
            yield f"order {order.no}: {wrong}"


def keys(history: History) -> Iterator[str]:
    """Every keyed request left one row with the answer that its sender got."""
    rows = by(history.keys, "key")
    for each in history.attempts:
        if each.key and each.status in EXPECTED:
            kept = [row.response_status for row in rows[each.key]]
            if kept != [each.status]:
                yield f"{each.what} {each.key}: {each.status} was answered, {kept} kept"


CHECKS: dict[str, Callable[[History], Iterator[str]]] = {
    "overlap": overlaps,
    "buffer": buffers,
    "booking": lives,
    "change": changes,
    "place": places,
    "status": statuses,
    "money": money,
    "account": accounts,
    "answer": answers,
    "lost": acknowledged,
    "unknown": unknown,
    "two winners": winners,
    "outbox": outbox,
    "key": keys,
}
