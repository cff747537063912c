"""The counter's work in the browser: redeem, take a walk-in to its end, change a room."""

from __future__ import annotations

import re
import urllib.request

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import LogIn, Product, check_width

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("browser")]


def pay_by_code(product: Product, page: Page, amount: str) -> None:
    """Show the code, let the guest pay at the service, and wait until the page has moved on by itself."""
    page.locator(".next-actions form[action$='/take_payment'] button").first.click()
    expect(page.locator(".collect-code svg")).to_be_visible()
    expect(page.locator(".collect-sum")).to_have_text(amount)
    number = page.locator(".collect small").inner_text()
    address = f"{product.sandbox_url}/_control/payments/wechat/{number}/succeed"
    urllib.request.urlopen(urllib.request.Request(address, method="POST"), timeout=15).close()
    expect(page.locator(".collect")).to_have_count(0)


def pick_room(page: Page, name: str) -> None:
    page.locator(".choice", has_text=name).locator("input").check()


def test_a_typed_code_becomes_a_room_and_can_be_taken_back(product: Product, log_in: LogIn) -> None:
    sold = product.facts["vouchers"][0]
    page = log_in("Manager")
    page.goto("/redemption/")
    page.fill("#code", "ABCDEFGHJKMNPQRSTVWX")
    page.keyboard.press("Enter")
    expect(page.locator(".alert-danger")).to_be_visible()

    # A scanner types in small letters, with a line end after it.
    page.fill("#code", sold["code"].lower())
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_contain_text("下午茶三小时")
    expect(page.locator("main")).to_contain_text("林**")
    pick_room(page, "观澜")
    page.click(".btn-success")
    page.wait_for_url("**/redemption/done")
    expect(page.locator(".result-room")).to_have_text("观澜")
    expect(page.locator(".result-code strong")).not_to_be_empty()

    page.goto("/redemption/")
    page.fill("#code", sold["code"])
    page.keyboard.press("Enter")
    expect(page.locator("main .alert-danger")).to_contain_text("静安寺店 观澜")
    assert page.locator(".btn-success").count() == 0

    page.goto("/redemptions/list/")
    page.locator("tr[data-row] .cell-main a").first.click()
    page.wait_for_load_state("load")
    page.fill("#reason", "扫错了券")
    page.click("main .btn-outline-danger")
    page.click(".modal.show .btn-danger")
    expect(page.locator(".alert-success")).to_be_visible()
    page.goto(f"/orders/{sold['order_no']}")
    expect(page.locator(".page-head")).to_contain_text("待核销")


def test_a_voucher_is_picked_on_a_phone(product: Product, log_in: LogIn) -> None:
    sold = product.facts["vouchers"][1]
    page = log_in("Cashier", "phone")
    page.goto("/redemption/")
    page.fill("#q", sold["order_no"])
    page.keyboard.press("Enter")
    page.locator(".picked button").click()
    expect(page.locator("main")).to_contain_text("陈**")
    check_width(page)
    pick_room(page, "竹影")
    page.click(".btn-success")
    page.wait_for_url("**/redemption/done")
    expect(page.locator(".result-room")).to_have_text("竹影")
    check_width(page)


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_the_price_of_a_walk_in_follows_the_form(log_in: LogIn, size: str) -> None:
    page = log_in("Cashier", size)
    page.goto("/walk-ins/")
    page.wait_for_load_state("load")
    pick_room(page, "东篱")
    expect(page.locator(".walk-in-sum strong")).to_have_text("¥120.00")
    page.select_option("#minutes", "90")
    expect(page.locator(".walk-in-sum strong")).to_have_text("¥90.00")
    expect(page.locator(".walk-in-sum")).to_contain_text("东篱")
    # The button that opens the order is in sight wherever the form stands.
    expect(page.locator("#walk-in-price .btn-primary")).to_be_in_viewport()
    check_width(page)


def test_a_walk_in_goes_from_the_counter_to_the_end(product: Product, log_in: LogIn) -> None:
    page = log_in("Cashier")
    page.goto("/walk-ins/")
    page.wait_for_load_state("load")
    pick_room(page, "松风")
    page.select_option("#minutes", "60")
    expect(page.locator(".walk-in-sum strong")).to_have_text("¥60.00")
    page.click("#walk-in-price .btn-primary")
    page.wait_for_url("**/orders/**")
    order = page.url
    pay_by_code(product, page, "¥60.00")
    page.wait_for_url(order)
    for action, next_action in (("check_in", "check_out"), ("check_out", "")):
        # Until the scripts of a page have run, a click sends the form without asking.
        page.wait_for_load_state("load")
        page.click(f"form[action$='/{action}'] button")
        page.click(".modal.show .btn-primary")
        expect(page.locator(".alert-success")).to_be_visible()
        if next_action:
            expect(page.locator(f"form[action$='/{next_action}']")).to_be_visible()
    expect(page.locator(".page-head")).to_contain_text("已完成")
    assert page.locator(".next-actions .btn").count() == 0


def test_a_booking_moves_to_a_dearer_room_once_it_is_paid(product: Product, log_in: LogIn) -> None:
    no = product.facts["orders"][5]
    page = log_in("Cashier", "phone")
    page.goto(f"/orders/{no}")
    page.click(f"a[href='/orders/{no}/move']")
    page.wait_for_load_state("load")
    # Booked when it cost nothing; whatever it becomes costs the price of today.
    pick_room(page, "云水")
    expect(page.locator("#move-preview .cost strong")).to_have_text("¥60.00")
    check_width(page)
    page.click("#move-preview .btn-primary")
    page.wait_for_url(f"**/orders/{no}")
    expect(page.locator(".now-card .countdown")).to_have_text(re.compile(r"^1[0-5]:\d\d$"))
    check_width(page)
    pay_by_code(product, page, "¥60.00")
    page.wait_for_url(f"**/orders/{no}")
    expect(page.locator(".page-head")).to_contain_text("云水")
    assert page.locator(".now-card").count() == 0


def test_an_extension_is_held_and_given_up(product: Product, log_in: LogIn) -> None:
    # The last of the hourly bookings: nobody follows.
    no = product.facts["orders"][-1]
    page = log_in("Manager")
    page.goto(f"/orders/{no}/extend")
    page.locator(".offers .btn").nth(1).click()
    expect(page.locator(".cost strong")).to_have_text("¥60.00")
    page.click(".confirm-form .btn-primary")
    page.wait_for_url(f"**/orders/{no}")
    page.wait_for_load_state("load")
    page.click("form[action$='/drop_change'] button")
    page.click(".modal.show .btn-danger")
    expect(page.locator(".alert-success")).to_be_visible()
    assert page.locator(".now-card").count() == 0


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_a_room_is_changed_after_a_mistake(product: Product, log_in: LogIn, size: str) -> None:
    page = log_in("Manager", size)
    page.goto(f"/rooms/edit/{product.facts['room_id']}")
    page.fill("#capacity", "many")
    page.fill("#name", "听雨")
    page.click(".save-bar .btn-primary")
    expect(page.locator("#capacity-error")).to_be_visible()
    assert page.input_value("#capacity") == "many"

    page.fill("#capacity", "6")
    page.click(".save-bar .btn-primary")
    expect(page.locator("#name-error")).to_be_visible()
    check_width(page)
    page.fill("#name", "观澜")
    page.fill("#decor_style", "新中式")
    page.click(".save-bar .btn-primary")
    page.wait_for_url("**/rooms/list/")
    expect(page.locator(".alert-success")).to_be_visible()
    page.goto(f"/rooms/show/{product.facts['room_id']}")
    expect(page.locator("main")).to_contain_text("新中式")


def test_rules_are_typed_in_words(log_in: LogIn) -> None:
    page = log_in("Manager")
    page.goto("/booking-policies/edit/1")
    steps = page.locator("#cancel_steps input")
    steps.nth(0).fill("240")
    steps.nth(2).fill("240")
    page.click(".save-bar .btn-primary")
    expect(page.locator("#cancel_steps-error")).to_be_visible()
    assert page.locator("#cancel_steps input").nth(0).input_value() == "240"
    page.locator("#cancel_steps input").nth(2).fill("60")
    page.click(".save-bar .btn-primary")
    page.wait_for_url("**/booking-policies/list/")

    page.goto("/campaigns/edit/1")
    page.locator("#weekdays input").nth(5).check()
    page.fill("#bands", "10点到12点")
    page.click(".save-bar .btn-primary")
    expect(page.locator("#bands-error")).to_be_visible()
    assert page.locator("#weekdays input").nth(5).is_checked()
    page.fill("#bands", "00:00～12:00，12:00-24:00")
    page.click(".save-bar .btn-primary")
    page.wait_for_url("**/campaigns/list/")
    page.goto("/campaigns/show/1")
    expect(page.locator("main")).to_contain_text("周六")
    expect(page.locator("main")).to_contain_text("00:00-12:00, 12:00-24:00")
