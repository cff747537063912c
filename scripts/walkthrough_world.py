"""What every part of the walkthrough needs: people, rooms, free times, money, and telling what happened."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from scripts.walkthrough_http import Answer, Client, Desk, surprise

API = "/api/v1"
CHINA = timezone(timedelta(hours=8))
PASSWORD = "quefang-demo"
HALF_HOUR = timedelta(minutes=30)
# Longest that a background job may take to show.
PATIENCE_SECONDS = 40


def check(condition: object, text: str, answer: Answer | None = None) -> None:
    """Require something."""
    if not condition:
        surprise(text, answer)


@dataclass(frozen=True)
class Slot:
    """A free room at a time."""

    room_id: str
    start_at: datetime
    end_at: datetime

    @property
    def body(self) -> dict[str, str]:
        """The slot as quotes and bookings name it."""
        return {
            "room_id": self.room_id,
            "start_at": self.start_at.isoformat(),
            "end_at": self.end_at.isoformat(),
        }


@dataclass
class Customer:
    """Somebody with the mini-program."""

    openid: str
    phone: str
    client: Client

    def order(self, no: str) -> dict[str, Any]:
        """Return one's order as it is now."""
        found: dict[str, Any] = self.client.get(f"{API}/orders/{no}").data
        return found


@dataclass
class World:
    """The product, its sandbox and whoever has come so far."""

    base: str
    sandbox: Client
    guest: Client
    customers: list[Customer] = field(default_factory=list)
    desks: dict[str, Desk] = field(default_factory=dict)
    # Last signs of the redeemed voucher, and who redeemed it.
    redeemed: tuple[str, str] = ("", "")
    steps: int = 0

    def tell(self, text: str) -> None:
        """Print the next thing that was done and found right."""
        self.steps += 1
        print(f"{self.steps:4}. {text}", flush=True)

    def log_in(self) -> Customer:
        """Log a fresh customer in through the sandbox."""
        openid = f"walker-{uuid.uuid4().hex[:16]}"
        phone = f"139{random.randrange(10**8):08d}"
        codes = self.sandbox.post("/_control/login-codes", {"openid": openid, "phone": phone}, 201).data
        body = {"channel": "wechat", "code": codes["code"]}
        answer = self.guest.post(f"{API}/auth/login", body).data
        for name in ("access_token", "refresh_token", "expires_in", "customer"):
            check(name in answer, f"the login answer has no {name}")
        customer = Customer(openid, phone, Client(self.base, answer["access_token"]))
        bound = customer.client.post(f"{API}/me/phone", {"code": codes["phone_code"]}).data
        check(bound, "binding the phone number answers nothing")
        self.customers.append(customer)
        return customer

    def desk(self, username: str) -> Desk:
        """Return a member of staff, logged in once."""
        if username not in self.desks:
            self.desks[username] = Desk(self.base, username, PASSWORD)
        return self.desks[username]

    def stores(self) -> list[dict[str, Any]]:
        """Return the stores by their ids."""
        items: list[dict[str, Any]] = self.guest.get(f"{API}/stores?limit=100").data["items"]
        return sorted(items, key=lambda store: int(store["id"]))

    def rooms(self, store_id: str) -> list[dict[str, Any]]:
        """Return the rooms of a store."""
        items: list[dict[str, Any]] = self.guest.get(f"{API}/stores/{store_id}/rooms?limit=100").data["items"]
        return items

    def timelines(self, store_id: str, first: datetime, last: datetime) -> dict[str, list[dict[str, Any]]]:
        """Return each room's spans in a window."""
        query = f"from={_escaped(first)}&to={_escaped(last)}"
        answer = self.guest.get(f"{API}/stores/{store_id}/availability?{query}").data
        check("version" in answer, "availability carries no version")
        return {room["room_id"]: room["spans"] for room in answer["rooms"]}

    def find_slots(self, store_id: str, minutes: int, **named: Any) -> list[Slot]:
        """Return free places as free_slots does, at least one."""
        found = self.free_slots(store_id, minutes, **named)
        check(found, f"store {store_id} has no free place for {minutes} minutes")
        return found

    def free_slots(
        self, store_id: str, minutes: int, *, after: timedelta, within: timedelta = timedelta(days=5)
    ) -> list[Slot]:
        """Return free places of that length on the half-hour grid, in random order."""
        first = next_half_hour(now() + after)
        found = []
        for room_id, spans in self.timelines(store_id, first, first + within).items():
            for span in spans:
                if span["state"] == "free":
                    found += _slots_in(room_id, span, minutes, first)
        random.shuffle(found)
        return found

    def find_slot(self, store_id: str, minutes: int, **named: Any) -> Slot:
        """Return one free place."""
        return self.find_slots(store_id, minutes, **named)[0]

    def state_of(self, store_id: str, slot: Slot) -> str:
        """Return the state that others are shown at the start of a slot."""
        spans = self.timelines(store_id, slot.start_at, slot.end_at)[slot.room_id]
        return str(spans[0]["state"])

    def book(self, customer: Customer, slot: Slot, **more: str) -> dict[str, Any]:
        """Book a slot and return the order."""
        answer = customer.client.post(f"{API}/bookings", slot.body | more, 201)
        order: dict[str, Any] = answer.data
        return order

    def start_payment(self, customer: Customer, no: str, channel: str = "wechat_jsapi") -> dict[str, Any]:
        """Start to pay an order and return `{payment_no, channel, params}`."""
        payment: dict[str, Any] = customer.client.post(
            f"{API}/orders/{no}/payments", {"channel": channel}, 201
        ).data
        check(payment["channel"] == channel, "the payment names another channel")
        return payment

    def let_pay(self, payment_no: str, service: str = "wechat") -> dict[str, Any]:
        """Let the customer's payment succeed at the payment service; its callback goes to the product."""
        path = f"/_control/payments/{service}/{payment_no}/succeed"
        answer = self.sandbox.post(path)
        delivered: dict[str, Any] = answer.data
        check(delivered.get("delivered") is True, "the callback was not accepted", answer)
        return delivered

    def pay(self, customer: Customer, no: str) -> dict[str, Any]:
        """Pay an order from start to end and return it."""
        payment = self.start_payment(customer, no)
        self.let_pay(payment["payment_no"])
        return customer.order(no)

    def wait_for(self, what: str, look: Callable[[], Any], *, seconds: float = PATIENCE_SECONDS) -> Any:
        """Ask again and again until *look* finds something; raises Surprise when it takes too long."""
        until = time.monotonic() + seconds
        while not (found := look()):
            if time.monotonic() > until:
                surprise(f"waited {seconds} s in vain: {what}")
            time.sleep(0.5)
        return found

    def wait_for_status(self, customer: Customer, no: str, status: str) -> dict[str, Any]:
        """Wait until an order has a status and return it."""

        def look() -> dict[str, Any] | None:
            order = customer.order(no)
            return order if order["status"] == status else None

        found: dict[str, Any] = self.wait_for(f"order {no} becomes {status}", look)
        return found


def now() -> datetime:
    """Return the present minute in China's time."""
    return datetime.now(UTC).astimezone(CHINA).replace(second=0, microsecond=0)


def next_half_hour(at: datetime) -> datetime:
    """Return the first half hour on the clock at or after *at*."""
    floor = at.replace(minute=at.minute // 30 * 30, second=0, microsecond=0)
    return floor if floor == at else floor + HALF_HOUR


def moment(text: str) -> datetime:
    """Return an instant that the product wrote, in China's time; it must carry an offset."""
    at = datetime.fromisoformat(text)
    check(at.tzinfo is not None, f"the instant {text} has no offset")
    return at.astimezone(CHINA)


def yuan(fen: int) -> str:
    """Write fen for people."""
    return f"¥{fen / 100:.2f}"


def key() -> dict[str, str]:
    """Return the header of a fresh idempotency key."""
    return {"Idempotency-Key": uuid.uuid4().hex}


def _escaped(at: datetime) -> str:
    return at.isoformat().replace("+", "%2B")


def _slots_in(room_id: str, span: dict[str, Any], minutes: int, first: datetime) -> list[Slot]:
    start_at = next_half_hour(max(moment(span["start_at"]), first))
    length, found = timedelta(minutes=minutes), []
    while start_at + length <= moment(span["end_at"]):
        found.append(Slot(room_id, start_at, start_at + length))
        start_at += HALF_HOUR
    return found
