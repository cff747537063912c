"""Callable factories: each saves one believable row and returns it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import select
from werkzeug.security import generate_password_hash

from app.domain.actor import Actor, StoreScope, customer_actor, staff_actor
from app.domain.states import CampaignStatus
from app.extensions import db
from app.models import (
    BookingPolicy,
    Campaign,
    Customer,
    CustomerIdentity,
    OpeningHours,
    PriceRule,
    Room,
    RoomType,
    Store,
)
from app.models.staff import Role, Staff

_numbers = count(1)
PASSWORD = "tiles-and-tea-1"
# A cheap hash: these tests are not about its strength.
PASSWORD_HASH = generate_password_hash(PASSWORD, method="pbkdf2:sha256:1")
NOW = datetime(2026, 3, 4, 4, 0, tzinfo=UTC)


def _save(row: Any) -> Any:
    db.session.add(row)
    db.session.commit()
    return row


def make_store(**values: Any) -> Store:
    """A store that is open around the clock."""
    number = next(_numbers)
    values = {"name": f"Store {number}", "city": "上海", "lat": 31.2, "lng": 121.4} | values
    hours = values.pop("hours", [(day, 0, 1440) for day in range(7)])
    store = _save(Store(**values))
    for weekday, opens, closes in hours:
        db.session.add(OpeningHours(store=store, weekday=weekday, opens_minute=opens, closes_minute=closes))
    db.session.commit()
    return store


def make_room_type(name: str | None = None) -> RoomType:
    return _save(RoomType(name=name or f"Type {next(_numbers)}"))


def make_room(store: Store | None = None, **values: Any) -> Room:
    """A room, in a new store with a price of ¥60 an hour and a default policy when none is given."""
    if store is None:
        store = make_store()
        make_policy(store)
        make_price(store)
    room_type = values.pop("room_type", None) or make_room_type()
    values = {"name": f"Room {next(_numbers)}", "capacity": 4} | values
    return _save(Room(store=store, room_type=room_type, **values))


def make_policy(store: Store, **values: Any) -> BookingPolicy:
    """Free until 2 h before the start, then 30 %, nothing back after it; no buffers unless given."""
    steps = [
        {"minutes_before": 120, "fee_percent": 0},
        {"minutes_before": 0, "fee_percent": 30},
        {"minutes_before": None, "fee_percent": 100},
    ]
    values = {"buffer_after_minutes": 0, "cancel_steps": steps, "change_steps": []} | values
    return _save(BookingPolicy(store=store, **values))


def make_price(store: Store, amount_fen: int = 6000, **values: Any) -> PriceRule:
    values = {"name": f"Price {next(_numbers)}"} | values
    return _save(PriceRule(store=store, amount_fen=amount_fen, **values))


def make_customer(**values: Any) -> Customer:
    """A customer with a WeChat identity."""
    number, app_id = next(_numbers), values.pop("app_id", "wxtest")
    customer = _save(Customer(**({"nickname": f"Customer {number}", "created_at": NOW} | values)))
    identity = {"channel": "wechat", "app_id": app_id, "subject": f"openid-{number}"}
    _save(CustomerIdentity(customer_id=customer.id, **identity))
    return customer


def make_campaign(store: Store, **values: Any) -> Campaign:
    """A published campaign: 3 hours for ¥99 instead of ¥180, bought alone."""
    values = {
        "title": f"Campaign {next(_numbers)}",
        "status": CampaignStatus.PUBLISHED,
        "package_minutes": 180,
        "price_fen": 9900,
        "list_price_fen": 18000,
        "sale_starts_at": NOW - timedelta(days=1),
        "sale_ends_at": NOW + timedelta(days=30),
        "valid_days": 30,
        "created_at": NOW,
    } | values
    return _save(Campaign(stores=[store], **values))


def make_staff(role: str, *stores: Store, username: str | None = None) -> Staff:
    """An account with one role, working in *stores*; its password is `tiles-and-tea-1`."""
    name = username or f"{role.lower()}{next(_numbers)}"
    account = Staff(
        username=name,
        first_name="明",
        last_name="王",
        email=f"{name}@example.com",
        active=True,
        password=PASSWORD_HASH,
        roles=[db.session.scalar(select(Role).where(Role.name == role))],
        stores=list(stores),
    )
    return _save(account)


def customer(row: Customer) -> Actor:
    """The actor of a customer row."""
    return customer_actor(row.id, row.nickname)


def staff(*stores: Store, is_all: bool = False, name: str = "Cashier") -> Actor:
    """A member of staff who works in *stores*; without an account row."""
    return staff_actor(1, name, StoreScope(is_all=is_all, store_ids=frozenset(store.id for store in stores)))
