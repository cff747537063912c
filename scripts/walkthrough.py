"""Play customers, a cashier, a manager and the owner against a running product and check every answer.

Run `make run` first, then: python scripts/walkthrough.py [--base ADDRESS] [--sandbox ADDRESS]
The exit status is 0 when everything was as documented.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

# The script is started by its path; what belongs to it is found from the project's folder.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import walkthrough_changes as changes
from scripts import walkthrough_customer as customer
from scripts import walkthrough_desk as desk
from scripts import walkthrough_refunds as refunds
from scripts import walkthrough_stays as stays
from scripts.walkthrough_alipay import pay_by_alipay
from scripts.walkthrough_bills import reconcile
from scripts.walkthrough_counter import work_at_counter
from scripts.walkthrough_http import Client, Surprise
from scripts.walkthrough_refusals import refuse
from scripts.walkthrough_unionpay import pay_by_unionpay, pay_for_nothing
from scripts.walkthrough_world import World


def use_voucher(world: World) -> None:
    """Buy a voucher, book with it, and redeem it at the desk."""
    voucher = desk.buy_voucher(world)
    desk.book_with_voucher(world, voucher)
    desk.redeem(world, voucher)


PARTS: tuple[tuple[str, Callable[[World], object]], ...] = (
    ("Looking around", customer.look_around),
    ("Logging in", customer.log_in_two),
    ("Booking and paying", customer.book_and_pay),
    ("Cancelling late", customer.cancel_late),
    ("Cancelling before paying", customer.cancel_unpaid),
    ("Failing to pay", customer.fail_a_payment),
    ("Paying by Alipay", pay_by_alipay),
    ("Paying by UnionPay", pay_by_unionpay),
    ("Paying too late and twice", pay_for_nothing),
    ("Asking for refunds", refunds.ask_for_refunds),
    ("Refunds that are stuck", refunds.settle_abnormal),
    ("Racing for a room", customer.race),
    ("Being refused", refuse),
    ("Confirming by hand", customer.confirm_by_hand),
    ("Refusing by hand", changes.refuse_by_hand),
    ("Changing and extending", changes.change_and_extend),
    ("Moving by staff", changes.move_by_staff),
    ("Vouchers", use_voucher),
    ("Walking in", desk.walk_in),
    ("The counter", work_at_counter),
    ("Refunding while guests sit", refunds.refund_while_sitting),
    ("Staying", stays.stay),
    ("The owner", desk.look_after),
    ("Reconciling", reconcile),
    ("Messages", customer.read_messages),
)
# Without these nothing that follows makes sense.
VITAL = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every part and return how it went: 0 as documented, 1 with surprises."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--base", default="http://127.0.0.1:8080", help="address of the product")
    parser.add_argument("--sandbox", default="http://127.0.0.1:8090", help="address of the sandbox")
    options = parser.parse_args(arguments)
    world = World(options.base, Client(options.sandbox), Client(options.base))
    started, surprises = time.monotonic(), 0
    for index, (title, play) in enumerate(PARTS):
        print(f"\n{title}")
        try:
            play(world)
        except Surprise as found:
            surprises += 1
            print(f"   !! SURPRISE: {found}", flush=True)
            if index < VITAL:
                break
    seconds = time.monotonic() - started
    print(f"\n{world.steps} steps in {seconds:.1f} s, {surprises} surprise(s).")
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
