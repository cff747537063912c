"""A shop and one way of paying of the sandbox, both by one clock that tests move; and the judge of both."""

from __future__ import annotations

import contextvars
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import select

from app import gateways
from app.domain.actor import ALL_STORES
from app.domain.clock import utc_now
from app.domain.errors import InvalidTransition, Unavailable
from app.domain.states import OrderStatus, PaymentChannel, PaymentStatus, RefundStatus
from app.extensions import db, use_scope
from app.models import Order, OrderEvent, Payment, Refund
from app.services import clockwork, payments, refunds
from app.services.callbacks import CallbackRefused
from scripts.processes import wait_until
from tests.faults.tally import Row
from tests.sandbox.live import Live, Merchant, Received
from tests.services.shop import Shop

TRIES = 8
AT_ONCE = 8
PAID = ("SUCCESS", "REFUND")


@dataclass(frozen=True)
class Way:
    """A way of paying: the sandbox's service behind it, and what its calls are named there."""

    channel: PaymentChannel
    service: str
    target: str
    pay: str
    close: str
    refund: str = "refund"


@dataclass
class World:
    """A shop, the sandbox, and the callbacks that arrived but were not read yet.

    `later` is how far the clock was moved.
    """

    shop: Shop
    live: Live
    merchant: Merchant
    way: Way
    app: Flask
    folder: Path
    jobs: list[tuple[Any, ...]]
    later: timedelta = timedelta(0)
    answers: Counter[int] = field(default_factory=Counter)
    read_count: int = 0

    @property
    def now(self) -> datetime:
        return self.shop.now + self.later

    def tell_time(self) -> datetime:
        """The clock of those who receive callbacks."""
        return utc_now() + self.later

    def move_to(self, minutes: float) -> None:
        """Let it be so many minutes after the beginning."""
        self.later = timedelta(minutes=minutes)

    def wait_at_most(self, seconds: float) -> None:
        """Wait no longer than *seconds* for a connection to the sandbox, and thrice that for its answer."""
        url = self.live.url
        gateways.configure(
            gateways.GatewaySettings(
                url,
                url,
                seconds,
                self.folder,
                is_production=False,
                alipay_url=f"{url}/gateway.do",
                unionpay_url=url,
                unionpay_front_url="http://127.0.0.1/",
                has_unionpay_sandbox=True,
            )
        )

    def arm(self, mode: str, operation: str | None = None, **more: Any) -> None:
        """Arm a fault of the service, once unless *more* says otherwise."""
        named = {} if operation is None else {"operation": getattr(self.way, operation)}
        self.live.control("/faults", {"target": self.way.target, "mode": mode, "count": 1} | named | more)

    def start(self, no: str) -> str:
        """Tap until the payment has begun; return its number."""
        for _ in range(TRIES):
            try:
                told = payments.start_payment(
                    no, channel=self.way.channel.value, actor=self.shop.guest, now=self.now
                )
            except Unavailable:
                continue
            return str(told["payment_no"])
        raise AssertionError("the payment cannot be begun")

    def succeed(self, payment_no: str, *, arriving: int = 0) -> None:
        """The customer pays; held callbacks are among those *arriving*."""
        self._control(f"/payments/{self.way.service}/{payment_no}/succeed", arriving)

    def give_back(self, refund_no: str, *, arriving: int = 0) -> None:
        """The refund arrives at the customer."""
        self._control(f"/refunds/{self.way.service}/{refund_no}/succeed", arriving)

    def _control(self, path: str, arriving: int) -> None:
        # Client libraries keep to the real time; only what the service sends by itself is stamped later.
        self.live.clock.offset = self.later
        self.live.control(path)
        self.merchant.wait_for(self.read_count + arriving)
        self.live.clock.offset = timedelta(0)

    def pay(self, no: str) -> str:
        """Pay an order, its callback included; return the payment's number."""
        payment_no = self.start(no)
        self.succeed(payment_no)
        self.read_all()
        return payment_no

    def read_all(self, *, expected: int = 0, at_once: int = 1) -> int:
        """Post to the product what has arrived since the last time, in this order or some at once."""
        arrived = self.merchant.wait_for(self.read_count + expected)[self.read_count :]
        self.read_count += len(arrived)
        with ThreadPoolExecutor(at_once) as pool:
            self.answers.update(pool.map(self.read, arrived))
        return len(arrived)

    def read(self, notice: Received) -> int:
        """Post one callback to the product and return the status of its answer."""
        client = self.app.test_client()
        headers = {name: value for name, value in notice.headers.items() if name != "Host"}
        return client.post(notice.path, data=notice.body, headers=headers).status_code

    @contextmanager
    def meanwhile(self, work: Callable[[], object]) -> Iterator[Future[object]]:
        """Do *work* in another thread during the block; what is refused there is left to the jobs."""
        context = contextvars.copy_context()

        def run() -> object:
            with self.app.app_context(), use_scope(ALL_STORES):
                try:
                    return work()
                except (Unavailable, InvalidTransition, CallbackRefused) as refusal:
                    return refusal
                finally:
                    db.session.remove()

        db.session.rollback()
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(context.run, run)
            yield future
            future.result(30)

    def is_struck(self) -> bool:
        """Tell whether every armed fault has met its call."""
        return not self.live.get("/_control/faults").json()["items"]

    def await_strike(self) -> None:
        assert wait_until(self.is_struck, 10)

    def run_jobs(self) -> None:
        """What workers and the scheduler do at this time."""
        handed, self.jobs[:] = list(self.jobs), []
        for job, *arguments in handed:
            if job == "app.jobs.send_refund":
                refunds.send_refund(arguments[0], now=self.now)
        clockwork.expire_holds(now=self.now)
        payments.query_silent_payments(now=self.now)
        refunds.settle_refunds(now=self.now)

    def come_to_rest(self) -> None:
        """Let an hour pass, in which money that is on its way back arrives."""
        for minutes in (1, 2, 8, 15, 16, 17, 18, 25, 60):
            if timedelta(minutes=minutes) >= self.later:
                self.move_to(minutes)
                self.run_jobs()
                self.settle_at_the_service()

    def settle_at_the_service(self) -> None:
        """Let every refund arrive that is on its way."""
        for shown in self.live.sandbox.channels[self.way.service].recent(100):
            for refund in shown["refunds"]:
                if refund["refund_status"] == "PROCESSING":
                    self.give_back(refund["out_refund_no"])

    def refund(self) -> Refund:
        (refund,) = self.shop.rows(Refund)
        assert isinstance(refund, Refund)
        return refund

    def judge(self, cell: str) -> Row:
        """Compare the product's books with the service's, and count what is lost, stuck or wrong."""
        ours, theirs = self._our_books(), self._their_books()
        both = set(ours.items()) & set(theirs.items())
        orders, found = self.shop.rows(Order), self.shop.rows(Refund)
        return Row(
            cell,
            orders=len(orders),
            callbacks=self.answers.total(),
            credits=self.count("payment_succeeded"),
            refunds=self.count("refund_succeeded"),
            paid_fen=sum(paid for paid, _ in theirs.values()),
            refunded_fen=sum(back for _, back in theirs.values()),
            lost=len(theirs) - len(both) + len(ours) - len(both),
            stuck=sum(self._stuck(orders, found)),
            wrong=sum(self._wrong(orders, found)),
        )

    def _our_books(self) -> dict[str, tuple[int, int]]:
        """What came in and went back for each payment that has succeeded."""
        back: Counter[int] = Counter()
        for refund in self.shop.rows(Refund):
            if refund.status is RefundStatus.SUCCEEDED:
                back[refund.payment_id] += refund.amount_fen
        return {
            payment.payment_no: (payment.amount_fen, back[payment.id])
            for payment in self.shop.rows(Payment)
            if payment.status is PaymentStatus.SUCCEEDED
        }

    def _their_books(self) -> dict[str, tuple[int, int]]:
        return {
            shown["out_trade_no"]: (
                shown["total"],
                sum(row["refund"] for row in shown["refunds"] if row["refund_status"] == "SUCCESS"),
            )
            for shown in self.live.sandbox.channels[self.way.service].recent(1000)
            if shown["trade_state"] in PAID
        }

    def count(self, event: str) -> int:
        """Return how often something stands in the timelines."""
        return len(list(db.session.scalars(select(OrderEvent.id).where(OrderEvent.event == event))))

    def _stuck(self, orders: list[Order], found: list[Refund]) -> Iterator[bool]:
        """Whatever would still wait for something after an hour."""
        for order in orders:
            yield order.status in (OrderStatus.PENDING_PAYMENT, OrderStatus.REFUNDING)
        for payment in self.shop.rows(Payment):
            yield payment.status is PaymentStatus.PENDING or payment.next_query_at is not None
        for refund in found:
            yield refund.status is not RefundStatus.SUCCEEDED

    def _wrong(self, orders: list[Order], found: list[Refund]) -> Iterator[bool]:
        """One entry for each credit and refund, sums that add up, and no callback that was not accepted."""
        books = self._our_books()
        yield self.count("payment_succeeded") != len(books)
        arrived = [refund for refund in found if refund.status is RefundStatus.SUCCEEDED]
        yield self.count("refund_succeeded") != len(arrived)
        yield self.count("refund_created") != len(found)
        yield sum(order.paid_fen for order in orders) != sum(paid for paid, _ in books.values())
        yield sum(order.refunded_fen for order in orders) != sum(back for _, back in books.values())
        yield any(status >= 300 for status in self.answers)
