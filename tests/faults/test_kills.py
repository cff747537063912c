"""Killed at any write of a callback, a cancellation or a refund: repeated, it is done once and whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import Connection

from app.domain.clock import utc_now
from app.domain.errors import InvalidTransition
from app.domain.slots import floor_minute
from app.domain.states import OrderStatus, VoucherStatus
from app.extensions import db
from app.models import PaymentCallback, Redemption, Refund, Voucher
from app.services import cancellations, redemptions, refunds
from tests import factories
from tests.faults.killing import ALL, WRITES, count_calls, kill_at, spread
from tests.faults.moves import WAYS
from tests.faults.world import Way, World
from tests.sandbox.live import Received

CI_POINTS, PROOF_POINTS = 6, 110
Work = Callable[[], object]
# The number of an order, what is killed, and what its caller does when it got no answer.
Begun = tuple[str, Work, Work]


def book(world: World) -> str:
    """Book a room that nobody else takes."""
    return world.shop.book(3, 2, room_id=factories.make_room(world.shop.store).id)


def notify(world: World) -> Begun:
    """The service tells of a payment, and tells again when it got no answer."""
    no = book(world)
    world.succeed(world.start(no))
    notice = world.merchant.wait_for(world.read_count + 1)[world.read_count]
    world.read_count += 1
    post = lambda: _accepted(world, notice)  # noqa: E731
    return no, post, post


def _accepted(world: World, notice: Received) -> None:
    assert world.read(notice) in (200, 204)


def cancel(world: World) -> Begun:
    """A customer cancels what was paid, and taps again."""
    no = book(world)
    world.pay(no)

    def leave() -> None:
        cancellations.cancel_order(no, actor=world.shop.guest, now=world.now)

    def again() -> None:
        try:
            leave()
        except InvalidTransition:
            # It was done when the customer got no answer.
            assert world.shop.status(no) in (OrderStatus.REFUNDING, OrderStatus.REFUNDED)

    return no, leave, again


def refund(world: World) -> Begun:
    """A worker sends a refund; the sweep does it again."""
    no, leave, _ = cancel(world)
    leave()
    refund_id = world.shop.rows(Refund)[-1].id
    return no, lambda: refunds.send_refund(refund_id, now=world.now), lambda: None


def redeem(world: World) -> Begun:
    """A cashier redeems a voucher, and confirms again what was previewed."""
    shop = world.shop
    cashier, room_id = shop.cashier(), factories.make_room(shop.store).id
    sale = shop.campaign(sale_starts_at=shop.at(-1), sale_ends_at=shop.at(24))
    no = shop.group_order(sale)
    world.pay(no)
    code = shop.vouchers(no)[0].code
    nonce = redemptions.preview(shop.store.id, code=code, actor=cashier, now=world.now)["nonce"]
    confirm = lambda: redemptions.confirm(nonce, room_id, actor=cashier, now=world.now)  # noqa: E731
    return no, confirm, confirm


FLOWS = {"notify": notify, "cancel": cancel, "refund": refund, "redeem": redeem}


@dataclass
class Killer:
    """Kills a flow at one point after the other, each time about a new order."""

    world: World
    begin: Callable[[World], Begun]
    folder: Path
    calls: str = WRITES

    def measure(self) -> tuple[int, list[str], list[str]]:
        """Let the flow live; return its number of calls, and what is told of the order in the end."""
        no, work, _ = self._begin()
        total = count_calls(work, self.folder, self.calls)
        self._rest()
        return total, self.world.shop.events(no), self.world.shop.notices(no)

    def strike(self, number: int) -> tuple[str, Work, bool]:
        """Kill the flow at one point; return the order's number, how it is repeated, whether it is torn."""
        no, work, again = self._begin()
        kill_at(number, work, self.calls)
        return no, again, self.world.judge("killed").wrong > 0 or self._is_torn(no)

    def recover(self, again: Work) -> None:
        again()
        self._rest()

    def _begin(self) -> Begun:
        # Callbacks bear the real time; a long run must not fall behind it.
        self.world.shop.now = floor_minute(utc_now())
        begun = self.begin(self.world)
        db.session.rollback()
        # A child must not share a connection, and who opens SQLite first after a crash has to repair it.
        db.engine.dispose()
        return begun

    def _rest(self) -> None:
        for minutes in (1, 2, 10):
            self.world.move_to(minutes)
            self.world.run_jobs()
            self.world.settle_at_the_service()
        self.world.move_to(0)
        self.world.read_count = len(self.world.merchant.received)

    def _is_torn(self, no: str) -> bool:
        """A state without its step in the timeline, or a callback kept whose effect is missing."""
        shop = self.world.shop
        has_refund = any(row.order_id == shop.order(no).id for row in shop.rows(Refund))
        is_told = "refund_started" in shop.notices(no)
        is_leaving = shop.status(no) in (OrderStatus.REFUNDING, OrderStatus.REFUNDED)
        # Every payment here is heard of by its callback, and no refund is.
        is_kept = len(shop.rows(PaymentCallback)) != self.world.count("payment_succeeded")
        spent = [row for row in shop.rows(Voucher) if row.status is VoucherStatus.REDEEMED]
        is_spent = len(shop.rows(Redemption)) != len(spent)
        return len({has_refund, is_told, is_leaving}) > 1 or is_kept or is_spent


def check_database() -> None:
    """SQLite's file is whole; PostgreSQL answers for its own."""
    if db.engine.dialect.name == "sqlite":
        assert db.session.scalar(text("PRAGMA integrity_check")) == "ok"
        assert db.session.execute(text("PRAGMA foreign_key_check")).all() == []
        db.session.rollback()


@pytest.mark.faults
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize(
    ("calls", "points"),
    [
        pytest.param(WRITES, CI_POINTS, id="some"),
        pytest.param(ALL, PROOF_POINTS, id="all", marks=pytest.mark.prove),
    ],
)
def test_killed_work_is_done_once_and_whole(
    open_world: Callable[[Way], World],
    tmp_path: Path,
    say: Callable[[str], None],
    flow: str,
    calls: str,
    points: int,
) -> None:
    killer = Killer(open_world(WAYS["wechat native"]), FLOWS[flow], tmp_path, calls)
    total, events, notices = killer.measure()
    assert total >= CI_POINTS

    for number in spread(total, points):
        no, again, is_torn = killer.strike(number)
        assert not is_torn, f"torn at {number} of {total}"
        killer.recover(again)
        shop = killer.world.shop
        assert (shop.events(no), shop.notices(no)) == (events, notices), f"at {number} of {total}"
        row = killer.world.judge(flow)
        assert (row.lost, row.stuck, row.wrong) == (0, 0, 0), row
    check_database()
    engine = db.engine.dialect.name
    say(f"\n{flow} on {engine}: killed at {len(spread(total, points))} of {total} calls, torn 0, lost 0")


def commit_every_write(connection: Connection, _cursor: object, statement: str, *_more: object) -> None:
    """Commit what was written so far before each statement that writes."""
    if statement.lstrip().upper().startswith(("INSERT", "UPDATE")):
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.execute("COMMIT")
        raw.execute("BEGIN")


@pytest.mark.faults
@pytest.mark.parametrize("flow", ["notify", "cancel"])
def test_control_without_a_transaction_is_torn(
    open_world: Callable[[Way], World], tmp_path: Path, flow: str
) -> None:
    killer = Killer(open_world(WAYS["wechat native"]), FLOWS[flow], tmp_path)
    begin = killer.begin

    def begin_torn(world: World) -> Begun:
        no, work, again = begin(world)

        def work_torn() -> None:
            event.listen(db.engine, "before_cursor_execute", commit_every_write)
            work()

        return no, work_torn, again

    killer.begin = begin_torn
    total, _, _ = killer.measure()
    torn = [killer.strike(number)[2] for number in spread(total, 16)]
    assert any(torn) and not all(torn)
