"""Being there, by the clock on the wall: the door, leaving early, staying too long, and never coming."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from scripts.walkthrough_http import Desk, surprise
from scripts.walkthrough_world import API, Customer, Slot, World, check, now, yuan

# Rules under which a minute is enough to see a whole stay.
QUICK = {
    "min_lead_minutes": "0",
    "min_minutes": "1",
    "start_step_minutes": "1",
    "length_step_minutes": "1",
    "check_in_early_minutes": "60",
    "requires_confirmation": "",
    "has_overtime": "y",
    "overtime_grace_minutes": "0",
    "overtime_unit_minutes": "1",
    "overtime_percent": "200",
    "overtime_cap_fen": "",
    "no_show_release_minutes": "0",
    "no_show_refund_percent": "50",
    "early_refund_percent": "100",
}
WANTED_ROOMS = 3
# A minute until the end, and the jobs of each minute after it.
PATIENCE_SECONDS = 200
POLICY = re.compile(r"/booking-policies/edit/(\d+)")


def stay(world: World) -> None:
    """The owner gives some rooms quick rules; guests leave early, stay too long, and do not come."""
    anna, owner = world.customers[0], world.desk("owner")
    with quick_rooms(owner) as rooms:
        late = _overstay_begins(world, anna, rooms[0])
        missed = _book_from_now(world, anna, rooms[1], 60) if len(rooms) > 1 else None
        if len(rooms) > 2:
            _leave_early(world, anna, rooms[2])
        _overstay_ends(world, anna, owner, late)
        if missed is not None:
            _never_come(world, anna, missed)
        if len(rooms) < WANTED_ROOMS:
            world.tell(f"Only {len(rooms)} room(s) were free just now, so not every stay was tried.")


@contextmanager
def quick_rooms(owner: Desk) -> Iterator[list[str]]:
    """Give up to three rooms that are free now rules of their own, and take them back at the end."""
    made: list[tuple[str, str]] = []
    try:
        for room in owner.get("/walk-ins/").data["rooms"]:
            if len(made) < WANTED_ROOMS and room["minutes"] >= 120:
                before = _policies(owner)
                answer = owner.fill(f"/booking-policies/add?room_id={room['room_id']}", QUICK)
                # A room that has rules of its own already keeps them.
                if answer.status == 302:
                    made += [(policy, room["room_id"]) for policy in _policies(owner) - before]
        if not made:
            surprise("no room is free now whose rules could be changed")
        yield [room_id for _policy, room_id in made]
    finally:
        for policy, _room_id in made:
            owner.submit(f"/booking-policies/delete/{policy}", status=302)


def _policies(owner: Desk) -> set[str]:
    return set(POLICY.findall(owner.page("/booking-policies/list/?psize_BookingPolicyView=100").text))


def _book_from_now(world: World, anna: Customer, room_id: str, minutes: int) -> dict[str, Any]:
    """Book a room from the next minute on and pay it."""
    start_at = now() + timedelta(minutes=1)
    slot = Slot(room_id, start_at, start_at + timedelta(minutes=minutes))
    order = world.pay(anna, world.book(anna, slot)["no"])
    check(order["status"] == "awaiting_use", f"the paid booking is {order['status']}")
    return order


def _check_in(anna: Customer, no: str) -> None:
    access = anna.client.post(f"{API}/orders/{no}/check-in").data["access"]
    check(
        access and access["kind"] and (access["kind"] != "code" or access["code"]), "the door gave no access"
    )
    check(anna.order(no)["status"] == "in_use", "after checking in the order is not in use")


def _leave_early(world: World, anna: Customer, room_id: str) -> None:
    no = _book_from_now(world, anna, room_id, 60)["no"]
    _check_in(anna, no)
    told = world.desk("owner").get(f"/orders/{no}").data["check_out_preview"]
    anna.client.post(f"{API}/orders/{no}/check-out")

    def refunded() -> dict[str, Any] | None:
        found = anna.order(no)
        return found if found["refunded_fen"] and found["status"] == "completed" else None

    order = world.wait_for("unused time comes back", refunded)
    paid_fen, back_fen = order["paid_fen"], order["refunded_fen"]
    # A minute may have begun between the look and the leaving.
    check(0 < back_fen <= paid_fen and abs(back_fen - told["refund_fen"]) <= paid_fen // 20, "another sum")
    world.tell(f"{no}: in with a door code, out at once; {yuan(back_fen)} of {yuan(paid_fen)} come back.")


def _overstay_begins(world: World, anna: Customer, room_id: str) -> str:
    no: str = _book_from_now(world, anna, room_id, 1)["no"]
    _check_in(anna, no)
    world.tell(f"{no}: a minute is booked, and the guests are in with a door code.")
    return no


def _overstay_ends(world: World, anna: Customer, owner: Desk, no: str) -> None:
    def runs() -> dict[str, Any] | None:
        found = anna.order(no)["overtime"]
        return found if found and found["amount_fen"] else None

    shown = world.wait_for("overtime is shown", runs, seconds=PATIENCE_SECONDS)
    check(no in owner.page("/").text, "the first page does not name the overtime")
    told = owner.get(f"/orders/{no}").data["check_out_preview"]["overtime_fen"]
    check(told >= shown["amount_fen"], "staff are told less than the customer")
    anna.client.post(f"{API}/orders/{no}/check-out")
    order = anna.order(no)
    check(order["status"] == "completed" and order["due_fen"] >= told, "overtime is not due after leaving")
    charged = sum(line["amount_fen"] for line in order["lines"] if line["kind"] == "overtime")
    check(order["due_fen"] == charged, "something else than the overtime is due")
    check(no in owner.page("/").text, "the first page does not name what is unpaid")
    paid = world.pay(anna, no)
    check(paid["due_fen"] == 0 and paid["status"] == "completed", "the overtime is not paid")
    world.tell(f"They stay too long: shown while it runs, {yuan(charged)} due after leaving, and paid.")


def _never_come(world: World, anna: Customer, order: dict[str, Any]) -> None:
    no = order["no"]

    def closed() -> dict[str, Any] | None:
        found = anna.order(no)
        return found if found["status"] == "refunded" else None

    found = world.wait_for("the no-show is released and refunded", closed, seconds=PATIENCE_SECONDS)
    half_fen = (order["paid_fen"] + 1) // 2
    check(abs(found["refunded_fen"] - half_fen) <= 1, f"{found['refunded_fen']} came back, not half")
    state = world.guest.get(f"{API}/rooms/{order['room']['id']}").data["state"]
    check(state in ("free", "cleaning"), f"the room that nobody came to is {state}")
    world.tell(f"{no}: nobody came; the room is free again and {yuan(found['refunded_fen'])} came back.")
