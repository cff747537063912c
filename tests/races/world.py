"""A shop of four different rooms for mixed races, the people in it, and what they left behind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from flask_appbuilder.security.sqla.models import Permission, PermissionView, ViewMenu
from sqlalchemy import select

from app import models
from app.extensions import db
from app.models.staff import Role
from app.services.store_config import load_room
from sandbox.state import Store as SandboxStore
from tests import factories
from tests.races import history
from tests.races.clients import log_in
from tests.races.history import Account, Attempt, History
from tests.races.mixed import STEP_MINUTES, World
from tests.races.web import Site

HOLD_MINUTES = 5
CUSTOMERS, CLERKS = 24, 4
ROLE = "Clerk"
GRANTS = (
    ("can_act", "OrderView"),
    ("can_adjust", "OrderView"),
    ("can_read", "WalkInView"),
    ("can_write", "WalkInView"),
)
STEPS = [
    {"minutes_before": 60, "fee_percent": 0},
    {"minutes_before": 15, "fee_percent": 10},
    {"minutes_before": None, "fee_percent": 30},
]
POLICY: dict[str, Any] = {
    "start_step_minutes": STEP_MINUTES,
    "length_step_minutes": STEP_MINUTES,
    "min_minutes": STEP_MINUTES,
    "buffer_after_minutes": 15,
    "hold_minutes": HOLD_MINUTES,
    "max_open_holds": 100_000,
    "max_bookings_per_day": 100_000,
    "confirm_deadline_minutes": HOLD_MINUTES,
    "cancel_steps": STEPS,
    "change_steps": STEPS,
    "change_max_count": 1000,
    "has_overtime": True,
    "overtime_grace_minutes": 2,
    "overtime_unit_minutes": 5,
    "overtime_percent": 150,
    "no_show_release_minutes": 10,
    "no_show_refund_percent": 50,
    "early_refund_percent": 50,
}
TABLES: dict[str, tuple[str, type[Any]]] = {
    "orders": ("Order", history.OrderRow),
    "bookings": ("Booking", history.BookingRow),
    "changes": ("OrderChange", history.ChangeRow),
    "lines": ("OrderLine", history.LineRow),
    "events": ("OrderEvent", history.EventRow),
    "payments": ("Payment", history.PaymentRow),
    "refunds": ("Refund", history.RefundRow),
    "notices": ("Notification", history.NoticeRow),
    "keys": ("IdempotencyKey", history.KeyRow),
}
Row = TypeVar("Row")


def open_shop(site: Site, notebook: Path) -> World:
    """Make a store whose rooms differ in price, buffers, confirmation and overtime, with its people."""
    notebook.touch()
    with site.look():
        store = factories.make_store()
        factories.make_policy(store, **POLICY)
        factories.make_price(store)
        room_ids = [str(room.id) for room in _rooms(store)]
        names = _clerks(store)
    tokens = tuple(buyer.token for buyer in site.buyers(CUSTOMERS))
    clerks = tuple(log_in(site.port, name, factories.PASSWORD) for name in names)
    assert site.pay_service is not None
    return World(site.port, site.pay_service.port, tokens, clerks, tuple(room_ids), site.clock, notebook)


def _rooms(store: models.Store) -> Iterable[models.Room]:
    """Make a plain room, a dear one that staff confirm, one that is cleaned long, one without overtime."""
    kind = factories.make_room_type()
    plain, dear, cleaned, strict = (
        factories.make_room(store, room_type=kind, cleaning_minutes=minutes) for minutes in (0, 0, 30, 0)
    )
    confirmed = {"requires_confirmation": True, "buffer_before_minutes": 15}
    factories.make_policy(store, room=dear, **POLICY | confirmed)
    factories.make_policy(store, room=strict, **POLICY | {"has_overtime": False})
    factories.make_price(store, 9000, scope="room", room_id=dear.id)
    return plain, dear, cleaned, strict


def _clerks(store: models.Store) -> list[str]:
    """Make accounts that may act on orders and let guests in, nothing else; the whole set takes seconds."""
    role = db.session.scalar(select(Role).where(Role.name == ROLE))
    if role is None:
        screens = {screen: ViewMenu(name=screen) for _, screen in GRANTS}
        permissions = {permission: Permission(name=permission) for permission, _ in GRANTS}
        grants = [
            PermissionView(permission=permissions[one], view_menu=screens[other]) for one, other in GRANTS
        ]
        db.session.add(Role(name=ROLE, permissions=grants))
        db.session.commit()
    return [factories.make_staff(ROLE, store).username for _ in range(CLERKS)]


def read_history(site: Site, attempts: list[Attempt]) -> History:
    """Return everything that is known of a race once it is over."""
    with site.look():
        rows = {name: _rows(getattr(models, model), row) for name, (model, row) in TABLES.items()}
        bounds = {room_id: _buffers(room_id) for room_id in db.session.scalars(select(models.Room.id))}
    hold = timedelta(minutes=HOLD_MINUTES)
    return History(attempts, **rows, accounts=read_accounts(site), buffers=bounds, hold=hold)


def _rows(model: Any, row: type[Row]) -> list[Row]:
    table = model.__table__
    columns = [table.c[each.name] for each in fields(row)]  # type: ignore[arg-type]
    return [row(*values) for values in db.session.execute(select(*columns).order_by(table.c.id))]


def _buffers(room_id: int) -> tuple[timedelta, timedelta]:
    policy = load_room(room_id).policy
    return timedelta(minutes=policy.buffer_before_minutes), timedelta(minutes=policy.buffer_after_minutes)


def read_accounts(site: Site) -> list[Account]:
    """Return what the payment service knows of every payment, this product's and others'."""
    assert site.pay_service is not None
    store = SandboxStore(site.pay_service.state)
    refunds = {row["out_refund_no"]: row for row in store.all("refund")}
    accounts = []
    for row in store.all("payment"):
        back = [refunds[no] for no in row["refund_nos"]]
        done = sum(refund["refund"] for refund in back if refund["status"] == "SUCCESS")
        is_paid = row["trade_state"] in ("SUCCESS", "REFUND")
        accounts.append(Account(row["out_trade_no"], is_paid, row["total"], done))
    store.close()
    return accounts


def is_calm(site: Site) -> bool:
    """Tell whether all money has arrived: what was paid is known, and what goes back has gone."""
    open_refunds = "SELECT count(*) FROM refunds WHERE status IN ('created', 'processing')"
    if site.scalar(open_refunds):
        return False
    known = site.numbers("SELECT payment_no FROM payments")
    credited = site.numbers("SELECT payment_no FROM payments WHERE status = 'succeeded'")
    return {each.payment_no for each in read_accounts(site) if each.is_paid} & known == credited
