"""The command: keys made once, state kept over restarts, an immediate stop."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.sandbox.live import Live, Merchant, ShiftedClock, pay_client, start_live
from tests.sandbox.shop import Shop

ROOT = Path(__file__).resolve().parents[2]
Start = Callable[..., tuple[subprocess.Popen[str], str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the command on a free port and returns (process, address)."""
    running: list[subprocess.Popen[str]] = []

    def run(*options: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "sandbox", "--port", "0", "--data-dir", str(tmp_path), *options]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().split(" ")[1].strip()

    yield run
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_stops_at_once_though_a_request_is_held(start: Start, number: signal.Signals) -> None:
    process, url = start()
    fault = {"target": "wechat_login", "mode": "latency", "seconds": 60}
    assert requests.post(url + "/_control/faults", json=fault, timeout=10).status_code == 201
    with pytest.raises(requests.exceptions.Timeout):
        requests.get(url + "/sns/jscode2session", timeout=0.2)

    started = time.monotonic()
    process.send_signal(number)

    assert process.wait(5) == 0
    assert time.monotonic() - started < 2


def test_keys_are_private_and_stay(start: Start, tmp_path: Path) -> None:
    process, _ = start()
    first = {name: (tmp_path / name).read_text() for name in ("credentials.json", "keys.json")}
    process.terminate()
    process.wait(5)
    start()

    assert {name: (tmp_path / name).read_text() for name in first} == first
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in first} == {0o600}
    credentials = json.loads(first["credentials.json"])
    assert credentials["wechat"].keys() == {"app_id", "app_secret"}
    assert credentials["wechat_pay"].keys() == {
        "mchid", "app_id", "merchant_private_key", "merchant_serial_no", "api_v3_key", "public_key_id",
        "public_key",
    }  # fmt: skip
    assert credentials["wechat_pay"]["merchant_private_key"] not in json.loads(first["keys.json"]).values()
    assert len(credentials["wechat_pay"]["api_v3_key"]) == 32


def test_killed_sandbox_remembers_orders_and_sends_the_callback_after_its_restart(
    start: Start, tmp_path: Path, merchant: Merchant
) -> None:
    merchant.statuses = [500]
    process, url = start("--refund-delay-seconds", "-1")
    shop = shop_at(url, tmp_path, merchant)
    shop.prepay()
    assert shop.succeed()["delivered"] is False
    process.kill()
    process.wait(5)

    _, url = start("--refund-delay-seconds", "-1")

    shop = shop_at(url, tmp_path, merchant)
    assert shop.opened(merchant.wait_for(2)[1])["resource"]["out_trade_no"] == "P20260101"
    assert shop.query()[1]["trade_state"] == "SUCCESS"


def shop_at(url: str, folder: Path, merchant: Merchant) -> Shop:
    """Return a shop of a sandbox in another process."""
    credentials = json.loads((folder / "credentials.json").read_text())
    live = Live(url, None, ShiftedClock(), credentials, lambda: None)
    return Shop(live, pay_client(live), merchant)


def test_missing_credentials_mean_new_keys(tmp_path: Path) -> None:
    first = start_live(tmp_path)
    first.stop()
    (tmp_path / "credentials.json").unlink()

    second = start_live(tmp_path)
    second.stop()

    assert second.credentials != first.credentials
