"""A shop with one priced room, its guests and staff, and the everyday moves in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import select

from app.domain.actor import Actor, StoreScope, staff_actor
from app.domain.states import OrderStatus
from app.extensions import db
from app.models import (
    Booking,
    Campaign,
    Customer,
    Notification,
    Order,
    OrderEvent,
    Payment,
    Recipient,
    Refund,
    Room,
    Staff,
    Store,
    Voucher,
)
from app.services import availability, bookings, group_orders, payments, refunds
from app.services.quotes import BookingRequest
from tests import factories
from tests.services.counter import PayService, callback_of

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
JSAPI = "wechat_jsapi"


def read_store(store_id: int, **window: datetime) -> Any:
    """What clients are told of a store's rooms."""
    return orjson.loads(availability.read_store_availability(store_id, **window).body or b"")


def read_room(room_id: int, **window: datetime) -> Any:
    """What clients are told of a room."""
    return orjson.loads(availability.read_room_availability(room_id, **window).body or b"")


@dataclass
class Shop:
    """Room at ¥60 an hour; everything happens at `now` unless a move says when."""

    now: datetime
    pay_service: PayService
    store: Store
    room: Room
    customer: Customer

    @property
    def guest(self) -> Actor:
        return factories.customer(self.customer)

    def at(self, hours: float = 0, minutes: float = 0) -> datetime:
        """An instant after now."""
        return self.now + timedelta(hours=hours, minutes=minutes)

    def request(self, start: float = 3, hours: float = 2, **values: Any) -> BookingRequest:
        """A request for the room: from *start* hours after now, for *hours*."""
        values = {
            "room_id": self.room.id,
            "start_at": self.at(start),
            "end_at": self.at(start + hours),
        } | values
        return BookingRequest(**values)

    def book(self, start: float = 3, hours: float = 2, *, actor: Actor | None = None, **values: Any) -> str:
        """Book the room and return the order's number; `at` is when."""
        at, note = values.pop("at", self.now), values.pop("note", "")
        request = self.request(start, hours, **values)
        return bookings.create_booking(request, note=note, actor=actor or self.guest, now=at)

    def start_payment(self, no: str, *, at: datetime | None = None, actor: Actor | None = None) -> str:
        """Begin to pay and return the payment's number."""
        owner = actor or self._owner_of(no)
        started = payments.start_payment(no, channel=JSAPI, actor=owner, now=at or self.now)
        return str(started["payment_no"])

    def _owner_of(self, no: str) -> Actor:
        customer = db.session.get(Customer, self.order(no).customer_id)
        assert customer is not None
        return factories.customer(customer)

    def pay(self, no: str, *, at: datetime | None = None) -> str:
        """Pay an order as its customer, callback included; returns the payment's number."""
        payment_no = self.start_payment(no, at=at)
        self.notify(payment_no, at=at)
        return payment_no

    def notify(self, payment_no: str, callback_id: str | None = None, *, at: datetime | None = None) -> None:
        """The customer pays and the service tells."""
        self.pay_service.pay(payment_no)
        told = callback_of(payment_no, callback_id or f"paid-{payment_no}")
        payments.receive_callback("wechat", **told, now=at or self.now)

    def paid_booking(self, start: float = 3, hours: float = 2, **values: Any) -> str:
        """Book and pay; returns the order's number."""
        no = self.book(start, hours, **values)
        self.pay(no)
        return no

    def finish_refunds(self, *, at: datetime | None = None) -> None:
        """Every refund is sent to the service and succeeds there."""
        for refund in self.rows(Refund):
            refunds.send_refund(refund.id, now=at or self.now)
            if refund.refund_no in self.pay_service.refunds:
                self.pay_service.settle_refund(refund.refund_no)
                told = callback_of(refund.refund_no, f"refund-{refund.refund_no}")
                refunds.receive_callback("wechat", **told, now=at or self.now)

    def order(self, no: str) -> Order:
        db.session.rollback()
        db.session.expire_all()
        return db.session.scalars(select(Order).where(Order.no == no)).one()

    def status(self, no: str) -> OrderStatus:
        return self.order(no).status

    def booking(self, no: str) -> Booking:
        return self.order(no).bookings[-1]

    def payment(self, payment_no: str) -> Payment:
        return next(row for row in self.rows(Payment) if row.payment_no == payment_no)

    def rows(self, model: Any) -> list[Any]:
        """All rows of a table as they are now."""
        db.session.rollback()
        db.session.expire_all()
        return list(db.session.scalars(select(model).order_by(model.id)))

    def events(self, no: str) -> list[str]:
        """The order's timeline."""
        order_id = self.order(no).id
        query = select(OrderEvent.event).where(OrderEvent.order_id == order_id).order_by(OrderEvent.id)
        return list(db.session.scalars(query))

    def notices(self, no: str, recipient: Recipient = Recipient.CUSTOMER) -> list[str]:
        """The notices about an order, in order."""
        order_id = self.order(no).id
        return [
            row.event
            for row in self.rows(Notification)
            if row.order_id == order_id and row.recipient is recipient
        ]

    def another_guest(self) -> Actor:
        return factories.customer(factories.make_customer())

    def cashier(self, *stores: Store, username: str = "cashier") -> Actor:
        """A member of staff with an account, in this store or others."""
        row = db.session.scalar(select(Staff).where(Staff.username == username))
        if row is None:
            row = Staff(username=username, first_name="晓", last_name="林", email=f"{username}@example.com")
            row.active = True
            db.session.add(row)
            db.session.commit()
        ids = frozenset(store.id for store in stores or (self.store,))
        return staff_actor(row.id, "林晓", StoreScope(store_ids=ids))

    def campaign(self, **values: Any) -> Campaign:
        return factories.make_campaign(self.store, **values)

    def group_order(self, campaign: Campaign, *, actor: Actor | None = None, **values: Any) -> str:
        """Buy a campaign, unpaid, and return the order's number."""
        at = values.pop("at", self.now)
        return group_orders.create_group_order(campaign.id, actor=actor or self.guest, now=at, **values)

    def vouchers(self, no: str) -> list[Voucher]:
        """The vouchers that an order bought."""
        return list(self.order(no).vouchers)

    def voucher(self, campaign: Campaign | None = None, *, actor: Actor | None = None) -> Voucher:
        """A paid voucher: 3 hours, unless a campaign says otherwise."""
        no = self.group_order(campaign or self.campaign(), actor=actor)
        self.pay(no)
        return self.vouchers(no)[0]
