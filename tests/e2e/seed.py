"""Fills the database of a running product with a small shop; prints what tests need to know as JSON."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from werkzeug.security import generate_password_hash

from app import create_app
from app.domain.actor import ALL_STORES
from app.domain.clock import utc_now
from app.extensions import db, use_scope, writing
from app.models import Order, Store, Voucher
from app.services import bookings, group_orders
from app.services.quotes import BookingRequest
from tests import factories

STAFF = ("Owner", "Manager", "Cashier", "Service", "Analyst")
ROOMS = ("听雨", "观澜", "竹影", "松风", "东篱", "云水")
# More than a page of a list holds.
ORDERS = 30


def main() -> None:
    """Make a store with rooms, staff of each role, orders and two vouchers."""
    # The product is running: a writer has to queue from its very first read.
    with create_app().app_context(), use_scope(ALL_STORES), writing():
        now = utc_now().replace(second=0, microsecond=0)
        sys.stdout.write(json.dumps(_fill(now)) + "\n")


def _fill(now: datetime) -> dict[str, Any]:
    # One hash for all accounts; the product's own would take a second each.
    factories.PASSWORD_HASH = generate_password_hash(factories.PASSWORD, method="pbkdf2:sha256:1")
    factories.NOW = now
    store = factories.make_store(name="静安寺店", address="南京西路 1266 号", phone="021-62880000")
    factories.make_policy(store)
    # Orders without a price are settled at once, so that nothing has to be paid here.
    price = factories.make_price(store, 0, name="平日小时价")
    room_type = factories.make_room_type("四人包")
    rooms = [factories.make_room(store, name=name, room_type=room_type, area_m2=18) for name in ROOMS]
    for role in STAFF:
        factories.make_staff(role, *(() if role == "Owner" else (store,)), username=role.lower())
    numbers = _book(rooms[0].id, now)
    codes = _sell(store, now)
    price.amount_fen = 6000
    db.session.commit()
    return {"store_id": store.id, "room_id": rooms[1].id, "orders": numbers, "vouchers": codes}


def _book(room_id: int, now: datetime) -> list[str]:
    """Book one room again and again, far enough ahead to leave it free now."""
    start = now.replace(minute=0) + timedelta(days=1)
    numbers = []
    for number in range(ORDERS):
        guest = factories.customer(factories.make_customer(nickname=f"客人{number + 1:02d}"))
        start_at = start + timedelta(hours=number)
        request = BookingRequest(room_id, start_at, start_at + timedelta(hours=1))
        numbers.append(bookings.create_booking(request, note="", actor=guest, now=now))
    return numbers


def _sell(store: Store, now: datetime) -> list[dict[str, str]]:
    """Give two customers a voucher each."""
    campaign = factories.make_campaign(store, title="下午茶三小时", price_fen=0)
    sold = []
    for nickname in ("林小满", "陈一诺"):
        guest = factories.customer(factories.make_customer(nickname=nickname))
        no = group_orders.create_group_order(campaign.id, actor=guest, now=now)
        order_id = db.session.scalar(select(Order.id).where(Order.no == no))
        voucher = db.session.scalars(select(Voucher).where(Voucher.order_id == order_id)).one()
        sold.append({"order_no": no, "code": voucher.code})
    return sold


if __name__ == "__main__":
    main()
