"""The part of refunds: asked for and decided in every way, while guests sit, and when the service cannot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from scripts.walkthrough_books import check_books, wait_for_refund
from scripts.walkthrough_http import Answer, expect, surprise
from scripts.walkthrough_world import API, Customer, World, check, key, yuan

PART_FEN = 500


def _paid_booking(world: World, customer: Customer, *, hours: int = 30) -> tuple[str, int]:
    store = world.stores()[0]
    slot = world.find_slot(store["id"], 60, after=timedelta(hours=hours), within=timedelta(hours=90))
    order = world.pay(customer, world.book(customer, slot)["no"])
    return order["no"], order["paid_fen"]


def _ask(customer: Customer, no: str, reason: str, **more: int) -> dict[str, Any]:
    told = customer.client.post(f"{API}/orders/{no}/refund-preview").data
    body = {"reason": reason} | more
    asked: dict[str, Any] = customer.client.post(
        f"{API}/orders/{no}/refund-requests", body, 201, headers=key()
    ).data
    check(asked["status"] == "requested", f"the request is {asked['status']}")
    check(asked["policy_fen"] == told["refund_fen"], "the request gives another sum than its preview")
    return asked


def _decide(world: World, asked: dict[str, Any], what: str, status: int = 200, **form: str) -> Answer:
    return world.desk("manager").submit(f"/refund-requests/{asked['id']}/{what}", form, status)


def ask_for_refunds(world: World) -> None:
    """Requests approved by the rules, in full and over a part; refused; withdrawn."""
    anna, manager = world.customers[0], world.desk("manager")
    no, paid_fen = _paid_booking(world, anna)
    asked = _ask(anna, no, "朋友来不了")
    review = manager.get(f"/refund-requests/{asked['id']}").data
    check(review["order_no"] == no and review["by_rules_fen"] == paid_fen, "the review shows another sum")
    check(
        no in manager.page(f"/refund-requests/{asked['id']}").text, "the page of the request lacks the order"
    )
    expect(anna.client.request("POST", f"{API}/orders/{no}/refund-requests", {"reason": "again"}), 422)
    _decide(world, asked, "approve", 422, reason=" ")
    _decide(world, asked, "approve", reason="符合退款规则")
    wait_for_refund(world, no, paid_fen, "refunded")
    check_books(world, no, paid_fen=paid_fen, refunded_fen=paid_fen, customer=anna)
    again = _decide(world, asked, "refuse", 409, reason="再想想")
    check(again.code == "invalid_transition", "a request is decided twice", again)
    world.tell(f"{no}: a refund is asked for, approved by the rules, and {yuan(paid_fen)} are back; once.")
    _approve_in_full(world, anna)
    _decide_in_turn(world, anna)


def _approve_in_full(world: World, anna: Customer) -> None:
    """Where the rules keep a fee, staff may give everything back."""
    store = world.stores()[0]
    slot = world.find_slot(store["id"], 60, after=timedelta(minutes=35), within=timedelta(minutes=110))
    order = world.pay(anna, world.book(anna, slot)["no"])
    no, paid_fen = order["no"], order["paid_fen"]
    asked = _ask(anna, no, "孩子发烧")
    check(0 < asked["policy_fen"] < paid_fen, f"the rules give {asked['policy_fen']} of {paid_fen}")
    too_much = _decide(world, asked, "approve", 422, reason="x", amount_fen=str(paid_fen + 1))
    check(too_much.code == "invalid_field", "more than was paid can be approved", too_much)
    _decide(world, asked, "approve", reason="特殊情况，全额退款", amount_fen=str(paid_fen))
    wait_for_refund(world, no, paid_fen, "refunded")
    check_books(world, no, paid_fen=paid_fen, refunded_fen=paid_fen, customer=anna)
    rules, full = yuan(asked["policy_fen"]), yuan(paid_fen)
    world.tell(f"{no}: the rules give {rules}, the manager gives all {full} back.")


def _decide_in_turn(world: World, anna: Customer) -> None:
    """One booking, asked for three times: a part is given, the next is refused, the last withdrawn."""
    no, paid_fen = _paid_booking(world, anna)
    asked = _ask(anna, no, "空调不够凉", amount_fen=PART_FEN)
    _decide(world, asked, "approve", reason="退还一部分", amount_fen=str(PART_FEN))
    wait_for_refund(world, no, PART_FEN, "awaiting_use")
    check_books(world, no, paid_fen=paid_fen, refunded_fen=PART_FEN, customer=anna)
    world.tell(f"{no}: {yuan(PART_FEN)} of {yuan(paid_fen)} are given back; the booking stands, cheaper.")
    refused = _ask(anna, no, "还想退一点", amount_fen=PART_FEN)
    _decide(world, refused, "refuse", 422, reason="")
    _decide(world, refused, "refuse", reason="已经退过一次")
    withdrawn = _ask(anna, no, "再问一次")
    anna.client.post(f"{API}/orders/{no}/refund-requests/{withdrawn['id']}/withdraw")
    listed = anna.client.get(f"{API}/orders/{no}/refund-requests").data["items"]
    statuses = [each["status"] for each in listed]
    check(statuses == ["withdrawn", "refused", "approved"], f"the requests are {statuses}")
    check(listed[1]["decision_reason"] == "已经退过一次", "the customer does not read why it was refused")
    late = _decide(world, withdrawn, "approve", 409, reason="晚了")
    check(late.code == "invalid_transition", "a withdrawn request was approved", late)
    check_books(world, no, paid_fen=paid_fen, refunded_fen=PART_FEN, customer=anna)
    world.tell("The next request is refused with a reason, the last withdrawn: no money moves.")
    anna.client.post(f"{API}/orders/{no}/cancel")
    wait_for_refund(world, no, paid_fen, "refunded")
    check_books(world, no, paid_fen=paid_fen, refunded_fen=paid_fen, customer=anna)


def refund_while_sitting(world: World) -> None:
    """Guests who are in get a part back, stay, and leave; the order is completed and cheaper."""
    anna, desk = world.customers[0], world.desk("owner")
    order = _let_in(world, anna)
    no, paid_fen = order["no"], order["paid_fen"]
    asked = _ask(anna, no, "麻将机卡牌", amount_fen=PART_FEN)
    desk.submit(
        f"/refund-requests/{asked['id']}/approve", {"reason": "机器故障", "amount_fen": str(PART_FEN)}
    )
    wait_for_refund(world, no, PART_FEN, "in_use")
    check_books(world, no, paid_fen=paid_fen, refunded_fen=PART_FEN, customer=anna)
    desk.submit(f"/orders/{no}/actions/check_out")
    back_fen = _settled(world, no)
    check_books(world, no, paid_fen=paid_fen, refunded_fen=back_fen, customer=anna)
    world.tell(f"{no}: {yuan(PART_FEN)} come back while its guests sit; they play on and leave: completed.")


def _let_in(world: World, anna: Customer) -> dict[str, Any]:
    """Book the next free hour of a room that is empty now, pay, and open its door before the time."""
    owner = world.desk("owner")
    empty = {str(room["room_id"]) for room in owner.get("/walk-ins/").data["rooms"] if room["minutes"] >= 180}
    for store in (world.stores()[-1], world.stores()[0]):
        slots = world.free_slots(store["id"], 60, after=timedelta(minutes=35), within=timedelta(minutes=125))
        fitting = [slot for slot in slots if slot.room_id in empty]
        if fitting:
            order = world.pay(anna, world.book(anna, fitting[0])["no"])
            owner.submit(f"/orders/{order['no']}/actions/check_in")
            check(anna.order(order["no"])["status"] == "in_use", "the guests are not in")
            return order
    surprise("no room is empty now and for the next hours")


def _settled(world: World, no: str) -> int:
    """Wait until nothing of an order that is over is on its way any more; return what came back."""

    def look() -> dict[str, Any] | None:
        order: dict[str, Any] = world.desk("owner").get(f"/orders/{no}").data
        is_settled = all(refund["status"] == "succeeded" for refund in order["refunds"])
        return order if order["status"] == "completed" and is_settled else None

    return int(world.wait_for(f"{no} is settled", look)["refunded_fen"])


def settle_abnormal(world: World) -> None:
    """Refunds that WeChat cannot carry out: one arrives when it is tried again, one is handed back."""
    anna, manager = world.customers[0], world.desk("manager")
    with held_refunds(world):
        first, second = (_break_refund(world, anna) for _ in range(2))
        home = manager.page("/").text
        for broken in (first, second):
            page = manager.page(f"/orders/{broken['no']}").text
            check(broken["no"] in home, "the first page does not name the refund that is stuck")
            check(f"/refunds/{broken['refund_no']}/retry" in page, "the order's page offers no other try")
        world.tell("WeChat cannot carry two refunds out: they are on the first page and their orders' pages.")
        _try_again(world, anna, first)
        _hand_back(world, anna, second)


@contextmanager
def held_refunds(world: World) -> Iterator[None]:
    """Let the sandbox keep refunds until somebody decides about them; as before at the end."""
    before = world.sandbox.post("/_control/settings").data["refund_delay_seconds"]
    world.sandbox.post("/_control/settings", {"refund_delay_seconds": -1})
    try:
        yield
    finally:
        world.sandbox.post("/_control/settings", {"refund_delay_seconds": before})


def _break_refund(world: World, anna: Customer) -> dict[str, Any]:
    no, paid_fen = _paid_booking(world, anna)
    anna.client.post(f"{API}/orders/{no}/cancel")
    refund_no = anna.order(no)["refunds"][0]["refund_no"]
    path = f"/_control/refunds/wechat/{refund_no}"
    world.wait_for("WeChat knows the refund", lambda: world.sandbox.request("GET", path).status == 200)
    world.sandbox.post(f"{path}/abnormal")
    _wait_for_refund_status(world, no, "abnormal")
    check_books_of_refunding(world, no, paid_fen)
    return {"no": no, "refund_no": refund_no, "paid_fen": paid_fen}


def _wait_for_refund_status(world: World, no: str, status: str) -> None:
    def look() -> bool:
        return [each["status"] for each in world.desk("owner").get(f"/orders/{no}").data["refunds"]] == [
            status
        ]

    world.wait_for(f"the refund of {no} is {status}", look)


def check_books_of_refunding(world: World, no: str, paid_fen: int) -> None:
    """Accepted is not refunded: nothing counts as back yet."""
    order = world.desk("owner").get(f"/orders/{no}").data
    told = (order["status"], order["paid_fen"], order["refunded_fen"])
    check(told == ("refunding", paid_fen, 0), f"{no} with a refund that is stuck tells {told}")


def _try_again(world: World, anna: Customer, broken: dict[str, Any]) -> None:
    """The card works again, but WeChat's word of it gets lost: the other try finds it out."""
    no, paid_fen, path = broken["no"], broken["paid_fen"], f"/refunds/{broken['refund_no']}/retry"
    lost = {"target": "wechat_pay", "mode": "drop_callback", "operation": "refund_callback", "count": 1}
    world.sandbox.post("/_control/faults", lost, 201)
    world.sandbox.post(f"/_control/refunds/wechat/{broken['refund_no']}/succeed")
    expect(world.desk("cashier").submit(path, status=None), 403)
    world.desk("manager").submit(path)
    wait_for_refund(world, no, paid_fen, "refunded")
    check_books(world, no, paid_fen=paid_fen, refunded_fen=paid_fen, customer=anna)
    world.desk("manager").submit(path, status=409)
    world.tell(f"{no}: tried again under the same number, {yuan(paid_fen)} are back; a third try is refused.")


def _hand_back(world: World, anna: Customer, broken: dict[str, Any]) -> None:
    no, paid_fen, manager = broken["no"], broken["paid_fen"], world.desk("manager")
    path = f"/refunds/{broken['refund_no']}/hand-back"
    form = {"means": "transfer", "reason": "银行卡已注销", "reference_no": "TR000817"}
    for missing in ("means", "reason", "reference_no"):
        manager.submit(path, form | {missing: ""}, 422)
    check_books_of_refunding(world, no, paid_fen)
    manager.submit(path, form)
    order = check_books(world, no, paid_fen=paid_fen, refunded_fen=paid_fen, customer=anna)
    check([each["route"] for each in order["refunds"]] == ["transfer"], "the way back is not recorded")
    check(no not in manager.page("/").text, "the first page still names the refund")
    manager.submit(path, form, 409)
    world.tell(f"{no}: {yuan(paid_fen)} are handed back by transfer, with reason and number; once.")
