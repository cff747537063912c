"""The part of the counter: cash and card slips in a shift, refunds handed out, the receipt, and the count."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from scripts.walkthrough_books import check_books
from scripts.walkthrough_desk import room_from_now
from scripts.walkthrough_http import Desk
from scripts.walkthrough_world import API, World, check, yuan

FLOAT_FEN, NOTE_FEN, MISSING_FEN = 50000, 10000, 100
# Its check digit is right, as that of a real card.
CARD_NUMBER = "6222 0200 0000 0000 003"


def work_at_counter(world: World) -> None:
    """A shift from its float to its count: a walk-in, two bookings, two refunds."""
    desk, room_id = room_from_now(world, 90)
    room = world.guest.get(f"{API}/rooms/{room_id}").data
    no = desk.submit("/walk-ins/", {"room_id": room_id, "minutes": "90"}, 201).data["no"]
    cash = {"channel": "counter_cash"}
    closed = desk.submit(f"/orders/{no}/actions/take_payment", cash, None)
    check(closed.status == 409 and closed.code == "shift_required", "money is taken without a shift", closed)
    with open_shift(world, desk, str(room["store_id"])) as shift_id:
        taken_fen = _take_cash(world, desk, no)
        store_id = str(room["store_id"])
        back_fen = _pay_and_cancel_by_cash(world, desk, store_id)
        slip_fen = _pay_and_cancel_by_slip(world, desk, store_id)
        _print_receipt(world, desk, no)
        _close(world, desk, shift_id, taken_fen, back_fen, slip_fen)


@contextmanager
def open_shift(world: World, desk: Desk, store_id: str) -> Iterator[str]:
    """Open a shift with ¥500 in the drawer; close it if something goes wrong meanwhile."""
    form = {"store_id": store_id, "float": f"{FLOAT_FEN // 100}"}
    shift_id = str(desk.submit("/shifts/open", form, 201).data["id"])
    twice = desk.submit("/shifts/open", form, None)
    check(twice.status == 409, "one cashier opened two shifts in one store", twice)
    world.tell(f"{desk.username} opens a shift with {yuan(FLOAT_FEN)}; a second one is refused.")
    try:
        yield shift_id
    finally:
        if desk.get(f"/shifts/{shift_id}").data["status"] == "open":
            form = {"counted_cash": "0", "counted_pos": "0", "reason": "walkthrough"}
            desk.submit(f"/shifts/{shift_id}/close", form, None)


def _take_cash(world: World, desk: Desk, no: str) -> int:
    """The walk-in pays with larger notes and gets change."""
    due_fen = desk.get(f"/orders/{no}").data["due_fen"]
    given_fen = (due_fen // NOTE_FEN + 1) * NOTE_FEN
    path, form = f"/orders/{no}/actions/take_payment", {"channel": "counter_cash", "due_fen": str(due_fen)}
    desk.submit(path, form | {"tendered_fen": str(due_fen - 1)}, 422)
    stale = desk.submit(path, form | {"due_fen": str(due_fen - 1)}, None)
    check(stale.status == 409, "another sum was taken than the cashier was shown", stale)
    done = desk.submit(path, form | {"tendered_fen": str(given_fen)}).data
    told = (done["status"], done["amount_fen"], done["change_fen"])
    check(told == ("succeeded", due_fen, given_fen - due_fen), f"the cash payment tells {told}")
    desk.submit(path, form, 409)
    desk.submit(f"/orders/{no}/actions/check_in")
    check_books(world, no, paid_fen=due_fen, refunded_fen=0)
    world.tell(
        f"The walk-in {no} pays {yuan(due_fen)} cash, gets {yuan(given_fen - due_fen)} back, and is in."
    )
    return int(due_fen)


def _book(world: World, store_id: str) -> dict[str, Any]:
    slot = world.find_slot(store_id, 60, after=timedelta(hours=30), within=timedelta(hours=90))
    return world.book(world.customers[0], slot)


def _pay_and_cancel_by_cash(world: World, desk: Desk, store_id: str) -> int:
    anna, order = world.customers[0], _book(world, store_id)
    no, price_fen = order["no"], order["total_fen"]
    # Begun at WeChat and left: what comes in at the counter closes it.
    online = world.start_payment(anna, no)["payment_no"]
    desk.submit(f"/orders/{no}/actions/take_payment", {"channel": "counter_cash"})
    poll = anna.client.get(f"{API}/orders/{no}/payments/{online}").data
    check(poll["status"] == "closed", f"the payment at WeChat is {poll['status']}")
    check_books(world, no, paid_fen=price_fen, refunded_fen=0, customer=anna)
    refund_no = _cancel(world, no, "counter_cash", price_fen)
    desk.submit(f"/counter-refunds/{refund_no}/hand-out")
    desk.submit(f"/counter-refunds/{refund_no}/hand-out", status=409)
    check_books(world, no, paid_fen=price_fen, refunded_fen=price_fen, customer=anna)
    world.tell(f"The booking {no} is paid in cash, cancelled, and {yuan(price_fen)} are handed out; once.")
    return int(price_fen)


def _cancel(world: World, no: str, channel: str, price_fen: int) -> str:
    """Cancel what was paid at the counter; return the number of the task that this makes."""
    anna = world.customers[0]
    anna.client.post(f"{API}/orders/{no}/cancel")
    check(anna.order(no)["status"] == "refunding", "a refund at the counter is done before it is handed out")
    tasks = [
        each for each in world.desk("owner").get("/counter-refunds/").data["items"] if each["order_no"] == no
    ]
    told = [(each["channel"], each["amount_fen"]) for each in tasks]
    check(told == [(channel, price_fen)], f"the refunds to hand out are {told}")
    return str(tasks[0]["refund_no"])


def _slip() -> dict[str, str]:
    number = f"{random.randrange(10**12):012d}"
    return {"terminal_no": "POS00017", "reference_no": number, "card_tail": "0003"}


def _pay_and_cancel_by_slip(world: World, desk: Desk, store_id: str) -> int:
    anna, order, other = world.customers[0], _book(world, store_id), _book(world, store_id)
    no, price_fen = order["no"], order["total_fen"]
    path, form = f"/orders/{no}/actions/take_payment", {"channel": "counter_pos"} | _slip()
    whole = desk.submit(path, form | {"card_tail": CARD_NUMBER}, 422)
    check(
        CARD_NUMBER not in whole.text and anna.order(no)["paid_fen"] == 0,
        "a card's number is repeated",
        whole,
    )
    desk.submit(path, form)
    check_books(world, no, paid_fen=price_fen, refunded_fen=0, customer=anna)
    again = desk.submit(f"/orders/{other['no']}/actions/take_payment", form, None)
    check(again.status == 409 and again.code == "slip_used", "a slip pays twice", again)
    anna.client.post(f"{API}/orders/{other['no']}/cancel")
    refund_no = _cancel(world, no, "counter_pos", price_fen)
    desk.submit(f"/counter-refunds/{refund_no}/hand-out", status=422)
    desk.submit(f"/counter-refunds/{refund_no}/hand-out", _slip())
    check_books(world, no, paid_fen=price_fen, refunded_fen=price_fen, customer=anna)
    world.tell(
        f"The booking {no} is paid by card slip, which pays once; {yuan(price_fen)} go back to the card."
    )
    return int(price_fen)


def _print_receipt(world: World, desk: Desk, no: str) -> None:
    receipt = desk.get(f"/orders/{no}/receipt").data
    (payment,) = receipt["payments"]
    check(payment["amount_fen"] == receipt["paid_fen"] == receipt["total_fen"], "the receipt does not add up")
    check(payment["change_fen"] == payment["tendered_fen"] - payment["amount_fen"], "the change is wrong")
    page = desk.page(f"/orders/{no}/receipt").text
    for text in (no, f"¥{receipt['total_fen'] / 100:,.2f}", receipt["shop"]["name"]):
        check(text in page, f"the receipt does not show {text}")
    desk.submit(f"/orders/{no}/actions/check_out")
    world.tell(f"The receipt of {no} shows shop, lines, {yuan(receipt['paid_fen'])} and the change.")


def _close(world: World, desk: Desk, shift_id: str, cash_fen: int, back_fen: int, slip_fen: int) -> None:
    """Count a yuan less than there should be: it is closed with the reason for it only."""
    sums = {each["channel"]: each for each in desk.get(f"/shifts/{shift_id}").data["sums"]}
    cash, slips = sums["counter_cash"], sums["counter_pos"]
    expected_fen = FLOAT_FEN + cash_fen
    check(cash["expected_fen"] == expected_fen, f"{cash['expected_fen']} expected, not {expected_fen}")
    came_and_went = (cash["paid_fen"], cash["refunded_fen"], slips["paid_fen"], slips["refunded_fen"])
    check(
        came_and_went == (cash_fen + back_fen, back_fen, slip_fen, slip_fen), f"the shift has {came_and_went}"
    )
    check(slips["expected_fen"] == 0, "card slips that went back are still expected")
    path = f"/shifts/{shift_id}/close"
    form = {"counted_cash": f"{(expected_fen - MISSING_FEN) / 100:.2f}", "counted_pos": "0"}
    unexplained = desk.submit(path, form, None)
    check(unexplained.code == "difference_unexplained", "a difference needs no reason", unexplained)
    done = desk.submit(path, form | {"reason": "找零少收一元"}).data
    check(done["difference_fen"] == -MISSING_FEN, f"the difference is {done['difference_fen']}")
    check(
        f"¥{MISSING_FEN / 100:.2f}" in desk.page(f"/shifts/{shift_id}").text, "the page shows no difference"
    )
    desk.submit(path, form, 409)
    world.tell(
        f"The shift is closed: {yuan(expected_fen)} expected, {yuan(MISSING_FEN)} less counted, with reason."
    )
