"""The checks of races, tried on a small history that is right and on every way to spoil it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.races.checks import CHECKS, find_faults
from tests.races.history import (
    Account,
    Attempt,
    BookingRow,
    ChangeRow,
    EventRow,
    History,
    KeyRow,
    LineRow,
    NoticeRow,
    OrderRow,
    PaymentRow,
    RefundRow,
)

NOON = datetime(2026, 3, 4, 4, 0, tzinfo=UTC)
BUFFER, HOLD = timedelta(minutes=15), timedelta(minutes=5)
Spoil = Callable[[History], Any]


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def place(room_id: int, start: int, end: int) -> dict[str, str]:
    return {"room_id": str(room_id), "start_at": at(start).isoformat(), "end_at": at(end).isoformat()}


def booking(number: int, order_id: int, span: tuple[int, int, int], **values: Any) -> BookingRow:
    """A reserved booking in a room from a minute after noon to another."""
    room_id, start, end = span
    known = {"change_id": None, "state": "reserved", "overtime_from_at": None} | values
    busy = {"busy_from_at": at(start), "busy_until_at": at(end) + BUFFER}
    return BookingRow(
        id=number, order_id=order_id, room_id=room_id, start_at=at(start), end_at=at(end), **busy | known
    )


def order(number: int, status: str, total_fen: int, **values: Any) -> OrderRow:
    known: dict[str, Any] = {"paid_fen": 0, "refunded_fen": 0, "cancel_fee_fen": 0} | values
    sums = {"base_fen": total_fen, "extra_fen": 0, "discount_fen": 0, "total_fen": total_fen}
    return OrderRow(
        number, f"B{number}", status, "mini_program", store_id=1, customer_id=number, **sums | known
    )


def event(number: int, order_id: int, name: str, source: str | None, target: str, **data: Any) -> EventRow:
    return EventRow(number, order_id, name, source, target, data or None)


def attempt(what: str, no: str, status: int, sent: float, **values: Any) -> Attempt:
    """An attempt that was sent so many minutes after noon and answered a second later."""
    sent_at = at(sent).timestamp()
    return Attempt(what, no, status, "", sent_at, sent_at + 1, **values)


KEPT = {"a": 201, "b": 201, "c": 200, "d": 200, "e": 201, "f": 200, "g": 409}


def good_history() -> History:
    """B1 is paid, moved from room 1 to 2 and waits for an extension; B2 was paid and cancelled for a fee."""
    change = {"from": place(1, 60, 120), "to": place(2, 60, 120)}
    notices = (
        (1, "booking_confirmed"),
        (1, "booking_changed"),
        (2, "booking_confirmed"),
        (2, "order_cancelled"),
    )
    return History(
        attempts=[
            attempt("book", "B1", 201, 0, asked=place(1, 60, 120), key="a"),
            attempt("pay", "B1", 201, 1, payment_no="P1", key="b"),
            attempt("paid", "B1", 200, 2, payment_no="P1"),
            attempt("change", "B1", 200, 3, asked={"room_id": "2"}, key="c"),
            attempt("extend", "B1", 200, 4, asked={"end_at": at(150).isoformat()}, key="d"),
            attempt("book", "B2", 201, 5, asked=place(1, 60, 90), key="e"),
            attempt("cancel", "B2", 200, 7, key="f"),
            attempt("book", "", 409, 8, asked=place(2, 60, 90), key="g"),
            attempt("move", "B1", 0, 9, asked={"room_id": "1"}),
        ],
        orders=[
            order(1, "awaiting_use", 6000, paid_fen=6000),
            order(2, "refunded", 3000, paid_fen=3000, refunded_fen=2000, cancel_fee_fen=1000),
        ],
        bookings=[
            booking(1, 1, (2, 60, 120)),
            booking(2, 1, (2, 135, 150), change_id=2, state="held"),
            booking(3, 2, (1, 60, 90), state="released"),
        ],
        changes=[
            ChangeRow(1, 1, "change", "applied", 2, at(60), at(120), at(60), at(135), "customer", at(3)),
            ChangeRow(2, 1, "extend", "pending", 2, at(60), at(150), at(60), at(165), "customer", None),
        ],
        lines=[LineRow(1, 6500), LineRow(1, -500), LineRow(2, 3000)],
        events=[
            event(1, 1, "create", None, "pending_payment"),
            event(2, 1, "pay", "pending_payment", "paid"),
            event(3, 1, "confirm", "paid", "awaiting_use"),
            event(4, 1, "change", "awaiting_use", "awaiting_use", **change),
            event(5, 2, "create", None, "pending_payment"),
            event(6, 2, "pay", "pending_payment", "paid"),
            event(7, 2, "confirm", "paid", "awaiting_use"),
            event(8, 2, "cancel", "awaiting_use", "refunding"),
            event(9, 2, "refund_done", "refunding", "refunded"),
        ],
        payments=[
            PaymentRow(1, 1, "P1", "succeeded", 6000, 0),
            PaymentRow(2, 2, "P2", "succeeded", 3000, 2000),
        ],
        refunds=[RefundRow(2, 2, "succeeded", 2000)],
        notices=[NoticeRow(order_id, name, "customer", "in_app") for order_id, name in notices],
        keys=[KeyRow(key, status) for key, status in KEPT.items()],
        accounts=[Account("P1", True, 6000, 0), Account("P2", True, 3000, 2000)],
        buffers={1: (timedelta(), BUFFER), 2: (timedelta(), BUFFER)},
        hold=HOLD,
    )


def change(name: str, index: int, **values: Any) -> Spoil:
    """Alter one row."""

    def spoil(history: History) -> None:
        rows = getattr(history, name)
        rows[index] = replace(rows[index], **values)

    return spoil


def add(name: str, row: Any) -> Spoil:
    return lambda history: getattr(history, name).append(row)


def drop(name: str, index: int) -> Spoil:
    return lambda history: getattr(history, name).pop(index)


TWIN = booking(4, 9, (2, 90, 110))
NEXT = booking(4, 9, (2, 170, 200), busy_from_at=at(160))
SECOND = ChangeRow(3, 1, "extend", "pending", 2, at(60), at(120), at(60), at(135), "staff", None)
AT_ONCE = {"sent_at": at(2).timestamp(), "answered_at": at(2.5).timestamp()}
AGAIN = NoticeRow(1, "booking_changed", "customer", "in_app")
STRANGER = order(3, "cancelled", 0)
CASES: list[tuple[str, Spoil, set[str]]] = [
    ("two bookings in one place", add("bookings", TWIN), {"overlap"}),
    ("cleaning runs into the next", add("bookings", NEXT), {"overlap", "buffer"}),
    ("no buffer", change("bookings", 0, busy_until_at=at(120)), {"buffer"}),
    ("occupied before anybody came", change("bookings", 0, busy_from_at=at(-30)), {"buffer"}),
    ("too little is held for a change", change("bookings", 1, busy_until_at=at(160)), {"buffer"}),
    ("nothing is held for a change", drop("bookings", 1), {"buffer"}),
    ("a piece outlives its change", change("changes", 1, status="dropped", settled_at=at(9)), {"change"}),
    ("an order lives without a booking", change("bookings", 0, state="released"), {"booking", "buffer"}),
    ("a booking lives without its order", change("bookings", 2, state="reserved"), {"booking"}),
    ("an order has two bookings", add("bookings", booking(4, 1, (1, 300, 360))), {"booking", "place"}),
    ("two changes wait", add("changes", SECOND), {"change"}),
    ("a change ended without a moment", change("changes", 0, settled_at=None), {"change"}),
    ("a change waits for what is over", change("changes", 1, order_id=2), {"change", "lost", "buffer"}),
    ("a failed move moved", change("bookings", 0, room_id=1), {"place", "buffer"}),
    ("a change from where it was not", change("attempts", 0, asked=place(1, 60, 105)), {"place"}),
    ("a change nobody was told of", drop("events", 3), {"place", "outbox"}),
    ("a step that is in no table", change("events", 1, event="rebook"), {"status"}),
    ("a step from elsewhere", change("events", 7, from_status="paid"), {"status"}),
    ("a status without its step", change("orders", 1, status="cancelled"), {"status"}),
    ("two ends", add("events", event(10, 2, "cancel", None, None)), {"status"}),
    ("lines make another total", drop("lines", 1), {"money"}),
    ("sums make another total", change("orders", 0, discount_fen=1), {"money"}),
    ("paid, but not in the ledger", change("orders", 0, paid_fen=7000), {"money"}),
    ("given back, but not in the ledger", change("orders", 1, refunded_fen=2500), {"money"}),
    ("a payment promised more than goes back", change("payments", 1, refund_reserved_fen=2500), {"money"}),
    ("paid twice and kept", change("payments", 0, amount_fen=12000), {"money", "account"}),
    ("paid, but not credited", change("payments", 0, status="closed"), {"money", "account", "lost"}),
    ("given back twice by the service", change("accounts", 1, refunded_fen=4000), {"account"}),
    ("a request failed", change("attempts", 7, status=500), {"answer"}),
    ("a customer never got an answer", change("attempts", 7, status=0), {"answer"}),
    ("a payment was not taken", add("attempts", attempt("pay", "B2", 503, 6)), {"answer"}),
    ("a booking is gone", drop("orders", 1), {"lost"}),
    ("a change is gone", change("changes", 0, kind="extend"), {"lost"}),
    ("a cancelling is gone", change("events", 7, event="refuse"), {"lost", "outbox", "status"}),
    ("a payment is gone", change("attempts", 1, payment_no="P3"), {"lost"}),
    ("an order nobody was told of", add("orders", STRANGER), {"unknown", "booking", "status"}),
    ("one place was promised twice", change("attempts", 5, **AT_ONCE), {"two winners"}),
    ("a customer was not told", drop("notices", 3), {"outbox"}),
    ("a customer was told twice", add("notices", AGAIN), {"outbox"}),
    ("an answer was not kept", drop("keys", 0), {"key"}),
    ("another answer was kept", change("keys", 6, response_status=201), {"key"}),
    ("a key was used twice", add("keys", KeyRow("a", 201)), {"key"}),
]  # fmt: skip


def test_a_history_that_is_right_has_no_faults() -> None:
    assert find_faults(good_history()) == []


@pytest.mark.parametrize(("spoil", "checks"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_what_is_wrong_is_found(spoil: Spoil, checks: set[str]) -> None:
    history = good_history()
    spoil(history)

    assert {fault.check for fault in find_faults(history)} == checks


def test_every_check_finds_something() -> None:
    assert set().union(*(checks for _, _, checks in CASES)) == set(CHECKS)


def test_a_payment_may_begin_too_late() -> None:
    """The service refuses what is over when it gets there: B2 could be paid until ten minutes past noon."""
    history = good_history()
    history.attempts.append(attempt("pay", "B2", 503, 10))

    assert find_faults(history) == []
