"""The redemption desk: look, confirm once, say why not, take back; as form and as JSON."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.domain.states import OrderStatus, VoucherStatus
from app.models import Redemption, RedemptionAttempt, Store, Voucher
from app.services import vouchers
from app.services.redemption_log import MAX_MISSES
from tests import factories
from tests.services.counter import unchanged
from tests.services.shop import Shop
from tests.views.conftest import Clock, LogIn
from tests.views.helpers import JSON, Visitor, client_of, main_of, stranger_of

LOG = ("redemption_attempts",)
UNKNOWN = "ABCD-EFGH-JKMN-PQRS-TVWX"


@pytest.fixture
def voucher(shop: Shop) -> Voucher:
    """A paid voucher for 3 hours."""
    return shop.voucher(shop.campaign(title="下午茶三小时"))


@pytest.fixture
def cashier(log_in: LogIn) -> Visitor:
    return log_in("Cashier")


def look(client: Visitor, shop: Shop, **what: Any) -> TestResponse:
    """Preview and answer JSON."""
    values = {"store_id": str(shop.store.id), **what}
    return client.post("/redemption/preview", json=values, headers=JSON)


def redeem(client: Visitor, shop: Shop, voucher: Voucher) -> dict[str, Any]:
    """Preview a voucher and confirm it into the shop's room."""
    seen = look(client, shop, code=voucher.code).json
    assert seen is not None
    answer = confirm(client, seen["nonce"], shop.room.id)
    assert answer.status_code == 200 and answer.json is not None
    return answer.json


def confirm(client: Visitor, nonce: Any, room_id: Any) -> TestResponse:
    return client.post("/redemption/confirm", json={"nonce": nonce, "room_id": room_id}, headers=JSON)


def status_of(shop: Shop) -> VoucherStatus:
    return shop.rows(Voucher)[0].status  # type: ignore[no-any-return]


def outcomes(shop: Shop) -> list[tuple[str, str, str]]:
    return [(row.step, row.method, row.outcome) for row in shop.rows(RedemptionAttempt)]


@pytest.mark.parametrize("way", ["typed", "scanned", "picked"])
def test_preview_tells_what_whose_and_where(shop: Shop, voucher: Voucher, cashier: Visitor, way: str) -> None:
    payload = vouchers.make_qr(voucher.code, customer_id=shop.customer.id, now=shop.now)["payload"]
    what = {
        "typed": {"code": voucher.code.lower()},
        "scanned": {"code": payload},
        "picked": {"voucher_id": str(voucher.id)},
    }
    with unchanged(except_tables=LOG):
        answer = look(cashier, shop, **what[way])

    assert answer.status_code == 200 and answer.json is not None
    seen = answer.json
    assert seen.keys() == {"voucher", "customer", "valid", "reasons", "rooms", "nonce"}
    assert (seen["valid"], seen["reasons"]) == (True, [])
    assert seen["voucher"]["campaign"] == "下午茶三小时"
    assert seen["customer"] == {"name": "林**", "phone": "*******8000"}
    (room,) = seen["rooms"]
    assert (room["room_id"], room["name"]) == (str(shop.room.id), "听雨")
    assert room["free_until_at"].startswith("2026-03-05T")
    assert voucher.code not in answer.get_data(as_text=True)
    assert outcomes(shop) == [("preview", way, "ok")]


def test_the_form_shows_the_voucher_and_its_rooms(shop: Shop, voucher: Voucher, cashier: Visitor) -> None:
    page = cashier.post("/redemption/preview", data={"store_id": shop.store.id, "code": voucher.code})

    assert page.status_code == 200
    words = main_of(page)
    for expected in ("下午茶三小时", "林**", "*******8000", "听雨", voucher.code_tail):
        assert expected in words
    assert "138001" not in words


def test_a_confirmed_voucher_puts_its_guest_in_the_room(
    shop: Shop, voucher: Voucher, cashier: Visitor
) -> None:
    done = redeem(cashier, shop, voucher)

    assert done.keys() == {"redemption_id", "order_no", "room", "end_at", "access"}
    assert done["room"] == {"id": str(shop.room.id), "name": "听雨"}
    assert done["access"]["kind"]
    assert shop.status(done["order_no"]) is OrderStatus.IN_USE
    assert shop.order(done["order_no"]).total_fen == 0
    assert status_of(shop) is VoucherStatus.REDEEMED


def test_a_repeated_nonce_gets_the_same_answer(shop: Shop, voucher: Voucher, cashier: Visitor) -> None:
    nonce = look(cashier, shop, code=voucher.code).json["nonce"]  # type: ignore[index]
    first = confirm(cashier, nonce, shop.room.id)
    with unchanged():
        again = confirm(cashier, nonce, str(shop.room.id))

    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json == first.json
    assert len(shop.rows(Redemption)) == 1


def test_the_form_leads_to_a_page_that_can_be_reloaded(
    shop: Shop, voucher: Voucher, cashier: Visitor
) -> None:
    page = cashier.post("/redemption/preview", data={"store_id": shop.store.id, "code": voucher.code})
    found = re.search(r'name="nonce" value="([^"]+)"', page.get_data(as_text=True))
    assert found is not None
    answer = cashier.post("/redemption/confirm", data={"nonce": found[1], "room_id": shop.room.id})
    assert (answer.status_code, answer.location) == (302, "/redemption/done")

    done = cashier.get("/redemption/done")
    assert "听雨" in main_of(done)
    assert "2026-03-04 15:00" in main_of(done)
    again = cashier.get("/redemption/done")
    assert (again.status_code, again.location) == (302, "/redemption/")


def test_a_second_redemption_says_who_and_when(shop: Shop, voucher: Voucher, cashier: Visitor) -> None:
    nonce = look(cashier, shop, code=voucher.code).json["nonce"]  # type: ignore[index]
    redeem(cashier, shop, voucher)
    with unchanged(except_tables=LOG):
        seen = look(cashier, shop, code=voucher.code)
        refused = confirm(cashier, nonce, shop.room.id)
        page = cashier.post("/redemption/preview", data={"store_id": shop.store.id, "code": voucher.code})

    assert seen.status_code == 200 and seen.json is not None
    assert (seen.json["valid"], seen.json["nonce"], seen.json["rooms"]) == (False, None, [])
    (reason,) = seen.json["reasons"]
    assert reason["code"] == "voucher_already_redeemed"
    assert reason["data"]["redeemed_by"] and reason["data"]["redeemed_at"].startswith("2026-03-04T04:00")
    assert refused.status_code == 409 and refused.json is not None
    assert refused.json["code"] == "voucher_already_redeemed"
    assert refused.mimetype == "application/problem+json"
    assert "2026-03-04 12:00 · 静安寺店 听雨" in main_of(page)
    assert 'name="nonce"' not in page.get_data(as_text=True)


def test_a_wrong_code_is_logged_and_too_many_are_stopped(
    shop: Shop, voucher: Voucher, cashier: Visitor, clock: Clock
) -> None:
    for _ in range(MAX_MISSES):
        answer = look(cashier, shop, code=UNKNOWN)
        assert answer.status_code == 404 and answer.json is not None
        assert answer.json["code"] == "not_found"
    stopped = look(cashier, shop, code=voucher.code)

    assert stopped.status_code == 429 and stopped.json is not None
    assert stopped.json["code"] == "rate_limited"
    assert int(stopped.headers["Retry-After"]) > 0
    assert outcomes(shop) == [("preview", "typed", "not_found")] * MAX_MISSES
    clock.advance(seconds=61)
    assert look(cashier, shop, code=voucher.code).status_code == 200


def test_a_wrong_code_on_the_form_is_said_in_words(shop: Shop, cashier: Visitor) -> None:
    with unchanged(except_tables=LOG):
        page = cashier.post("/redemption/preview", data={"store_id": shop.store.id, "code": UNKNOWN})

    assert page.status_code == 404
    assert 'role="alert"' in page.get_data(as_text=True)
    assert UNKNOWN in page.get_data(as_text=True)


def test_a_manager_takes_a_redemption_back(
    shop: Shop, voucher: Voucher, cashier: Visitor, log_in: LogIn
) -> None:
    done = redeem(cashier, shop, voucher)
    address = f"/redemption/{done['redemption_id']}/reverse"
    answer = log_in("Manager").post(address, json={"reason": "扫错了券"}, headers=JSON)

    assert answer.status_code == 200 and answer.json is not None
    rows = shop.rows(Redemption)
    assert [row.reverses_id for row in rows] == [None, rows[0].id]
    assert str(rows[1].id) == answer.json["redemption_id"]
    assert rows[1].reason == "扫错了券"
    assert status_of(shop) is VoucherStatus.ISSUED
    assert shop.status(done["order_no"]) is OrderStatus.CANCELLED
    assert look(cashier, shop, code=voucher.code).json["valid"] is True  # type: ignore[index]


def test_the_record_offers_the_reversal_while_it_is_possible(
    shop: Shop, voucher: Voucher, cashier: Visitor, log_in: LogIn, clock: Clock
) -> None:
    done = redeem(cashier, shop, voucher)
    record, form = f"/redemptions/show/{done['redemption_id']}", f"/{done['redemption_id']}/reverse"
    manager = log_in("Manager")

    assert form in manager.get(record).get_data(as_text=True)
    assert form not in cashier.get(record).get_data(as_text=True)
    clock.advance(minutes=31)
    page = manager.get(record)
    assert page.status_code == 200
    assert form not in page.get_data(as_text=True)


@pytest.mark.parametrize(
    ("role", "place", "body", "later", "status", "code"),
    [
        pytest.param("Cashier", "own", {"reason": "x"}, 0, 403, "forbidden", id="cashier"),
        pytest.param("Manager", "own", {}, 0, 422, "invalid_field", id="no reason"),
        pytest.param("Manager", "own", {"reason": "  "}, 0, 422, "invalid_field", id="blank reason"),
        pytest.param("Manager", "own", {"reason": "x"}, 31, 409, "invalid_transition", id="too late"),
        pytest.param("Manager", "other", {"reason": "x"}, 0, 404, "not_found", id="other store"),
        pytest.param("Manager", "own", ["reason"], 0, 400, "malformed", id="no object"),
    ],
)
def test_a_reversal_is_refused(
    shop: Shop,
    voucher: Voucher,
    cashier: Visitor,
    log_in: LogIn,
    clock: Clock,
    other_store: Store,
    role: str,
    place: str,
    body: Any,
    later: int,
    status: int,
    code: str,
) -> None:
    done = redeem(cashier, shop, voucher)
    client = log_in(role, shop.store if place == "own" else other_store)
    clock.advance(minutes=later)
    with unchanged():
        answer = client.post(f"/redemption/{done['redemption_id']}/reverse", json=body, headers=JSON)

    assert (answer.status_code, answer.json and answer.json["code"]) == (status, code)


def test_a_redemption_is_taken_back_once(
    shop: Shop, voucher: Voucher, cashier: Visitor, log_in: LogIn
) -> None:
    done = redeem(cashier, shop, voucher)
    manager = log_in("Manager")
    address = f"/redemption/{done['redemption_id']}/reverse"
    assert manager.post(address, data={"reason": "x"}).location == "/redemptions/list/"
    with unchanged():
        again = manager.post(address, json={"reason": "x"}, headers=JSON)

    assert (again.status_code, again.json and again.json["code"]) == (409, "invalid_transition")


@pytest.mark.parametrize(
    ("what", "status", "code"),
    [
        pytest.param({}, 422, "invalid_field", id="neither code nor voucher"),
        pytest.param({"code": "x", "voucher_id": "1"}, 422, "invalid_field", id="code and voucher"),
        pytest.param({"code": ["y"]}, 404, "not_found", id="code a list"),
        pytest.param({"code": "'\";--"}, 404, "not_found", id="code of signs"),
        pytest.param({"code": "x" * 5000}, 404, "not_found", id="code too long"),
        pytest.param({"code": "QF1.1.1.1"}, 404, "not_found", id="forged scan"),
        pytest.param({"voucher_id": "999"}, 404, "not_found", id="no such voucher"),
    ],
)
def test_what_is_no_voucher_is_refused_and_logged(
    shop: Shop, voucher: Voucher, cashier: Visitor, what: dict[str, Any], status: int, code: str
) -> None:
    with unchanged(except_tables=LOG):
        answer = look(cashier, shop, **what)

    assert (answer.status_code, answer.json and answer.json["code"]) == (status, code)
    assert [outcome for _, _, outcome in outcomes(shop)] == [code]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        pytest.param("preview", {}, 422, "invalid_field", id="nothing"),
        pytest.param("preview", {"store_id": "x", "code": "y"}, 422, "invalid_field", id="store no number"),
        pytest.param("preview", {"store_id": "9" * 30, "code": "y"}, 422, "invalid_field", id="huge store"),
        pytest.param("preview", {"store_id": "999", "code": "y"}, 403, "forbidden", id="unknown store"),
        pytest.param("preview", {"store_id": "1", "voucher_id": "-1"}, 422, "invalid_field", id="negative"),
        pytest.param("preview", {"store_id": "1", "code": "\x00"}, 400, "malformed", id="code with a NUL"),
        pytest.param("1/reverse", {"reason": "\x00"}, 400, "malformed", id="reason with a NUL"),
        pytest.param("1/reverse", {"reason": "\ud800"}, 400, "malformed", id="reason with half a sign"),
        pytest.param("preview", [1], 400, "malformed", id="a list"),
        pytest.param("confirm", {}, 422, "invalid_field", id="nothing to confirm"),
        pytest.param("confirm", {"nonce": "x", "room_id": "1"}, 422, "invalid_field", id="forged nonce"),
        pytest.param("confirm", {"nonce": None, "room_id": "1"}, 422, "invalid_field", id="no nonce"),
        pytest.param("confirm", {"nonce": "雀", "room_id": "1"}, 422, "invalid_field", id="nonce of signs"),
        pytest.param("confirm", "text", 400, "malformed", id="a text"),
        pytest.param("999/reverse", {"reason": "x"}, 404, "not_found", id="no such redemption"),
        pytest.param("99999999999999999999/reverse", {"reason": "x"}, 404, "not_found", id="huge number"),
    ],
)
def test_garbage_is_refused_and_changes_nothing(
    shop: Shop, voucher: Voucher, log_in: LogIn, path: str, body: Any, status: int, code: str
) -> None:
    client = log_in("Manager")
    with unchanged():
        answer = client.post(f"/redemption/{path}", json=body, headers=JSON)

    assert (answer.status_code, answer.json and answer.json["code"]) == (status, code)


@pytest.mark.parametrize("room_id", ["", "x", "0", "-3", "999", "1e3", None, [1]])
def test_a_good_nonce_needs_a_room_of_the_store(
    shop: Shop, voucher: Voucher, cashier: Visitor, room_id: Any
) -> None:
    nonce = look(cashier, shop, code=voucher.code).json["nonce"]  # type: ignore[index]
    with unchanged(except_tables=LOG if room_id in ("0", "999") else ()):
        answer = confirm(cashier, nonce, room_id)

    assert answer.status_code in (404, 422)
    assert status_of(shop) is VoucherStatus.ISSUED


def test_a_nonce_is_worth_nothing_to_others(
    shop: Shop, voucher: Voucher, cashier: Visitor, log_in: LogIn, clock: Clock
) -> None:
    colleague = log_in("Cashier")
    nonce = look(cashier, shop, code=voucher.code).json["nonce"]  # type: ignore[index]
    with unchanged():
        refused = confirm(colleague, nonce, shop.room.id)
    clock.advance(minutes=16)
    with unchanged(except_tables=LOG):
        stale = confirm(cashier, nonce, shop.room.id)

    assert (refused.status_code, stale.status_code) == (403, 422)
    assert status_of(shop) is VoucherStatus.ISSUED


def test_other_stores_stay_out_of_reach(
    shop: Shop, voucher: Voucher, other_store: Store, log_in: LogIn
) -> None:
    stranger = log_in("Cashier", other_store)
    with unchanged(except_tables=LOG):
        foreign_store = look(stranger, shop, code=voucher.code)
        picked = stranger.post(
            "/redemption/preview",
            json={"store_id": other_store.id, "voucher_id": voucher.id},
            headers=JSON,
        )
        typed = stranger.post(
            "/redemption/preview", json={"store_id": other_store.id, "code": voucher.code}, headers=JSON
        )

    assert (foreign_store.status_code, picked.status_code) == (403, 404)
    # Whoever shows the code learns why it does not count here.
    assert typed.json is not None
    assert (typed.json["valid"], typed.json["reasons"][0]["code"]) == (False, "voucher_not_here")


@pytest.mark.parametrize("text", ["number", "8000", "13800138000", "138-0013-8000"])
def test_vouchers_are_found_by_order_and_phone(
    shop: Shop, voucher: Voucher, cashier: Visitor, text: str
) -> None:
    no = voucher.order.no if text == "number" else text
    page = cashier.get("/redemption/", query_string={"q": no})

    assert f"…{voucher.code_tail}" in main_of(page)
    assert f'name="voucher_id" value="{voucher.id}"' in page.get_data(as_text=True)


def test_the_search_stays_in_the_store(
    shop: Shop, voucher: Voucher, other_store: Store, log_in: LogIn
) -> None:
    for text in (voucher.order.no, "8000", "13800138000", "%", "'", "\x00"):
        page = log_in("Cashier", other_store).get("/redemption/", query_string={"q": text})
        assert page.status_code == 200
        assert voucher.code_tail not in main_of(page)


@pytest.mark.parametrize("role", ["Service", "Analyst"])
def test_the_desk_is_not_for_everybody(shop: Shop, log_in: LogIn, role: str) -> None:
    client = log_in(role)
    assert client.get("/redemption/").status_code == 403
    for path in ("preview", "confirm", "1/reverse"):
        assert client.post(f"/redemption/{path}", data={}).status_code == 403


def test_nobody_redeems_without_logging_in(app: Flask, shop: Shop, voucher: Voucher) -> None:
    stranger = stranger_of(app)
    with unchanged():
        page = stranger.get("/redemption/")
        posted = stranger.post("/redemption/preview", data={"store_id": "1", "code": voucher.code})
        told = look(stranger, shop, code=voucher.code)

    assert (page.status_code, posted.status_code) == (302, 302)
    assert page.location.startswith("/login/")
    assert told.status_code == 401 and told.json is not None
    assert told.json["code"] == "login_required"


@pytest.mark.parametrize("path", ["preview", "confirm", "1/reverse"])
def test_reading_addresses_that_are_written_to_is_refused(cashier: Visitor, path: str) -> None:
    answer = cashier.get(f"/redemption/{path}", headers=JSON)
    assert answer.status_code == 405 and answer.json is not None
    assert answer.json["code"] == "method_not_allowed"
    assert "POST" in answer.headers["Allow"]


def test_a_desk_without_a_store_says_so(app: Flask, shop: Shop) -> None:
    page = client_of(app, factories.make_staff("Cashier")).get("/redemption/")
    assert page.status_code == 200
    assert "<form" not in page.get_data(as_text=True).partition("<main")[2].partition("</main>")[0]
