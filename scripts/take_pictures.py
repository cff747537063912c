"""Take the pictures of docs/pictures from a product that runs with its example data.

Usage: python -m scripts.take_pictures [address, default http://127.0.0.1:8080]
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from run import DEMO_PASSWORD
from tests.servers import chromium_executable

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "pictures"
DESKTOP, PHONE = (1366, 900), (390, 844)
TALL = 1480
MAX_BYTES = 200 * 1024
COLOURS = 192
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
SHOTS = {
    "home": "/",
    "stores": "/stores/list/",
    "room-form": "/rooms/edit/1",
    "orders": "/orders/list/",
    "price-trial": "/price-trials/?room_id=1&start_at=2026-09-30+22:00&end_at=2026-10-01+06:00",
}


# What is below the window belongs to the picture.
WHOLE = frozenset({"price-trial"})


def main(address: str) -> None:
    """Write every picture anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_executable(), args=QUIET)
        with opened(browser, address, DESKTOP) as page:
            take_desktop(page)
        with opened(browser, address, PHONE) as page:
            log_in(page, "cashier")
            show_voucher(page)
            save(page, "redemption-phone")
        browser.close()


@contextmanager
def opened(browser: Browser, address: str, size: tuple[int, int]) -> Iterator[Page]:
    """Open a page in a session of its own."""
    width, height = size
    viewport = {"width": width, "height": height}
    context = browser.new_context(base_url=address, locale="zh-CN", viewport=viewport)  # type: ignore[arg-type]
    yield context.new_page()
    context.close()


def take_desktop(page: Page) -> None:
    """Take the pictures at the size of a laptop."""
    page.goto("/login/")
    save(page, "login")
    log_in(page, "owner")
    for name, path in SHOTS.items():
        page.goto(path, wait_until="networkidle")
        save(page, name, is_whole=name in WHOLE)
    page.goto("/orders/list/?_flt_0_status=awaiting_use")
    page.locator("tr[data-row] .cell-main a").first.click()
    save(page, "order")
    # Money that was paid at the counter and waits there to go back: the longest way of an order.
    page.goto("/counter-refunds/")
    page.goto(page.locator("main a[href^='/orders/']").first.get_attribute("href") or "/")
    page.set_viewport_size({"width": DESKTOP[0], "height": TALL})
    save(page, "order-page")
    page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
    hold_extension(page)
    save(page, "order-change")
    show_voucher(page)
    save(page, "redemption")


def log_in(page: Page, name: str) -> None:
    """Log in as one of the example accounts."""
    page.goto("/login/")
    page.fill("#username", name)
    page.fill("#password", DEMO_PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_url("**/")


def show_voucher(page: Page) -> None:
    """Look at a voucher that is not used yet, picked from its order."""
    page.goto("/orders/list/?_flt_0_status=issued")
    number = page.locator("tr[data-row] .cell-main").first.inner_text()
    page.goto(f"/redemption/?q={number}")
    page.locator(".picked button").first.click()
    page.wait_for_selector(".definitions")


def hold_extension(page: Page) -> None:
    """Add the least time to the order that is shown; it then waits for its payment."""
    page.goto(f"{page.url}/extend")
    page.locator(".offers .btn").first.click()
    page.locator(".confirm-form .btn-primary").click()
    page.wait_for_selector(".now-card")


def save(page: Page, name: str, *, is_whole: bool = False) -> None:
    """Write what the window or the whole page shows, with fewer colours where the file would be large."""
    page.wait_for_load_state("networkidle")
    # The cursor and freshly opened parts must look the same each time.
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled", caret="hide", full_page=is_whole)))
    path = FOLDER / f"{name}.png"
    picture.save(path, optimize=True)
    if path.stat().st_size > MAX_BYTES:
        picture.convert("RGB").quantize(COLOURS).save(path, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080")
