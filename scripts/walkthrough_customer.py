"""The customers' part: look around, book, pay, cancel, race for a room, buy and use a voucher."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

from scripts.walkthrough_http import Answer, expect
from scripts.walkthrough_world import API, Customer, Slot, World, check, key, yuan

NOTICES = ("order_paid", "booking_confirmed", "voucher_issued", "voucher_redeemed")
# What has to arrive as a subscribe message by the end.
TOLD = {*NOTICES, "refund_done"}


def look_around(world: World) -> None:
    """Health, stores, rooms and what is free, without any login."""
    world.guest.get("/healthz")
    ready = world.guest.get("/readyz").data
    world.tell(f"The product is alive and ready: {ready['status']}.")
    document = world.guest.get(f"{API}/openapi.json").data
    check(document["openapi"].startswith("3."), "the interface document is not OpenAPI 3")
    world.tell(f"The interface document describes {len(document['paths'])} paths.")
    stores = world.stores()
    check(len(stores) == 3, "there are not three stores")
    for store in stores:
        missing = {"name", "address", "lat", "lng", "phone", "opening_hours", "cover_url", "is_open"} - set(
            store
        )
        check(not missing, f"a store lacks {missing}")
    nearest = world.guest.get(f"{API}/stores?lat=30.28&lng=120.13").data["items"][0]
    check(nearest["distance_m"] is not None, "a position brings no distances")
    world.tell(f"Three stores, the nearest to Hangzhou's West Lake is {nearest['name']}.")
    rooms = [room for store in stores for room in world.rooms(store["id"])]
    check(len(rooms) == 20, f"{len(rooms)} rooms instead of 20")
    check(
        all(room["price_from_fen"] and room["facilities"] for room in rooms),
        "a room lacks price or facilities",
    )
    cover = world.guest.get(rooms[0]["cover_url"], headers={"Accept": "image/*"})
    check(str(cover.headers["Content-Type"]).startswith("image/"), "a cover is no picture", cover)
    world.tell(f"Twenty rooms with prices, facilities and pictures ({len(cover.body)} bytes for the first).")


def log_in_two(world: World) -> None:
    """Two customers log in with codes of the sandbox."""
    for _ in range(2):
        world.log_in()
    first = world.customers[0]
    me = first.client.get(f"{API}/me").data
    check(me, "the profile is empty")
    answer = first.client.post(f"{API}/me/consents", dict.fromkeys(NOTICES, "accepted"))
    check(answer.status == 200, "consents are refused", answer)
    world.tell("Two customers log in by code, bind their phones, and one accepts four kinds of messages.")


def book_and_pay(world: World) -> Slot:
    """Quote, booking with a hold, payment by a signed callback, confirmed by itself."""
    anna, boris = world.customers[:2]
    store = world.stores()[0]
    slot = world.find_slot(store["id"], 180, after=timedelta(hours=4))
    quote = world.guest.post(f"{API}/quotes", slot.body).data
    _check_lines(quote, 180)
    world.tell(f"A quote for three hours: {len(quote['lines'])} line(s), {yuan(quote['total_fen'])}.")
    order = _book_twice(world, anna, slot, quote["total_fen"])
    no = order["no"]
    check(world.state_of(store["id"], slot) == "held", "the room is not shown as held to others")
    taken = boris.client.request("POST", f"{API}/bookings", slot.body)
    expect(taken, 409, "room_taken")
    check(0 < len(taken.data["data"]["alternatives"]) <= 3, "the refusal carries no alternatives", taken)
    world.tell("Others see the room as held and are refused with alternatives.")
    payment = world.start_payment(anna, no)
    _check_params(payment)
    probe = world.sandbox.post(f"/_control/payments/wechat/{payment['payment_no']}/probe").data
    check(not probe["delivered"], "a callback with a wrong signature was accepted")
    check(anna.order(no)["status"] == "pending_payment", "a forged callback changed the order")
    world.let_pay(payment["payment_no"])
    paid = world.wait_for_status(anna, no, "awaiting_use")
    check(
        paid["paid_fen"] == paid["total_fen"] and paid["due_fen"] == 0, "the sums of the paid order are wrong"
    )
    poll = anna.client.get(f"{API}/orders/{no}/payments/{payment['payment_no']}").data
    check(poll["status"] == "succeeded", "the payment is not shown as succeeded")
    check(world.state_of(store["id"], slot) == "reserved", "the paid room is not shown as reserved")
    world.tell(f"WeChat Pay's signed callback pays {no}; it is confirmed and awaits its guests.")
    world.let_pay(payment["payment_no"])
    check(anna.order(no) == paid, "a repeated callback changed the order")
    world.tell("The same callback again changes nothing.")
    _cancel_paid(world, anna, paid, fee_percent=0)
    check(world.state_of(store["id"], slot) == "free", "the cancelled room is not free again")
    return slot


def _check_lines(quote: dict[str, Any], minutes: int) -> None:
    check(sum(line["amount_fen"] for line in quote["lines"]) == quote["total_fen"], "the lines do not add up")
    timed = [line for line in quote["lines"] if line["minutes"] is not None]
    check(sum(line["minutes"] for line in timed) == minutes, "the minutes of the lines do not add up")
    check(all(line["label"] and line["rule_id"] for line in timed), "a line does not name its rule")
    check(quote["policy"]["cancel_steps"], "the quote shows no cancellation steps")


def _book_twice(world: World, customer: Customer, slot: Slot, total_fen: int) -> dict[str, Any]:
    """Send one booking twice under one key; the second answer is the first, byte for byte."""
    headers = key()
    first = customer.client.post(f"{API}/bookings", slot.body, 201, headers=headers)
    again = customer.client.post(f"{API}/bookings", slot.body, 201, headers=headers)
    check(first.body == again.body, "the same key and body got another answer", again)
    other = customer.client.request("POST", f"{API}/bookings", slot.body | {"note": "x"}, headers=headers)
    expect(other, 409, "idempotency_conflict")
    order: dict[str, Any] = first.data
    check(order["status"] == "pending_payment" and order["expires_at"], "the booking is not held", first)
    check(
        order["total_fen"] == total_fen == order["due_fen"], "the order costs something else than its quote"
    )
    world.tell(f"Order {order['no']} holds the room; the same request again gets the same bytes.")
    return order


def _check_params(payment: dict[str, Any]) -> None:
    params = payment["params"]
    wanted = {"appId", "timeStamp", "nonceStr", "package", "signType", "paySign"}
    check(set(params) == wanted, f"the payment's parameters are {sorted(params)}")
    check(params["signType"] == "RSA", "the payment is not signed with RSA")
    check(params["package"].startswith("prepay_id="), "the payment names no prepay id")
    check(len(params["paySign"]) == 344, "the signature is not one of a 2048 bit key")
    check(len(payment["payment_no"]) <= 32, "the payment's number is too long")


def _cancel_paid(world: World, customer: Customer, order: dict[str, Any], *, fee_percent: int) -> None:
    """Preview, cancel and wait until the money is back."""
    no, fee_fen = order["no"], (order["paid_fen"] * fee_percent + 50) // 100
    preview = customer.client.post(f"{API}/orders/{no}/cancel-preview").data
    check(preview["fee_fen"] == fee_fen, f"the fee is {preview['fee_fen']}, not {fee_fen}")
    check(preview["fee_fen"] + preview["refund_fen"] == order["paid_fen"], "fee and refund do not add up")
    cancelled = customer.client.post(f"{API}/orders/{no}/cancel", {"reason": "walkthrough"}).data
    check(cancelled["status"] in ("refunding", "refunded"), f"the order became {cancelled['status']}")
    refunded = world.wait_for_status(customer, no, "refunded")
    check(refunded["refunded_fen"] == preview["refund_fen"], "another sum came back than was promised")
    check(
        [refund["status"] for refund in refunded["refunds"]] == ["succeeded"], "the refund is not succeeded"
    )
    world.tell(f"{no} is cancelled: fee {yuan(fee_fen)}, {yuan(preview['refund_fen'])} came back (refunded).")


def cancel_late(world: World) -> None:
    """A booking that starts in less than two hours costs 30 percent."""
    anna, store = world.customers[0], world.stores()[0]
    slot = world.find_slot(store["id"], 60, after=timedelta(minutes=35), within=timedelta(minutes=110))
    order = world.pay(anna, world.book(anna, slot)["no"])
    _cancel_paid(world, anna, order, fee_percent=30)


def cancel_unpaid(world: World) -> None:
    """A booking that was never paid is simply cancelled."""
    anna, store = world.customers[0], world.stores()[-1]
    slot = world.find_slot(store["id"], 120, after=timedelta(hours=3))
    no = world.book(anna, slot)["no"]
    payment = world.start_payment(anna, no)
    order = anna.client.post(f"{API}/orders/{no}/cancel").data
    check(order["status"] == "cancelled", f"the unpaid order became {order['status']}")
    check(world.state_of(store["id"], slot) == "free", "the room is not free again")
    again = anna.client.request("POST", f"{API}/orders/{no}/cancel", {})
    expect(again, 409, "invalid_transition")
    poll = anna.client.get(f"{API}/orders/{no}/payments/{payment['payment_no']}").data
    check(poll["status"] == "closed", f"its payment is {poll['status']} instead of closed")
    world.tell(f"{no} is cancelled before it is paid; its payment is closed and the room free.")


def fail_a_payment(world: World) -> None:
    """A payment that fails leaves the order waiting; the next one succeeds."""
    boris, store = world.customers[1], world.stores()[-1]
    slot = world.find_slot(store["id"], 60, after=timedelta(hours=3))
    no = world.book(boris, slot)["no"]
    payment = world.start_payment(boris, no)
    world.sandbox.post(f"/_control/payments/wechat/{payment['payment_no']}/fail")
    check(boris.order(no)["status"] == "pending_payment", "a failed payment changed the order")
    order = world.pay(boris, no)
    check(order["status"] == "awaiting_use", f"the second try left the order {order['status']}")
    _cancel_paid(world, boris, order, fee_percent=0)
    world.tell("A payment failed, the next one of the same order succeeded.")


def race(world: World) -> None:
    """Two customers ask for one room at the same moment: one gets it."""
    store = world.stores()[0]
    slot = world.find_slot(store["id"], 120, after=timedelta(hours=6))
    start = threading.Barrier(2)
    answers: list[tuple[Customer, Answer]] = []

    def run(customer: Customer) -> None:
        start.wait()
        answers.append((customer, customer.client.request("POST", f"{API}/bookings", slot.body)))

    threads = [threading.Thread(target=run, args=(customer,)) for customer in world.customers[:2]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(len(answers) == 2, "one of the two got no answer")
    (winner, won), (_, lost) = sorted(answers, key=lambda entry: entry[1].status)
    expect(won, 201)
    expect(lost, 409, "room_taken")
    check(lost.data["data"]["alternatives"], "the loser is offered no alternatives", lost)
    winner.client.post(f"{API}/orders/{won.data['no']}/cancel")
    world.tell("Two customers race for one room: exactly one gets it, the other alternatives.")


def confirm_by_hand(world: World) -> None:
    """The middle store confirms by hand: a session is booked, paid, and confirmed by the manager."""
    anna, store = world.customers[0], world.stores()[1]
    sessions = world.guest.get(f"{API}/stores/{store['id']}").data["sessions"]
    check(len(sessions) == 4, f"the middle store has {len(sessions)} sessions")
    evening = next(each for each in sessions if each["start_minute"] == 18 * 60)
    slots = world.find_slots(store["id"], evening["length_minutes"], after=timedelta(hours=4))
    fitting = [slot for slot in slots if slot.start_at.hour == 18 and slot.start_at.minute == 0]
    check(fitting, "no evening session is free in the middle store")
    body = {"room_id": fitting[0].room_id, "start_at": fitting[0].start_at.isoformat()}
    answer = anna.client.post(f"{API}/bookings", body | {"session_id": evening["id"]}, 201).data
    check([line["kind"] for line in answer["lines"]] == ["session"], "the session is not one flat line")
    order = world.pay(anna, answer["no"])
    check(order["status"] == "paid", f"the order is {order['status']} before anybody confirmed")
    manager = world.desk("manager")
    manager.submit(f"/orders/{order['no']}/actions/confirm")
    order = anna.order(order["no"])
    check(order["status"] == "awaiting_use", f"the confirmed order is {order['status']}")
    world.tell(f"{order['no']}: an evening session, confirmed by the manager's hand.")
    _cancel_paid(world, anna, order, fee_percent=0)


def read_messages(world: World) -> None:
    """The inbox tells what happened; subscribe messages went out for what was accepted."""
    anna = world.customers[0]
    messages = anna.client.get(f"{API}/messages?limit=100").data["items"]
    titles = {message["title"] for message in messages}
    check(len(titles) >= 5, f"the inbox holds only {titles}")
    anna.client.post(f"{API}/messages/{messages[0]['id']}/read", status=204)
    first = anna.client.get(f"{API}/messages?limit=1").data["items"][0]
    check(first["read_at"], "a read message is not marked as read")
    world.tell(f"The inbox holds {len(messages)} messages of {len(titles)} kinds; the newest is marked read.")

    def sent() -> set[str]:
        outbox = world.sandbox.get("/_control/outbox").data["items"]
        mine = [message for message in outbox if message.get("touser") == anna.openid]
        return {message["template_id"].removeprefix("sandbox-") for message in mine}

    kinds = world.wait_for(f"WeChat receives {TOLD}", lambda: TOLD <= (found := sent()) and found)
    world.tell(f"WeChat received subscribe messages of {len(kinds)} kinds: {', '.join(sorted(kinds))}.")
