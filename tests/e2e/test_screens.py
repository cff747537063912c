"""The main screens of each role at both sizes: shown, quiet, inside the window, without foreign hosts."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import LogIn, Product, check_width

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("browser")]

OWNER = (
    *("/", "/redemption/", "/walk-ins/", "/orders/list/", "/customers/list/", "/stores/list/"),
    *("/stores/show/{store_id}", "/rooms/list/", "/rooms/add", "/rooms/edit/{room_id}", "/price-rules/list/"),
    *(
        "/price-rules/add",
        "/booking-policies/show/1",
        "/booking-policies/edit/1",
        "/room-blocks/add",
        "/price-trials/?room_id={room_id}&start_at=2026-09-30+22:00&end_at=2026-10-01+06:00",
        "/campaigns/list/",
        "/campaigns/edit/1",
        "/vouchers/list/",
    ),
    *("/notifications/list/", "/notification-templates/edit/1", "/audit/list/", "/staff/list/", "/staff/add"),
    *("/roles/list/", "/media-items/list/", "/opening-hours/list/", "/profile/"),
    *("/payment-channels/", "/payment-channels/wechat_pay", "/payment-channels/counter_cash"),
    "/shipping-reports/list/",
)
PAGES = {
    "Owner": OWNER,
    "Manager": (
        "/",
        "/redemption/",
        "/rooms/edit/{room_id}",
        "/campaigns/list/",
        "/audit/list/",
        "/payment-channels/wechat_pay",
    ),
    "Cashier": ("/", "/redemption/", "/walk-ins/", "/orders/list/", "/redemptions/list/"),
    "Service": ("/", "/orders/list/", "/customers/list/", "/notifications/list/"),
    "Analyst": ("/", "/orders/list/", "/payments/list/", "/vouchers/list/"),
}


@pytest.mark.parametrize("size", ["desktop", "phone"])
@pytest.mark.parametrize("role", PAGES)
def test_screens_fit_and_stay_quiet(product: Product, log_in: LogIn, role: str, size: str) -> None:
    page = log_in(role, size)
    paths = [path.format(**product.facts) for path in PAGES[role]]
    order = f"/orders/{product.facts['orders'][0]}"
    acting = [f"{order}/move", f"{order}/extend"] if role in ("Owner", "Cashier") else []
    for path in [*paths, order, *acting]:
        answer = page.goto(path)
        assert answer is not None and answer.status == 200, path
        check_width(page)
        expect(page.locator("h1")).to_be_visible()


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_a_wrong_password_is_said(open_page: LogIn, size: str) -> None:
    page = open_page(size)
    page.goto("/")
    page.wait_for_url("**/login/**")
    page.fill("#username", "nobody")
    page.fill("#password", "wrong-password")
    page.click("main button[type=submit]")
    expect(page.locator(".alert-danger")).to_be_visible()
    check_width(page)


def test_the_menu_of_a_phone_opens_and_leads_on(log_in: LogIn) -> None:
    page = log_in("Cashier", "phone")
    page.click(".app-menu-button")
    expect(page.locator("#sidebar")).to_be_visible()
    page.locator("#sidebar summary").first.click()
    page.locator("#sidebar a[href='/orders/list/']").click()
    page.wait_for_url("**/orders/list/")
    check_width(page)


def test_languages_and_darkness_are_chosen_and_kept(log_in: LogIn) -> None:
    page = log_in("Owner")
    for language, heading in (("en", "Orders"), ("zh_Hant", "訂單"), ("zh", "订单")):
        page.goto(f"/lang/{language}")
        page.goto("/orders/list/")
        expect(page.locator("h1")).to_have_text(heading)
    page.click("[data-theme-switch]")
    page.goto("/rooms/list/")
    assert page.evaluate("document.documentElement.dataset.bsTheme") == "dark"


def test_an_unknown_page_leads_back(log_in: LogIn) -> None:
    page = log_in("Owner", "phone")
    answer = page.goto("/no-such-page")
    assert answer is not None and answer.status == 404
    check_width(page)
    page.click(".error-page a.btn-primary")
    page.wait_for_url("**/")


def names_of(page: Page) -> list[str]:
    """Return the first cells of a list."""
    return page.locator("tr[data-row] .cell-main").all_inner_texts()


def test_orders_are_paged_searched_filtered_and_exported(product: Product, log_in: LogIn) -> None:
    page = log_in("Cashier")
    page.goto("/orders/list/")
    assert len(names_of(page)) == 25
    page.locator(".pagination a[aria-label]").first.click()
    page.wait_for_url("**page_OrderView=1**")
    assert 0 < len(names_of(page)) < 25

    number = product.facts["orders"][3]
    page.fill(".filter-quick input", number)
    page.keyboard.press("Enter")
    page.wait_for_url("**q=**")
    assert names_of(page) == [number]

    page.goto("/orders/list/")
    page.click(".filter-bar [data-bs-toggle=dropdown]")
    page.click("[data-add-filter=kind]")
    page.select_option("[data-rows] [data-value] select", "group_buy")
    page.click(".filter-apply")
    page.wait_for_url("**_flt_0_kind=group_buy**")
    assert set(names_of(page)) == {sold["order_no"] for sold in product.facts["vouchers"]}
    with page.expect_download() as download:
        page.click("a[href*='/orders/export']")
    rows = download.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert len(rows) == 3
