"""The part of bills: yesterday's bill matches the books; money that nobody knows is found and explained."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from scripts.walkthrough_http import Desk, expect
from scripts.walkthrough_world import World, check, now, yuan

STRANGE_FEN = 8800


def reconcile(world: World) -> None:
    """The owner compares yesterday, another till takes money, and the difference is explained."""
    owner, yesterday = world.desk("owner"), (now() - timedelta(days=1)).date().isoformat()
    bill = _run(world, owner, yesterday)
    total = bill["total"]
    check(bill["status"] == "matched", f"yesterday's bill is {bill['status']}: {bill['differences']}")
    # What an earlier walk has explained.
    strange_fen = STRANGE_FEN * sum(each["kind"] == "missing_here" for each in bill["differences"])
    check(total["here_paid_fen"] + strange_fen == total["there_paid_fen"] > 0, "the sums of yesterday differ")
    check(total["here_refunded_fen"] == total["there_refunded_fen"], "the refunds of yesterday differ")
    world.tell(f"The bill of {yesterday} equals our books to the fen: {yuan(total['here_paid_fen'])}.")
    number = _take_elsewhere(world, yesterday)
    found = _find(_run(world, owner, yesterday), number)
    told = (found["kind"], found["here_fen"], found["there_fen"])
    check(told == ("missing_here", None, STRANGE_FEN), f"the other till's money is told as {told}")
    page = f"/bill-differences/{found['id']}"
    expect(world.desk("manager").request("GET", page), 404)
    expect(world.desk("cashier").request("GET", "/bills/list/"), 403)
    world.tell(f"Another till takes {yuan(STRANGE_FEN)}: the owner sees it, a manager of one store does not.")
    owner.submit(f"{page}/resolve", {"reason": " "}, 422)
    resolved = owner.submit(f"{page}/resolve", {"reason": "另一台收银机"}).data
    check(resolved["status"] == "resolved", f"the difference is {resolved['status']}")
    again = _run(world, owner, yesterday)
    check(_find(again, number)["id"] == found["id"], "another run told the same twice")
    check(again["status"] == "matched", "an explained difference is open again")
    world.tell("It is explained with a reason and stays so, however often the day is compared.")


def _run(world: World, owner: Desk, on: str) -> dict[str, Any]:
    """Compare a day; the clockwork may be at it just now."""

    def run() -> Any:
        answer = owner.submit("/bills/run", {"service": "wechat", "on": on}, None)
        return None if answer.status == 409 else expect(answer, 200).data

    found: dict[str, Any] = world.wait_for(f"the bill of {on}", run)
    return found


def _take_elsewhere(world: World, on: str) -> str:
    number = f"TILL{random.randrange(10**12):012d}"
    payment = {
        "out_trade_no": number,
        "transaction_id": f"42{random.randrange(10**20):020d}",
        "total_fen": STRANGE_FEN,
        "paid_at": f"{on}T12:00:00+08:00",
    }
    world.sandbox.post("/_control/payments/wechat/adopt", {"payments": [payment]})
    return number


def _find(bill: dict[str, Any], number: str) -> dict[str, Any]:
    found = [each for each in bill["differences"] if each["number"] == number]
    check(len(found) == 1, f"{number} is told {len(found)} times")
    return dict(found[0])
