"""Paying, closing and refunding with one fault in the middle: what each cell of the matrix does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.domain.states import OrderStatus, PaymentChannel
from app.services import cancellations, clockwork, payments, refunds
from tests.faults.world import AT_ONCE, Way, World

COPIES = 64
KEPT = (OrderStatus.AWAITING_USE, 12000, 0)
GONE = (OrderStatus.CANCELLED, 0, 0)
BACK = (OrderStatus.REFUNDED, 12000, 12000)
# Orders by their numbers, and what has to become of them: state, paid and refunded fen.
Expected = dict[str, tuple[OrderStatus, int, int]]
Move = Callable[[World], Expected]

WAYS = {
    "wechat jsapi": Way(PaymentChannel.WECHAT_JSAPI, "wechat", "wechat_pay", "prepay", "close"),
    "wechat native": Way(PaymentChannel.WECHAT_NATIVE, "wechat", "wechat_pay", "prepay", "close"),
    "alipay create": Way(PaymentChannel.ALIPAY, "alipay", "alipay", "create", "close"),
    "alipay precreate": Way(PaymentChannel.ALIPAY_QR, "alipay", "alipay", "precreate", "close"),
    # UnionPay closes nothing: whether somebody has paid is asked instead.
    "unionpay": Way(PaymentChannel.UNIONPAY, "unionpay", "unionpay", "pay", "query"),
}
# What a call of ours may meet. The time to wait for an answer is shortened to 0.3 seconds meanwhile.
CALL_FAULTS: dict[str, dict[str, Any]] = {
    "latency": {"mode": "latency", "seconds": 0.4},
    "error": {"mode": "error"},
    "error after commit": {"mode": "error", "after_commit": True},
    "time-out after commit": {"mode": "timeout_after_commit"},
    "no answer, nothing done": {"mode": "no_answer"},
}


def with_fault(world: World, operation: str, fault: dict[str, Any], work: Callable[[], object]) -> None:
    """Do *work* while the call that it makes fails."""
    world.wait_at_most(0.1)
    world.arm(operation=operation, **fault)
    work()
    assert world.is_struck()
    world.wait_at_most(1)


def pay_through(fault: dict[str, Any]) -> Move:
    def move(world: World) -> Expected:
        no = world.shop.book(3, 2)
        with_fault(world, "pay", fault, lambda: world.start(no))
        world.pay(no)
        return {no: KEPT}

    return move


def pay_with_copies(world: World) -> Expected:
    no = world.shop.book(3, 2)
    payment_no = world.start(no)
    world.arm("duplicate_callback", count=COPIES - 1)
    world.succeed(payment_no)
    assert world.read_all(expected=COPIES, at_once=AT_ONCE) == COPIES
    return {no: KEPT}


def pay_out_of_order(world: World) -> Expected:
    """The callback of the first of two payments comes second."""
    numbers = [world.shop.book(3, 2), world.shop.book(6, 2)]
    first, second = (world.start(no) for no in numbers)
    world.arm("reorder")
    world.succeed(first)
    world.succeed(second, arriving=2)
    world.read_all()
    return dict.fromkeys(numbers, KEPT)


def pay_late(world: World) -> Expected:
    """One was paid in time and is heard of late; the other is paid when its hold is over, and rebooked."""
    numbers = [world.shop.book(3, 2), world.shop.book(6, 2)]
    heard_late, paid_late = (world.start(no) for no in numbers)
    world.arm("drop_callback")
    world.succeed(heard_late)
    world.move_to(16)
    world.run_jobs()
    assert world.shop.status(numbers[1]) is OrderStatus.CANCELLED
    world.succeed(heard_late)
    world.succeed(paid_late)
    world.read_all(expected=2)
    return dict.fromkeys(numbers, KEPT)


def pay_before_answer(world: World) -> Expected:
    """The page of a first tap is paid while a second tap waits for its answer."""
    no = world.shop.book(3, 2)
    payment_no = world.start(no)
    world.arm("latency", "pay", seconds=0.3, after_commit=True)
    with world.meanwhile(lambda: _start_once(world, no)):
        world.await_strike()
        world.succeed(payment_no)
        world.read_all(expected=1)
    return {no: KEPT}


def _start_once(world: World, no: str) -> None:
    payments.start_payment(no, channel=world.way.channel.value, actor=world.shop.guest, now=world.now)


def pay_unheard(world: World) -> Expected:
    no = world.shop.book(3, 2)
    payment_no = world.start(no)
    world.arm("drop_callback")
    world.succeed(payment_no)
    return {no: KEPT}


def close_through(fault: dict[str, Any]) -> Move:
    """Two holds end: nobody has paid one, the other is paid and its callback is lost."""

    def move(world: World) -> Expected:
        unpaid, paid = world.shop.book(3, 2), world.shop.book(6, 2)
        world.start(unpaid)
        payment_no = world.start(paid)
        world.arm("drop_callback")
        world.succeed(payment_no)
        world.move_to(15)
        # What is refused, as closing what was paid, is not committed: such a fault meets only one of them.
        is_late = fault.get("after_commit") or fault["mode"] == "timeout_after_commit"
        told = fault | {"count": 1 if is_late and world.way.close == "close" else 2}
        with_fault(world, "close", told, lambda: clockwork.expire_holds(now=world.now))
        return {unpaid: GONE, paid: KEPT}

    return move


def close_with_copies(world: World) -> Expected:
    """A hold ends while 64 copies say that it was paid."""
    unpaid, paid = world.shop.book(3, 2), world.shop.book(6, 2)
    world.start(unpaid)
    payment_no = world.start(paid)
    world.arm("duplicate_callback", count=COPIES - 1)
    world.succeed(payment_no)
    world.move_to(4)
    with world.meanwhile(lambda: clockwork.expire_holds(now=world.shop.at(minutes=15))):
        assert world.read_all(expected=COPIES, at_once=AT_ONCE) == COPIES
    return {unpaid: GONE, paid: KEPT}


def close_out_of_order(world: World) -> Expected:
    """What closing found out is heard of when another payment's callback was there."""
    first, second = world.shop.book(3, 2), world.shop.book(6, 2)
    payment_no = world.start(first)
    world.arm("reorder", seconds=60)
    world.succeed(payment_no)
    world.move_to(15)
    world.run_jobs()
    assert world.shop.status(first) is OrderStatus.AWAITING_USE
    third = world.shop.book(9, 2, at=world.now)
    world.succeed(world.start(third), arriving=2)
    world.read_all()
    return {first: KEPT, second: GONE, third: KEPT}


def close_late(world: World) -> Expected:
    """A closed page is paid when somebody else has the room: the money goes back by itself."""
    no = world.shop.book(3, 2)
    payment_no = world.start(no)
    world.move_to(16)
    world.run_jobs()
    other = world.shop.book(3, 2, at=world.now)
    world.pay(other)
    world.succeed(payment_no)
    world.read_all(expected=1)
    return {no: BACK, other: KEPT}


def close_before_answer(world: World) -> Expected:
    """Somebody pays while the request to close is on its way."""
    no = world.shop.book(3, 2)
    payment_no = world.start(no)
    world.arm("latency", "close", seconds=0.3)
    world.move_to(4)
    with world.meanwhile(lambda: clockwork.expire_holds(now=world.shop.at(minutes=15))):
        world.await_strike()
        world.succeed(payment_no)
        world.read_all(expected=1)
    return {no: KEPT}


def close_unheard(world: World) -> Expected:
    """A closed page is paid when somebody else has the room, and nobody tells."""
    no = world.shop.book(3, 2)
    payment_no = world.start(no)
    world.move_to(15)
    world.run_jobs()
    other = world.shop.book(3, 2, at=world.now)
    world.pay(other)
    world.arm("drop_callback")
    if world.way.channel in CERTAINLY_CLOSED:
        return {no: GONE, other: KEPT}
    world.succeed(payment_no)
    return {no: BACK, other: KEPT}


# Whoever has told us that a trade is closed does not let it be paid: only the callback could say otherwise.
CERTAINLY_CLOSED = (PaymentChannel.WECHAT_JSAPI, PaymentChannel.WECHAT_NATIVE, PaymentChannel.ALIPAY)


def _cancelled(world: World) -> str:
    """An order that was paid and cancelled; its refund waits to be sent."""
    no = world.shop.book(3, 2)
    world.pay(no)
    cancellations.cancel_order(no, actor=world.shop.guest, now=world.now)
    return no


def _send(world: World) -> str:
    refund = world.refund()
    refunds.send_refund(refund.id, now=world.now)
    return refund.refund_no


def refund_through(fault: dict[str, Any]) -> Move:
    def move(world: World) -> Expected:
        no = _cancelled(world)
        with_fault(world, "refund", fault, lambda: _send(world))
        return {no: BACK}

    return move


def refund_with_copies(world: World) -> Expected:
    no = _cancelled(world)
    number = _send(world)
    world.arm("duplicate_callback", count=COPIES - 1)
    world.give_back(number)
    assert world.read_all(expected=COPIES, at_once=AT_ONCE) == COPIES
    return {no: BACK}


def refund_out_of_order(world: World) -> Expected:
    """The callback of the refund comes before that of its payment, which a query has found."""
    no = world.shop.book(3, 2)
    payment_no = world.start(no)
    world.arm("reorder", seconds=60)
    world.succeed(payment_no)
    world.move_to(1)
    world.run_jobs()
    cancellations.cancel_order(no, actor=world.shop.guest, now=world.now)
    world.give_back(_send(world), arriving=2)
    world.read_all()
    return {no: BACK}


def refund_late(world: World) -> Expected:
    """A query has found it when the callback comes."""
    no = _cancelled(world)
    number = _send(world)
    world.arm("drop_callback")
    world.give_back(number)
    world.move_to(20)
    world.run_jobs()
    assert world.shop.status(no) is OrderStatus.REFUNDED
    world.give_back(number)
    world.read_all(expected=1)
    return {no: BACK}


def refund_before_answer(world: World) -> Expected:
    no = _cancelled(world)
    refund = world.refund()
    number, refund_id = refund.refund_no, refund.id
    world.arm("latency", "refund", seconds=0.3, after_commit=True)
    with world.meanwhile(lambda: refunds.send_refund(refund_id, now=world.now)):
        world.await_strike()
        world.give_back(number)
        world.read_all(expected=1)
    return {no: BACK}


def refund_unheard(world: World) -> Expected:
    no = _cancelled(world)
    number = _send(world)
    world.arm("drop_callback")
    world.give_back(number)
    return {no: BACK}


def _through(make: Callable[[dict[str, Any]], Move]) -> dict[str, Move]:
    return {label: make(fault) for label, fault in CALL_FAULTS.items()}


COPIED, SWAPPED, LATE = f"callback x{COPIES}", "callbacks reordered", "late callback"
EARLY, UNHEARD = "callback before the answer", "callback lost"
MOVES: dict[str, dict[str, Move]] = {
    "pay": _through(pay_through)
    | {COPIED: pay_with_copies, SWAPPED: pay_out_of_order, LATE: pay_late}
    | {EARLY: pay_before_answer, UNHEARD: pay_unheard},
    "close": _through(close_through)
    | {COPIED: close_with_copies, SWAPPED: close_out_of_order, LATE: close_late}
    | {EARLY: close_before_answer, UNHEARD: close_unheard},
    "refund": _through(refund_through)
    | {COPIED: refund_with_copies, SWAPPED: refund_out_of_order, LATE: refund_late}
    | {EARLY: refund_before_answer, UNHEARD: refund_unheard},
}
