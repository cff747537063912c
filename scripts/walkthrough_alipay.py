"""The part of Alipay: pay by a code, find a lost notice, and get the money back the same way."""

from __future__ import annotations

from datetime import timedelta

from scripts.walkthrough_world import API, World, check, yuan


def pay_by_alipay(world: World) -> None:
    """A code is scanned and paid; a forged notice is refused; cancelling early refunds all."""
    boris, store = world.customers[1], world.stores()[-1]
    slot = world.find_slot(store["id"], 60, after=timedelta(hours=30), within=timedelta(hours=70))
    no = world.book(boris, slot)["no"]
    payment = world.start_payment(boris, no, "alipay_qr")
    number = payment["payment_no"]
    check(payment["params"]["code_url"].startswith("https://"), "there is no code to scan")
    probe = world.sandbox.post(f"/_control/payments/alipay/{number}/probe").data
    check(probe["delivered"] is False, "a notice for another sum was accepted")
    check(boris.order(no)["status"] == "pending_payment", "a forged notice moved the order")
    world.let_pay(number, "alipay")
    order = boris.order(no)
    check(order["status"] == "awaiting_use", f"the paid order is {order['status']}")
    world.let_pay(number, "alipay")
    check(boris.order(no)["paid_fen"] == order["paid_fen"], "a repeated notice credited again")
    world.tell(
        f"{no} is paid by Alipay ({yuan(order['paid_fen'])}); forged and repeated notices change nothing."
    )
    boris.client.post(f"{API}/orders/{no}/cancel")
    done = world.wait_for_status(boris, no, "refunded")
    check(done["refunded_fen"] == order["paid_fen"], "not everything went back")
    shown = world.sandbox.get(f"/_control/payments/alipay/{number}").data
    check(
        [each["refund"] for each in shown["refunds"]] == [order["paid_fen"]], "Alipay refunded something else"
    )
    world.tell(f"Cancelled early: Alipay gives {yuan(done['refunded_fen'])} back.")
