"""The part of UnionPay: its page, its notice, a lost notice, and money that came too late or twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from scripts.walkthrough_books import check_books, wait_for_refund
from scripts.walkthrough_http import expect
from scripts.walkthrough_world import API, Customer, World, check, yuan

CHANNEL = "unionpay"


def pay_by_unionpay(world: World) -> None:
    """A page is opened and paid; a notice gets lost; cancelling early refunds all."""
    silent = _pay_in_silence(world)
    boris, no, payment = _start(world)
    number, fields = payment["payment_no"], dict(payment["params"])
    page = world.sandbox.request("POST", urlsplit(fields.pop("action")).path, form=fields)
    check("<html" in expect(page, 200).text, "UnionPay shows no page", page)
    probe = world.sandbox.post(f"/_control/payments/{CHANNEL}/{number}/probe").data
    check(probe["delivered"] is False, "a notice over another sum was accepted")
    check(boris.order(no)["status"] == "pending_payment", "a forged notice moved the order")
    world.let_pay(number, CHANNEL)
    order = boris.order(no)
    check(order["status"] == "awaiting_use", f"the paid order is {order['status']}")
    world.let_pay(number, CHANNEL)
    paid_fen = order["total_fen"]
    check_books(world, no, paid_fen=paid_fen, refunded_fen=0, customer=boris)
    world.tell(f"{no} is paid on UnionPay's page ({yuan(paid_fen)}); forged and repeated notices do nothing.")
    boris.client.post(f"{API}/orders/{no}/cancel")
    wait_for_refund(world, no, paid_fen, "refunded")
    check_books(world, no, paid_fen=paid_fen, refunded_fen=paid_fen, customer=boris)
    shown = world.sandbox.get(f"/_control/payments/{CHANNEL}/{number}").data["refunds"]
    check([each["refund"] for each in shown] == [paid_fen], "UnionPay refunded something else")
    world.tell(f"Cancelled early: UnionPay gives {yuan(paid_fen)} back.")
    _find_silent(world, boris, silent)


def _start(world: World) -> tuple[Customer, str, dict[str, Any]]:
    boris, store = world.customers[1], world.stores()[-1]
    slot = world.find_slot(store["id"], 60, after=timedelta(hours=30), within=timedelta(hours=90))
    no = world.book(boris, slot)["no"]
    return boris, no, world.start_payment(boris, no, CHANNEL)


def _pay_in_silence(world: World) -> str:
    _boris, no, payment = _start(world)
    lost = {"target": CHANNEL, "mode": "drop_callback", "operation": "payment_callback", "count": 1}
    world.sandbox.post("/_control/faults", lost, 201)
    answer = world.sandbox.post(f"/_control/payments/{CHANNEL}/{payment['payment_no']}/succeed").data
    check(answer["delivered"] is not True, "the notice that should be lost was delivered")
    return no


def _find_silent(world: World, boris: Customer, no: str) -> None:
    order = world.wait_for("the silent payment is found", lambda: _paid(boris, no), seconds=120)
    check_books(world, no, paid_fen=order["total_fen"], refunded_fen=0, customer=boris)
    world.tell(f"The notice of {no} was lost; the product asked and found {yuan(order['paid_fen'])}.")
    boris.client.post(f"{API}/orders/{no}/cancel")
    wait_for_refund(world, no, order["paid_fen"], "refunded")


def _paid(customer: Customer, no: str) -> dict[str, Any] | None:
    order = customer.order(no)
    return order if order["status"] == "awaiting_use" else None


def pay_for_nothing(world: World) -> None:
    """Money that comes after the order was cancelled, or a second time, goes back by itself."""
    boris, no, payment = _start(world)
    boris.client.post(f"{API}/orders/{no}/cancel")
    world.let_pay(payment["payment_no"], CHANNEL)
    paid_fen = boris.order(no)["paid_fen"]
    wait_for_refund(world, no, paid_fen, "refunded")
    check_books(world, no, paid_fen=paid_fen, refunded_fen=paid_fen, customer=boris)
    world.tell(f"{no} was cancelled when its money came: {yuan(paid_fen)} went back by itself.")
    boris, no, payment = _start(world)
    price_fen = world.pay(boris, no)["total_fen"]
    world.let_pay(payment["payment_no"], CHANNEL)
    wait_for_refund(world, no, price_fen, "awaiting_use")
    check_books(world, no, paid_fen=2 * price_fen, refunded_fen=price_fen, customer=boris)
    world.tell(f"{no} was paid twice: the second {yuan(price_fen)} went back by itself, the booking stands.")
    boris.client.post(f"{API}/orders/{no}/cancel")
    wait_for_refund(world, no, 2 * price_fen, "refunded")
    check_books(world, no, paid_fen=2 * price_fen, refunded_fen=2 * price_fen, customer=boris)
