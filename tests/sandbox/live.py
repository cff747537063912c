"""A sandbox on a live port in the test process, a merchant that receives callbacks, and the real clients."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests
from wechatpayv3 import WeChatPay, WeChatPayType
from wechatpy import WeChatClient

from sandbox.app import create_app
from sandbox.clock import utc_now
from sandbox.runtime import Sandbox
from sandbox.server import new_server
from sandbox.settings import Settings

WAIT_SECONDS = 10.0
OPENID = "oAlice00000000000000000000000"


class ShiftedClock:
    """The real time plus an offset that tests move; the client libraries keep to the real time."""

    def __init__(self) -> None:
        self.offset = timedelta(0)

    def __call__(self) -> datetime:
        return utc_now() + self.offset


@dataclass
class Live:
    """One running sandbox."""

    url: str
    # A sandbox in another process cannot be looked into; only tests of the command have one.
    sandbox: Any
    clock: ShiftedClock
    credentials: dict[str, dict[str, str]]
    stop: Callable[[], None]

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=WAIT_SECONDS, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> requests.Response:
        return requests.post(self.url + path, json=body, timeout=WAIT_SECONDS, **options)

    def control(self, path: str, body: Any = None) -> Any:
        """Do a control POST that must succeed."""
        response = self.post("/_control" + path, body)
        assert response.ok, f"{path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def shown(self, kind: str, number: str, channel: str = "wechat") -> Any:
        return self.get(f"/_control/{kind}/{channel}/{number}").json()

    def outbox(self) -> list[dict[str, Any]]:
        return self.get("/_control/outbox").json()["items"]

    def reset(self) -> None:
        assert requests.delete(self.url + "/_control/state", timeout=WAIT_SECONDS).status_code == 204
        self.clock.offset = timedelta(0)
        self.control("/tokens/expire")
        settings = {"refund_delay_seconds": -1, "notify_scale": 0.002, "wechat_pay_key_mode": "public_key"}
        self.control("/settings", settings)


def start_live(folder: Path) -> Live:
    """Start a sandbox whose refunds wait for the control path and whose 15 s retries take 30 ms."""
    clock = ShiftedClock()
    settings = Settings(folder, notify_scale=0.002, refund_delay_seconds=-1, notify_timeout_seconds=1)
    sandbox = Sandbox(settings, clock)
    server = new_server(create_app(sandbox), "127.0.0.1", 0)
    # A short poll, so that stopping takes no half second.
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    sandbox.start()

    def stop() -> None:
        server.shutdown()
        thread.join(WAIT_SECONDS)
        server.server_close()
        sandbox.stop()

    credentials = json.loads((folder / "credentials.json").read_text())
    return Live(f"http://127.0.0.1:{server.server_port}", sandbox, clock, credentials, stop)


@dataclass
class Received:
    """One callback as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return str(json.loads(self.body)["id"])


@dataclass
class Merchant:
    """A callback address; it answers `statuses` in turn, then 204, or 200 where it has a `word` to say."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    word: bytes = b""
    received: list[Received] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def note(self, callback: Received) -> int:
        with self.changed:
            self.received.append(callback)
            self.changed.notify_all()
            usual = 200 if self.word else 204
            return self.statuses.pop(0) if self.statuses else usual

    def wait_for(self, count: int) -> list[Received]:
        """Return the callbacks once there are at least *count*."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.received) >= count, WAIT_SECONDS), self.received
            return list(self.received)


class MerchantHandler(BaseHTTPRequestHandler):
    """Hands every POST to the merchant of its server."""

    merchant: Merchant

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.merchant.note(Received(self.path, dict(self.headers.items()), body))
        self.send_response(status)
        if status == 302:
            self.send_header("Location", self.merchant.url + "/elsewhere")
        word = self.merchant.word if status == 200 else b""
        self.send_header("Content-Length", str(len(word)))
        self.end_headers()
        self.wfile.write(word)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def start_merchant() -> tuple[Merchant, Callable[[], None]]:
    """Start a merchant; the second value stops it."""
    merchant = Merchant()
    handler = type("Handler", (MerchantHandler,), {"merchant": merchant})
    # Callbacks come many at once; a short queue would let some of them time out.
    roomy = type("Server", (ThreadingHTTPServer,), {"request_queue_size": 128, "daemon_threads": True})
    server = roomy(("127.0.0.1", 0), handler)
    merchant.url = f"http://127.0.0.1:{server.server_port}/notify"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        thread.join(WAIT_SECONDS)
        server.server_close()

    return merchant, stop


def pay_client(live: Live, timeout: float = WAIT_SECONDS, **changes: Any) -> WeChatPay:
    """Return the real SDK in public-key mode, pointed at the sandbox."""
    keys = live.credentials["wechat_pay"]
    options: dict[str, Any] = {
        "wechatpay_type": WeChatPayType.MINIPROG,
        "mchid": keys["mchid"],
        "private_key": keys["merchant_private_key"],
        "cert_serial_no": keys["merchant_serial_no"],
        "appid": keys["app_id"],
        "apiv3_key": keys["api_v3_key"],
        "public_key": keys["public_key"],
        "public_key_id": keys["public_key_id"],
        "timeout": timeout,
    }
    client = WeChatPay(**(options | changes))
    client._core._gate_way = live.url
    return client


class LoopbackClient(WeChatClient):
    """wechatpy with the token address of the sandbox, as the product subclasses it."""

    def __init__(self, live: Live) -> None:
        self.live = live
        keys = live.credentials["wechat"]
        super().__init__(keys["app_id"], keys["app_secret"], timeout=WAIT_SECONDS, auto_retry=False)

    def fetch_access_token(self) -> Any:
        arguments = {"grant_type": "client_credential", "appid": self.appid, "secret": self.secret}
        return self._fetch_access_token(self.live.url + "/cgi-bin/token", arguments)

    def call(self, path: str, body: dict[str, Any]) -> Any:
        """POST as wechatpy does it: raw UTF-8 without a Content-Type."""
        return self.post(self.live.url + path, data=body)
