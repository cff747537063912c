"""Fixtures: one sandbox for all tests, emptied before each, and a merchant per test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from wechatpayv3 import WeChatPay

from tests.sandbox.live import Live, LoopbackClient, Merchant, pay_client, start_live, start_merchant
from tests.sandbox.shop import Shop


@pytest.fixture(scope="session")
def running_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    live = start_live(tmp_path_factory.mktemp("sandbox"))
    yield live
    live.stop()


@pytest.fixture
def live(running_sandbox: Live) -> Live:
    """The running sandbox with nothing in it."""
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture
def merchant() -> Iterator[Merchant]:
    merchant, stop = start_merchant()
    yield merchant
    stop()


@pytest.fixture
def wechat(live: Live) -> LoopbackClient:
    return LoopbackClient(live)


@pytest.fixture
def pay(live: Live) -> WeChatPay:
    return pay_client(live)


@pytest.fixture
def shop(live: Live, pay: WeChatPay, merchant: Merchant) -> Shop:
    """The SDK with the parameters of an ordinary order."""
    return Shop(live, pay, merchant)
