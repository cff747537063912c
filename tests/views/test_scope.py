"""Managers and cashiers of one store see nothing of another; menus and pages stay within role and cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from app.extensions import db
from app.models import (
    BookingSession,
    Campaign,
    Facility,
    Media,
    MediaKind,
    Room,
    RoomBlock,
    RoomFacility,
    Store,
)
from app.services import redemptions
from app.services.audit import record_change
from app.services.roles import MENU, ROLES
from tests import factories
from tests.services.counter import unchanged
from tests.services.shop import Shop
from tests.views.conftest import LogIn
from tests.views.helpers import Visitor, counted_statements, main_of, menu_links

# Lists of rows that belong to stores, with what a manager could filter or search them by.
LISTS = (
    "stores",
    "rooms",
    "room-blocks",
    "opening-hours",
    "media-items",
    "room-facilities",
    "price-rules",
    "booking-sessions",
    "booking-policies",
    "campaigns",
    "teams",
    "orders",
    "payments",
    "refunds",
    "vouchers",
    "redemptions",
    "redemption-attempts",
    "notifications",
    "audit",
)
SECRET = "隔壁"


@dataclass
class Neighbour:
    """The store next door, full of rows that nobody of the shop may see."""

    store: Store
    room: Room
    campaign: Campaign
    order_no: str
    paid_no: str


@pytest.fixture
def neighbour(shop: Shop) -> Neighbour:
    store = factories.make_store(name=f"{SECRET}店")
    factories.make_policy(store)
    factories.make_price(store, name=f"{SECRET}价")
    room = factories.make_room(store, name=f"{SECRET}间")
    campaign = factories.make_campaign(store, title=f"{SECRET}团", team_size=1)
    guest = factories.customer(factories.make_customer(nickname="周大山"))
    paid_no = shop.paid_booking(start=3, room_id=room.id, actor=guest)
    voucher = shop.voucher(campaign, actor=guest)
    no = voucher.order.no
    _redeem(shop, store, room, voucher.code)
    _furnish(shop, store, room)
    return Neighbour(store, room, campaign, no, paid_no)


def _redeem(shop: Shop, store: Store, room: Room, code: str) -> None:
    """Redeem a voucher next door, with a wrong try before."""
    cashier = shop.cashier(store, username="neighbour")
    seen = redemptions.preview(store.id, code=code, actor=cashier, now=shop.now)
    redemptions.confirm(seen["nonce"], room.id, actor=cashier, now=shop.now)


def _furnish(shop: Shop, store: Store, room: Room) -> None:
    """Rows of the smaller tables."""
    facility = Facility(name="麻将机")
    later = shop.now + timedelta(days=2)
    rows = [
        BookingSession(store=store, name=f"{SECRET}场", start_minute=600, length_minutes=240),
        Media(store=store, kind=next(iter(MediaKind)), url="/media/x.webp", caption=f"{SECRET}图"),
        RoomFacility(room=room, facility=facility, brand=f"{SECRET}牌"),
        RoomBlock(
            store=store, room=room, start_at=later, end_at=later + timedelta(hours=1), reason=f"{SECRET}修"
        ),
    ]
    db.session.add_all(rows)
    record_change(
        actor=shop.cashier(store, username="neighbour"),
        action="update",
        entity="rooms",
        entity_id=str(room.id),
        store_id=store.id,
        after={"name": f"{SECRET}间"},
        now=shop.now,
    )
    db.session.commit()


@pytest.mark.parametrize("name", LISTS)
def test_a_manager_sees_nothing_of_the_store_next_door(
    app: Flask, shop: Shop, neighbour: Neighbour, log_in: LogIn, name: str
) -> None:
    model = next(view for view in app.appbuilder.baseviews if view.route_base == f"/{name}").datamodel.obj
    foreign = [
        row.id
        for row in db.session.scalars(
            select(model).where(model.store_scope_clause(frozenset({neighbour.store.id})))
        )
    ]
    manager, owner = log_in("Manager"), log_in("Owner")
    words = main_of(manager.get(f"/{name}/list/?psize_{name}=100"))

    # The rows are there, for those who may see them.
    assert foreign or name in ("teams", "refunds")
    assert SECRET not in words and neighbour.order_no not in words and neighbour.paid_no not in words
    for pk in foreign:
        assert manager.get(f"/{name}/show/{pk}").status_code == 404
        assert owner.get(f"/{name}/show/{pk}").status_code in (200, 302)
    exported = manager.get(f"/{name}/export")
    assert exported.status_code in (200, 403)
    assert SECRET not in exported.get_data(as_text=True)


@pytest.mark.parametrize("name", ["stores", "rooms", "campaigns", "price-rules", "orders"])
def test_search_and_filters_reach_no_other_store(
    shop: Shop, neighbour: Neighbour, log_in: LogIn, name: str
) -> None:
    manager = log_in("Manager")
    for query in (
        f"q={SECRET}",
        f"q={neighbour.paid_no}",
        "q=%25",
        f"_flt_0_store={neighbour.store.id}",
        f"_flt_0_stores={neighbour.store.id}",
        f"_flt_0_room={neighbour.room.id}",
    ):
        answer = manager.get(f"/{name}/list/?{query}")
        assert answer.status_code == 200
        found = answer.get_data(as_text=True).partition("data-list")[2]
        assert SECRET not in found, query
        assert f">{neighbour.paid_no}" not in found, query


def test_choices_of_forms_stay_in_the_store(shop: Shop, neighbour: Neighbour, log_in: LogIn) -> None:
    manager = log_in("Manager")
    for path in (
        "/rooms/add",
        "/price-rules/add",
        "/campaigns/add",
        "/room-blocks/add",
        "/booking-policies/add",
    ):
        page = manager.get(path)
        assert page.status_code == 200
        assert "静安寺店" in main_of(page) and SECRET not in main_of(page), path
    for field in ("store", "room"):
        answer = manager.get(f"/price-rules/lookup?field={field}&q={SECRET}")
        assert SECRET not in answer.get_data(as_text=True)


def test_rows_cannot_be_posted_into_another_store(shop: Shop, neighbour: Neighbour, log_in: LogIn) -> None:
    manager = log_in("Manager")
    room_type = factories.make_room_type()
    values = {"store": neighbour.store.id, "name": "新房", "room_type": room_type.id, "capacity": "4"}
    values |= {"cleaning_minutes": "0", "position": "0"}
    with unchanged():
        added = manager.post("/rooms/add", data=values)
        edited = manager.post(f"/rooms/edit/{neighbour.room.id}", data=values)
        deleted = manager.post(f"/rooms/delete/{neighbour.room.id}")
        moved = manager.post(f"/rooms/edit/{shop.room.id}", data=values)
        published = manager.post(
            "/campaigns/action_post", data={"action": "end", "rowid": [str(neighbour.campaign.id)]}
        )
        one = manager.post(f"/campaigns/action/end/{neighbour.campaign.id}")

    assert (added.status_code, edited.status_code, deleted.status_code) == (422, 404, 404)
    assert (moved.status_code, published.status_code, one.status_code) == (422, 404, 404)


def test_a_campaign_of_two_stores_is_changed_by_nobody_of_only_one(
    shop: Shop, neighbour: Neighbour, log_in: LogIn
) -> None:
    campaign = factories.make_campaign(shop.store, title="两店通用")
    campaign.stores.append(neighbour.store)
    db.session.commit()
    values = {
        "title": "改名",
        "stores": [str(shop.store.id)],
        "package_minutes": "180",
        "people": "4",
        "price_fen": "1",
        "list_price_fen": "180",
        "team_size": "1",
        "team_minutes": "0",
        "sale_starts_at": "2026-03-03 12:00",
        "sale_ends_at": "2026-04-03 12:00",
        "valid_days": "30",
    }
    edit, delete = f"/campaigns/edit/{campaign.id}", f"/campaigns/delete/{campaign.id}"
    both = log_in("Manager", shop.store, neighbour.store)
    one = log_in("Manager")
    with unchanged():
        refused = one.post(edit, data=values)
        one.post(delete)

    assert refused.status_code >= 400
    assert both.post(edit, data=values | {"stores": [str(shop.store.id), str(neighbour.store.id)]}).location


def test_the_related_tabs_of_a_store_stay_inside_it(shop: Shop, neighbour: Neighbour, log_in: LogIn) -> None:
    page = log_in("Owner").get(f"/stores/show/{shop.store.id}")
    assert "听雨" in main_of(page) and SECRET not in main_of(page)
    assert log_in("Manager").get(f"/stores/show/{neighbour.store.id}").status_code == 404


@pytest.mark.parametrize("role", ["Owner", *ROLES])
def test_the_menu_shows_what_the_role_may_open(shop: Shop, log_in: LogIn, role: str) -> None:
    client = log_in(role)
    links = menu_links(client.get("/"))

    assert len(links) == len(set(links)) > 0
    for link in links:
        assert client.get(link).status_code == 200, link
    if role != "Owner":
        assert len(links) == len([screen for screen in ROLES[role] if screen in MENU])
        assert not {"/staff/list/", "/roles/list/"} & set(links)


def _more_bookings(shop: Shop, count: int) -> None:
    for _ in range(count):
        room = factories.make_room(shop.store)
        shop.paid_booking(start=3, room_id=room.id, actor=shop.another_guest())


def _more_vouchers(shop: Shop, count: int) -> None:
    for _ in range(count):
        shop.voucher(actor=shop.another_guest())


def _more_rules(shop: Shop, count: int) -> None:
    for _ in range(count):
        factories.make_price(shop.store)
        room = factories.make_room(shop.store)
        db.session.add(RoomFacility(room=room, facility=Facility(name=room.name)))
    db.session.commit()


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/orders/list/", _more_bookings),
        ("/payments/list/", _more_bookings),
        ("/notifications/list/", _more_bookings),
        ("/rooms/list/", _more_rules),
        ("/price-rules/list/", _more_rules),
        ("/room-facilities/list/", _more_rules),
        ("/vouchers/list/", _more_vouchers),
        ("/campaigns/list/", _more_vouchers),
        ("/customers/list/", _more_vouchers),
    ],
)
@pytest.mark.parametrize("role", ["Owner", "Manager"])
def test_a_list_costs_the_same_for_many_rows(
    shop: Shop, log_in: LogIn, role: str, path: str, more: Callable[[Shop, int], None]
) -> None:
    client = log_in(role)
    more(shop, 2)
    few = _statements(client, path)
    more(shop, 6)
    many = _statements(client, path)

    assert len(many) == len(few)
    assert len(many) <= 12, "\n".join(many)


def _statements(client: Visitor, path: str) -> list[str]:
    db.session.rollback()
    with counted_statements() as sent:
        assert client.get(path).status_code == 200
    return [*sent]
