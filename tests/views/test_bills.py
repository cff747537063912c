"""Daily bills and differences on the screens: who sees which sums, explaining, running again, the file."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from app import gateways
from app.domain.reconciliation import BillEntry, bill_date
from app.domain.states import BillStatus, DifferenceKind, DifferenceStatus
from app.gateways.ports import BillNotReady, BillUnusable, DailyBill
from app.models import Bill, BillDifference, Payment, Store
from app.services import channels
from tests import factories
from tests.services.counter import unchanged
from tests.services.shop import Shop
from tests.views.conftest import Clock, LogIn
from tests.views.helpers import JSON, main_of

CONTENT = "交易时间,…\r\n`=1+1\r\n".encode()


class BillService:
    """A service whose bills are what the test says."""

    def __init__(self) -> None:
        self.entries: list[BillEntry] = []
        self.error: Exception | None = None

    def download_bill(self, bill_on: date) -> DailyBill | None:
        if self.error is not None:
            raise self.error
        return DailyBill(CONTENT, "csv", tuple(self.entries))


@pytest.fixture
def service(shop: Shop, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> BillService:
    service = BillService()
    monkeypatch.setattr(channels, "bills_of", lambda name: service)
    storage = gateways.LocalMediaStorage(tmp_path)
    monkeypatch.setattr(gateways, "bill_storage", lambda: storage)
    return service


@pytest.fixture
def bill(shop: Shop, service: BillService, clock: Clock, log_in: LogIn) -> int:
    """A day with one payment as it should be, one with another amount and one that nobody knows."""
    for start in (3, 6):
        shop.paid_booking(start)
    fine, other = shop.rows(Payment)
    for payment, fen in ((fine, 12000), (other, 11999)):
        service.entries.append(entry_of(payment.payment_no, fen, shop, payment.transaction_no))
    service.entries.append(entry_of("TILL001", 500, shop, "T1"))
    clock.advance(days=1)
    form = {"service": "wechat", "on": bill_date(shop.now).isoformat()}
    answer = log_in("Owner").post("/bills/run", data=form)
    (row,) = shop.rows(Bill)
    assert (answer.status_code, answer.location) == (302, f"/bills/{row.id}")
    return int(row.id)


def entry_of(number: str, fen: int, shop: Shop, transaction_no: str | None) -> BillEntry:
    return BillEntry("payment", number, None, transaction_no or "", fen, 0, shop.now)


def difference_of(shop: Shop, kind: DifferenceKind) -> int:
    return next(row.id for row in shop.rows(BillDifference) if row.kind is kind)


def test_lists_lead_to_their_pages(shop: Shop, bill: int, log_in: LogIn) -> None:
    owner = log_in("Owner")
    assert owner.get("/bills/").location == "/bills/list/"
    assert owner.get(f"/bills/show/{bill}").location == f"/bills/{bill}"
    words = main_of(owner.get("/bills/list/"))
    assert bill_date(shop.now).isoformat() in words and "¥244.99" in words and "¥240.00" in words
    difference = difference_of(shop, DifferenceKind.AMOUNT_DIFFERS)
    assert owner.get("/bill-differences/").location == "/bill-differences/list/"
    assert owner.get(f"/bill-differences/show/{difference}").location == f"/bill-differences/{difference}"
    assert "TILL001" in main_of(owner.get("/bill-differences/list/?_flt_0_status=open"))
    exported = owner.get("/bills/export?format=csv").get_data(as_text=True)
    assert "244.99" in exported


def test_the_page_of_a_day(shop: Shop, bill: int, log_in: LogIn) -> None:
    words = main_of(log_in("Owner").get(f"/bills/{bill}"))
    for expected in ("¥240.00", "¥244.99", "−¥4.99", "TILL001", "静安寺店", "¥119.99"):
        assert expected in words
    told = log_in("Owner").get(f"/bills/{bill}", headers=JSON).json
    assert told is not None
    assert (told["status"], told["difference_count"], told["may_fetch"]) == ("differs", 2, True)


def test_managers_see_what_is_theirs(shop: Shop, bill: int, other_store: Store, log_in: LogIn) -> None:
    here, elsewhere = log_in("Manager"), log_in("Manager", other_store)
    words = main_of(here.get(f"/bills/{bill}"))
    assert "¥239.99" in words and "TILL001" not in words
    told = elsewhere.get(f"/bills/{bill}", headers=JSON).json
    assert told is not None
    assert (told["total"]["there_paid_fen"], told["differences"], told["stores"]) == (0, [], [])
    assert "¥239.99" not in main_of(elsewhere.get("/bills/list/"))
    unknown = difference_of(shop, DifferenceKind.MISSING_HERE)
    ours = difference_of(shop, DifferenceKind.AMOUNT_DIFFERS)
    assert here.get(f"/bill-differences/{unknown}", headers=JSON).status_code == 404
    assert here.get(f"/bill-differences/{ours}").status_code == 200
    assert elsewhere.get(f"/bill-differences/{ours}").status_code == 404
    assert here.get(f"/bills/{bill}/file", headers=JSON).status_code == 403


@pytest.mark.parametrize(
    ("role", "may_read", "may_act"),
    [("Manager", True, True), ("Analyst", True, False), ("Cashier", False, False), ("Service", False, False)],
)
def test_what_roles_may(
    shop: Shop, bill: int, log_in: LogIn, role: str, may_read: bool, may_act: bool
) -> None:
    client, difference = log_in(role), difference_of(shop, DifferenceKind.AMOUNT_DIFFERS)
    pages = ("/bills/list/", f"/bills/{bill}", "/bill-differences/list/", f"/bill-differences/{difference}")
    for page in pages:
        assert client.get(page).status_code == (200 if may_read else 403), page
    for address in (f"/bills/{bill}/run", f"/bill-differences/{difference}/resolve"):
        answer = client.post(address, json={"reason": "手续费"}, headers=JSON)
        assert answer.status_code == (200 if may_act else 403), address


def test_a_store_explains_its_own_and_the_bill_stays_open(shop: Shop, bill: int, log_in: LogIn) -> None:
    ours = difference_of(shop, DifferenceKind.AMOUNT_DIFFERS)
    log_in("Manager").post(f"/bill-differences/{ours}/resolve", json={"reason": "x"}, headers=JSON)
    assert shop.rows(Bill)[0].status is BillStatus.DIFFERS


def test_explaining_by_the_form(shop: Shop, bill: int, log_in: LogIn) -> None:
    difference = difference_of(shop, DifferenceKind.AMOUNT_DIFFERS)
    address, manager = f"/bill-differences/{difference}", log_in("Manager")
    with unchanged():
        assert manager.post(f"{address}/resolve", data={"reason": "  "}).location == address
        refused = manager.post(f"{address}/resolve", json={"reason": "x" * 201}, headers=JSON)
    assert refused.status_code == 422

    answer = manager.post(f"{address}/resolve", data={"reason": "差一分，已核实"})

    assert (answer.status_code, answer.location) == (302, address)
    words = main_of(manager.get(address))
    assert "差一分，已核实" in words
    assert shop.rows(BillDifference)[0].status is DifferenceStatus.RESOLVED
    with unchanged():
        again = manager.post(f"{address}/resolve", json={"reason": "x"}, headers=JSON)
    assert again.status_code == 409


def test_running_again_mends(shop: Shop, bill: int, service: BillService, log_in: LogIn) -> None:
    payment = shop.rows(Payment)[1]
    service.entries = [entry_of(payment.payment_no, 12000, shop, payment.transaction_no), service.entries[0]]

    # Of a store alone: the bill is compared with the books of all.
    answer = log_in("Manager").post(f"/bills/{bill}/run", headers=JSON)

    assert answer.json is not None and answer.json["status"] == "matched"
    assert {row.status for row in shop.rows(BillDifference)} == {DifferenceStatus.MENDED}


@pytest.mark.parametrize(
    ("error", "status", "word"),
    [
        pytest.param(BillNotReady("STATEMENT_CREATING"), BillStatus.NOT_READY, "not_made", id="late"),
        pytest.param(BillUnusable("hash_mismatch"), BillStatus.FAILED, "hash_mismatch", id="wrong hash"),
    ],
)
def test_days_without_a_bill(
    shop: Shop,
    service: BillService,
    clock: Clock,
    log_in: LogIn,
    error: Exception,
    status: BillStatus,
    word: str,
) -> None:
    shop.paid_booking()
    service.error = error
    clock.advance(days=1)
    owner = log_in("Owner")

    owner.post("/bills/run", data={"service": "wechat", "on": bill_date(shop.now).isoformat()})

    (row,) = shop.rows(Bill)
    assert (row.status, row.problem) == (status, word)
    assert owner.get(f"/bills/{row.id}").status_code == 200
    assert owner.get(f"/bills/{row.id}/file", headers=JSON).status_code == 404
    for difference in shop.rows(BillDifference):
        assert owner.get(f"/bill-differences/{difference.id}").status_code == 200


@pytest.mark.parametrize(
    "form",
    [
        pytest.param({"service": "wechat"}, id="no day"),
        pytest.param({"service": "wechat", "on": "yesterday"}, id="no date"),
        pytest.param({"service": "wechat", "on": "2026-03-04"}, id="today"),
        pytest.param({"service": "wechat", "on": "2025-01-01"}, id="long ago"),
    ],
)
def test_senseless_days_change_nothing(service: BillService, log_in: LogIn, form: dict[str, Any]) -> None:
    owner = log_in("Owner")
    with unchanged():
        answer = owner.post("/bills/run", json=form, headers=JSON)
        assert owner.post("/bills/run", data=form).location == "/bills/list/"
    assert answer.status_code == 422 and answer.json is not None
    assert set(answer.json["errors"]) == {"on"}


def test_unknown_services_and_numbers_are_not_there(shop: Shop, log_in: LogIn) -> None:
    owner, on = log_in("Owner"), (bill_date(shop.now) - timedelta(days=1)).isoformat()
    with unchanged():
        assert owner.post("/bills/run", data={"service": "unionpay", "on": on}).status_code == 404
        for number in (1, 2**31, 2**63):
            assert owner.get(f"/bills/{number}", headers=JSON).status_code == 404
            assert owner.post(f"/bills/{number}/run", headers=JSON).status_code == 404
            assert owner.get(f"/bill-differences/{number}").status_code == 404
            assert owner.post(f"/bill-differences/{number}/resolve", json={}).status_code == 404


def test_the_owner_gets_the_file_and_nobody_by_its_address(shop: Shop, bill: int, log_in: LogIn) -> None:
    answer = log_in("Owner").get(f"/bills/{bill}/file")
    assert (answer.status_code, answer.data) == (200, CONTENT)
    assert answer.headers["Content-Disposition"] == f'attachment; filename="wechat-{bill_date(shop.now)}.csv"'
    assert "no-store" in answer.headers["Cache-Control"]
    key = shop.rows(Bill)[0].file_key
    assert log_in("Owner").get(f"/media/{key}").status_code == 404


def test_the_first_page_counts_what_waits(shop: Shop, bill: int, log_in: LogIn) -> None:
    from app.services import refund_requests

    no = shop.paid_booking(30)
    refund_requests.create_request(no, reason="不去了", actor=shop.guest, now=shop.now)
    owner, stranger = log_in("Owner"), log_in("Manager", factories.make_store(name="别店"))

    for client, differences, requests in ((owner, 2, 1), (log_in("Manager"), 1, 1), (stranger, 0, 0)):
        page = client.get("/").get_data(as_text=True).partition("<main")[2]
        assert count_at(page, "/bill-differences/list/") == differences
        assert count_at(page, "/refund-requests/list/") == requests


def count_at(page: str, address: str) -> int:
    """Return the number in the badge of the line that leads to *address*."""
    badge = page.partition(f'href="{address}')[2].partition('class="badge')[2]
    return int(badge.partition(">")[2].partition("<")[0])
