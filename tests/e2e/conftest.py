"""The product under its own command with a small shop in it, and pages of a real browser that watch it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from scripts.instance import free_port
from scripts.processes import Process, tail, wait_until
from tests import factories
from tests.architecture.sources import ROOT
from tests.servers import chromium_executable

START_SECONDS, STOP_SECONDS = 120, 25
SIZES = {"desktop": (1366, 900), "phone": (390, 844)}
# Without these Chromium looks for its maker's hosts at every start.
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass
class Product:
    """A running product and what was put into it."""

    url: str
    sandbox_url: str
    facts: dict[str, Any]


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The whole product on ports of its own."""
    folder = tmp_path_factory.mktemp("product")
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    env = kept | {"INSTANCE_DIR": str(folder / "instance"), "DEMO_ACCOUNTS": "0"}
    env |= {"PORT": str(free_port()), "SANDBOX_PORT": str(free_port())}
    env |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT)}
    process = Process("run", [sys.executable, str(ROOT / "run.py")], env=env, log=folder / "run.log")
    process.start()
    try:
        started = wait_until(
            lambda: "is running" in tail(process.log) or not process.is_running(), START_SECONDS
        )
        assert started and process.is_running(), tail(process.log)
        urls = (f"http://127.0.0.1:{env[name]}" for name in ("PORT", "SANDBOX_PORT"))
        yield Product(*urls, _seed(env))
    finally:
        process.stop(STOP_SECONDS)


def _seed(env: dict[str, str]) -> dict[str, Any]:
    """Fill the shop in a process of its own: an application configures the process that it lives in."""
    command = [sys.executable, "-m", "tests.e2e.seed"]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Debian's Chromium."""
    executable = chromium_executable()
    assert executable is not None, "Chromium is not installed: sudo apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=QUIET)
        yield browser
        browser.close()


@dataclass
class Watch:
    """What must not happen on any page: errors of scripts, other hosts, answers that failed."""

    url: str
    complaints: list[str] = field(default_factory=list)

    def follow(self, page: Page) -> None:
        """Listen to a page."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        # The browser itself reports each answer of 400 and above; refusals are part of the tests.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.complaints.append(f"{message.location.get('url', '')}: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.url}/", "data:", "blob:")):
            self.complaints.append(f"foreign request: {request.url}")


LogIn = Callable[..., Page]


@pytest.fixture
def open_page(product: Product, browser: Browser) -> Iterator[LogIn]:
    """Return a function that opens a page of a size; afterwards nothing may have been wrong on it."""
    watch = Watch(product.url)
    contexts = []

    def open_page(size: str = "desktop") -> Page:
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height},
            base_url=product.url,
            locale="zh-CN",
            timezone_id="America/New_York",
            has_touch=size == "phone",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        watch.follow(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert watch.complaints == []


@pytest.fixture
def log_in(open_page: LogIn) -> LogIn:
    """Return a function that logs a role in and returns its page."""

    def log_in(role: str, size: str = "desktop") -> Page:
        page = open_page(size)
        page.goto("/login/")
        page.fill("#username", role.lower())
        page.fill("#password", factories.PASSWORD)
        page.click("main button[type=submit]")
        page.wait_for_url("**/")
        return page

    return log_in


def check_width(page: Page) -> None:
    """A page must never scroll sideways."""
    assert page.evaluate(OVERFLOW) <= 0, f"{page.url} is wider than its window"
