"""The first page: today's figures and work inside the stores of whoever looks."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.extensions import db
from app.models import Store
from tests import factories
from tests.services.shop import Shop
from tests.views.conftest import LogIn
from tests.views.helpers import JSON, counted_statements, main_of, stranger_of

DESK = {"/orders/", "/redemption/", "/walk-ins/", "/counter-refunds/"}
MONEY = {"/refunds/", "/refund-requests/"}


def figures(answer: TestResponse) -> list[str]:
    """Return the four figures at the top."""
    page = answer.get_data(as_text=True)
    cells = re.findall(r'class="figure-value">(.*?)</div>', page, re.DOTALL)
    return [re.sub(r"<[^>]+>", "", cell).strip() for cell in cells]


def test_strangers_are_asked_to_log_in(app: Flask) -> None:
    answer = stranger_of(app).get("/")
    assert answer.status_code == 302 and "/login/" in answer.location
    assert stranger_of(app).get("/", headers=JSON).status_code == 401


def test_todays_figures_and_arrivals(shop: Shop, log_in: LogIn) -> None:
    no = shop.paid_booking(start=2, hours=2)
    shop.voucher()
    shop.book(start=5)
    home = log_in("Manager").get("/")

    assert home.status_code == 200
    # A booking of ¥120 and a voucher of ¥99 are paid, the last booking is not.
    assert figures(home) == ["2", "¥219.00", "¥0.00", "0"]
    assert f"/orders/{no}" in home.get_data(as_text=True)
    assert "14:00 – 16:00 静安寺店 · 听雨" in main_of(home).replace("14:00–16:00", "14:00 – 16:00")


def test_yesterday_is_not_today(shop: Shop, log_in: LogIn) -> None:
    # 23:59 of the day before in Shanghai.
    shop.pay(shop.book(start=30), at=shop.now - timedelta(hours=12, minutes=1))
    assert figures(log_in("Owner").get("/")) == ["1", "¥0.00", "¥0.00", "0"]


def test_other_stores_do_not_count(shop: Shop, other_store: Store, log_in: LogIn) -> None:
    shop.paid_booking(start=2)
    home = log_in("Manager", other_store).get("/")

    assert figures(home) == ["0", "¥0.00", "¥0.00", "0"]
    words = main_of(home)
    assert "湖滨店" in words and "观澜" in words
    assert "静安寺店" not in words and "听雨" not in words


def test_rooms_are_shown_by_what_they_do(shop: Shop, log_in: LogIn) -> None:
    shop.paid_booking(start=0, hours=2)
    page = log_in("Owner").get("/").get_data(as_text=True)
    assert "room-tile room-reserved" in page
    assert "room-tile room-free" not in page


@pytest.mark.parametrize(
    ("role", "can_open"),
    [
        ("Owner", {*DESK, *MONEY, "/bill-differences/", "/notifications/"}),
        ("Manager", {*DESK, *MONEY, "/bill-differences/", "/notifications/"}),
        ("Cashier", DESK),
        ("Service", {"/orders/", *MONEY, "/counter-refunds/", "/notifications/"}),
        ("Analyst", {"/orders/", *MONEY, "/bill-differences/"}),
    ],
)
def test_links_lead_only_where_the_role_may_go(
    shop: Shop, log_in: LogIn, role: str, can_open: set[str]
) -> None:
    client = log_in(role)
    page = client.get("/").get_data(as_text=True).partition("<main")[2].partition("</main>")[0]
    links = re.findall(r'<a [^>]*href="(/[^"]*)"', page)

    assert {f"/{link.split('/')[1]}/" for link in links} == can_open
    for link in links:
        assert client.get(link.replace("&amp;", "&")).status_code == 200, link


def test_the_page_costs_the_same_for_many_orders(shop: Shop, log_in: LogIn) -> None:
    client = log_in("Owner")
    client.get("/")
    for number in range(3):
        shop.paid_booking(start=2 + 3 * number)
    with counted_statements() as few:
        assert client.get("/").status_code == 200
    for number in range(6):
        shop.paid_booking(start=20 + 3 * number)
        factories.make_room(shop.store)
    db.session.rollback()
    # New rooms are a new configuration of the store, which is read once.
    client.get("/")
    with counted_statements() as many:
        assert client.get("/").status_code == 200

    assert len(many) == len(few)
    assert len(many) <= 20, many
