"""The staff's part: a voucher redeemed at the desk, a walk-in from start to end, and what the owner sees."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from scripts.walkthrough_http import Desk, expect, surprise
from scripts.walkthrough_world import API, Customer, World, check, moment, now, yuan


def buy_voucher(world: World) -> dict[str, Any]:
    """Buy the campaign that is bought alone and return the voucher."""
    anna = world.customers[0]
    campaigns = world.guest.get(f"{API}/campaigns?limit=100").data["items"]
    sizes = {campaign["team_size"] for campaign in campaigns}
    check({1, 3} <= sizes, f"the campaigns on sale have team sizes {sizes}")
    alone = next(each for each in campaigns if each["team_size"] == 1 and each["per_customer_limit"])
    detail = world.guest.get(f"{API}/campaigns/{alone['id']}").data
    check(
        detail["description_html"] and detail["terms"] and detail["share"],
        "the campaign's page is incomplete",
    )
    body = {"quantity": 1}
    order = anna.client.post(f"{API}/campaigns/{alone['id']}/orders", body, 201).data
    check(order["kind"] == "group_buy" and order["status"] == "pending_payment", "the purchase does not wait")
    order = world.pay(anna, order["no"])
    check(order["status"] == "issued", f"the paid purchase is {order['status']}")
    voucher = _show_voucher(anna, order)
    too_many = {"quantity": alone["per_customer_limit"]}
    refused = anna.client.request("POST", f"{API}/campaigns/{alone['id']}/orders", too_many)
    expect(refused, 409, "limit_reached")
    world.tell(f"“{alone['title']}” is bought for {yuan(order['paid_fen'])}; more than allowed is refused.")
    return voucher


def _show_voucher(customer: Customer, order: dict[str, Any]) -> dict[str, Any]:
    listed = customer.client.get(f"{API}/vouchers?status=issued").data["items"]
    voucher = next(each for each in listed if each["order_no"] == order["no"])
    shown: dict[str, Any] = customer.client.get(f"{API}/vouchers/{voucher['code']}").data
    check(shown == voucher, "a voucher looks different in the list")
    check(shown["usable_rooms"] and shown["booking_no"] is None, "the voucher names no rooms")
    picture = customer.client.get(f"{API}/vouchers/{voucher['code']}/qr").data
    check("<svg" in picture["svg"] and picture["payload"], "the voucher has no QR picture")
    check(moment(picture["expires_at"]) <= now() + timedelta(minutes=15), "the QR code lives too long")
    return shown


def book_with_voucher(world: World, voucher: dict[str, Any]) -> None:
    """The customer books with the voucher, sees it locked, and cancels: it is good again."""
    anna, store = world.customers[0], world.stores()[0]
    minutes = voucher["campaign"]["package"]["minutes"]
    slots = world.find_slots(store["id"], minutes, after=timedelta(hours=4))
    slot = next(each for each in slots if each.room_id in voucher["usable_rooms"])
    longer = slot.body | {"end_at": (slot.end_at + timedelta(minutes=30)).isoformat()}
    code = {"voucher_code": voucher["code"]}
    expect(anna.client.request("POST", f"{API}/quotes", longer | code), 422, "voucher_length")
    quote = anna.client.post(f"{API}/quotes", slot.body | code).data
    lines = [line["amount_fen"] for line in quote["lines"] if line["kind"] == "voucher"]
    check(quote["total_fen"] == 0 and lines and lines[0] < 0, "the quote shows no voucher that pays it")
    order = world.book(anna, slot, **code)
    check(order["status"] == "awaiting_use", f"a booking with nothing due is {order['status']}")
    locked = anna.client.get(f"{API}/vouchers/{voucher['code']}").data
    check((locked["status"], locked["booking_no"]) == ("locked", order["no"]), "the voucher is not locked")
    refused = anna.client.request("POST", f"{API}/bookings", slot.body | code)
    check(refused.status == 409, "a locked voucher can be used twice", refused)
    anna.client.post(f"{API}/orders/{order['no']}/cancel")
    freed = anna.client.get(f"{API}/vouchers/{voucher['code']}").data
    check(freed["status"] == "issued", f"after cancelling the voucher is {freed['status']}")
    world.tell("A booking with the voucher costs nothing and locks it; cancelling makes it good again.")


def redeem(world: World, voucher: dict[str, Any]) -> None:
    """The cashier types the code, looks, confirms into a free room; everything again is harmless."""
    anna, desk = world.customers[0], world.desk("cashier")
    desk.page("/redemption/")
    _refuse_wrong_codes(desk, world.stores()[0]["id"])
    world.tell("The cashier logs in and opens the redemption form; wrong codes and stores are refused.")
    desk, typed, preview = _preview(world, voucher)
    check(preview["nonce"] and preview["rooms"], "the preview offers no rooms")
    check(voucher["code"] not in str(preview), "the preview shows the whole code")
    room = preview["rooms"][0]
    chosen = {"nonce": preview["nonce"], "room_id": str(room["room_id"])}
    done = desk.submit("/redemption/confirm", chosen)
    again = desk.submit("/redemption/confirm", chosen)
    check(again.data == done.data, "the same nonce got another answer", again)
    check(done.data["access"], "the guests got no access")
    world.tell(f"The voucher is redeemed into {room['name']}; the same nonce again gets the same answer.")
    _check_redeemed(world, anna, voucher, desk, typed, str(room["room_id"]))
    no = done.data["order_no"]
    order = desk.get(f"/orders/{no}").data
    check(
        order["status"] == "in_use" and order["total_fen"] == 0, "the order of the redemption is not in use"
    )
    desk.submit(f"/orders/{no}/actions/check_out")
    check(anna.order(no)["status"] == "completed", "after checking out the order is not completed")
    world.tell(f"The guests of {no} check out: completed.")


def _preview(world: World, voucher: dict[str, Any]) -> tuple[Desk, dict[str, str], dict[str, Any]]:
    """Look at the voucher in the first store, and where every room is taken just now, in the last."""
    reasons = []
    for store, desk in _counters(world):
        typed = {"store_id": store["id"], "code": _grouped(voucher["code"])}
        preview = desk.submit("/redemption/preview", typed).data
        if preview["valid"]:
            return desk, typed, preview
        reasons.append(preview["reasons"])
        check(preview["reasons"][0]["code"] == "room_taken", f"the voucher is not valid: {reasons}")
    surprise(f"no room is free for the voucher in two stores: {reasons}")


def _counters(world: World) -> Iterator[tuple[dict[str, Any], Desk]]:
    """Yield where guests can be let in at once: the cashier's store, and one more through the owner."""
    stores = world.stores()
    yield stores[0], world.desk("cashier")
    yield stores[-1], world.desk("owner")


def _grouped(code: str) -> str:
    """Write a code as people type it: in lower case, with a blank after every fourth sign."""
    plain = code.replace("-", "").lower()
    return " ".join(plain[at : at + 4] for at in range(0, len(plain), 4))


def _refuse_wrong_codes(desk: Desk, store_id: str) -> None:
    wrong = {"store_id": store_id, "code": "2222-3333-4444-5555-6666"}
    desk.submit("/redemption/preview", wrong, 404)
    elsewhere = desk.submit("/redemption/preview", {"store_id": "3", "code": "2222"}, 403)
    check(elsewhere.code == "forbidden", "the cashier works in a store that is not assigned", elsewhere)
    stale = desk.submit("/redemption/confirm", {"nonce": "forged", "room_id": "1"}, 422)
    check(stale.code == "invalid_field", "a forged nonce is not refused as a wrong field", stale)


def _check_redeemed(
    world: World, anna: Customer, voucher: dict[str, Any], desk: Desk, typed: dict[str, str], room_id: str
) -> None:
    shown = anna.client.get(f"{API}/vouchers/{voucher['code']}").data
    check(shown["status"] == "redeemed" and shown["redemption"], f"the voucher is {shown['status']}")
    check(anna.order(voucher["order_no"])["status"] == "used", "the purchase is not used up")
    second = desk.submit("/redemption/preview", typed).data
    codes = [reason["code"] for reason in second["reasons"]]
    check(not second["valid"] and codes == ["voucher_already_redeemed"], f"a second redemption: {second}")
    facts = second["reasons"][0]["data"]
    check(facts.get("redeemed_by") and facts.get("redeemed_at"), "nobody says who redeemed it when")
    state = world.guest.get(f"{API}/rooms/{room_id}").data["state"]
    check(state == "in_use", f"the room is shown as {state}")
    world.redeemed = (second["voucher"]["code_tail"], facts["redeemed_by"])
    world.tell(f"A second redemption is refused: by {facts['redeemed_by']} already. The room shows in use.")


def walk_in(world: World) -> None:
    """Guests at the counter: a room from now, paid by QR code, let in, and out again."""
    desk, room_id = room_from_now(world, 90)
    preview = desk.get(f"/walk-ins/?room_id={room_id}&minutes=90").data["preview"]
    no = desk.submit("/walk-ins/", {"room_id": room_id, "minutes": "90"}, 201).data["no"]
    order = desk.get(f"/orders/{no}").data
    check(abs(order["total_fen"] - preview["total_fen"]) <= 100, "the walk-in has another price")
    check(
        order["status"] == "pending_payment" and order["due_fen"] > 0,
        "the walk-in does not wait for its money",
    )
    check(abs(moment(order["start_at"]) - now()) <= timedelta(minutes=1), "the walk-in does not start now")
    world.tell(f"A walk-in {no} in {order['room']['name']} for 90 minutes: {yuan(order['due_fen'])}.")
    _pay_and_use(world, desk, no)


def room_from_now(world: World, minutes: int) -> tuple[Desk, str]:
    """Return the largest room that is empty now and stays so, and who may let guests in there."""
    for store, desk in _counters(world):
        slots = world.free_slots(store["id"], minutes, after=timedelta(minutes=30), within=timedelta(hours=3))
        soon = {slot.room_id for slot in slots if slot.start_at <= now() + timedelta(minutes=60)}
        rooms = [room for room in world.rooms(store["id"]) if room["state"] == "free" and room["id"] in soon]
        if rooms:
            return desk, str(max(rooms, key=lambda room: room["capacity"])["id"])
    surprise("no room is free from now in two stores")


def _pay_and_use(world: World, desk: Desk, no: str) -> None:
    channel = {"channel": "wechat_native"}
    payment = desk.submit(f"/orders/{no}/actions/take_payment", channel).data
    check(payment["params"].get("code_url", "").startswith("weixin://"), f"no QR address in {payment}")
    world.let_pay(payment["payment_no"])
    check(desk.get(f"/orders/{no}").data["status"] == "awaiting_use", "the paid walk-in is not confirmed")
    access = desk.submit(f"/orders/{no}/actions/check_in").data["access"]
    check(access and access["kind"], "the walk-in got no access")
    check(desk.get(f"/orders/{no}").data["status"] == "in_use", "the walk-in is not in use")
    desk.submit(f"/orders/{no}/actions/check_out")
    order = desk.get(f"/orders/{no}").data
    check(order["status"] == "completed", f"after checking out the walk-in is {order['status']}")
    again = desk.submit(f"/orders/{no}/actions/check_out", status=409)
    check(again.code == "invalid_transition", "checking out twice is not refused", again)
    world.tell(f"{no} is paid by QR code, checked in, checked out: completed.")


def look_after(world: World) -> None:
    """The owner sees orders and redemptions of every store; a cashier does not see foreign ones."""
    owner = world.desk("owner")
    anna = world.customers[0]
    newest = anna.client.get(f"{API}/orders?limit=1").data["items"][0]["no"]
    page = owner.page("/orders/")
    check("B2" in page.text or "G2" in page.text, "the order list shows no orders")
    check(newest in owner.page(f"/orders/{newest}").text, "the order's page does not show its number")
    world.tell(f"The owner opens the order list and the page of {newest}.")
    records = owner.page("/redemptions/list/")
    for fact in world.redeemed:
        check(fact in records.text, f"the redemption records do not show {fact}")
    world.tell(f"The owner finds the redemption in the records: {' by '.join(world.redeemed)}.")
    _check_scope(world)
    stranger = owner.request("GET", "/orders/B00000000000000")
    check(stranger.status == 404, "an order that is not there is found", stranger)


def _check_scope(world: World) -> None:
    anna, last = world.customers[0], world.stores()[-1]
    slot = world.find_slot(last["id"], 60, after=timedelta(hours=3))
    no = world.book(anna, slot)["no"]
    hidden = world.desk("cashier").request("GET", f"/orders/{no}")
    check(hidden.status == 404, "the cashier sees an order of a store that is not assigned", hidden)
    check(world.desk("owner").get(f"/orders/{no}").data["no"] == no, "the owner does not see every store")
    anna.client.post(f"{API}/orders/{no}/cancel")
    bare = world.desk("cashier").request("POST", "/redemption/preview", form={"store_id": "1", "code": "x"})
    check(bare.status == 400, "a form without a CSRF token is accepted", bare)
    world.tell("The cashier does not see the third store's orders; a form without its token is refused.")
