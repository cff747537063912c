"""What an order paid, got back and keeps: the same over the interface, in the back office and on its page."""

from __future__ import annotations

from typing import Any

from scripts.walkthrough_world import Customer, World, check


def check_books(
    world: World, no: str, *, paid_fen: int, refunded_fen: int, customer: Customer | None = None
) -> dict[str, Any]:
    """Compare an order's sums with its payments and refunds wherever they are shown; return the staff's view.

    What it keeps is what it costs, or, once it is refunded, the fee.
    """
    owner = world.desk("owner")
    found: dict[str, Any] = owner.get(f"/orders/{no}").data
    for order in [found, customer.order(no)] if customer else [found]:
        told = (order["paid_fen"], order["refunded_fen"])
        check(told == (paid_fen, refunded_fen), f"{no} tells {told}, not {(paid_fen, refunded_fen)}")
        rows = (_done(order["payments"]), _done(order["refunds"]))
        check(rows == told, f"the payments and refunds of {no} come to {rows}, not {told}")
    kept_fen = paid_fen - refunded_fen
    fee_or_price = "cancel_fee_fen" if found["status"] == "refunded" else "total_fen"
    check(kept_fen == found[fee_or_price], f"{no} keeps {kept_fen} of {fee_or_price} {found[fee_or_price]}")
    page = owner.page(f"/orders/{no}").text
    for fen in {paid_fen, refunded_fen} - {0}:
        check(f"¥{fen / 100:,.2f}" in page, f"the page of {no} does not show {fen} fen")
    return found


def _done(rows: list[dict[str, Any]]) -> int:
    return sum(row["amount_fen"] for row in rows if row["status"] == "succeeded")


def wait_for_refund(world: World, no: str, refunded_fen: int, status: str) -> dict[str, Any]:
    """Wait until so much has come back and the order has this status; return the staff's view."""

    def look() -> dict[str, Any] | None:
        order: dict[str, Any] = world.desk("owner").get(f"/orders/{no}").data
        return order if (order["status"], order["refunded_fen"]) == (status, refunded_fen) else None

    found: dict[str, Any] = world.wait_for(f"{no} has {refunded_fen} fen back and is {status}", look)
    return found
