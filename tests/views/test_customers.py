"""Customers in the back office: who may bar them, and how it is said."""

from __future__ import annotations

import pytest

from app.models import AuditEntry
from tests.services.counter import unchanged
from tests.services.shop import Shop
from tests.views.conftest import LogIn
from tests.views.helpers import JSON, main_of


def test_a_manager_bars_a_customer_and_lets_them_book_again(shop: Shop, log_in: LogIn) -> None:
    manager = log_in("Manager")
    page = f"/customers/show/{shop.customer.id}"
    form = {"is_blacklisted": "1", "reason": "多次爽约"}
    answer = manager.post(f"/customers/{shop.customer.id}/blacklist", data=form)

    assert (answer.status_code, answer.location) == (302, page)
    assert "多次爽约" in main_of(manager.get(page))
    told = manager.post(f"/customers/{shop.customer.id}/blacklist", json={"reason": "已和解"}, headers=JSON)
    assert (told.status_code, told.json) == (200, {})
    assert not shop.rows(type(shop.customer))[0].is_blacklisted
    assert [row.action for row in shop.rows(AuditEntry)] == ["customer.blacklist", "customer.unblacklist"]


@pytest.mark.parametrize("role", ["Cashier", "Service", "Analyst"])
def test_others_cannot(shop: Shop, log_in: LogIn, role: str) -> None:
    client = log_in(role)
    with unchanged():
        answer = client.post(
            f"/customers/{shop.customer.id}/blacklist",
            json={"is_blacklisted": True, "reason": "x"},
            headers=JSON,
        )
    assert (answer.status_code, answer.json and answer.json["code"]) == (403, "forbidden")
    if role == "Service":
        page = client.get(f"/customers/show/{shop.customer.id}")
        assert "/blacklist" not in page.get_data(as_text=True)


def test_a_wrong_request_is_refused(shop: Shop, log_in: LogIn) -> None:
    owner = log_in("Owner")
    address = f"/customers/{shop.customer.id}/blacklist"
    with unchanged():
        told = owner.post(address, json={"is_blacklisted": True, "reason": " "}, headers=JSON)
        assert (told.status_code, told.json and told.json["code"]) == (422, "invalid_field")
        assert owner.post(address, data={"is_blacklisted": "1"}).status_code == 302
        assert (
            owner.post("/customers/999999/blacklist", json={"reason": "x"}, headers=JSON).status_code == 404
        )
        assert owner.post("/customers/999999/blacklist", data={"reason": "x"}).status_code == 404
        assert owner.get(address).status_code == 405


def test_managers_put_customers_into_segments(shop: Shop, log_in: LogIn) -> None:
    manager, cashier = log_in("Manager"), log_in("Cashier")
    address = f"/customers/{shop.customer.id}/segment"
    assert manager.post(address, data={"segment": "老客"}).status_code == 302
    assert shop.rows(type(shop.customer))[0].segment == "老客"
    assert "老客" in main_of(manager.get(f"/customers/show/{shop.customer.id}"))
    assert manager.post(address, json={"segment": "长" * 33}, headers=JSON).status_code == 422
    assert cashier.post(address, json={"segment": "VIP"}, headers=JSON).status_code == 403
    assert shop.rows(type(shop.customer))[0].segment == "老客"
