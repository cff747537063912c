"""A shop whose money comes through WeChat Pay or Alipay of the sandbox, for the tests of daily bills."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha1
from typing import Any

import pytest
from sqlalchemy import update

from app.domain.actor import ALL_STORES, SYSTEM, Actor, staff_actor
from app.domain.reconciliation import bill_date, ready_at
from app.domain.states import (
    DifferenceKind,
    DifferenceStatus,
    PaymentChannel,
)
from app.extensions import db
from app.models import Bill, BillDifference, CustomerIdentity, Payment, Refund
from app.services import (
    cancellations,
    channels,
    payments,
    reconciliation,
    refunds,
)
from tests.sandbox.live import OPENID
from tests.services.alipay_till import Till
from tests.services.shop import Shop

REAL_WECHAT_PAY = channels.wechat_pay
WAYS = {"wechat": PaymentChannel.WECHAT_JSAPI, "alipay": PaymentChannel.ALIPAY}


@dataclass
class Ledger:
    """A shop whose money comes through one service of the sandbox; its callbacks are never read."""

    till: Till
    service: str

    @property
    def shop(self) -> Shop:
        return self.till.shop

    def take(self, start: float = 3, hours: float = 2, *, is_known: bool = True) -> str:
        """Take ¥60 an hour and return the payment's number; without a word to us it stays unknown."""
        no = self.shop.book(start, hours)
        payment_no = self.till.start(no, WAYS[self.service])
        self.till.live.control(f"/payments/{self.service}/{payment_no}/succeed")
        if is_known:
            payments.settle_by_query(self.payment(payment_no).id, now=self.shop.now)
        return payment_no

    def give_back(self, payment_no: str, *, is_known: bool = True) -> str:
        """Cancel the order of a payment, refund it and return the refund's number."""
        cancellations.cancel_order(
            self.payment(payment_no).order.no, actor=self.shop.guest, now=self.shop.now
        )
        refund = self.shop.rows(Refund)[-1]
        refunds.send_refund(refund.id, now=self.shop.now)
        self.till.live.control(f"/refunds/{self.service}/{refund.refund_no}/succeed")
        if is_known:
            refunds.settle_by_query(refund.id, now=self.shop.now)
        return str(refund.refund_no)

    def adopt(self, no: str, fen: int, **more: Any) -> None:
        """Let the service have a payment that was made elsewhere."""
        told = {"out_trade_no": no, "transaction_id": f"42{sha1(no.encode()).hexdigest()}", "total_fen": fen}
        told["transaction_id"] = str(int(told["transaction_id"][2:14], 16))
        body = {"payments": [told | {"paid_at": self.shop.now.isoformat()} | more]}
        assert self.till.live.control(f"/payments/{self.service}/adopt", body) == {"adopted": 1}

    def payment(self, payment_no: str) -> Payment:
        return self.shop.payment(payment_no)

    def change(self, number: str, **values: Any) -> None:
        """Alter a payment in our books."""
        db.session.execute(update(Payment).where(Payment.payment_no == number).values(**values))
        db.session.commit()

    @property
    def day(self) -> date:
        return bill_date(self.shop.now)

    @property
    def next_noon(self) -> datetime:
        return ready_at(self.day) + timedelta(hours=2)

    def run(self, *, at: datetime | None = None, on: date | None = None, actor: Actor = SYSTEM) -> Bill:
        bill_id = reconciliation.reconcile_day(
            self.service, on or self.day, actor=actor, now=at or self.next_noon
        )
        return next(bill for bill in self.shop.rows(Bill) if bill.id == bill_id)

    def differences(self) -> list[tuple[DifferenceKind, str, int | None, int | None]]:
        """What is open."""
        return [
            (row.kind, row.number, row.here_fen, row.there_fen)
            for row in self.shop.rows(BillDifference)
            if row.status is DifferenceStatus.OPEN
        ]


@pytest.fixture(params=["wechat", "alipay"])
def ledger(till: Till, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    monkeypatch.setattr(channels, "wechat_pay", REAL_WECHAT_PAY)
    identity = next(row for row in till.shop.rows(CustomerIdentity) if row.channel == "wechat")
    identity.app_id, identity.subject = till.live.credentials["wechat"]["app_id"], OPENID
    db.session.commit()
    yield Ledger(till, request.param)
    till.live.control("/settings", {"bill_delay_hours": 0})


@pytest.fixture
def owner(ledger: Ledger) -> Actor:
    return staff_actor(ledger.shop.cashier().id or 0, "店主", ALL_STORES)
