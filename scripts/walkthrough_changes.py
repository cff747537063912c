"""Changing and extending bookings: what a preview says is what happens, and what fails changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from scripts.walkthrough_http import Answer, expect, surprise
from scripts.walkthrough_world import API, Customer, Slot, World, check, key, moment, yuan

HOUR = timedelta(hours=1)


def change_and_extend(world: World) -> None:
    """Shorter and cheaper, longer and dearer, refused, extended, and not past whoever follows."""
    anna, boris = world.customers[:2]
    # Two hours for Anna with room to grow, and Boris after her.
    whole = world.find_slot(world.stores()[0]["id"], 420, after=timedelta(hours=5))
    no = world.pay(anna, world.book(anna, _part(whole, 0, 2))["no"])["no"]
    _change_to_less(world, anna, no, _part(whole, 0, 1))
    _change_to_more(world, anna, no, _part(whole, 0, 3))
    follows = world.pay(boris, world.book(boris, _part(whole, 5, 7))["no"])["no"]
    _fail_to_change(world, anna, no, _part(whole, 4, 6))
    _extend(world, anna, no, whole.start_at + 4 * HOUR)
    _fail_to_extend(world, anna, no, whole.start_at + 5 * HOUR)
    for customer, number in ((anna, no), (boris, follows)):
        customer.client.post(f"{API}/orders/{number}/cancel", {"reason": "walkthrough"})
        world.wait_for_status(customer, number, "refunded")


def _part(whole: Slot, first: int, last: int) -> Slot:
    return Slot(whole.room_id, whole.start_at + first * HOUR, whole.start_at + last * HOUR)


def _preview(customer: Customer, no: str, what: str, body: dict[str, str]) -> dict[str, Any]:
    """Ask what a change would cost; asking must change nothing."""
    before = customer.order(no)
    told: dict[str, Any] = customer.client.post(f"{API}/orders/{no}/{what}-preview", body).data
    check(customer.order(no) == before, f"the preview of a {what} changed the order")
    check(sum(line["amount_fen"] for line in told["lines"]) == told["total_fen"], "the lines do not add up")
    return told


def _change_to_less(world: World, anna: Customer, no: str, slot: Slot) -> None:
    before, told = anna.order(no), _preview(anna, no, "change", slot.body)
    check(told["difference_fen"] < 0, "an hour instead of two is not cheaper")
    order = anna.client.post(f"{API}/orders/{no}/change", slot.body, headers=key()).data
    check(order["total_fen"] == told["total_fen"], "the change costs something else than its preview")
    check(moment(order["end_at"]) == slot.end_at and not order["pending_change"], "the change waits")

    def refunded() -> dict[str, Any] | None:
        found = anna.order(no)
        is_back = found["refunded_fen"] == -told["difference_fen"] and found["status"] == "awaiting_use"
        return found if is_back else None

    world.wait_for("the difference of the change comes back", refunded)
    back, was = yuan(-told["difference_fen"]), yuan(before["total_fen"])
    world.tell(f"{no} becomes an hour shorter: {back} of {was} come back, as previewed.")


def _change_to_more(world: World, anna: Customer, no: str, slot: Slot) -> None:
    told = _preview(anna, no, "change", slot.body)
    order = anna.client.post(f"{API}/orders/{no}/change", slot.body, headers=key()).data
    change = order["pending_change"]
    check(order["due_fen"] == told["difference_fen"] == change["difference_fen"], "another sum is due")
    check(moment(order["end_at"]) != slot.end_at, "the booking moved before it was paid")
    order = world.pay(anna, no)
    check(moment(order["end_at"]) == slot.end_at and order["due_fen"] == 0, "paying made nothing real")
    check(order["total_fen"] == told["total_fen"], "the change costs something else than its preview")
    world.tell(f"It becomes three hours: held, {yuan(told['difference_fen'])} paid, real, as previewed.")


def _fail_to_change(world: World, anna: Customer, no: str, slot: Slot) -> None:
    before = anna.order(no)
    for what in ("change-preview", "change"):
        _refused_with_alternatives(anna.client.request("POST", f"{API}/orders/{no}/{what}", slot.body))
    check(anna.order(no) == before, "a failed change left something behind")
    world.tell("A change into another booking is refused with alternatives; the booking stays as it was.")


def _refused_with_alternatives(answer: Answer) -> None:
    expect(answer, 409, "room_taken")
    check(0 < len(answer.data["data"]["alternatives"]) <= 3, "the refusal carries no alternatives", answer)


def _extend(world: World, anna: Customer, no: str, end_at: datetime) -> None:
    body = {"end_at": end_at.isoformat()}
    before, told = anna.order(no), _preview(anna, no, "extend", body)
    order = anna.client.post(f"{API}/orders/{no}/extend", body, headers=key()).data
    check(order["due_fen"] == told["difference_fen"] > 0, "the extension costs something else")
    order = world.pay(anna, no)
    check(moment(order["end_at"]) == end_at, "the paid extension is not there")
    check(order["total_fen"] == before["total_fen"] + told["difference_fen"], "the sum is wrong")
    world.tell(f"An hour more is previewed, held, and paid with {yuan(told['difference_fen'])}.")


def _fail_to_extend(world: World, anna: Customer, no: str, end_at: datetime) -> None:
    before, body = anna.order(no), {"end_at": end_at.isoformat()}
    for what in ("extend-preview", "extend"):
        _refused_with_alternatives(anna.client.request("POST", f"{API}/orders/{no}/{what}", body))
    check(anna.order(no) == before, "a refused extension left something behind")
    world.tell("More time is refused where cleaning and the next guests begin.")


def refuse_by_hand(world: World) -> None:
    """The manager refuses a booking that waits for confirmation: everything comes back."""
    anna, store = world.customers[0], world.stores()[1]
    slot = world.find_slot(store["id"], 120, after=timedelta(hours=4))
    order = world.pay(anna, world.book(anna, slot)["no"])
    check(order["status"] == "paid", f"the order is {order['status']} before anybody confirmed")
    manager, no = world.desk("manager"), order["no"]
    page = manager.get(f"/orders/{no}").data
    check(page["confirm_by_at"], "staff are not told until when to confirm")
    manager.submit(f"/orders/{no}/actions/refuse", {"reason": ""}, 422)
    manager.submit(f"/orders/{no}/actions/refuse", {"reason": "设备故障"})
    refunded = world.wait_for_status(anna, no, "refunded")
    check(refunded["refunded_fen"] == order["paid_fen"], "not everything came back")
    world.tell(f"The manager refuses {no} with a reason: {yuan(order['paid_fen'])} came back.")


def move_by_staff(world: World) -> None:
    """The manager moves a booking, adds minutes and takes something off: previewed, charged, once."""
    anna, manager = world.customers[0], world.desk("manager")
    whole = world.find_slot(world.stores()[0]["id"], 240, after=timedelta(hours=6))
    order = world.pay(anna, world.book(anna, _part(whole, 0, 2))["no"])
    no = order["no"]
    room = _other_free_room(manager.get(f"/orders/{no}/move").data["rooms"])
    told = manager.get(f"/orders/{no}/move?room_id={room['room_id']}").data["preview"]
    done = manager.submit(f"/orders/{no}/actions/move", {"room_id": room["room_id"]}).data
    check(done["due_fen"] == max(0, told["difference_fen"]), "the move costs something else than its preview")
    _settle(world, anna, no, told["total_fen"])
    check(anna.order(no)["room"]["name"] == room["name"], "the booking is in another room")
    more_fen = told["difference_fen"]
    cost = f"{yuan(abs(more_fen))} {'more' if more_fen >= 0 else 'less'}"
    world.tell(f"The manager moves {no} to {room['name']}: {cost}, as previewed.")
    _add_and_adjust(world, anna, no)
    anna.client.post(f"{API}/orders/{no}/cancel", {"reason": "walkthrough"})
    world.wait_for_status(anna, no, "refunded")


def _other_free_room(rooms: list[dict[str, Any]]) -> dict[str, Any]:
    found = [room for room in rooms if room["is_free"] and not room["is_present"]]
    if not found:
        surprise("no other room is free at that time")
    check(all(room["is_free"] for room in rooms[: len(found)]), "free rooms do not come first")
    return found[0]


def _settle(world: World, anna: Customer, no: str, total_fen: int) -> None:
    """Pay what is due, or wait until the surplus is back; then the order costs what it should."""

    def settled() -> bool:
        order = anna.order(no)
        kept_fen = order["paid_fen"] - order["refunded_fen"]
        return bool(order["status"] == "awaiting_use" and kept_fen == order["total_fen"] == total_fen)

    if anna.order(no)["due_fen"]:
        world.pay(anna, no)
    world.wait_for(f"{no} costs {yuan(total_fen)} and is settled", settled)


def _add_and_adjust(world: World, anna: Customer, no: str) -> None:
    manager = world.desk("manager")
    facts = manager.get(f"/orders/{no}/extend?minutes=30").data
    if facts["preview"]["difference_fen"]:
        before = anna.order(no)["total_fen"]
        manager.submit(f"/orders/{no}/actions/add_minutes", {"minutes": "30"})
        _settle(world, anna, no, before + facts["preview"]["difference_fen"])
    before = anna.order(no)["total_fen"]
    form = {"sign": "-", "amount": "5", "reason": "空调不够凉", "nonce": key()["Idempotency-Key"]}
    first, again = (manager.submit(f"/orders/{no}/actions/adjust", form) for _ in range(2))
    check(first.body == again.body, "a double click got another answer", again)
    _settle(world, anna, no, before - 500)
    world.tell("Thirty minutes are added, and ¥5.00 come back with a reason: once, though clicked twice.")
